"""Makes the HTML of an explanation for a notebook."""

import base64
import html
import io

from staa_client.pictures.clip_frames import clip_frames
from staa_client.pictures.layer import Layer, absence_words, percent, score_words
from staa_client.pictures.sheet import draw_sheet
from staa_client.results.explanation import Explanation
from staa_client.results.result import Result


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


def labels_html_of(result: Result) -> str:
    """Return the labels with a bar and the score of each as an HTML table, and sentences below it.

    They say if the video has none of the labels, what the model is good for, why there is no map if one was asked for,
    and what was done to the clip.
    """
    bar = "display:inline-block;height:0.8em;background:#565ca0;border-radius:2px;width:{:.1f}em"
    rows = "".join(
        f'<tr><th scope="row" style="text-align:left">{html.escape(guess.label)}</th>'
        f'<td style="text-align:left;min-width:10em"><span style="{bar.format(10 * guess.score)}"></span></td>'
        f"<td>{html.escape(score_words(guess))}</td></tr>"
        for guess in result.predictions
    )
    clip, model = result.clip, result.model
    of_clip = f"{clip.times[0]:.2f} to {clip.times[-1]:.2f} s of {clip.duration:.2f} s"
    caption = html.escape(f"{model.name} {model.version}, {of_clip}")
    why_not = "" if result.not_explained is None else f"not explained: {result.not_explained}"
    said = (absence_words(result.predictions), model.about, why_not, *clip.notes)
    notes = "".join(f"<p>{html.escape(text)}</p>" for text in said if text)
    nothing = "" if rows else "<p>no label</p>"
    page = f"<div><table><caption>{caption}</caption><tbody>{rows}</tbody></table>{nothing}{notes}</div>"
    return page.encode("utf-8", "replace").decode()


def describe(explanation: Explanation) -> str:
    """Return in a few sentences what the picture says: labels, when and where, and how far to trust the map."""
    labels = ", ".join(f"{guess.label} {score_words(guess)}" for guess in explanation.predictions[:3])
    labels += f", {words}" if (words := absence_words(explanation.predictions)) else ""
    (moment,) = explanation.top(1)
    x0, y0, x1, y1 = moment.region
    when = f"{moment.start:.2f} to {moment.end:.2f} s ({percent(moment.share)})"
    layer = Layer(explanation)
    subject = f"{layer.class_words[0].upper()}{layer.class_words[1:]}: most" if layer.class_words else "Most"
    notes = "".join(f" {text[0].upper()}{text[1:]}." for text in (layer.balance, *layer.note_lines) if text)
    where = f"in pixels ({x0}, {y0}) to ({x1}, {y1})"
    trust = f" {layer.badge.words[0].upper()}{layer.badge.words[1:]}: {layer.badge.sentence}"
    about = f" {explanation.model.about}" if explanation.model.about else ""
    return f"{explanation.name}: {labels or 'no label'}.{about} {subject} at {when}, {where}.{notes}{trust}"
