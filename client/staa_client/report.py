"""The report: one HTML file with the frames, the maps and the curve in it, that opens offline and loads nothing."""

import base64
import dataclasses
import hashlib
import html
import io
import json
import re
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

import numpy as np
from PIL import Image

from staa_client._colours import inks, table
from staa_client._layer import Layer
from staa_client._overlay import Frame
from staa_client._percent import percent
from staa_client._types import Explanation

_SIZES = (640, 480, 360, 240)
"""Longest sides in pixels that are tried until the frames fit."""
MOST_BYTES = 4_000_000
"""For all embedded frames together, before base64."""


def report(shown: Explanation | Sequence[Layer], frames: Sequence[Frame] | None, note: str = "") -> str:
    """The report as HTML text: the maps of one clip, side by side, that play together.

    Args:
        shown: An explanation, or layers of the same clip; the look of the first one sets the controls.
        frames: The T frames of the clip, each (H, W, 3); None shows the maps on a plain ground.
        note: Why there are no frames.
    """
    layers = [Layer(shown)] if isinstance(shown, Explanation) else shown
    explanation, look = layers[0].explanation, layers[0].look
    alike = all(layer.explanation.predictions == explanation.predictions for layer in layers)
    title, beside = _heading(layers) if alike else (explanation.name, "")
    script = "\n" + _part("report.js")
    return _filled(
        "report.html",
        {
            "title": html.escape(title),
            "score": html.escape(beside),
            "note": f'<p class="note" role="note">{html.escape(note)}</p>' if note else "",
            "style": _part("report.css"),
            "layout": "several" if layers[1:] else "one",
            "maps": "\n".join(_map(layer, number) for number, layer in enumerate(layers)),
            "controlled": "all maps" if layers[1:] else "the map",
            "alpha": f"{look.alpha * 100:g}",
            "focused": str(look.focus).lower(),
            "labels": "\n".join(_labels(layer, named=not alike) for layer in (layers[:1] if alike else layers)),
            "facts": _facts(_of_clip(explanation)),
            "data": _script(_data(layers, frames)),
            "script": script,
            "script_hash": "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        },
    )


def _heading(layers: Sequence[Layer]) -> tuple[str, str]:
    """The title and what stands beside it: of maps for several classes, or for none, the best label and its score."""
    if len({layer.heading for layer in layers}) == 1:
        return layers[0].heading
    return Layer(dataclasses.replace(layers[0].explanation, target=None, contrast=None)).heading


def _part(name: str) -> str:
    return files("staa_client").joinpath(name).read_text("utf-8")


def _filled(template: str, values: dict[str, str]) -> str:
    """The template with its {{names}} replaced, in one pass: a value that looks like a name stays as it is."""
    return re.sub(r"\{\{(\w+)\}\}", lambda found: values[found[1]], _part(template))


def _map(layer: Layer, number: int) -> str:
    explanation, (low, high) = layer.explanation, layer.ends
    colours = table(layer.scale)
    return _filled(
        "report_map.html",
        {
            "n": str(number),
            "title": html.escape(layer.title),
            "subject": html.escape(layer.subject),
            "balance": html.escape(layer.balance),
            "low": html.escape(low),
            "high": html.escape(high),
            "scale": ",".join("#{:02x}{:02x}{:02x}".format(*colours[i].tolist()) for i in range(0, 256, 15)),
            "peak": "" if explanation.peak is None else "; red: the peak",
            "facts": _facts(_of_map(layer)),
            "steps": "\n".join(_step(explanation, step) for step in range(len(explanation.temporal))),
        },
    )


def _of_clip(explanation: Explanation) -> dict[str, str]:
    clip = explanation.clip
    size = f"{clip.width} x {clip.height} pixels"
    return {
        "Video": f"{explanation.name}, {size}, {clip.duration:.2f} s, {clip.fps:.4g} frames/s",
        "Frames": f"{len(clip.frames)} of the video, from {clip.times[0]:.2f} to {clip.times[-1]:.2f} s: "
        + ", ".join(str(number) for number in clip.frames.tolist()),
    }


def _of_map(layer: Layer) -> dict[str, str]:
    """What made a map, and with which options."""
    one, (t, h, w), (share, cells) = layer.explanation, layer.explanation.joint.shape, layer.kept
    x0, y0, x1, y1 = one.box
    subject = layer.subject.partition(" ")[0]
    return {
        "Model": f"{one.model.name} {one.model.version} ({one.model.family}, {one.model.classes} classes)",
        "Method": f"{one.method}, version {one.method_version}",
        **({} if one.target is None else {"Target": str(one.target)}),
        **({} if one.contrast is None else {"Contrast": str(one.contrast)}),
        "Map": f"{t} steps of {h} x {w} cells over pixels ({x0}, {y0}) to ({x1}, {y1})",
        **({"Colours": f"end at {layer.top:.3g} times the even share of a cell"} if layer.signs else {}),
        "Threshold": f"the dynamic one keeps {percent(share)} of the {subject}, in {cells}",
        **({} if one.faithfulness is None else {"Check": f"{one.faithfulness.message} ({one.faithfulness.verdict})"}),
    }


def _facts(facts: dict[str, str]) -> str:
    return "\n".join(f"<dt>{name}</dt><dd>{html.escape(text)}</dd>" for name, text in facts.items())


def _step(explanation: Explanation, step: int) -> str:
    (start, end), (x0, y0, x1, y1) = explanation.seconds[step], explanation.region(step)
    return (
        f'<tr><th scope="row">{start:.2f} to {end:.2f}</th><td>{_share(explanation.temporal[step])}</td>'
        f"<td>({x0}, {y0}) to ({x1}, {y1})</td></tr>"
    )


def _labels(layer: Layer, *, named: bool) -> str:
    model = layer.explanation.model
    caption = f"<caption>{html.escape(f'{model.name} {model.version}')}</caption>" if named else ""
    rows = "\n".join(_row(guess.label, guess.score) for guess in layer.explanation.predictions)
    return f'<table class="labels">{caption}<tbody>\n{rows}\n</tbody></table>'


def _row(label: str, score: float) -> str:
    return (
        f'<tr><th scope="row">{html.escape(label)}</th>'
        f'<td class="bar" aria-hidden="true"><i style="width:{score * 100:.2f}%"></i></td><td>{_share(score)}</td></tr>'
    )


def _share(share: float) -> str:
    """A share, 0 to 1, as HTML: the text may have a "<" in it."""
    return html.escape(percent(float(share)))


def _script(data: dict[str, Any]) -> str:
    """JSON that can stand in a script element: no character in it can end the element."""
    return json.dumps(data).replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _data(layers: Sequence[Layer], frames: Sequence[Frame] | None) -> dict[str, Any]:
    clip, maps = layers[0].explanation.clip, [_map_data(layer, frames is not None) for layer in layers]
    peak = maps[0]["peak"]
    return {
        "width": clip.width,
        "height": clip.height,
        "times": np.round(clip.times, 4).tolist(),
        "numbers": clip.frames.tolist(),
        "start": maps[0]["steps"].index(peak) if peak in maps[0]["steps"] else 0,
        "maps": maps,
        "frames": [] if frames is None else [base64.b64encode(jpeg).decode() for jpeg in jpegs(frames)],
    }


def _map_data(layer: Layer, covers: bool) -> dict[str, Any]:
    """What the script draws of a map, which covers frames or stands alone."""
    explanation, (t, h, w) = layer.explanation, layer.whole.shape
    count = len(explanation.clip.frames)
    return {
        "title": layer.title,
        "subject": layer.subject,
        "box": list(explanation.box),
        "shape": [t, h, w],
        "signs": layer.signs,
        "values": np.round(layer.whole * 10_000).astype(int).ravel().tolist(),
        "threshold": layer.threshold,
        "peak": explanation.peak,
        "temporal": [float(f"{share:.5g}") for share in explanation.temporal],
        "seconds": np.round(explanation.seconds, 4).tolist(),
        "steps": np.minimum(np.arange(count) * t // count, t - 1).tolist(),
        "regions": [list(explanation.region(step)) for step in range(t)],
        "colours": base64.b64encode((inks if covers else table)(layer.scale).tobytes()).decode(),
    }


def jpegs(frames: Sequence[Frame], most_bytes: int = MOST_BYTES) -> list[bytes]:
    """The frames as JPEG, as large as lets all of them together stay below `most_bytes`, and at least 240 pixels."""
    pictures: list[bytes] = []
    for longest in _SIZES:
        pictures = [_jpeg(frame, longest) for frame in frames]
        if sum(map(len, pictures)) <= most_bytes:
            break
    return pictures


def _jpeg(frame: Frame, longest: int) -> bytes:
    image = Image.fromarray(frame)
    image.thumbnail((longest, longest), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=82)
    return buffer.getvalue()
