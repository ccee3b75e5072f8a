"""Result, card or error -> bytes: the names of what a client gets."""

import base64
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from staa.attribution import METHODS
from staa.errors import StaaError
from staa.prepare import Recipe
from staa.settings import Settings
from staa.types import Clip, Faithfulness, Floats, Grid, Result
from staa.verify import VERDICTS, verdict


@dataclass(frozen=True, slots=True)
class Model:
    """Who answers."""

    name: str
    version: str
    family: str
    labels: Sequence[str]


Reply = tuple[bytes, str]
"""Body and content type."""


def card(model: Model, grid: Grid, recipe: Recipe, settings: Settings) -> Reply:
    """What a model takes and may be asked: the same for every request."""
    height, width = recipe.shape or (None, None)  # it is never None for a model that was loaded
    methods = {name: METHODS[name] for name in settings.methods}
    limits = settings.limits
    return _json(
        {
            "model": _model(model),
            "labels": list(model.labels),
            "input": {
                "frames": grid.frames,
                "height": height,
                "width": width,
                "resize": recipe.resize,
                "interpolation": recipe.mode,
                "steps": list(grid.shape),
            },
            "methods": {name: {"version": one.version, "classes": one.classes} for name, one in methods.items()},
            "verify": settings.verify,
            "limits": {
                "bytes": limits.bytes,
                "pixels": limits.pixels,
                "duration": limits.duration,
                "frames": limits.frames,
                "seconds": limits.seconds,
            },
        }
    )


def reply(model: Model, clip: Clip, result: Result, maps: str, verified: float = 0) -> Reply:
    """The answer to one row; `verified` are the seconds that checking its map took."""
    body: dict[str, Any] = {
        "model": _model(model),
        "predictions": [
            {"class_id": one.class_id, "label": one.label, "score": _digits(one.score)} for one in result.predictions
        ],
        "clip": {
            "width": clip.source[0],
            "height": clip.source[1],
            "fps": round(clip.fps, 6),
            "duration": round(clip.duration, 6),
            "frames": clip.indices.tolist(),
            "times": clip.seconds.round(6).tolist(),
            "box": list(result.box),
        },
    }
    found = result.attribution
    if found is None or result.threshold is None:
        return _json(body)
    body["explanation"] = {
        "method": found.method,
        "method_version": METHODS[found.method].version,
        "target": _class(model.labels, found.target),
        "contrast": _class(model.labels, found.contrast),
        "shape": list(found.grid.shape),
        "steps": result.steps.round(6).tolist(),
    }
    if result.faithfulness is not None:
        body["explanation"]["faithfulness"] = _faithfulness(model.labels, result.faithfulness, verified)
    arrays = {"temporal": found.temporal, "spatial": found.spatial, "joint": found.joint}
    if found.signed is not None:
        arrays["signed"] = found.signed
    return ENCODINGS[maps](body, arrays, result.threshold)


def _model(model: Model) -> dict[str, Any]:
    return {"name": model.name, "version": model.version, "family": model.family, "classes": len(model.labels)}


def _class(labels: Sequence[str], number: int | None) -> dict[str, Any] | None:
    return None if number is None else {"class_id": number, "label": labels[number]}


def _faithfulness(labels: Sequence[str], found: Faithfulness, seconds: float) -> dict[str, Any]:
    orders = {"map": found.map, "random": found.random, "centre": found.centre}
    code = verdict(found)
    return {
        "verdict": code,
        "message": VERDICTS[code],
        "target": _class(labels, found.target),
        "contrast": _class(labels, found.contrast),
        "probability": _digits(found.probability),
        "blurred": _digits(found.blurred),
        "deletion": {name: _digits(one.deletion) for name, one in orders.items()},
        "insertion": {name: _digits(one.insertion) for name, one in orders.items()},
        "cost": {"clips": found.clips, "seconds": _digits(seconds)},
    }


def failure(error: StaaError) -> Reply:
    """The answer to a row that has none."""
    return _json({"error": {"code": error.code, "message": str(error)}})


def _json(body: Mapping[str, Any]) -> Reply:
    return json.dumps(body, separators=(",", ":"), allow_nan=False).encode(), "application/json"


def _digits(value: float) -> float:
    return float(f"{value:.5g}")


# Each encoding rounds the threshold as it rounds the map: `joint >= threshold` then keeps the same cells for a reader.


def _lists(body: dict[str, Any], arrays: Mapping[str, Floats], threshold: float) -> Reply:
    for name, array in arrays.items():
        flat = np.array([_digits(value) for value in array.ravel().tolist()])
        body["explanation"][name] = flat.reshape(array.shape).tolist()
    body["explanation"]["threshold"] = _digits(threshold)
    return _json(body)


def _halves(body: dict[str, Any], arrays: Mapping[str, Floats], threshold: float) -> Reply:
    for name, array in arrays.items():
        data = base64.b64encode(array.astype("<f2").tobytes()).decode()
        body["explanation"][name] = {"dtype": "<f2", "shape": list(array.shape), "data": data}
    body["explanation"]["threshold"] = float(np.float16(threshold))
    return _json(body)


def _npz(body: dict[str, Any], arrays: Mapping[str, Floats], threshold: float) -> Reply:
    """The arrays as float32, and the rest of the reply as JSON text under "reply"."""
    body["explanation"]["threshold"] = threshold
    buffer = io.BytesIO()
    np.savez_compressed(buffer, reply=np.frombuffer(_json(body)[0], np.uint8), **arrays)  # type: ignore[arg-type]
    return buffer.getvalue(), "application/x-npz"


ENCODINGS: dict[str, Callable[[dict[str, Any], Mapping[str, Floats], float], Reply]] = {
    "json": _lists,
    "base64": _halves,
    "npz": _npz,
}
"""Value of the option `maps` -> function: reply, arrays and threshold in, bytes out."""
