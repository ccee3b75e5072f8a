"""The limits that the card names, and those of a request: what is at them is taken, what is beyond them refused."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from tests.contract.description import EXPLAIN, PREDICT, code, follows
from tests.contract.differences import at
from tests.contract.recorded.bodies import document, large, long, many, text
from tests.contract.recorded.requests import FRAMES, JSON
from tests.made import archives
from tests.made.torchserve import Server
from tests.made.waiting import until

LARGEST = 100_663_296
"""Bytes of the largest request."""


@pytest.fixture(scope="module")
def card(home: Server) -> dict[str, Any]:
    """Return the card of the model."""
    found: dict[str, Any] = json.loads(home.call(PREDICT, b"", {"X-Staa-Describe": "true"}).body)
    return found


def test_bytes(home: Server, card: dict[str, Any]) -> None:
    """A video of as many bytes as the card says is looked at, and one of a byte more is 413, also in base64."""
    most = card["limits"]["bytes"]
    at_it, beyond = home.call(PREDICT, bytes(most)), home.call(PREDICT, bytes(most + 1))
    assert (at_it.status, code(at_it)) == (415, "not_a_video")
    assert (beyond.status, code(beyond)) == (413, "too_many_bytes")
    refused = home.call(PREDICT, b'{"video": "' + text(bytes(most + 3)).encode() + b'"}', JSON)
    assert (refused.status, code(refused)) == (413, "too_many_bytes")


@pytest.mark.parametrize(("make", "told"), [(large, "too_many_pixels"), (many, "too_many_frames"), (long, "too_long")])
def test_pixels_frames_and_seconds(home: Server, card: dict[str, Any], make: Any, told: str) -> None:
    """A video beyond one of them is 413, and the message tells the limit of the card."""
    name = {"too_many_pixels": "pixels", "too_many_frames": "frames", "too_long": "duration"}[told]
    for path in (PREDICT, EXPLAIN):
        refused = home.call(path, make())
        assert (refused.status, code(refused)) == (413, told)
        assert str(int(card["limits"][name])) in json.loads(refused.body)["error"]["message"]


def test_limits_of_archives(home: Server) -> None:
    """They hold for archives of frames too: one of an image of too many pixels is 413."""
    image = archives.encode(np.zeros((2304, 4112, 3), np.uint8))
    facts = {"width": 4112, "height": 2304, "fps": 1.0, "duration": 1.0, "frames": [0], "times": [0.0]}
    refused = home.call(PREDICT, archives.pack(facts, [image]), FRAMES)
    assert (refused.status, code(refused)) == (413, "too_many_pixels")


def test_the_largest_request(home: Server, clip: bytes) -> None:
    """A request of so many bytes is read, and what is larger is 413 however it comes; the next one is answered."""
    at_it = home.call(PREDICT, bytes(LARGEST))
    assert (at_it.status, code(at_it)) == (413, "too_many_bytes")
    beyond = home.call(PREDICT, bytes(LARGEST + 1))
    assert beyond.status == 413
    assert at(home, "bodies_over_the_limit", torchserve=beyond.body == b"", ray=bool(beyond.body))
    if beyond.body:
        assert code(beyond) == "too_many_bytes"
    assert home.call(PREDICT, clip).status == 200


def test_a_full_queue(home: Server, clip: bytes) -> None:
    """Of more requests at once than may wait, those that find no place are 503, and all others are answered rightly."""
    wanted = json.loads(home.call(PREDICT, clip).body)["predictions"][0]["class_id"]

    def ask(_: int) -> int:
        reply = home.call(PREDICT, clip)
        follows(reply, "/predictions/{model}")
        assert reply.status == 503 or json.loads(reply.body)["predictions"][0]["class_id"] == wanted
        if home.home == "ray" and reply.status == 503:
            assert code(reply) == "service_unavailable"
            assert reply.headers["retry-after"] == "1"
        return reply.status

    with ThreadPoolExecutor(80) as pool:
        # how fast they are sent depends on the machine, and more than one try may be needed to fill 36 places
        statuses: set[int] = until(lambda: found if (found := set(pool.map(ask, range(80)))) != {200} else set())
    assert statuses == {200, 503}
    assert home.call(PREDICT, clip).status == 200


def test_options_are_short(home: Server, clip: bytes) -> None:
    """No option takes more than 200 characters but explain_when, which takes 2000."""
    for value, status in (("x" * 201, 400), ("x" * 200, 400)):
        reply = home.call(EXPLAIN, clip, {"X-Staa-Method": "staa_class", "X-Staa-Target": value})
        assert (reply.status, code(reply)) == (status, "option_invalid")
    rule = ";".join(["always"] * 285)
    assert len(rule) < 2000
    assert home.call(EXPLAIN, document({"video": text(clip), "explain_when": rule})(), JSON).status == 200
    reply = home.call(EXPLAIN, document({"video": text(clip), "explain_when": rule + ";always" * 2})(), JSON)
    assert (reply.status, code(reply)) == (400, "option_invalid")


def test_checks_that_a_card_allows(home: Server, card: dict[str, Any], clip: bytes) -> None:
    """`verify` and `refine` may be what the card says, and no more."""
    for name in ("verify", "refine"):
        reply = home.call(PREDICT, clip, {f"X-Staa-{name}": str(card[name]), "X-Staa-Method": "staa_class"})
        assert reply.status == 200
        reply = home.call(PREDICT, clip, {f"X-Staa-{name}": str(card[name] + 1), "X-Staa-Method": "staa_class"})
        assert (reply.status, code(reply)) == (400, "option_invalid")
