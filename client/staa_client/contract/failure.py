"""Turns a reply that is not 200 into an error; its body may be of the contract, of TorchServe, or of any other kind."""

import re
from collections.abc import Mapping
from typing import Any

from staa_client.contract.document import read_json
from staa_client.contract.fields import error_code, one_line
from staa_client.errors import TOKEN_CODES, StatusError, error_of

_TOO_MANY_BYTES = (
    "the video has more bytes than the server's max_request_size (96 MiB as shipped, see its config.properties); "
    'send a shorter or smaller clip, or have the frames sampled here (sample="client"), as the options start and end '
    "alone still send all of it"
)


def error(status: int, headers: Mapping[str, str], body: bytes) -> StatusError:
    """Return the error in a reply that is not 200; its body may be empty."""
    document = _object(body)
    fields = document.get("error")
    if isinstance(fields, dict):
        code, message = error_code(fields.get("code"), f"http_{status}"), str(fields.get("message", ""))
    elif "message" in document and "type" in document:
        code, message = error_code(_snake(document["type"]), f"http_{status}"), str(document["message"])
        if code == "model_not_found":
            message += f"; is it served? ./serve.sh {_model_in(message)}"
    elif status == 413 and not body.strip():
        code, message = "too_many_bytes", _TOO_MANY_BYTES  # TorchServe's own; the contract's code for the same
    else:
        code, message = f"http_{status}", _unexplained(status, headers, body)
    return error_of(status, code, one_line(message), request_id(headers))


_PASSING = {"service_unavailable", "too_many_requests"}
"""Codes of the front proxy for temporary failures in which nothing was computed."""


def is_final(body: bytes) -> bool:
    """Return whether the body of a failed request gives a reason for which another attempt would fail, too.

    That is an error of the contract, except for a few codes, or TorchServe's report that the model failed on this
    request. Its report that no worker is free is not final.
    """
    document = _object(body)
    fields = document.get("error")
    if isinstance(fields, dict) and error_code(fields.get("code"), "") in _PASSING:
        return False
    return "error" in document or document.get("type") == "InternalServerException"


def refuses_token(status: int, body: bytes) -> bool:
    """Return whether the reply says that the token is wrong or no longer valid."""
    return status == 401 or (status == 400 and _snake(_object(body).get("type", "")) in TOKEN_CODES)


def request_id(headers: Mapping[str, str]) -> str | None:
    """Return the id of the request in the server's log; None if the reply has none."""
    found = next((value for name, value in headers.items() if name.lower() == "x-request-id"), None)
    return None if found is None else one_line(found, 128)


def _snake(kind: object) -> str:
    """Return TorchServe's "InvalidKeyException" as "invalid_key"."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", str(kind).removesuffix("Exception")).lower()


def _model_in(message: str) -> str:
    """Return the model's name at the end of TorchServe's "Model not found: motions"; "NAME" if there is none."""
    match = re.search(r": ([A-Za-z0-9][A-Za-z0-9._-]*)$", message.strip())
    return match[1] if match else "NAME"


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
    """Return the JSON object in the body; an empty one if there is none."""
    try:
        document = read_json(body)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}
