"""Encodes a reply: its JSON and numbers, and its maps as nested lists, as base64 or as .npz.

Each encoding rounds the threshold in the same way as the map, so that `joint >= threshold` selects the same cells for a
reader as here.
"""

import base64
import io
import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from staa.types import Floats

Reply = tuple[bytes, str]
"""The body and the content type of a reply."""
Body = dict[str, Any]
"""The JSON data of a reply, with an `explanation`."""


def to_json(body: Mapping[str, Any]) -> Reply:
    """Return the body as JSON without spaces."""
    return json.dumps(body, separators=(",", ":"), allow_nan=False).encode(), "application/json"


def rounded(value: float) -> float:
    """Return the value rounded to five significant digits."""
    return float(f"{value:.5g}")


def add_lists(body: Body, maps: Mapping[str, Floats], threshold: float) -> Body:
    """Put the maps into the explanation as nested lists, to five significant digits."""
    for name, array in maps.items():
        flat = np.array([rounded(value) for value in array.ravel().tolist()])
        body["explanation"][name] = flat.reshape(array.shape).tolist()
    body["explanation"]["threshold"] = rounded(threshold)
    return body


def add_base64(body: Body, maps: Mapping[str, Floats], threshold: float) -> Body:
    """Put the maps into the explanation as base64 of little-endian float16."""
    for name, array in maps.items():
        data = base64.b64encode(array.astype("<f2").tobytes()).decode()
        body["explanation"][name] = {"dtype": "<f2", "shape": list(array.shape), "data": data}
    body["explanation"]["threshold"] = float(np.float16(threshold))
    return body


def _npz(body: Body, maps: Mapping[str, Floats], threshold: float) -> Reply:
    """Write the maps as float32 arrays, and the rest of the reply as JSON text under "reply"."""
    body["explanation"]["threshold"] = threshold
    buffer = io.BytesIO()
    np.savez_compressed(buffer, reply=np.frombuffer(to_json(body)[0], np.uint8), **maps)  # type: ignore[arg-type]
    return buffer.getvalue(), "application/x-npz"


ENCODINGS: dict[str, Callable[[Body, Mapping[str, Floats], float], Reply]] = {
    "json": lambda *explained: to_json(add_lists(*explained)),
    "base64": lambda *explained: to_json(add_base64(*explained)),
    "npz": _npz,
}
"""Value of the option `maps` -> a function that takes body, maps by name and threshold, and returns the reply."""
