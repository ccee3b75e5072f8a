"""The report: one HTML file with the frames, the maps and the curve in it, that opens offline and loads nothing."""

import base64
import html
import io
import json
import re
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

import numpy as np
from PIL import Image

from staa_client._colours import table
from staa_client._overlay import Frame
from staa_client._types import Explanation

_SIZES = (640, 480, 360, 240)
"""Longest sides in pixels that are tried until the frames fit."""
MOST_BYTES = 4_000_000
"""For all embedded frames together, before base64."""


def report(explanation: Explanation, frames: Sequence[Frame] | None, note: str = "") -> str:
    """The report as HTML text.

    Args:
        explanation: What is shown.
        frames: The T frames of `explanation.clip`, each (H, W, 3); None shows the maps on a plain ground.
        note: Why there are no frames.
    """
    best = explanation.predictions[0] if explanation.predictions else None
    model, clip = explanation.model, explanation.clip
    t, h, w = explanation.joint.shape
    target = "" if explanation.target is None else f", for {explanation.target}"
    contrast = "" if explanation.contrast is None else f", against {explanation.contrast}"
    size = f"{clip.width} x {clip.height} pixels"
    facts = {
        "Video": f"{explanation.name}, {size}, {clip.duration:.2f} s, {clip.fps:.4g} frames/s",
        "Model": f"{model.name} {model.version} ({model.family}, {model.classes} classes)",
        "Method": f"{explanation.method}, version {explanation.method_version}{target}{contrast}",
        "Map": f"{t} steps of {h} x {w} cells over pixels {_corners(explanation)}",
        **({} if explanation.faithfulness is None else {"Check": explanation.faithfulness.message}),
        "Frames": f"{len(clip.frames)} of the video, from {clip.times[0]:.2f} to {clip.times[-1]:.2f} s",
    }
    return _filled(
        {
            "title": html.escape(best.label if best else "no label"),
            "score": f"{best.score:.1%}" if best else "",
            "note": f'<p class="note" role="note">{html.escape(note)}</p>' if note else "",
            "labels": "\n".join(_row(p.label, p.score) for p in explanation.predictions),
            "facts": "\n".join(f"<dt>{name}</dt><dd>{html.escape(text)}</dd>" for name, text in facts.items()),
            "scale": ",".join("#{:02x}{:02x}{:02x}".format(*table()[i].tolist()) for i in range(0, 256, 15)),
            "most": f"{explanation.top_of_scale:.3g}",
            "peak": "" if explanation.peak is None else "; red: the peak",
            "data": _script(_data(explanation, frames)),
        }
    )


def _filled(values: dict[str, str]) -> str:
    """The template with its {{names}} replaced, in one pass: a value that looks like a name stays as it is."""
    template = files("staa_client").joinpath("report.html").read_text("utf-8")
    return re.sub(r"\{\{(\w+)\}\}", lambda found: values[found[1]], template)


def _row(label: str, score: float) -> str:
    return (
        f'<tr><th scope="row">{html.escape(label)}</th>'
        f'<td class="bar" aria-hidden="true"><i style="width:{score * 100:.2f}%"></i></td><td>{score:.1%}</td></tr>'
    )


def _corners(explanation: Explanation) -> str:
    x0, y0, x1, y1 = explanation.box
    return f"({x0}, {y0}) to ({x1}, {y1})"


def _script(data: dict[str, Any]) -> str:
    """JSON that can stand in a script element: no character in it can end the element."""
    return json.dumps(data).replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _data(explanation: Explanation, frames: Sequence[Frame] | None) -> dict[str, Any]:
    clip, (t, h, w), top = explanation.clip, explanation.joint.shape, explanation.top_of_scale
    scaled = np.round(explanation.scaled() * 10_000).astype(int)
    steps = np.minimum(np.arange(len(clip.frames)) * t // len(clip.frames), t - 1)
    return {
        "width": clip.width,
        "height": clip.height,
        "box": list(explanation.box),
        "shape": [t, h, w],
        "joint": scaled.ravel().tolist(),
        "threshold": max(min(explanation.threshold, float(explanation.joint.max())), 0.0) * t * h * w / top,
        "peak": explanation.peak,
        "temporal": [float(f"{share:.5g}") for share in explanation.temporal],
        "seconds": np.round(explanation.seconds, 4).tolist(),
        "times": np.round(clip.times, 4).tolist(),
        "numbers": clip.frames.tolist(),
        "steps": steps.tolist(),
        "regions": [list(explanation.region(step)) for step in range(t)],
        "colours": base64.b64encode(table().tobytes()).decode(),
        "frames": [] if frames is None else [base64.b64encode(jpeg).decode() for jpeg in jpegs(frames)],
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
