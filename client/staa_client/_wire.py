"""The HTTP contract, both ways, as pure functions: options to a request, a reply to results or an error.

A request is a path and headers; its body is the video as it is. A reply is a status, headers and a body.
"""

import io
import json
import re
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import quote

import numpy as np

from staa_client import _failure
from staa_client._card import Card, MethodCard
from staa_client._errors import ReplyError
from staa_client._faithfulness import Areas, Faithfulness
from staa_client._labels import ClassName, Prediction
from staa_client._maps import unpacked
from staa_client._result import ClipInfo, Model, Result
from staa_client._types import Explanation

T = TypeVar("T")
_MAPS = ("temporal", "spatial", "joint")
_SIGNED = "signed"
DESCRIBE = b'{"describe": true}'
"""The JSON body that asks for a model's card."""
_ABOUT = {"method", "method_version", "target", "contrast", "shape", "steps", "threshold", "faithfulness"}
BROKEN = (
    LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RuntimeError, MemoryError, OSError, EOFError,
    SyntaxError, tokenize.TokenError, struct.error, zipfile.BadZipFile, zlib.error,
)  # fmt: skip
"""What JSON, zipfile, numpy and the parts of a reply raise on bytes that are not the contract's."""
_KNOWN = {*_ABOUT, *_MAPS, _SIGNED}


@dataclass(frozen=True, slots=True)
class Call:
    """A request without its body, and without the body's type."""

    path: str
    """Below the server's URL, without a leading slash."""
    headers: Mapping[str, str]


def call(kind: str, model: str, options: Mapping[str, object]) -> Call:
    """The request for `kind` ("predictions" or "explanations") of a model, "name" or "name/version".

    Options that are None are left to the server.

    Raises:
        ValueError: the model's name or an option cannot be sent.
    """
    parts = model.split("/")
    if len(parts) > 2 or not all(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", part) for part in parts):
        msg = f'a model is "name" or "name/version" of letters, digits, ".", "_" and "-", got {model!r}'
        raise ValueError(msg)
    headers: dict[str, str] = {}
    for name, value in options.items():
        if value is not None:
            headers["X-Staa-" + name.replace("_", "-").title()] = _header(name, value)
    return Call("/".join([kind, *(quote(part) for part in parts)]), headers)


def _header(name: str, value: object) -> str:
    text = str(value)
    if not (text and text.isascii() and text.isprintable() and text == text.strip()):
        msg = f"option {name} travels in an HTTP header: printable ASCII, got {text!r}; a class can be named by its id"
        raise ValueError(msg)
    return text


def result(status: int, headers: Mapping[str, str], body: bytes) -> Result:
    """The labels in a reply of /predictions.

    Raises:
        StatusError: the server said no.
        ReplyError: the body is not the contract's.
    """
    return _parsed(status, headers, body, _result)


def explanation(status: int, headers: Mapping[str, str], body: bytes) -> Explanation:
    """The labels and maps in a reply of /explanations, whichever encoding of the maps it has.

    Raises:
        StatusError: the server said no.
        ReplyError: the body is not the contract's.
    """
    return _parsed(status, headers, body, _explanation)


def of_document(document: dict[str, Any]) -> Result | Explanation:
    """A reply that was kept as JSON data: labels, or labels with maps.

    Raises:
        ReplyError: it is none.
    """
    parse: Callable[[int, Mapping[str, str], bytes], Result | Explanation]
    parse = explanation if "explanation" in document else result
    return parse(200, {}, json.dumps(document).encode())


def card(status: int, headers: Mapping[str, str], body: bytes) -> Card:
    """What a model says of itself.

    Raises:
        StatusError: the server said no.
        ReplyError: the body is not the contract's.
    """
    return _parsed(status, headers, body, _card)


def management(body: bytes) -> Any:
    """What TorchServe's management API says, as JSON data.

    Raises:
        ReplyError: it is no JSON.
    """
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as reason:
        msg = "the management API's reply is no JSON; is it the management address?"
        raise ReplyError(msg, code="reply_invalid", status=200) from reason


def _parsed(status: int, headers: Mapping[str, str], body: bytes, parse: Callable[[dict[str, Any]], T]) -> T:
    if status != 200:
        raise _failure.error(status, headers, body)
    try:
        return parse(_document(body))
    except BROKEN as reason:
        what = f"no field {reason}" if isinstance(reason, KeyError) else str(reason) or type(reason).__name__
        msg = f"the server's reply is not the contract's ({what}); is it a STAA server of this client's version?"
        raise ReplyError(msg, code="reply_invalid", status=status, request_id=_failure.request_id(headers)) from reason


def _document(body: bytes) -> dict[str, Any]:
    """The reply as one dict, with the maps of an npz put back where json and base64 have them."""
    if body[:2] == b"PK":
        with np.load(io.BytesIO(body), allow_pickle=False) as arrays:
            if not {one.compress_type for one in arrays.zip.infolist()} <= {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
                raise ValueError("a compression that no .npz has")
            document = json.loads(arrays["reply"].tobytes())
            document["explanation"] |= {name: arrays[name] for name in (*_MAPS, _SIGNED) if name in arrays}
    else:
        document = json.loads(body)
    if not isinstance(document, dict):
        msg = f"expected a JSON object, got {type(document).__name__}"
        raise TypeError(msg)
    return document


def _result(document: dict[str, Any]) -> Result:
    clip = document["clip"]
    x0, y0, x1, y1 = (int(edge) for edge in clip["box"])
    return Result(
        _model(document["model"]),
        tuple(Prediction(int(p["class_id"]), str(p["label"]), float(p["score"])) for p in document["predictions"]),
        ClipInfo(
            int(clip["width"]),
            int(clip["height"]),
            float(clip["fps"]),
            float(clip["duration"]),
            np.asarray(clip["frames"], np.int64),
            np.asarray(clip["times"], np.float64),
            (x0, y0, x1, y1),
        ),
    )


def _card(document: dict[str, Any]) -> Card:
    wants = document["input"]
    size = wants["resize"]
    t, h, w = (int(edge) for edge in wants["steps"])
    return Card(
        _model(document["model"]),
        tuple(str(label) for label in document["labels"]),
        int(wants["frames"]),
        (int(wants["height"]), int(wants["width"])),
        (int(size[0]), int(size[1])) if isinstance(size, list) else None if size is None else int(size),
        str(wants["interpolation"]),
        (t, h, w),
        {str(name): MethodCard(str(one["version"]), bool(one["classes"])) for name, one in document["methods"].items()},
        int(document["verify"]),
        {str(name): float(value) for name, value in document["limits"].items()},
    )


def _model(fields: dict[str, Any]) -> Model:
    return Model(str(fields["name"]), str(fields["version"]), str(fields["family"]), int(fields["classes"]))


def _explanation(document: dict[str, Any]) -> Explanation:
    labels, fields = _result(document), document["explanation"]
    temporal, spatial, joint = (unpacked(fields[name]) for name in _MAPS)
    if list(joint.shape) != list(fields["shape"]):
        msg = f"joint is {joint.shape}, but shape says {fields['shape']}"
        raise ValueError(msg)
    return Explanation(
        labels.model,
        labels.predictions,
        labels.clip,
        method=str(fields["method"]),
        method_version=str(fields["method_version"]),
        threshold=_rounded(float(fields["threshold"]), fields["joint"]),
        seconds=np.asarray(fields["steps"], np.float64),
        temporal=temporal,
        spatial=spatial,
        joint=joint,
        target=_class(fields["target"]),
        contrast=_class(fields.get("contrast")),
        signed=unpacked(fields[_SIGNED]) if _SIGNED in fields else None,
        faithfulness=_faithfulness(fields["faithfulness"]) if "faithfulness" in fields else None,
        extra={name: value for name, value in fields.items() if name not in _KNOWN},
    )


def _class(named: Any) -> ClassName | None:  # whatever JSON holds
    return None if named is None else ClassName(int(named["class_id"]), str(named["label"]))


def _faithfulness(fields: dict[str, Any]) -> Faithfulness:
    target, cost = _class(fields["target"]), fields["cost"]
    if target is None:
        raise ValueError("faithfulness is about a class, got none")
    orders = ("map", "random", "centre")
    deletion, insertion = (
        Areas(*(float(fields[name][order]) for order in orders)) for name in ("deletion", "insertion")
    )
    return Faithfulness(
        str(fields["verdict"]),
        str(fields["message"]),
        target,
        _class(fields["contrast"]),
        float(fields["probability"]),
        float(fields["blurred"]),
        deletion,
        insertion,
        int(cost["clips"]),
        float(cost["seconds"]),
    )


def _rounded(threshold: float, joint: Any) -> float:  # whatever JSON or npz holds
    """The threshold, rounded as the map was on its way: rounding keeps order, so that no kept cell falls below it."""
    if isinstance(joint, dict):
        return float(np.float32(np.dtype(joint["dtype"]).type(threshold)))
    return float(np.float32(threshold if isinstance(joint, np.ndarray) else f"{threshold:.5g}"))
