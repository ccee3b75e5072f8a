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


@dataclass(frozen=True, slots=True)
class Answer:
    """What was found of one video."""

    clip: Clip
    result: Result
    verified: float = 0
    """Seconds that checking its map took."""


Reply = tuple[bytes, str]
"""Body and content type."""


def card(model: Model, grid: Grid, recipe: Recipe, settings: Settings) -> Reply:
    """What a model takes and may be asked: the same for every request."""
    height, width = recipe.shape or (None, None)  # it is never None for a model that was loaded
    methods = {name: METHODS[name] for name in settings.methods}
    limits = settings.limits
    return json_of(
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


def reply(model: Model, answer: Answer, maps: str) -> Reply:
    """The answer to one video."""
    body, arrays = document(model, answer)
    threshold = answer.result.threshold
    return json_of(body) if threshold is None else ENCODINGS[maps](body, arrays, threshold)


def document(model: Model, answer: Answer) -> tuple[dict[str, Any], dict[str, Floats]]:
    """The reply less its maps and their threshold, and the maps by name; no maps where none were asked for."""
    clip, result = answer.clip, answer.result
    body: dict[str, Any] = {
        "model": _model(model),
        "predictions": [
            {"class_id": one.class_id, "label": one.label, "score": digits(one.score)} for one in result.predictions
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
    if found is None:
        return body, {}
    body["explanation"] = {
        "method": found.method,
        "method_version": METHODS[found.method].version,
        "target": _class(model.labels, found.target),
        "contrast": _class(model.labels, found.contrast),
        "shape": list(found.grid.shape),
        "steps": result.steps.round(6).tolist(),
    }
    if result.faithfulness is not None:
        body["explanation"]["faithfulness"] = _faithfulness(model.labels, result.faithfulness, answer.verified)
    arrays = {"temporal": found.temporal, "spatial": found.spatial, "joint": found.joint}
    if found.signed is not None:
        arrays["signed"] = found.signed
    return body, arrays


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
        "probability": digits(found.probability),
        "blurred": digits(found.blurred),
        "deletion": {name: digits(one.deletion) for name, one in orders.items()},
        "insertion": {name: digits(one.insertion) for name, one in orders.items()},
        "cost": {"clips": found.clips, "seconds": digits(seconds)},
    }


def failure(error: StaaError, about: str = "") -> Reply:
    """The answer to a request that has none; the message says which of several videos it is `about`."""
    message = str(error) if str(error).startswith(about) else about + str(error)
    return json_of({"error": {"code": error.code, "message": message}})


def json_of(body: Mapping[str, Any]) -> Reply:
    """The body as JSON without a space."""
    return json.dumps(body, separators=(",", ":"), allow_nan=False).encode(), "application/json"


def digits(value: float) -> float:
    """The value to five significant digits."""
    return float(f"{value:.5g}")


# Each encoding rounds the threshold as it rounds the map: `joint >= threshold` then keeps the same cells for a reader.


def _lists(body: dict[str, Any], arrays: Mapping[str, Floats], threshold: float) -> Reply:
    return json_of(with_lists(body, arrays, threshold))


def with_lists(body: dict[str, Any], arrays: Mapping[str, Floats], threshold: float) -> dict[str, Any]:
    """The same body with its maps as nested lists."""
    for name, array in arrays.items():
        flat = np.array([digits(value) for value in array.ravel().tolist()])
        body["explanation"][name] = flat.reshape(array.shape).tolist()
    body["explanation"]["threshold"] = digits(threshold)
    return body


def _halves(body: dict[str, Any], arrays: Mapping[str, Floats], threshold: float) -> Reply:
    return json_of(with_halves(body, arrays, threshold))


def with_halves(body: dict[str, Any], arrays: Mapping[str, Floats], threshold: float) -> dict[str, Any]:
    """The same body with its maps as base64 of float16."""
    for name, array in arrays.items():
        data = base64.b64encode(array.astype("<f2").tobytes()).decode()
        body["explanation"][name] = {"dtype": "<f2", "shape": list(array.shape), "data": data}
    body["explanation"]["threshold"] = float(np.float16(threshold))
    return body


def _npz(body: dict[str, Any], arrays: Mapping[str, Floats], threshold: float) -> Reply:
    """The arrays as float32, and the rest of the reply as JSON text under "reply"."""
    body["explanation"]["threshold"] = threshold
    buffer = io.BytesIO()
    np.savez_compressed(buffer, reply=np.frombuffer(json_of(body)[0], np.uint8), **arrays)  # type: ignore[arg-type]
    return buffer.getvalue(), "application/x-npz"


ENCODINGS: dict[str, Callable[[dict[str, Any], Mapping[str, Floats], float], Reply]] = {
    "json": _lists,
    "base64": _halves,
    "npz": _npz,
}
"""Value of the option `maps` -> function: reply, arrays and threshold in, bytes out."""
