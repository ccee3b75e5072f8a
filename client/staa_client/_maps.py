"""A map in the encodings of the contract."""

import base64
from typing import Any

import numpy as np

from staa_client._geometry import Floats

_DTYPES = {"<f2", "<f4", "<f8"}


def unpacked(value: Any) -> Floats:  # whatever JSON or npz holds
    """A map as float32, from lists, from base64 or from an array.

    Raises:
        ValueError: it is none of them.
    """
    if isinstance(value, dict):
        if value["dtype"] not in _DTYPES:
            msg = f"expected one of the dtypes {sorted(_DTYPES)}, got {value['dtype']!r}"
            raise ValueError(msg)
        flat = np.frombuffer(base64.b64decode(value["data"], validate=True), value["dtype"])
        return flat.reshape(value["shape"]).astype(np.float32)
    return np.asarray(value, np.float32)


def packed(array: Floats) -> dict[str, Any]:
    """A map in base64: halves where that loses nothing, else singles."""
    with np.errstate(over="ignore"):
        halves = array.astype("<f2")
    exact = np.array_equal(halves.astype(np.float32), array)
    data = (halves if exact else array.astype("<f4")).tobytes()
    return {"dtype": "<f2" if exact else "<f4", "shape": list(array.shape), "data": base64.b64encode(data).decode()}
