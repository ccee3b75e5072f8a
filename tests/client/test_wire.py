"""The HTTP contract, both ways."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from staa_client import (
    Areas,
    AuthError,
    DecodeError,
    NotFoundError,
    NotVideoError,
    ReplyError,
    RequestError,
    ServerError,
    StatusError,
    TooLargeError,
    UnavailableError,
    _failure,
    _wire,
)
from tests.client.conftest import checked, document, encoded


def test_options_become_headers() -> None:
    """Every option that is given is one X-Staa header, with dashes for underscores; None is left to the server."""
    call = _wire.call("explanations", "motions", {"top_k": 3, "target": "moves up", "mass": None, "start": 0.5})
    assert call.path == "explanations/motions"
    assert {name: value for name, value in call.headers.items() if name != "Content-Type"} == {
        "X-Staa-Top-K": "3",
        "X-Staa-Target": "moves up",
        "X-Staa-Start": "0.5",
    }


def test_a_model_may_carry_its_version() -> None:
    """A model named with a version, as in "motions/1.0", is the contract's path with one."""
    assert _wire.call("predictions", "motions/1.0", {}).path == "predictions/motions/1.0"


@pytest.mark.parametrize("model", ["", "a/b/c", "../admin", "a/..", ".", "a?b", "a/", "a b"])
def test_a_model_cannot_leave_its_path(model: str) -> None:
    """A name that would change the path is refused before anything is sent."""
    with pytest.raises(ValueError, match="a model is"):
        _wire.call("predictions", model, {})


@pytest.mark.parametrize("value", ["", "a\r\nX-Evil: 1", "äöü", " padded"])
def test_an_option_cannot_forge_a_header(value: str) -> None:
    """A value that no header can hold is refused, and the message names the option."""
    with pytest.raises(ValueError, match="option target"):
        _wire.call("explanations", "motions", {"target": value})


def test_what_a_check_found_is_read_and_written() -> None:
    """The verdict, its areas and its cost; without a check there is none."""
    reply = checked(document())
    found = _wire.explanation(200, {}, encoded(reply, "base64"))
    assert found.faithfulness is not None
    assert found.faithfulness.verdict == "faithful"
    assert found.faithfulness.deletion == Areas(0.2, 0.5, 0.4)
    assert (found.faithfulness.clips, found.faithfulness.seconds) == (34, 0.75)
    assert found.to_dict()["explanation"]["faithfulness"] == reply["explanation"]["faithfulness"]
    assert not found.extra
    plain = _wire.explanation(200, {}, encoded(document(), "json"))
    assert plain.faithfulness is None
    assert "faithfulness" not in plain.to_dict()["explanation"]


@pytest.mark.parametrize(("encoding", "relative"), [("json", 1e-6), ("npz", 1e-6), ("base64", 1e-3)])
def test_all_encodings_say_the_same(encoding: str, relative: float) -> None:
    """json, npz and base64 give the same explanation, within what the encoding costs."""
    reply = document()
    explanation = _wire.explanation(200, {}, encoded(reply, encoding))
    fields = reply["explanation"]
    for name in ("temporal", "spatial", "joint"):
        got = getattr(explanation, name)
        assert got.dtype == np.float32
        np.testing.assert_allclose(got, np.asarray(fields[name]), rtol=relative, atol=1e-7)
    assert explanation.to_dict()["predictions"] == reply["predictions"]
    assert explanation.to_dict()["clip"] == reply["clip"]
    assert explanation.to_dict()["model"] == reply["model"]
    assert explanation.seconds.tolist() == fields["steps"]
    assert (explanation.method, explanation.method_version, explanation.target) == ("staa", "1", None)


@pytest.mark.parametrize("encoding", ["json", "npz", "base64"])
def test_no_encoding_moves_a_cell_below_the_threshold(encoding: str) -> None:
    """The cells kept by the threshold before the encoding are kept after it, whatever it rounds."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        joint = rng.random((3, 4, 4)).astype(np.float32)
        joint /= joint.sum()
        reply = document()
        fields = reply["explanation"]
        fields |= {"joint": joint.tolist(), "temporal": joint.sum((1, 2)).tolist(), "spatial": joint.sum(0).tolist()}
        fields |= {
            "shape": [3, 4, 4],
            "steps": [[0, 1], [1, 2], [2, 3]],
            "threshold": float(np.sort(joint, axis=None)[20]),
        }
        if encoding == "json":
            fields["joint"] = [[[float(f"{x:.5g}") for x in row] for row in step] for step in joint.tolist()]
        kept = _wire.explanation(200, {}, encoded(reply, encoding)).focused() > 0
        assert np.all(kept[joint >= fields["threshold"]])


def test_what_to_dict_writes_is_the_contract() -> None:
    """`to_dict()` read as a reply gives the same explanation, fields of a newer server included."""
    reply = document()
    reply["explanation"]["confidence"] = {"deletion": 0.2}
    first = _wire.explanation(200, {}, json.dumps(reply).encode())
    second = _wire.explanation(200, {}, json.dumps(first.to_dict()).encode())
    assert second.to_dict() == first.to_dict()
    assert second.extra == {"confidence": {"deletion": 0.2}}


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
    error = _failure.error(status, {"X-Request-Id": "r1"}, body)
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
    error = _failure.error(status, {}, json.dumps({"code": status, "type": kind, "message": "no\nway"}).encode())
    assert type(error) is body
    assert (error.code, error.message) == (code, "no way")


@pytest.mark.parametrize("body", [b"", b"<html>Bad Gateway</html>", b"[1]", b'"x"', b"\xff\xfe", b"null", b"{}"])
@pytest.mark.parametrize("status", [302, 400, 413, 502])
def test_any_body_gives_an_error_with_a_message(status: int, body: bytes) -> None:
    """Empty, non-JSON and strange bodies give an error with code, status and a message too."""
    error = _failure.error(status, {}, body)
    assert error.status == status
    assert error.code == ("too_many_bytes" if (status, body) == (413, b"") else f"http_{status}")
    assert error.message
    assert "\n" not in str(error)


def test_an_unknown_model_says_how_to_serve_it() -> None:
    """TorchServe's 404 for a model gives the command that serves it, and never more of the message than a name."""
    for message, command in (("Model not found: nope", "./serve.sh nope"), ("gone: $(reboot)", "./serve.sh NAME")):
        body = json.dumps({"code": 404, "type": "ModelNotFoundException", "message": message}).encode()
        error = _failure.error(404, {}, body)
        assert error.message == f"{message}; is it served? {command}"


def test_an_empty_413_says_which_limit_and_what_to_do() -> None:
    """TorchServe's own 413 has the contract's code, and names the limit that this project ships and the way out."""
    error = _failure.error(413, {}, b"")
    assert (type(error), error.code) == (TooLargeError, "too_many_bytes")
    shipped = re.search(r"^max_request_size=(\d+)$", Path("config.properties").read_text("utf-8"), re.MULTILINE)
    assert shipped
    for words in ("max_request_size", f"{int(shipped[1]) >> 20} MiB", "shorter or smaller", 'sample="client"'):
        assert words in error.message


def _without(*path: str) -> dict[str, Any]:
    reply = document()
    inner = reply
    for name in path[:-1]:
        inner = inner[name]
    del inner[path[-1]]
    return reply


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"Healthy",
        b"[]",
        b"null",
        b"PK\x03\x04 no archive",
        json.dumps(_without("predictions")).encode(),
        json.dumps(_without("clip", "box")).encode(),
        json.dumps(_without("explanation", "joint")).encode(),
        json.dumps(document() | {"explanation": document()["explanation"] | {"temporal": [1.0]}}).encode(),
        json.dumps(document() | {"explanation": document()["explanation"] | {"joint": [[1.0]]}}).encode(),
        json.dumps(document() | {"explanation": document()["explanation"] | {"joint": {"dtype": "|O8"}}}).encode(),
        encoded(document(), "npz")[:-400],
        re.sub(rb'"joint": \[\[\[[^,]*', b'"joint": [[[NaN', encoded(document(), "json")),
    ],
)
def test_a_reply_that_is_not_the_contracts_is_a_reply_error(body: bytes) -> None:
    """Whatever a server answers with 200, the client raises ReplyError and nothing else."""
    with pytest.raises(ReplyError, match="not the contract's"):
        _wire.explanation(200, {}, body)
