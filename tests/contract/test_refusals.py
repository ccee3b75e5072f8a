"""What is refused: by which status and code, in words that name it, and without harm to the next request."""

import json
from collections.abc import Callable

import numpy as np
import pytest

from tests.contract.description import EXPLAIN, PREDICT, SPEC, code, video
from tests.contract.recorded import recording
from tests.contract.recorded.bodies import document, png, sound, text
from tests.contract.recorded.requests import JSON
from tests.made import videos
from tests.made.torchserve import Server

BAD: dict[str, tuple[Callable[[], bytes], int, str]] = {
    "noise": (lambda: np.random.default_rng(0).bytes(20_000), 415, "not_a_video"),
    "empty": (lambda: b"", 400, "request_invalid"),
    "picture": (png, 415, "not_a_video"),
    "text": (lambda: b"this is no video at all\n" * 99, 415, "not_a_video"),
    "audio": (sound, 415, "not_a_video"),
    "audio in mp4": (videos.music, 415, "not_a_video"),
    "truncated": (lambda: video()[:2000], 422, "video_undecodable"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input(home: Server, clip: bytes, name: str) -> None:
    """What is no good video gets its 4xx with a stable code, by POST and PUT; the next good request is answered."""
    make, status, told = BAD[name]
    for method in ("POST", "PUT"):
        reply = home.call(EXPLAIN, make(), method=method)
        assert (reply.status, code(reply)) == (status, told), reply.body
    assert home.call(PREDICT, clip).status == 200


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("X-Staa-Top-K", "99"),
        ("X-Staa-Method", "magic"),
        ("X-Staa-Wut", "1"),
        ("X-Staa-Target", "moves up"),
        ("X-Staa-Contrast", "1"),
        ("X-Staa-Verify", "17"),
        ("X-Staa-Refine", "8"),
        ("X-Staa-Explain-When", "never"),
        ("X-Staa-Maps", "xml"),
        ("X-Staa-Mass", "1.1"),
        ("X-Staa-Start", "-1"),
        ("X-Staa-End", "0"),
        ("X-Staa-Describe", "perhaps"),
    ],
)
def test_bad_options(home: Server, clip: bytes, header: str, value: str) -> None:
    """A bad option is 400 and names itself, as a header and as a key of JSON, also where it would have no effect."""
    name = header.removeprefix("X-Staa-").lower().replace("-", "_")
    replies = [
        home.call(EXPLAIN, clip, {header: value}),
        home.call(EXPLAIN, document({"video": text(clip), name: value})(), JSON),
        home.call(PREDICT, clip, {header: value}),
    ]
    for reply in replies:
        assert (reply.status, code(reply)) == (400, "option_invalid"), reply.body
        assert name in json.loads(reply.body)["error"]["message"]


def test_bad_json(home: Server) -> None:
    """What is no object, no UTF-8, cut, or of too many signs is 400; a charset that is not read is 415."""
    bodies = [b"{", b"[]", b"7", b'"x"', b"null", b'{"video": "\xff"}', b'{"video": ' + b"[" * 3000, b'{"video":[]}']
    bodies += [
        b'{"a":[' + b'"",' * 10_001 + b'""]}',
        document({f"a{number}": "x" * 20_000 for number in range(60)})(),
        b'{"video": "' + b"A" * 30_000,
    ]
    for body in bodies:
        reply = home.call(PREDICT, body, JSON)
        assert (reply.status, code(reply)) == (400, "request_invalid"), (body[:30], reply.body)
    refused = home.call(PREDICT, b'{"describe": true}', {"Content-Type": "application/json; charset=utf-16"})
    assert (refused.status, code(refused)) == (415, "unsupported_content_type")


def test_a_corrupted_file(home: Server) -> None:
    """A real file of which little is damaged is answered with a note; one of which nothing can be decoded is 422."""
    source = videos.real("corrupted.mp4").read_bytes()
    reply = home.call(EXPLAIN, source)
    assert reply.status == 200
    assert json.loads(reply.body)["clip"]["notes"] == ["2 of 50 frames damaged, 19 depend on them"]
    reply = home.call(EXPLAIN, source[:400])
    assert (reply.status, code(reply)) == (422, "video_undecodable")


def test_every_code_is_asked_for() -> None:
    """Each code of the description is among the recorded refusals, but those that no single request can bring about."""
    described = SPEC["components"]["schemas"]["Error"]["properties"]["error"]["properties"]["code"]["anyOf"][0]["enum"]
    bodies = [record.get("body") for record in recording.read("requests").values()]
    met = {body["error"]["code"] for body in bodies if isinstance(body, dict) and "error" in body}
    assert set(described) - met == {"too_much_memory", "too_slow", "service_unavailable", "internal"}
