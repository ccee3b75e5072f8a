"""What a notebook shows of an explanation."""

import base64
import html
import io

from staa_client._layer import Layer
from staa_client._percent import percent
from staa_client._save import clip_frames
from staa_client._types import Explanation
from staa_client.render import contact_sheet


def html_of(explanation: Explanation) -> str:
    """The contact sheet - frames with map, curve, labels - as one element that needs no file beside it."""
    try:
        frames, note = clip_frames(explanation, explanation.source)
    except (OSError, ValueError) as reason:  # the file was moved since: a result is still a result
        frames, note = None, f"drawn without frames: {reason}"
    buffer = io.BytesIO()
    contact_sheet(Layer(explanation), frames, note).save(buffer, "PNG", optimize=True)
    picture = base64.b64encode(buffer.getvalue()).decode()
    return f'<img style="max-width:100%" alt="{html.escape(words(explanation))}" src="data:image/png;base64,{picture}">'


def words(explanation: Explanation) -> str:
    """The explanation in a sentence or two."""
    labels = ", ".join(f"{guess.label} {percent(guess.score)}" for guess in explanation.predictions[:3])
    (moment,) = explanation.top(1)
    x0, y0, x1, y1 = moment.region
    when = f"{moment.start:.2f} to {moment.end:.2f} s ({percent(moment.share)})"
    layer = Layer(explanation)
    aim = f"{layer.aim[0].upper()}{layer.aim[1:]}: most" if layer.aim else "Most"
    balance = f" {layer.balance}." if layer.balance else ""
    return (
        f"{explanation.name}: {labels or 'no label'}. {aim} at {when}, in pixels ({x0}, {y0}) to ({x1}, {y1}).{balance}"
    )
