"""Connections: as many as are asked for, and none for longer than the call."""

import asyncio
import socket
import threading
import time

import pytest

import staa_client
from staa_client import (
    AsyncClient,
    Client,
    Timeout,
)
from tests.client.socket_servers import LABELS, Fault, drips, raw_server, read_request


def read_slowly(connection: socket.socket) -> None:
    """Read a little of a request now and then."""
    while connection.recv(1 << 14):
        time.sleep(0.05)


@pytest.mark.parametrize("fault", [drips(b"", b"HTTP/1.1 100 Continue\r\n\r\n"), read_slowly])
def test_the_total_holds_whatever_goes_on(fault: Fault) -> None:
    """A server that is never silent, but never comes to an end, is left at the total by both clients."""

    def plain(url: str) -> None:
        with Client(url, timeout=Timeout(read=5, total=0.8)) as staa:
            staa.predict(b"x" * 20_000_000)

    async def twin(url: str) -> None:
        async with AsyncClient(url, timeout=Timeout(read=5, total=0.8)) as staa:
            await staa.predict(b"x" * 20_000_000)

    for way in (plain, lambda url: asyncio.run(twin(url))):
        began = time.monotonic()
        with (
            raw_server(fault) as (url, _),
            pytest.raises(staa_client.TimedOutError, match=r"more than 0\.8 s in total"),
        ):
            way(url)
        assert time.monotonic() - began < 10


def test_many_requests_at_once_wait_for_the_server_alone() -> None:
    """There is no queue in the client: as many requests are under way as a batch is allowed."""
    count = 110
    together = threading.Barrier(count)

    def answer(connection: socket.socket) -> None:
        read_request(connection)
        together.wait(25)
        connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(LABELS) + LABELS)

    with (
        raw_server(answer) as (url, asked),
        Client(url, timeout=Timeout(connect=5, read=30), max_retries=0) as staa,
    ):
        items = list(staa.batch([b"x"] * count, explain=False, concurrency=count))
    assert [item.error for item in items] == [None] * count
    assert len(asked) == count
