"""Makes the HTML of an explanation for a notebook."""

import base64
import html
import io

from staa_client.pictures.clip_frames import clip_frames
from staa_client.pictures.layer import Layer, percent
from staa_client.pictures.sheet import draw_sheet
from staa_client.results.explanation import Explanation


def html_of(explanation: Explanation) -> str:
    """Return the contact sheet (frames with maps, curve, labels) as one HTML element that needs no other file."""
    try:
        frames, note = clip_frames(explanation, explanation.source)
    except (OSError, ValueError) as reason:  # the file was moved since: a result is still a result
        frames, note = None, f"drawn without frames: {reason}"
    buffer = io.BytesIO()
    draw_sheet(Layer(explanation), frames, note).save(buffer, "PNG", optimize=True)
    picture = base64.b64encode(buffer.getvalue()).decode()
    words = html.escape(describe(explanation)).encode("utf-8", "replace").decode()  # half a surrogate pair is no UTF-8
    return f'<img style="max-width:100%" alt="{words}" src="data:image/png;base64,{picture}">'


def describe(explanation: Explanation) -> str:
    """Return a sentence or two that describe the explanation."""
    labels = ", ".join(f"{guess.label} {percent(guess.score)}" for guess in explanation.predictions[:3])
    (moment,) = explanation.top(1)
    x0, y0, x1, y1 = moment.region
    when = f"{moment.start:.2f} to {moment.end:.2f} s ({percent(moment.share)})"
    layer = Layer(explanation)
    subject = f"{layer.class_words[0].upper()}{layer.class_words[1:]}: most" if layer.class_words else "Most"
    balance = "".join(f" {text}." for text in (layer.balance, layer.overlap) if text)
    where = f"in pixels ({x0}, {y0}) to ({x1}, {y1})"
    trust = f" {layer.badge.words[0].upper()}{layer.badge.words[1:]}."
    about = f" {explanation.model.about}" if explanation.model.about else ""
    return f"{explanation.name}: {labels or 'no label'}.{about} {subject} at {when}, {where}.{balance}{trust}"
