"""Writes the report: one HTML file with the frames, the maps and the curve, which loads nothing and opens offline."""

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

from staa_client.pictures.clip_frames import clip_frames
from staa_client.pictures.colours import cover_table_of, table_of
from staa_client.pictures.layer import Layer, layers_of, percent
from staa_client.results.explanation import Explanation
from staa_client.results.save_job import SaveJob
from staa_client.video.frames import Frame

_SIZES = (640, 480, 360, 240)
"""Lengths of the longer edge in pixels that are tried in turn until the frames fit."""
MOST_BYTES = 4_000_000
"""The most bytes of all embedded frames together, before base64."""


def write(job: SaveJob) -> None:
    """Write the report of a job.

    Raises:
        ValueError: the source is not the video that was explained.
        OSError: the file cannot be written, or the source not be read.
    """
    job.target.write_text(render_report(layers_of(job), *clip_frames(job.explanation, job.source)), "utf-8")


def render_report(shown: Explanation | Sequence[Layer], frames: Sequence[Frame] | None, note: str = "") -> str:
    """Return the report as HTML text: the maps of one clip, side by side, that play together.

    Args:
        shown: An explanation, or layers of the same clip; the controls start with the look of the first layer.
        frames: The T frames of the clip, each (H, W, 3); None shows the maps on a plain ground.
        note: Why there are no frames.
    """
    layers = [Layer(shown)] if isinstance(shown, Explanation) else shown
    explanation, look = layers[0].explanation, layers[0].look
    alike = all(layer.explanation.predictions == explanation.predictions for layer in layers)
    title, beside = _heading(layers) if alike else (explanation.name, "")
    script = "\n" + _read_asset("report.js")
    page = _fill(
        "report.html",
        {
            "title": html.escape(title),
            "score": html.escape(beside),
            "note": f'<p class="note" role="note">{html.escape(note)}</p>' if note else "",
            "style": _read_asset("report.css"),
            "layout": "several" if layers[1:] else "one",
            "maps": "\n".join(_map_html(layer, index) for index, layer in enumerate(layers)),
            "controlled": "all maps" if layers[1:] else "the map",
            "alpha": f"{look.alpha * 100:g}",
            "focused": str(look.focus).lower(),
            "labels": "\n".join(_labels_html(layer, named=not alike) for layer in (layers[:1] if alike else layers)),
            "facts": _facts_html(_clip_facts(explanation)),
            "data": _script_json(_data(layers, frames)),
            "script": script,
            "script_hash": "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        },
    )
    return page.encode("utf-8", "replace").decode()  # half of a surrogate pair, as of a file's name, is no UTF-8


def _heading(layers: Sequence[Layer]) -> tuple[str, str]:
    """Return the title and the text next to it; if the maps explain several classes, the best label and its score."""
    if len({layer.heading for layer in layers}) == 1:
        return layers[0].heading
    return Layer(dataclasses.replace(layers[0].explanation, target=None, contrast=None)).heading


def _read_asset(name: str) -> str:
    """Return the text of a file of the report, which is next to this module."""
    return files("staa_client.pictures").joinpath(name).read_text("utf-8")


def _fill(template: str, values: dict[str, str]) -> str:
    """Return the template with its {{names}} replaced in one pass, so that names inside of values are not replaced."""
    return re.sub(r"\{\{(\w+)\}\}", lambda name: values[name[1]], _read_asset(template))


def _map_html(layer: Layer, index: int) -> str:
    """Return the HTML of a map: canvases, legend, facts and table; its index makes the ids unique."""
    explanation, (low, high) = layer.explanation, layer.scale_ends
    colours = table_of(layer.scale)
    return _fill(
        "report_map.html",
        {
            "n": str(index),
            "title": html.escape(layer.title),
            "subject": html.escape(layer.subject),
            "tone": layer.badge.tone,
            "verdict": html.escape(layer.badge.words),
            "sentence": html.escape(layer.badge.sentence),
            "balance": html.escape(layer.balance),
            "notes": html.escape(layer.notes),
            "low": html.escape(low),
            "high": html.escape(high),
            "scale": ",".join("#{:02x}{:02x}{:02x}".format(*colours[i].tolist()) for i in range(0, 256, 15)),
            "peak": "" if explanation.peak is None else "; red: the peak",
            "facts": _facts_html(_map_facts(layer)),
            "steps": "\n".join(_step_html(explanation, step) for step in range(len(explanation.temporal))),
        },
    )


def _clip_facts(explanation: Explanation) -> dict[str, str]:
    """Return the facts of the clip: name -> text."""
    clip = explanation.clip
    size = f"{clip.width} x {clip.height} pixels"
    return {
        "Video": f"{explanation.name}, {size}, {clip.duration:.2f} s, {clip.fps:.4g} frames/s",
        "Frames": f"{len(clip.frames)} of the video, from {clip.times[0]:.2f} to {clip.times[-1]:.2f} s: "
        + ", ".join(str(index) for index in clip.frames.tolist()),
    }


def _map_facts(layer: Layer) -> dict[str, str]:
    """Return the facts of a map, its method and options: name -> text."""
    explanation, (share, cells) = layer.explanation, layer.kept_words
    (t, h, w), (x0, y0, x1, y1) = explanation.joint.shape, explanation.box
    model, choice = explanation.model, explanation.refinement
    subject = layer.subject.partition(" ")[0]
    return {
        "Model": f"{model.name} {model.version} ({model.family}, {model.classes} classes)",
        "Method": f"{explanation.method}, version {explanation.method_version}",
        **({} if explanation.target is None else {"Target": str(explanation.target)}),
        **({} if explanation.contrast is None else {"Contrast": str(explanation.contrast)}),
        "Map": f"{t} steps of {h} x {w} cells over pixels ({x0}, {y0}) to ({x1}, {y1})",
        **({"Colours": f"end at {layer.top_words}"} if layer.has_signs else {}),
        "Threshold": f"the dynamic one keeps {percent(share)} of the {subject}, in {cells}",
        **({} if choice is None else {"Choice": str(choice)}),
    }


def _facts_html(facts: dict[str, str]) -> str:
    """Return facts as the terms and descriptions of an HTML list."""
    return "\n".join(f"<dt>{name}</dt><dd>{html.escape(text)}</dd>" for name, text in facts.items())


def _step_html(explanation: Explanation, step: int) -> str:
    """Return a row of the curve's table: seconds, share and strongest region of a step."""
    (start, end), (x0, y0, x1, y1) = explanation.seconds[step], explanation.region(step)
    return (
        f'<tr><th scope="row">{start:.2f} to {end:.2f}</th><td>{_share_html(explanation.temporal[step])}</td>'
        f"<td>({x0}, {y0}) to ({x1}, {y1})</td></tr>"
    )


def _labels_html(layer: Layer, *, named: bool) -> str:
    """Return the table of labels and what the model is good for; `named` adds its name above the table."""
    model = layer.explanation.model
    caption = f"<caption>{html.escape(f'{model.name} {model.version}')}</caption>" if named else ""
    rows = "\n".join(_label_html(guess.label, guess.score) for guess in layer.explanation.predictions)
    about = f'<p class="about">{html.escape(model.about)}</p>' if model.about else ""
    return f'<table class="labels">{caption}<tbody>\n{rows}\n</tbody></table>{about}'


def _label_html(label: str, score: float) -> str:
    """Return a row of the table of labels: the label, its bar and its score, 0 to 1."""
    bar = f'<td class="bar" aria-hidden="true"><i style="width:{score * 100:.2f}%"></i></td>'
    return f'<tr><th scope="row">{html.escape(label)}</th>{bar}<td>{_share_html(score)}</td></tr>'


def _share_html(share: float) -> str:
    """Return a share, 0 to 1, as HTML; its text may have a "<", which is escaped."""
    return html.escape(percent(float(share)))


def _script_json(data: dict[str, Any]) -> str:
    """Return JSON for a script element, in which no character can end the element."""
    return json.dumps(data).replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _data(layers: Sequence[Layer], frames: Sequence[Frame] | None) -> dict[str, Any]:
    """Return the data that the script draws: size and times of the clip, the maps, and the frames as base64 JPEGs."""
    clip, maps = layers[0].explanation.clip, [_map_data(layer, frames is not None) for layer in layers]
    peak = maps[0]["peak"]
    return {
        "width": clip.width,
        "height": clip.height,
        "times": np.round(clip.times, 4).tolist(),
        "numbers": clip.frames.tolist(),
        "start": maps[0]["steps"].index(peak) if peak in maps[0]["steps"] else 0,
        "maps": maps,
        "frames": [] if frames is None else [base64.b64encode(jpeg).decode() for jpeg in encode_jpegs(frames)],
    }


def _map_data(layer: Layer, covers: bool) -> dict[str, Any]:
    """Return the data of a map for the script; `covers`: it is drawn over frames."""
    explanation, (t, h, w) = layer.explanation, layer.values.shape
    count = len(explanation.clip.frames)
    return {
        "title": layer.title,
        "subject": layer.subject,
        "box": list(explanation.box),
        "shape": [t, h, w],
        "signs": layer.has_signs,
        "values": np.round(layer.values * 10_000).astype(int).ravel().tolist(),
        "threshold": layer.threshold,
        "peak": explanation.peak,
        "temporal": [float(f"{share:.5g}") for share in explanation.temporal],
        "seconds": np.round(explanation.seconds, 4).tolist(),
        "steps": np.minimum(np.arange(count) * t // count, t - 1).tolist(),
        "regions": [list(explanation.region(step)) for step in range(t)],
        "colours": base64.b64encode((cover_table_of if covers else table_of)(layer.scale).tobytes()).decode(),
    }


def encode_jpegs(frames: Sequence[Frame], most_bytes: int = MOST_BYTES) -> list[bytes]:
    """Return the frames, (H, W, 3) each, as JPEGs of together at most `most_bytes`.

    Their longer edge is the first of `_SIZES` with which they fit, or the last one if none fits.
    """
    pictures: list[bytes] = []
    for longest in _SIZES:
        pictures = [_encode_jpeg(frame, longest) for frame in frames]
        if sum(map(len, pictures)) <= most_bytes:
            break
    return pictures


def _encode_jpeg(frame: Frame, longest: int) -> bytes:
    """Return a frame (H, W, 3) as JPEG with at most `longest` pixels on its longer edge."""
    image = Image.fromarray(frame)
    image.thumbnail((longest, longest), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=82)
    return buffer.getvalue()
