"""Everything that a server, or what stands before it, can do wrong: what the client raises, and how often it asks.

The table in docs/client.md is read here, row by row: it cannot say what is not so.
"""

import asyncio
import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx2
import pytest

import staa_client
from staa_client import AsyncClient, Client, StaaError, Timeout
from tests.client.conftest import document

PAGE = Path(__file__).resolve().parents[2] / "docs" / "client.md"
Fault = Callable[[socket.socket], None]


def reply(status: str, body: bytes = b"", *headers: str, length: int | None = None) -> Fault:
    """A server that reads the request, and answers so."""
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body) if length is None else length}", "Connection: close"]
    text = "\r\n".join([*head, *headers]).encode() + b"\r\n\r\n" + body

    def answer(connection: socket.socket) -> None:
        request(connection)
        connection.sendall(text)

    return answer


def request(connection: socket.socket) -> None:
    """Read a whole request."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += connection.recv(1 << 16)
    head, _, body = data.partition(b"\r\n\r\n")
    found = re.search(rb"(?i)content-length: (\d+)", head)
    missing = int(found[1]) - len(body) if found else 0
    while missing > 0:
        missing -= len(connection.recv(1 << 16))


def own(code: str) -> bytes:
    """An error of the contract."""
    return json.dumps({"error": {"code": code, "message": "what came, what to do"}}).encode()


def torchserve(status: int, kind: str, message: str) -> bytes:
    """An error of TorchServe."""
    return json.dumps({"code": status, "type": kind, "message": message}).encode()


def silent(connection: socket.socket) -> None:
    """Read, and say nothing until the client goes."""
    request(connection)
    connection.recv(1)


def cut(connection: socket.socket) -> None:
    """Read, and hang up."""
    request(connection)


def drips(connection: socket.socket) -> None:
    """Answer a byte at a time, for ever."""
    request(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    while True:
        connection.sendall(b" ")
        time.sleep(0.05)


whole = json.dumps({name: value for name, value in document().items() if name != "explanation"}).encode()
FAULTS: dict[str, Fault] = {
    "says nothing": silent,
    "hangs up without a word": cut,
    "hangs up within the reply": reply("200 OK", whole[:100], length=len(whole)),
    "drips": drips,
    "503, no worker is free": reply("503 Busy", torchserve(503, "ServiceUnavailableException", "no worker is free")),
    "503, the prediction failed": reply("503 Failed", torchserve(503, "InternalServerException", "Prediction failed")),
    "503 of the front proxy: the server is down or its queue full": reply("503 Busy", own("service_unavailable")),
    "429 of the front proxy: a key asks too often": reply("429 Slow Down", own("too_many_requests"), "Retry-After: 0"),
    "503 with another code": reply("503 Busy", own("draining")),
    "502 with HTML": reply("502 Bad Gateway", b"<html>Bad Gateway</html>"),
    "502 with Retry-After": reply("502 Bad Gateway", b"<html>Bad Gateway</html>", "Retry-After: 0"),
    "504 with HTML": reply("504 Gateway Timeout", b"<html>Gateway Timeout</html>"),
    "504 with Retry-After": reply("504 Gateway Timeout", b"", "Retry-After: 0"),
    "429 with Retry-After": reply("429 Slow Down", b"", "Retry-After: 0"),
    "507": reply("507 Out Of Memory", torchserve(507, "InternalServerException", "Worker died.")),
    "500": reply("500 Oops", own("internal")),
    "413 with an empty body": reply("413 Too Large"),
    "413 with an error of the contract": reply("413 Too Large", own("too_long")),
    "415": reply("415 No Video", own("not_a_video")),
    "422": reply("422 Broken", own("video_undecodable")),
    "404": reply("404 None", torchserve(404, "ModelNotFoundException", "Model not found: motions")),
    "400 InvalidKeyException": reply("400 Bad", torchserve(400, "InvalidKeyException", "Token Authorization failed")),
    "401 of the front proxy: no key, or one that is not known": reply("401 Who", own("key_unknown")),
    "403 of the front proxy: a key of other models": reply("403 No", own("model_forbidden")),
    "redirects": reply("302 Found", b"", "Location: http://127.0.0.1/elsewhere"),
    "200 with HTML": reply("200 OK", b"<html>a login page</html>"),
    "200 with other JSON": reply("200 OK", b'{"hello": 1}'),
}


@contextmanager
def served(fault: Fault) -> Iterator[tuple[str, list[int]]]:
    """A server on loopback that does this to every connection: its address, and a list that grows with each."""
    asked: list[int] = []
    with closing(socket.create_server(("127.0.0.1", 0))) as door:

        def one(connection: socket.socket) -> None:
            with connection:
                connection.settimeout(5)
                try:
                    fault(connection)
                except OSError:  # the client went
                    return

        def accept() -> None:
            while True:
                try:
                    connection, _ = door.accept()
                except OSError:  # closed
                    return
                asked.append(1)
                threading.Thread(target=one, args=(connection,), daemon=True).start()

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{door.getsockname()[1]}", asked
        door.shutdown(socket.SHUT_RDWR)
        thread.join(5)


def rows() -> dict[str, tuple[str, str, int]]:
    """The table in the docs: what happens -> class of the error, its code, number of attempts."""
    found = {}
    for line in PAGE.read_text().splitlines():
        cells = [cell.strip().strip("`") for cell in line.strip("|").split("|")]
        if len(cells) == 4 and cells[3].isdigit():
            found[cells[0]] = cells[1], cells[2], int(cells[3])
    return found


def test_the_table_has_every_fault() -> None:
    """Each fault is in the table, and no other."""
    assert set(rows()) == set(FAULTS) | {"nobody listens"}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_answered_as_the_table_says(fault: str) -> None:
    """The error's class and code, and the number of attempts, for both clients, within the timeout."""
    kind, code, attempts = rows()[fault]
    waits = Timeout(connect=2, read=2, total=1.5 if fault == "drips" else 4)

    def plain(url: str) -> None:
        with Client(url, "old", timeout=waits, max_retries=2, backoff=0.01) as staa:
            staa.predict(b"x" * 300_000)

    def twin(url: str) -> None:
        async def ask() -> None:
            async with AsyncClient(url, "old", timeout=waits, max_retries=2, backoff=0.01) as staa:
                await staa.predict(b"x" * 300_000)

        asyncio.run(ask())

    for way in (plain, twin):
        began = time.monotonic()
        with served(FAULTS[fault]) as (url, asked), pytest.raises(StaaError) as caught:
            way(url)
        assert type(caught.value) is getattr(staa_client, kind)
        assert caught.value.code == code
        assert len(asked) == attempts
        assert time.monotonic() - began < 8


def test_nobody_listens_as_the_table_says() -> None:
    """A refused connection is tried again, then raised."""
    kind, code, attempts = rows()["nobody listens"]
    asked: list[httpx2.Request] = []

    class Counting(httpx2.HTTPTransport):
        def handle_request(self, request: httpx2.Request) -> httpx2.Response:
            asked.append(request)
            return super().handle_request(request)

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        client = Client(url, backoff=0.01, transport=Counting())
        with client as staa, pytest.raises(getattr(staa_client, kind)) as caught:
            staa.predict(b"x")
    assert caught.value.code == code
    assert len(asked) == attempts


def test_the_total_counts_all_attempts_and_waits() -> None:
    """With a total there is no wait that would outlast it: the last error comes before."""
    began = time.monotonic()
    with (
        served(FAULTS["503, no worker is free"]) as (url, asked),
        Client(url, timeout=Timeout(total=0.5), max_retries=100, backoff=0.2) as staa,
        pytest.raises(staa_client.UnavailableError),
    ):
        staa.predict(b"x")
    assert time.monotonic() - began < 1
    assert 2 <= len(asked) < 10


def test_a_call_may_have_its_own_timeout() -> None:
    """The timeout of a call is instead of the client's, shorter or longer."""
    with served(silent) as (url, _), Client(url, timeout=60) as staa:
        began = time.monotonic()
        with pytest.raises(staa_client.TimedOutError):
            staa.predict(b"x", timeout=0.2)
        assert time.monotonic() - began < 2


@pytest.mark.parametrize("wrong", [0, -1.0, Timeout])
def test_a_timeout_is_checked(wrong: float) -> None:
    """A timeout that is no positive number is refused at once."""
    with pytest.raises((ValueError, TypeError)):
        Client(timeout=wrong)
