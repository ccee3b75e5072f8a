"""The HTTP contract: request row -> Request, result -> bytes. The only owner of field names, see docs/openapi.yaml."""

import base64
import binascii
import io
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from staa.attribution import METHODS
from staa.errors import OptionError, RequestError, StaaError
from staa.types import Clip, Faithfulness, Floats, Options, Result
from staa.verify import VERDICTS, verdict

HEADER = "x-staa-"
FORMS = 'send the video as the raw body, as the multipart field "video", or as JSON {"video": "<base64>"}'


@dataclass(frozen=True, slots=True)
class Model:
    """Who answers."""

    name: str
    version: str
    family: str
    labels: Sequence[str]


@dataclass(frozen=True, slots=True)
class Request:
    """One row of a batch, read."""

    video: bytes
    options: Options
    maps: str
    """A key of ENCODINGS."""


Reply = tuple[bytes, str]
"""Body and content type."""


def parse(row: Mapping[str, Any], headers: Mapping[str, Any], *, explain: bool) -> Request:
    """Read one row as TorchServe hands it over: multipart fields or {"body": ...}, and the request's headers.

    Raises:
        RequestError: there is no video in it, or its JSON or base64 cannot be read.
        OptionError: an option is unknown, or its value is not allowed.
    """
    fields = dict(row)
    body = fields.pop("body", None)
    if isinstance(body, Mapping):
        fields |= body
        fields["video"] = _base64(fields.get("video"))
    elif body is not None and str(_header(headers, "content-type")).startswith("application/json"):
        msg = f"the JSON body cannot be read as an object: {FORMS}"
        raise RequestError(msg)
    elif body is not None:
        fields.setdefault("video", body)
    video = fields.pop("video", None)
    video = video.encode() if isinstance(video, str) else video
    if not isinstance(video, bytes | bytearray) or not video:
        msg = f"the request holds no video: {FORMS}"
        raise RequestError(msg)
    values = _options(fields, headers)
    maps = values.pop("maps", "json")
    return Request(bytes(video), Options(explain=explain, **values), maps)


def _header(headers: Mapping[str, Any], wanted: str) -> str | None:
    return next((value for name, value in headers.items() if name.lower() == wanted and isinstance(value, str)), None)


def _base64(text: object) -> bytes:
    if not isinstance(text, str):
        raise RequestError('the JSON body has no text under "video": send the video\'s bytes there in base64')
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        msg = f'"video" cannot be read as base64 ({error}): send standard base64 without line breaks'
        raise RequestError(msg) from error


def _options(fields: Mapping[str, Any], headers: Mapping[str, Any]) -> dict[str, Any]:
    """Merge the options of the body and of the headers, checked."""
    given = {name: value for name, value in fields.items() if value is not None}
    for name, value in headers.items():
        if name.lower().startswith(HEADER):
            option = name.lower().removeprefix(HEADER).replace("-", "_")
            if option in given and _text(given[option]) != _text(value):
                msg = f"{option} is given twice, {_text(given[option])!r} in the body and {_text(value)!r} in a header"
                raise OptionError(msg)
            given[option] = value
    read: dict[str, Any] = {}
    for name, value in given.items():
        if name not in READERS:
            msg = f"{name!r} is no option: expected some of {', '.join(READERS)}"
            raise OptionError(msg)
        read[name] = READERS[name](name, value)
    return read


def _text(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes | bytearray) else str(value)


def _integer(name: str, value: object) -> int:
    text = str(int(value)) if isinstance(value, float) and value.is_integer() else _text(value)
    if not re.fullmatch("-?[0-9]{1,9}", text):
        msg = f"{name} is {text!r}: expected a whole number"
        raise OptionError(msg)
    return int(text)


def _number(name: str, value: object) -> float:
    try:
        return float(_text(value))
    except ValueError:
        msg = f"{name} is {_text(value)!r}: expected a number"
        raise OptionError(msg) from None


def _word(_name: str, value: object) -> str:
    return _text(value)


def _encoding(name: str, value: object) -> str:
    if (text := _text(value)) not in ENCODINGS:
        msg = f"{name} is {text!r}: expected one of {', '.join(ENCODINGS)}"
        raise OptionError(msg)
    return text


READERS: dict[str, Callable[[str, object], Any]] = {
    "top_k": _integer,
    "method": _word,
    "target": _word,
    "contrast": _word,
    "start": _number,
    "end": _number,
    "mass": _number,
    "verify": _integer,
    "maps": _encoding,
}


def reply(model: Model, clip: Clip, result: Result, maps: str, verified: float = 0) -> Reply:
    """The answer to one row; `verified` are the seconds that checking its map took."""
    body: dict[str, Any] = {
        "model": {"name": model.name, "version": model.version, "family": model.family, "classes": len(model.labels)},
        "predictions": [
            {"class_id": one.class_id, "label": one.label, "score": _digits(one.score)} for one in result.predictions
        ],
        "clip": {
            "width": clip.frames.shape[2],
            "height": clip.frames.shape[1],
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
