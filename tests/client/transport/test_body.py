"""A compressed reply is unpacked within a bound, through both clients and for a video that is fetched."""

import asyncio
import gzip
import resource
import socket
import time
import zlib
from collections.abc import Callable

import pytest

from staa_client import AsyncClient, Client, Explanation, ReplyError, SourceError, Timeout
from staa_client.contract.document import MOST_BYTES
from staa_client.transport.deadline import Deadline
from staa_client.transport.fetch import fetch
from staa_client.video.source import Link
from tests.client.conftest import document, encoded
from tests.client.socket_servers import Fault, raw_server, read_request

LARGE = 40 * MOST_BYTES


def gzip_of_zeros(size: int) -> bytes:
    """A gzip of so many zeros, of one block over and over; its checksum, at the end, is that of two blocks."""
    packer, block = zlib.compressobj(9, zlib.DEFLATED, 31), bytes(1 << 20)
    first, next_one = (packer.compress(block) + packer.flush(zlib.Z_FULL_FLUSH) for _ in range(2))
    return first + next_one * ((size >> 20) - 1) + packer.flush()


def reply(body: bytes, *headers: str) -> bytes:
    """A reply of 200 with this body."""
    lines = ["HTTP/1.1 200 OK", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


BOMB = gzip_of_zeros(LARGE)
GOOD = gzip.compress(encoded(document(), "json"))
BAD = {
    "bomb": reply(BOMB, "Content-Encoding: gzip"),
    "twice": reply(gzip.compress(BOMB), "Content-Encoding: gzip, gzip"),
    "other": reply(b"x", "Content-Encoding: br"),
    "cut": reply(GOOD[:-20], "Content-Encoding: gzip"),
    "two": reply(GOOD + GOOD, "Content-Encoding: gzip"),
    "no gzip": reply(b"plain", "Content-Encoding: gzip"),
    "said": b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
}


def served(answer: bytes) -> Fault:
    """A server that gives this answer to every request."""

    def serve(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(answer)

    return serve


@pytest.fixture(params=["Client", "AsyncClient", "fetch"])
def ask(request: pytest.FixtureRequest) -> Callable[[str], Explanation]:
    """Return a function that explains by a server, or a video at an address."""

    def asynchronous(url: str) -> Explanation:
        async def run() -> Explanation:
            async with AsyncClient(url, timeout=20) as staa:
                return await staa.explain(b"x")

        return asyncio.run(run())

    def synchronous(url: str) -> Explanation:
        with Client(url, timeout=20) as staa:
            return staa.explain(b"x")

    def fetched(url: str) -> Explanation:
        fetch(Link(url), Deadline.of(Timeout.of(20)), MOST_BYTES)
        raise AssertionError("only errors are asked for")

    ways: dict[str, Callable[[str], Explanation]] = {
        "Client": synchronous, "AsyncClient": asynchronous, "fetch": fetched
    }  # fmt: skip
    return ways[request.param]


@pytest.mark.parametrize("name", BAD)
def test_a_body_that_is_no_body_is_said(name: str, ask: Callable[[str], Explanation]) -> None:
    """A bomb, a compression that was not asked for, damage and a length without measure: one error, in no time."""
    began = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with raw_server(served(BAD[name])) as (url, _), pytest.raises((ReplyError, SourceError)):
        ask(url)
    assert time.process_time() - began[0] < 2
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - began[1] < 300 * 1024


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_a_compressed_reply_is_read(kind: type) -> None:
    """Gzip is asked for and read, as the front proxy of a company may do it."""

    async def asynchronous(url: str) -> Explanation:
        async with AsyncClient(url) as staa:
            return await staa.explain(b"x")

    with raw_server(served(reply(GOOD, "Content-Encoding: gzip"))) as (url, _):
        if kind is AsyncClient:
            explanation = asyncio.run(asynchronous(url))
        else:
            with Client(url) as staa:
                explanation = staa.explain(b"x")
    assert explanation.predictions[0].label == "moves down"
