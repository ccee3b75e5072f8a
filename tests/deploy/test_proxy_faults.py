"""Everything that can go wrong at the proxy: what the caller sees.

The table in docs/proxy.md is read here, row by row: it cannot say what is not so.
"""

import contextlib
import http.client
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest

from tests.deploy import proxies
from tests.deploy.proxies import AUTHORIZED, KEY, ROOT, UNHURRIED, Proxy, Reply, entry, parse
from tests.deploy.upstreams import Answer, Heard, Upstream, good, listening, reply, torchserve
from tests.made.programs import free_ports
from tests.made.waiting import until

PAGE = ROOT / "docs" / "proxy.md"
START = f"POST /predictions/motions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n"
SHORT = UNHURRIED | {
    "client_max_body_size": "100000",
    "client_header_timeout": "1s",
    "client_body_timeout": "1s",
    "proxy_read_timeout": "1s",
}


@dataclass
class Rig:
    """A proxy, what is behind it, and how to have another one."""

    proxy: Proxy
    server: Upstream
    health: Upstream
    other: Callable[..., Proxy]


@pytest.fixture(scope="module")
def parts() -> Iterator[Rig]:
    """Return a proxy with short times, kept for all rows."""
    with ExitStack() as stack:
        server, health = stack.enter_context(listening()), stack.enter_context(listening())

        def other(limits: Mapping[str, str], server: int = server.port, **more: Any) -> Proxy:
            return stack.enter_context(proxies.running(server, limits=SHORT | dict(limits), **more))

        yield Rig(
            stack.enter_context(proxies.running(server.port, health=health.port, limits=SHORT)), server, health, other
        )


@pytest.fixture
def rig(parts: Rig) -> Rig:
    """Return the proxy as new."""
    parts.server.answer = parts.health.answer = good
    parts.server.heard.clear()
    parts.proxy.allow(entry("tester", KEY))
    return parts


Fault = Callable[[Rig], Reply | bytes]
"""Makes it happen, and returns what the caller gets: a reply, or the bytes before the connection was cut."""


def asks(**options: object) -> Fault:
    """Send one request."""
    return lambda rig: rig.proxy.call(**options)  # type: ignore[arg-type]


def says(data: str, *, tls: bool = True) -> Fault:
    """Send bytes."""
    return lambda rig: parse(rig.proxy.send(data.encode(), tls=tls))


def keys(*lines: str) -> Fault:
    """Ask with other keys in the file."""

    def ask(rig: Rig) -> Reply:
        rig.proxy.allow(*lines)
        return rig.proxy.call()

    return ask


def behind(answer: Answer, path: str = "/predictions/motions") -> Fault:
    """Ask a server that answers so."""

    def ask(rig: Rig) -> Reply | bytes:
        rig.server.answer = rig.health.answer = answer
        if path == "/ready":
            return rig.proxy.call(path, None, {}, "GET")
        return rig.proxy.call(path)

    return ask


def no_keys(rig: Rig) -> Reply:
    """Ask while there is no keys file."""
    rig.proxy.keys.unlink()
    return rig.proxy.call()


def stalls(data: str) -> Fault:
    """Send a part and wait for the end, which comes long before the minute that nginx would wait by itself."""

    def wait(rig: Rig) -> bytes:
        with rig.proxy.connect() as connection:
            connection.sendall(data.encode())
            connection.settimeout(30)
            began = time.monotonic()
            try:
                received = connection.recv(1000)
            except ConnectionResetError:
                received = b""
            assert 0.5 < time.monotonic() - began < 20
            return received

    return wait


def too_fast(rig: Rig) -> Reply:
    """Send one request more than the burst; then another key has all of its own."""
    proxy = rig.other(
        {"limit_req_zone": "$who zone=requests:1m rate=1r/m", "limit_req zone=requests": "burst=2 nodelay"}
    )
    proxy.allow(entry("tester", KEY), entry("tester", "second-key"), entry("neighbour", "third-key"))
    assert [proxy.call().status for _ in range(3)] == [200] * 3
    last = proxy.call()
    assert proxy.call(headers={"Authorization": "Bearer second-key"}).status == 429, "keys of one name share"
    assert proxy.call(headers={"Authorization": "Bearer third-key"}).status == 200
    assert [proxy.call(headers={}).status for _ in range(4)] == [401] * 3 + [429], "so do those without a key"
    return last


def too_many(rig: Rig) -> Reply:
    """Send one request more than may be at work; another key still gets through, until all together are too many."""
    proxy = rig.other({"limit_conn connections": "2", "limit_conn everybody": "3", "proxy_read_timeout": "5s"})
    proxy.allow(entry("tester", KEY), *(entry(name, name) for name in ("second", "third")))
    rig.server.answer = hang
    with ThreadPoolExecutor(2) as pool:
        slow = [pool.submit(proxy.call) for _ in range(2)]
        until(lambda: len(rig.server.heard) == 2)
        last = proxy.call()
        rig.server.answer = good
        assert proxy.call(headers={"Authorization": "Bearer second"}).status == 200
        rig.server.answer = hang
        with ThreadPoolExecutor(1) as third:
            slow.append(third.submit(proxy.call, headers={"Authorization": "Bearer second"}))
            until(lambda: len(rig.server.heard) == 4)
            assert proxy.call(headers={"Authorization": "Bearer third"}).status == 429
        assert [each.result().status for each in slow] == [504] * 3
    return last


def no_place(rig: Rig) -> Reply:
    """Send one request more than the server has places for; none of them is lost."""
    proxy = rig.other({"proxy_read_timeout": "5s"}, places={"places": 2})
    rig.server.answer = hang
    with ThreadPoolExecutor(2) as pool:
        slow = [pool.submit(proxy.call) for _ in range(2)]
        until(lambda: len(rig.server.heard) == 2)
        last, put = proxy.call(), proxy.call(method="PUT")
        assert (put.status, put.code, put.headers["retry-after"]) == (429, "too_many_requests", "1")
        assert [each.result().status for each in slow] == [504] * 2
    assert len(rig.server.heard) == 2
    return last


def connections(rig: Rig) -> bytes:
    """Connect once more than an address may; an older connection goes on."""
    proxy = rig.other({"limit_conn addresses": "1", "client_header_timeout": "9s"})

    opened: list[socket.socket] = []

    def connect() -> bool:
        with contextlib.suppress(OSError):
            opened.append(proxy.connect())
        return bool(opened)

    until(connect)
    with opened[0] as first:  # the proxy has yet to notice that who looked whether it listens has gone
        with pytest.raises(OSError, match=r"(?i)reset|eof|pipe"):
            proxy.connect()
        first.sendall(b"GET /ready HTTP/1.1\r\nHost: x\r\n\r\n")
        assert first.recv(1000).startswith(b"HTTP/1.1 503")
    return b""


def no_room(rig: Rig) -> Reply:
    """Send more than is held in memory while nothing can be written."""
    proxy = rig.other({"client_body_buffer_size": "8k"})
    (proxy.folder / "tmp" / "body").chmod(0o500)
    return proxy.call(body=b"x" * 90_000)


def certificates(rig: Rig) -> Reply:
    """Ask a proxy that wants client certificates without one."""
    more = f"ssl_verify_client on; ssl_client_certificate {rig.proxy.folder}/etc/tls/tls.crt;"
    return rig.other({"client_body_buffer_size": f"128k; {more.removesuffix(';')}"}).call()


def version(rig: Rig) -> Reply:
    """Ask by request lines of versions that HTTP/1 does not have; none of them is a line in the error log."""
    before = rig.proxy.errors()
    for line in ("GET /ping HTTP/2.0", "POST /predictions/motions HTTP/3.0", "GET /nothing HTTP/9.9"):
        answer = parse(rig.proxy.send(f"{line}\r\nHost: x\r\n\r\n".encode()))
        assert (answer.status, answer.code) == (505, "http_version_unknown")
    assert rig.proxy.errors() == before
    return answer


def absent(rig: Rig) -> Reply:
    """Ask while nobody listens."""
    return rig.other({}, server=free_ports()[0]).call()


def absent_health(rig: Rig) -> Reply:
    """Ask whether it is ready while nobody listens."""
    return rig.other({}).call("/ready", None, {}, "GET")


def hang_up(_: Heard) -> None:
    """Close without a word."""


def hang(_: Heard) -> bytes:
    """Answer too late."""
    time.sleep(4)
    return b""


def cut_reply(rig: Rig) -> bytes:
    """Ask a server that goes within its reply: the caller can tell, as there is less than was promised."""
    rig.server.answer = half
    with pytest.raises((http.client.IncompleteRead, ConnectionError)):
        rig.proxy.call()
    return b""


def half(_: Heard) -> bytes:
    """Promise more than is sent, and close."""
    return b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\nconnection: close\r\n\r\n" + b"x" * 10


CHUNKS = f"{START}Transfer-Encoding: chunked\r\n\r\n" + f"ea60\r\n{'x' * 60_000}\r\n" * 2 + "0\r\n\r\n"


def own(status: int, code: str, path: str = "/predictions/motions") -> Fault:
    """Ask a server that refuses in the contract's form."""
    return behind(lambda _: reply({"error": {"code": code, "message": "what came, and what to do"}}, status), path)


FAULTS: dict[str, Fault] = {
    "no key": asks(headers={}),
    "a key that is not known, or taken away": keys(),
    "a key past its time": keys(entry("tester", KEY, "until=2020-01-31T00:00:00Z")),
    "a key of other models": keys(entry("tester", KEY, "models=other")),
    "a web page of an origin that is not listed": asks(method="OPTIONS", headers={"Origin": "https://a.example.com"}),
    "the keys file cannot be read": no_keys,
    "another path": asks(path="/models/motions"),
    "another method": asks(method="PATCH"),
    "a query in the address": asks(path="/predictions/motions?top_k=1"),
    "no HTTP, or two readings of it": says(f"{START}Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"),
    "an unknown Transfer-Encoding": says(f"{START}Transfer-Encoding: gzip\r\n\r\n"),
    "another version of HTTP": version,
    "plain HTTP to the TLS port": says(START + "\r\n", tls=False),
    "no client certificate, where limits.conf asks for one": certificates,
    "too many bytes, as Content-Length says": asks(body=b"x" * 100_001),
    "too many bytes, in chunks": says(CHUNKS),
    "a type of body that is not taken": asks(headers=AUTHORIZED | {"Content-Type": "text/plain"}),
    "too long an address": asks(path="/predictions/" + "m" * 4000),
    "too large headers": asks(headers=AUTHORIZED | {"X-Large": "x" * 4000}),
    "too many requests a second": too_fast,
    "too many requests at once": too_many,
    "all places of the server are taken": no_place,
    "too many connections of one address": connections,
    "headers that do not end": stalls(START),
    "a body that does not end": stalls(f"{START}Content-Length: 10\r\n\r\nxx"),
    "a model that is not served": behind(torchserve(404, "ModelNotFoundException", "Model not found: motions")),
    "no video, as the handler says": own(415, "not_a_video"),
    "a batch out of time, as the handler says": own(503, "service_unavailable"),
    "a form or JSON that cannot be read, as the handler says": own(400, "request_invalid"),
    "a form or JSON that TorchServe cannot read": behind(torchserve(400, "BadRequestException", "java.lang")),
    "the handler failed": own(500, "internal"),
    "the server's queue is full": behind(torchserve(503, "ServiceUnavailableException", "No worker is available")),
    "the worker failed": behind(torchserve(503, "InternalServerException", "Prediction failed")),
    "the worker died with the request": behind(torchserve(500, "InternalServerException", "Worker died.")),
    "the worker was killed with the request, for want of memory or otherwise": behind(
        torchserve(507, "InternalServerException", "Out of memory")
    ),
    "the server is not there": absent,
    "the server goes within the request": behind(hang_up),
    "the server goes within the reply": cut_reply,
    "the server does not answer": behind(hang),
    "the proxy has no room for a body": no_room,
    "/ready while the server drains": own(503, "draining", "/ready"),
    "/ready while the server is not there": absent_health,
    "/ready while the server hangs": behind(hang, "/ready"),
}


def rows() -> dict[str, tuple[str, str, str]]:
    """The table in the docs: what happens -> status, code, whether asking again may help."""
    found = {}
    for line in PAGE.read_text().splitlines():
        cells = [cell.strip().strip("`") for cell in line.strip("|").split("|")]
        if len(cells) == 4 and (cells[1].isdigit() or cells[1] == "cut"):
            found[cells[0]] = cells[1], cells[2], cells[3]
    return found


def test_the_table_has_every_fault() -> None:
    """Each fault is in the table, and no other."""
    assert list(rows()) == list(FAULTS)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_answered_as_the_table_says(rig: Rig, fault: str) -> None:
    """Status, code, Retry-After and request id, all within the times that are set; and the next caller is served."""
    status, code, again = rows()[fault]
    began = time.monotonic()
    answer = FAULTS[fault](rig)
    assert time.monotonic() - began < 40, "nginx's own times are of minutes"
    if status == "cut":
        assert answer == b""
    else:
        assert isinstance(answer, Reply)
        assert (answer.status, answer.code) == (int(status), code)
        assert ("retry-after" in answer.headers) == (again == "yes")
        assert answer.headers["x-request-id"]
    rig.server.answer = good
    rig.proxy.allow(entry("tester", KEY))
    assert rig.proxy.call().status == 200
