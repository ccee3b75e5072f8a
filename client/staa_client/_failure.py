"""Replies that are not 200 -> the error they stand for: the contract's form, TorchServe's own, or any other body."""

import json
import re
from collections.abc import Mapping
from typing import Any

from staa_client._errors import TOKEN_CODES, StatusError, error_of

_TOO_MANY_BYTES = (
    "the video has more bytes than the server's max_request_size (96 MiB as shipped, see its config.properties); "
    'send a shorter or smaller clip, or have the frames sampled here (sample="client"), as the options start and end '
    "alone still send all of it"
)


def error(status: int, headers: Mapping[str, str], body: bytes) -> StatusError:
    """The error in a reply that is not 200, whose body may be empty too."""
    document = _object(body)
    own = document.get("error")
    if isinstance(own, dict):
        code, message = str(own.get("code", f"http_{status}")), str(own.get("message", ""))
    elif "message" in document and "type" in document:
        code, message = _snake(document["type"]), str(document["message"])
        if code == "model_not_found":
            message += f"; is it served? ./serve.sh {_model_in(message)}"
    elif status == 413 and not body.strip():
        code, message = "too_many_bytes", _TOO_MANY_BYTES  # TorchServe's own; the contract's code for the same
    else:
        code, message = f"http_{status}", _unexplained(status, headers, body)
    return error_of(status, code, " ".join(message.split()), request_id(headers))


_PASSING = {"service_unavailable", "too_many_requests"}
"""Codes of the front proxy for what passes, and for which nothing was computed."""


def says_why(body: bytes) -> bool:
    """Whether the body of a failed request gives a reason that asking again will not change.

    That is the contract's own form, but for a few codes, and TorchServe's report that the model failed on this very
    request; its report that no worker is free is no such reason.
    """
    document = _object(body)
    own = document.get("error")
    if isinstance(own, dict) and own.get("code") in _PASSING:
        return False
    return "error" in document or document.get("type") == "InternalServerException"


def refuses_token(status: int, body: bytes) -> bool:
    """Whether the reply says that the token is not the right one (any more)."""
    return status == 401 or (status == 400 and _snake(_object(body).get("type", "")) in TOKEN_CODES)


def request_id(headers: Mapping[str, str]) -> str | None:
    """The name under which the server's log has the request."""
    return next((value for name, value in headers.items() if name.lower() == "x-request-id"), None)


def _snake(kind: object) -> str:
    """TorchServe's "InvalidKeyException" as "invalid_key"."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", str(kind).removesuffix("Exception")).lower()


def _model_in(message: str) -> str:
    """The model's name at the end of TorchServe's "Model not found: NAME"; "NAME" where none stands there."""
    found = re.search(r": ([A-Za-z0-9][A-Za-z0-9._-]*)$", message.strip())
    return found[1] if found else "NAME"


def _unexplained(status: int, headers: Mapping[str, str], body: bytes) -> str:
    if status == 413:
        return (
            "the video is larger than the server or its proxy takes; send a shorter or smaller one, have the frames "
            'sampled here (sample="client"), or raise that limit'
        )
    if 300 <= status < 400:
        return f"the server redirects to {headers.get('location', 'nowhere')}; give that address as base_url"
    text = body[:200].decode("utf-8", "replace").strip()
    return f"the server gave no reason, only: {text}" if text else "the server gave no reason; see its log"


def _object(body: bytes) -> dict[str, Any]:
    """The JSON object in the body; an empty one where there is none."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}
