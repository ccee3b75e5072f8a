"""Makes the data that the scripts of a page draw: the clip, its maps, its frames and the copy of the video."""

import base64
import dataclasses
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from staa_client.pictures.clip_frames import shared_clip
from staa_client.pictures.colours import BALANCE, HEAT, SCALES, cover_table_of
from staa_client.pictures.layer import Layer
from staa_client.pictures.viewer.clip_copy import ClipCopy
from staa_client.results.result import ClipInfo
from staa_client.video.frames import Frame

_SIZES = (640, 480, 360, 240)
"""Lengths of the longer edge in pixels that are tried in turn until the frames fit."""
MOST_BYTES = 4_000_000
"""The most bytes of all embedded frames together, before base64."""
COLOURMAPS = tuple(name for name in SCALES if name != BALANCE)
"""The colours that a page offers; a map with signs has the diverging scale for the first of them, as in `Layer`."""


def page_data(layers: Sequence[Layer], frames: Sequence[Frame] | None, copy: ClipCopy | None) -> dict[str, Any]:
    """Return the data of a page: size and times of the clip, the maps, frames as base64 JPEGs, and the copy."""
    clip = shared_clip([layer.explanation for layer in layers])
    models = len({_model_words(layer) for layer in layers})
    maps = [_map_data(layer, clip) | {"title": _title(layer, models)} for layer in layers]
    peak = maps[0]["peak"]
    return {
        "width": clip.width,
        "height": clip.height,
        "times": _rounded(clip.times),
        "numbers": clip.frames.tolist(),
        "start": maps[0]["steps"].index(peak) if peak in maps[0]["steps"] else 0,
        "maps": maps,
        "scales": {name: base64.b64encode(cover_table_of(name).tobytes()).decode() for name in SCALES},
        "frames": [] if frames is None else [base64.b64encode(jpeg).decode() for jpeg in encode_jpegs(frames)],
        "copy": None if copy is None else _copy_data(copy),
    }


def _model_words(layer: Layer) -> str:
    """Return the name and version of the model of a map."""
    model = layer.explanation.model
    return f"{model.name} {model.version}"


def _title(layer: Layer, models: int) -> str:
    """Return the title of a map; if the page has several models, it names the map's."""
    return f"{layer.title}, {_model_words(layer)}" if models > 1 else layer.title


def _copy_data(copy: ClipCopy) -> dict[str, Any]:
    """Return the copy of the video for the script, with the source times and numbers of its pictures."""
    return {
        "times": _rounded(np.asarray(copy.seconds)),
        "numbers": copy.numbers,
        "sound": copy.has_sound,
        "mp4": base64.b64encode(copy.mp4).decode(),
    }


def _map_data(layer: Layer, clip: ClipInfo) -> dict[str, Any]:
    """Return the data of a map for the script, with how it is drawn in each of the colours; `clip` is the page's."""
    explanation, (t, _, _) = layer.explanation, layer.values.shape
    count, saw_all = len(clip.frames), np.array_equal(clip.frames, explanation.clip.frames)
    steps = np.arange(count) * t // count
    if not saw_all:
        steps = np.searchsorted(explanation.seconds[:, 0], clip.times + 1e-4, "right") - 1
    shares = explanation.joint if explanation.signed is None else explanation.signed
    drawn = {
        name: dataclasses.replace(layer, look=dataclasses.replace(layer.look, colormap=name, focus=True))
        for name in COLOURMAPS
    }
    looks = {name: _look_data(each) for name, each in drawn.items()}
    for name in COLOURMAPS[1:]:  # maps without signs have the same values in all colours
        if all(looks[name][key] == looks[HEAT][key] for key in ("signs", "values")):
            looks[name]["values"] = None
    return {
        "subject": layer.subject,
        "box": list(explanation.box),
        "shape": list(layer.values.shape),
        "multiples": np.round(shares * shares.size * 1000).astype(int).ravel().tolist(),
        "signed": explanation.signed is not None,
        "unit": "weight" if explanation.signed is not None else layer.subject.partition(" ")[0],
        "look": HEAT if layer.look.colormap == BALANCE else layer.look.colormap,
        "looks": looks,
        "peak": explanation.peak,
        "temporal": [float(f"{share:.5g}") for share in explanation.temporal],
        "seconds": _rounded(explanation.seconds),
        "steps": np.clip(steps, 0, t - 1).tolist(),
        "seen": None if saw_all else np.flatnonzero(np.isin(clip.frames, explanation.clip.frames)).tolist(),
        "regions": [list(explanation.region(step)) for step in range(t)],
    }


def _look_data(layer: Layer) -> dict[str, Any]:
    """Return how a focused map is drawn in one colour scale: its values on it, the cells kept, its ends in words."""
    low, high = layer.scale_ends
    kept = np.asarray(layer.kept, bool)
    return {
        "scale": layer.scale,
        "signs": layer.has_signs,
        "values": np.round(layer.values * 10_000).astype(int).ravel().tolist(),
        "kept": base64.b64encode(np.packbits(kept, bitorder="little").tobytes()).decode(),  # a bit a cell
        "low": low,
        "high": high,
    }


def _rounded(seconds: Any) -> Any:  # an array of any shape, and a list of it
    return np.round(seconds, 4).tolist()


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
