"""Replies that are not 200: the error they stand for."""

import json
import re
from pathlib import Path

import pytest

from staa_client import (
    AuthError,
    DecodeError,
    NotFoundError,
    NotVideoError,
    RequestError,
    ServerError,
    StatusError,
    TooLargeError,
    UnavailableError,
)
from staa_client.contract import failure


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, RequestError),
        (401, AuthError),
        (404, NotFoundError),
        (405, RequestError),
        (413, TooLargeError),
        (415, NotVideoError),
        (422, DecodeError),
        (429, UnavailableError),
        (500, ServerError),
        (503, UnavailableError),
        (507, ServerError),
    ],
)
def test_an_error_has_the_servers_words(status: int, kind: type[StatusError]) -> None:
    """The contract's error gives the class of its status and the server's code and message."""
    body = json.dumps({"error": {"code": "some_code", "message": "what came"}}).encode()
    error = failure.error(status, {"X-Request-Id": "r1"}, body)
    assert type(error) is kind
    assert (error.status, error.code, error.message, error.request_id) == (status, "some_code", "what came", "r1")
    assert str(error) == f"{status} some_code: what came (request r1)"


@pytest.mark.parametrize(
    ("status", "kind", "code", "body"),
    [
        (404, "ModelVersionNotFoundException", "model_version_not_found", NotFoundError),
        (503, "ServiceUnavailableException", "service_unavailable", UnavailableError),
        (503, "InternalServerException", "internal_server", UnavailableError),
        (400, "InvalidKeyException", "invalid_key", AuthError),
    ],
)
def test_torchserves_own_errors_are_read(status: int, kind: str, code: str, body: type[StatusError]) -> None:
    """TorchServe's form gives its type as the code, and its message."""
    error = failure.error(status, {}, json.dumps({"code": status, "type": kind, "message": "no\nway"}).encode())
    assert type(error) is body
    assert (error.code, error.message) == (code, "no way")


@pytest.mark.parametrize("body", [b"", b"<html>Bad Gateway</html>", b"[1]", b'"x"', b"\xff\xfe", b"null", b"{}"])
@pytest.mark.parametrize("status", [302, 400, 413, 502])
def test_any_body_gives_an_error_with_a_message(status: int, body: bytes) -> None:
    """Empty, non-JSON and strange bodies give an error with code, status and a message too."""
    error = failure.error(status, {}, body)
    assert error.status == status
    assert error.code == ("too_many_bytes" if (status, body) == (413, b"") else f"http_{status}")
    assert error.message
    assert "\n" not in str(error)


def test_an_unknown_model_says_how_to_serve_it() -> None:
    """TorchServe's 404 for a model gives the command that serves it, and never more of the message than a name."""
    for message, command in (("Model not found: nope", "./serve.sh nope"), ("gone: $(reboot)", "./serve.sh NAME")):
        body = json.dumps({"code": 404, "type": "ModelNotFoundException", "message": message}).encode()
        error = failure.error(404, {}, body)
        assert error.message == f"{message}; is it served? {command}"


def test_an_empty_413_says_which_limit_and_what_to_do() -> None:
    """TorchServe's own 413 has the contract's code, and names the limit that this project ships and the way out."""
    error = failure.error(413, {}, b"")
    assert (type(error), error.code) == (TooLargeError, "too_many_bytes")
    shipped = re.search(r"^max_request_size=(\d+)$", Path("config.properties").read_text("utf-8"), re.MULTILINE)
    assert shipped
    for words in ("max_request_size", f"{int(shipped[1]) >> 20} MiB", "shorter or smaller", 'sample="client"'):
        assert words in error.message
