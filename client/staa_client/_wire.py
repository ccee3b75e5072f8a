"""The HTTP contract, both ways, as pure functions: options to a request, a reply to results or an error.

A request is a path and headers; its body is the video as it is. A reply is a status, headers and a body.
"""

import base64
import io
import json
import re
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import quote

import numpy as np

from staa_client._errors import ReplyError, StatusError, error_of
from staa_client._faithfulness import Areas, Faithfulness
from staa_client._geometry import Floats
from staa_client._labels import ClassName, Prediction
from staa_client._types import ClipInfo, Explanation, Model, Result

T = TypeVar("T")
_MAPS = ("temporal", "spatial", "joint")
_SIGNED = "signed"
_DTYPES = {"<f2", "<f4", "<f8"}
_TOO_MANY_BYTES = (
    "the video has more bytes than the server's max_request_size (96 MiB as shipped, see its config.properties); "
    "send a shorter or smaller clip, or cut start to end out into a re-encoded file, as the options start and end "
    "alone still send all of it"
)
_ABOUT = {"method", "method_version", "target", "contrast", "shape", "steps", "threshold", "faithfulness"}
_KNOWN = {*_ABOUT, *_MAPS, _SIGNED}


@dataclass(frozen=True, slots=True)
class Call:
    """A request without its body."""

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
    headers = {"Content-Type": "application/octet-stream"}
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


def _parsed(status: int, headers: Mapping[str, str], body: bytes, parse: Callable[[dict[str, Any]], T]) -> T:
    if status != 200:
        raise error(status, headers, body)
    try:
        return parse(_document(body))
    except (
        KeyError,
        IndexError,
        TypeError,
        ValueError,
        OverflowError,
        OSError,
        EOFError,
        zipfile.BadZipFile,
    ) as reason:
        what = f"no field {reason}" if isinstance(reason, KeyError) else str(reason)
        msg = f"the server's reply is not the contract's ({what}); is it a STAA server of this client's version?"
        raise ReplyError(msg, code="reply_invalid", status=status, request_id=_request_id(headers)) from reason


def error(status: int, headers: Mapping[str, str], body: bytes) -> StatusError:
    """The error in a reply that is not 200: the contract's form, TorchServe's own, or any other body, empty too."""
    document = _object(body)
    own = document.get("error")
    if isinstance(own, dict):
        code, message = str(own.get("code", f"http_{status}")), str(own.get("message", ""))
    elif "message" in document and "type" in document:
        kind = str(document["type"]).removesuffix("Exception")
        code, message = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", kind).lower(), str(document["message"])
        if code == "model_not_found":
            message += f"; is it served? ./serve.sh {_model_in(message)}"
    elif status == 413 and not body.strip():
        code, message = "too_many_bytes", _TOO_MANY_BYTES  # TorchServe's own; the contract's code for the same
    else:
        code, message = f"http_{status}", _unexplained(status, headers, body)
    return error_of(status, code, " ".join(message.split()), _request_id(headers))


def says_why(body: bytes) -> bool:
    """Whether the body of a failed request gives a reason that asking again will not change.

    That is the contract's own form, and TorchServe's report that the model failed on this very request; its report
    that no worker is free is no such reason.
    """
    document = _object(body)
    return "error" in document or document.get("type") == "InternalServerException"


def _model_in(message: str) -> str:
    """The model's name at the end of TorchServe's "Model not found: NAME"; "NAME" where none stands there."""
    found = re.search(r": ([A-Za-z0-9][A-Za-z0-9._-]*)$", message.strip())
    return found[1] if found else "NAME"


def _unexplained(status: int, headers: Mapping[str, str], body: bytes) -> str:
    if status == 413:
        return (
            "the video is larger than the server or its proxy takes; send a shorter or smaller one, or raise that limit"
        )
    if 300 <= status < 400:
        return f"the server redirects to {headers.get('location', 'nowhere')}; give that address as base_url"
    text = body[:200].decode("utf-8", "replace").strip()
    return f"the server gave no reason, only: {text}" if text else "the server gave no reason; see its log"


def _object(body: bytes) -> dict[str, Any]:
    """The JSON object in the body; an empty one where there is none."""
    try:
        document = json.loads(body)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _request_id(headers: Mapping[str, str]) -> str | None:
    return next((value for name, value in headers.items() if name.lower() == "x-request-id"), None)


def _document(body: bytes) -> dict[str, Any]:
    """The reply as one dict, with the maps of an npz put back where json and base64 have them."""
    if body[:2] == b"PK":
        with np.load(io.BytesIO(body), allow_pickle=False) as arrays:
            document = json.loads(arrays["reply"].tobytes())
            document["explanation"] |= {name: arrays[name] for name in (*_MAPS, _SIGNED) if name in arrays}
    else:
        document = json.loads(body)
    if not isinstance(document, dict):
        msg = f"expected a JSON object, got {type(document).__name__}"
        raise TypeError(msg)
    return document


def _result(document: dict[str, Any]) -> Result:
    model, clip = document["model"], document["clip"]
    x0, y0, x1, y1 = (int(edge) for edge in clip["box"])
    return Result(
        Model(str(model["name"]), str(model["version"]), str(model["family"]), int(model["classes"])),
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


def _explanation(document: dict[str, Any]) -> Explanation:
    labels, fields = _result(document), document["explanation"]
    temporal, spatial, joint = (_map(fields[name]) for name in _MAPS)
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
        signed=_map(fields[_SIGNED]) if _SIGNED in fields else None,
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


def _map(value: Any) -> Floats:  # whatever JSON or npz holds
    """A map in any of the three encodings, as float32."""
    if isinstance(value, dict):
        if value["dtype"] not in _DTYPES:
            msg = f"expected one of the dtypes {sorted(_DTYPES)}, got {value['dtype']!r}"
            raise ValueError(msg)
        flat = np.frombuffer(base64.b64decode(value["data"], validate=True), value["dtype"])
        return flat.reshape(value["shape"]).astype(np.float32)
    return np.asarray(value, np.float32)


def _rounded(threshold: float, joint: Any) -> float:  # whatever JSON or npz holds
    """The threshold, rounded as the map was on its way: rounding keeps order, so that no kept cell falls below it."""
    if isinstance(joint, dict):
        return float(np.float32(np.dtype(joint["dtype"]).type(threshold)))
    return float(np.float32(threshold if isinstance(joint, np.ndarray) else f"{threshold:.5g}"))
