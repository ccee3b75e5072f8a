"""What stands in the headers of replies, and how requests may be sent by HTTP."""

import contextlib
import http.client
import json
import re
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from tests.contract.description import EXPLAIN, PREDICT, tensor
from tests.contract.recorded.bodies import document, text
from tests.contract.recorded.requests import JSON
from tests.made.torchserve import Server
from tests.made.waiting import until

STAGES = ("decode", "prepare", "forward", "encode")


def timing(header: str) -> dict[str, float]:
    """Return the milliseconds of each stage that Server-Timing names."""
    assert re.fullmatch(r"\w+;dur=\d+\.\d(, \w+;dur=\d+\.\d)*", header)
    return {name: float(spent) for name, spent in (part.split(";dur=") for part in header.split(", "))}


@contextlib.contextmanager
def connection(home: Server) -> Iterator[http.client.HTTPConnection]:
    """Open one connection to a home."""
    parts = urlsplit(home.inference)
    with contextlib.closing(http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)) as opened:
        yield opened


def test_times_are_told(home: Server, clip: bytes) -> None:
    """Every stage is in the header Server-Timing, in milliseconds, and in a histogram, in seconds."""
    before = {stage: home.metric(f"staa_{stage}_seconds_count") for stage in STAGES}
    sums = {stage: home.metric(f"staa_{stage}_seconds_sum") for stage in STAGES}
    told = timing(home.call(EXPLAIN, clip).headers["server-timing"])
    assert tuple(told) == STAGES
    wanted = {stage: count + 1 for stage, count in before.items()}
    until(lambda: {stage: home.metric(f"staa_{stage}_seconds_count") for stage in STAGES} == wanted)
    for stage in STAGES:
        seconds = home.metric(f"staa_{stage}_seconds_sum") - sums[stage]
        assert seconds == pytest.approx(told[stage] / 1000, abs=0.002)


def test_times_on_every_route(home: Server, clip: bytes) -> None:
    """Labels and KServe's replies tell them too, each stage once for all videos; a card takes no stage."""
    film = text(clip)
    asked = [
        (PREDICT, clip, {}),
        ("/v1/models/motions:explain", document({"instances": [film] * 2})(), JSON),
        ("/v2/models/motions/infer", document({"inputs": [tensor(film, film)]})(), JSON),
    ]
    for path, body, headers in asked:
        assert tuple(timing(home.call(path, body, headers).headers["server-timing"])) == STAGES, path
    assert "server-timing" not in home.call(PREDICT, b"", {"X-Staa-Describe": "true"}).headers


def test_each_reply_has_an_id_and_its_length(home: Server, clip: bytes) -> None:
    """X-Request-Id differs from reply to reply, also of refusals, and Content-Length is that of the body."""
    replies = [home.call(EXPLAIN, body, {"X-Staa-Maps": maps}) for body in (clip, b"noise") for maps in ("json", "npz")]
    ids = {reply.headers["x-request-id"] for reply in replies}
    assert len(ids) == len(replies)
    assert all(re.fullmatch(r"[A-Za-z0-9._:+/=-]{8,128}", each) for each in ids)
    assert all(reply.headers["content-length"] == str(len(reply.body)) for reply in replies)
    kinds = [reply.headers["content-type"] for reply in replies]
    assert kinds == ["application/json", "application/x-npz", "application/json", "application/json"]


def test_one_connection(home: Server, clip: bytes) -> None:
    """Several requests, good and bad, are answered one after the other on one connection."""
    with connection(home) as opened:
        for body, status in ((clip, 200), (b"noise", 415), (clip, 200), (b"", 400), (clip, 200)):
            opened.request("POST", PREDICT, body, {"Content-Type": "application/octet-stream"})
            reply = opened.getresponse()
            assert reply.status == status
            assert json.loads(reply.read())


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_chunks(home: Server, clip: bytes, method: str) -> None:
    """A body may come in chunks, without its length."""
    with connection(home) as opened:
        opened.request(method, PREDICT, iter([clip[:1000], clip[1000:1001], clip[1001:]]), encode_chunked=True)
        reply = opened.getresponse()
        assert reply.status == 200
        assert json.loads(reply.read())["clip"]["width"] == 128


def test_a_sender_that_waits(home: Server, clip: bytes) -> None:
    """Who says Expect: 100-continue, as curl does before a long body, is told to go on."""
    with connection(home) as opened:
        opened.putrequest("POST", PREDICT)
        opened.putheader("Content-Length", str(len(clip)))
        opened.putheader("Expect", "100-continue")
        opened.endheaders()
        opened.sock.settimeout(20)
        assert opened.sock.recv(100).startswith(b"HTTP/1.1 100 ")
        opened.send(clip)
        assert opened.getresponse().status == 200


def test_no_content_type(home: Server, clip: bytes) -> None:
    """A video needs none."""
    with connection(home) as opened:
        opened.request("POST", PREDICT, clip)
        assert opened.getresponse().status == 200


@pytest.mark.parametrize(
    "kind",
    [
        "video/mp4",
        "Video/X-Matroska",
        "application/octet-stream",
        "application/mxf",
        "image/gif",
        "video/mp4; codecs=avc1",
    ],
)
def test_content_types(home: Server, clip: bytes, kind: str) -> None:
    """A video is known by its content under every type that is taken, in any letter case and with parameters."""
    assert home.call(PREDICT, clip, {"Content-Type": kind}).status == 200


def test_the_route_is_not_for_a_header_to_say(home: Server, clip: bytes) -> None:
    """`Explain: False` takes no map away; that TorchServe reads the header itself is why the proxy takes it out."""
    reply = home.call(EXPLAIN, clip, {"Explain": "False"})
    assert reply.status == 200
    assert home.home == "torchserve" or "explanation" in json.loads(reply.body)
