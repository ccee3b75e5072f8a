"""Replies and answers as they are recorded: small, legible, and without what differs between two runs."""

import base64
import io
import json
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

LONGEST = 20
"""Numbers of a list that is recorded as it is; of a longer one the sums along each of its edges are."""
DIGITS = 3
PASSING = {"connection", "content-length", "date"}
"""Headers of the connection."""
REPLACED = (
    (re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"), "ID"),
    (re.compile(r"127\.0\.0\.1:\d{5}"), "ADDRESS"),
    (re.compile(r"\b\d+ ms\b"), "TIME ms"),
    (re.compile(r"clips, \d+\.\d+ s\b"), "clips, TIME s"),
)
"""What is of one run alone, in texts."""
OF_ONE_RUN = {"captured", "gpu", "latency", "loadedAtStartup", "memoryUsage", "modelUrl", "pid", "stamp", "startTime"}
"""Keys of JSON whose values, where they are no lists, are of one run alone."""
VERSION = re.compile(r"\d+\.\d+\.\d+")


def reply(status: int, headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
    """Return what is kept of an HTTP reply."""
    kind = headers.get("content-type", "")
    kept: dict[str, Any] = {
        "status": status,
        "type": kind,
        "headers": sorted(set(headers) - PASSING - {"content-type"}),
    }
    if "server-timing" in headers:
        kept["stages"] = re.sub(r";dur=[0-9.]+", "", headers["server-timing"])
    if kind.startswith("application/x-npz"):
        kept["body"] = _of_npz(body)
    elif kind.startswith("text/plain"):
        kept["body"] = metrics(body.decode())
    elif body:
        kept["body"] = value(json.loads(body))
    return kept


def metrics(text: str) -> list[str]:
    """Return the names of metrics with those of their labels, histograms' buckets taken as one."""
    found = set()
    for line in text.splitlines():
        if line and not line.startswith(("#", "Requests")):  # of answers of a kind that there may not have been yet
            name, _, rest = line.partition("{")
            labels = re.findall(r'(\w+)="', rest)
            found.add(f"{name.split()[0]}{{{', '.join(sorted(labels))}}}")
    return sorted(found)


def text(found: str) -> str:
    """Return a text less what is of one run alone."""
    for pattern, instead in REPLACED:
        found = pattern.sub(instead, found)
    return found


def value(found: Any, key: str = "") -> Any:
    """Return JSON data with short numbers, and with maps as the sums along their edges."""
    if isinstance(found, dict):
        return _of_object(found)
    if isinstance(found, list):
        return _of_list(found)
    if key in OF_ONE_RUN and found is not None:
        return key.upper()
    if isinstance(found, float):
        return float(f"{found:.{DIGITS}g}")
    return _of_text(found) if isinstance(found, str) else found


def _of_object(found: dict[str, Any]) -> dict[str, Any]:
    if set(found) == {"dtype", "shape", "data"}:
        numbers = np.frombuffer(base64.b64decode(found["data"]), found["dtype"]).reshape(found["shape"])
        return {"dtype": found["dtype"], **_edges(numbers)}
    if found.get("datatype") == "FP32":
        return {**found, "data": _of_list(np.reshape(found["data"], found["shape"]).tolist())}
    if set(found) == {"clips", "seconds"}:
        return {**found, "seconds": "TIME"}
    return {name: value(part, name) for name, part in found.items()}


def _of_text(found: str) -> Any:
    """Return the JSON in a text, as in KServe's tensors, or the text."""
    if found.startswith("{"):
        return value(json.loads(found))
    return "VERSION" if VERSION.fullmatch(found) else text(found)


def _of_list(found: list[Any]) -> Any:
    try:
        numbers = np.asarray(found, np.float64)
    except (TypeError, ValueError):
        return [value(part) for part in found]
    return _edges(numbers) if numbers.size > LONGEST else [value(part) for part in found]


def _edges(numbers: NDArray[Any]) -> dict[str, Any]:
    wide = numbers.astype(np.float64)
    axes = range(wide.ndim)
    sums = [wide.sum(tuple(other for other in axes if other != axis)).tolist() for axis in axes]
    return {"shape": list(wide.shape), "sums": [[float(f"{one:.{DIGITS}g}") for one in edge] for edge in sums]}


def _of_npz(body: bytes) -> dict[str, Any]:
    with np.load(io.BytesIO(body)) as packed:
        arrays = {name: packed[name] for name in sorted(packed.files)}
    document = json.loads(arrays.pop("reply").tobytes())
    return {name: {"dtype": array.dtype.str, **_edges(array)} for name, array in arrays.items()} | {
        "reply": value(document)
    }
