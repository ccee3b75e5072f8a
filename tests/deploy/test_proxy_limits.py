"""Limits: who counts against whom, before a body is read."""

import contextlib
import json
import resource
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.deploy import proxies
from tests.deploy.proxies import AGE, ARRIVAL, AUTHORIZED, CONFIGURATION, KEY, NAME, UNHURRIED, Proxy, bearer, entry
from tests.deploy.upstreams import Heard, Upstream, good, reply, torchserve
from tests.made.waiting import until

LARGE = 5_000_000  # bytes


@pytest.fixture
def proxy(upstream: Upstream, ready: Upstream) -> Iterator[Proxy]:
    """Return a proxy that lets two requests in at once, one of them large; it is ready."""
    limits = UNHURRIED | {"limit_conn everybody": "2", "limit_conn large": "2", "limit_conn key_of_large": "1"}
    upstream.forget()
    with proxies.running(upstream.port, health=ready.port, limits=limits) as up:
        up.allow(entry(NAME, KEY), entry("other", "another-key"))
        yield up


@contextlib.contextmanager
def uploading(proxy: Proxy, size: int, key: str = "") -> Iterator[None]:
    """Hold a request whose body has begun to come."""
    authorization = f"Authorization: Bearer {key}\r\n" if key else ""
    with proxy.connect() as connection:
        head = f"POST /predictions/motions HTTP/1.1\r\nHost: x\r\n{authorization}Content-Length: {size}\r\n\r\n"
        connection.sendall(head.encode() + b"x")
        proxy.call("/ready", None, {}, "GET")  # by then it has been looked at
        yield


@pytest.mark.parametrize("path", ["/ping", "/ready", "/v2/health/ready", "/v2/health/live"])
def test_what_takes_no_video_takes_no_body(proxy: Proxy, upstream: Upstream, path: str) -> None:
    """Who has no key cannot make the proxy or TorchServe keep bytes: a body beyond 1 kB is refused everywhere."""
    answer = proxy.call(path, b"x" * 2000, {}, "GET")
    assert (answer.status, answer.code) == (413, "too_many_bytes")
    assert "1024 bytes" in json.loads(answer.body)["error"]["message"]
    assert not upstream.heard


def test_refusals_of_probes_have_the_contracts_form(upstream: Upstream, ready: Upstream) -> None:
    """Too many of them, and chunks that are none, on both ports: no page of nginx's own is seen."""
    with proxies.running(upstream.port, health=ready.port) as proxy:
        answers = [proxy.call("/ready", None, {}, "GET") for _ in range(80)]
        answers += [proxy.inside("/ready") for _ in range(80)]
        assert {answer.status for answer in answers} == {200, 429}
        assert {answer.code for answer in answers if answer.status == 429} == {"too_many_requests"}
        head = b"GET /ready HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"
        assert b'"request_invalid"' in proxy.send(head)


def test_who_has_no_key_takes_nobodys_place(proxy: Proxy) -> None:
    """Requests without a good key, however slow, do not count among those that are let in."""
    with contextlib.ExitStack() as stack:
        for key in ("", "", "", "wrong"):
            stack.enter_context(uploading(proxy, 1000, key))
        assert proxy.call().status == 200


def test_large_bodies_have_places_of_their_own(proxy: Proxy) -> None:
    """A key that fills its places for large bodies still sends small ones, and another key large ones."""
    body = bytes(LARGE)
    assert proxy.call(body=body).status == 200
    with uploading(proxy, LARGE, KEY):
        refused = proxy.call(body=body)
        assert (refused.status, refused.code) == (429, "too_many_requests")
        assert refused.headers["retry-after"]
        assert proxy.call(body=iter([b"video"])).status == 429, "it does not say how long it is"
        assert proxy.call(body=body[1:]).status == 200
        assert proxy.call(body=body, headers=bearer("another-key")).status == 200
        with uploading(proxy, LARGE, "another-key"):
            assert proxy.call().status == 429, "all places are taken"
    until(lambda: proxy.call(body=body).status == 200)  # the proxy has yet to notice who hung up


def test_who_trickles_takes_no_place_of_the_server(upstream: Upstream, ready: Upstream) -> None:
    """While as many large bodies as may come in do not end, another key's large request is answered at once."""
    upstream.forget()
    limits = UNHURRIED | {"limit_conn everybody": "100"}
    with proxies.running(upstream.port, health=ready.port, limits=limits) as proxy, contextlib.ExitStack() as stack:
        proxy.allow(*(entry(name, name) for name in ("one", "two", "three", "four", "other")))
        for key in ("one", "two", "three"):
            for _ in range(3):
                stack.enter_context(uploading(proxy, 90_000_000, key))
            assert proxy.call(body=bytes(LARGE), headers=bearer(key)).status == 429, "a key has three"
            for _ in range(13):
                stack.enter_context(uploading(proxy, 1000, key))
        for _ in range(5):
            assert proxy.call(body=bytes(LARGE), headers=bearer("other")).status == 200
            assert proxy.call(headers=bearer("other")).status == 200


def trickle(connection: socket.socket) -> None:
    """Send a byte now and then, for a minute."""
    for _ in range(300):
        connection.sendall(b"x")
        time.sleep(0.2)


def test_a_body_without_end_is_cut(upstream: Upstream) -> None:
    """Whoever sends a byte now and then is cut off after the time of a whole request, with a key or without one."""
    with proxies.running(upstream.port, limits=UNHURRIED | {ARRIVAL: "2"}) as proxy:
        for key in (KEY, "wrong"):
            with proxy.connect() as connection:
                head = f"POST /predictions/motions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n"
                connection.sendall(f"{head}Content-Length: 1000\r\n\r\n".encode())
                began = time.monotonic()
                with pytest.raises(OSError, match=r"(?i)reset|eof|pipe|closed"):
                    trickle(connection)
                assert time.monotonic() - began > 1.9
        assert proxy.call().status == 200


def test_a_connection_has_an_age(upstream: Upstream) -> None:
    """However many answers it got, as TLS itself can give them: bytes that come after its time end it."""
    with proxies.running(upstream.port, limits=UNHURRIED | {ARRIVAL: "2", AGE: "4"}) as proxy:
        with proxy.connect() as connection, pytest.raises(OSError, match=r"(?i)reset|eof|pipe|closed"):
            ask_again_and_again(connection)
        assert proxy.call().status == 200


def ask_again_and_again(connection: socket.socket) -> None:
    """Send a small request now and then, for half a minute."""
    for _ in range(100):
        connection.sendall(b"GET /ping HTTP/1.1\r\nHost: x\r\n\r\n")
        if not connection.recv(1 << 16):
            raise ConnectionResetError("closed")
        time.sleep(0.3)


def test_time_counts_until_a_request_is_here_and_for_each_anew(upstream: Upstream) -> None:
    """A connection is kept for many requests over a longer time, and an answer may take longer to come."""

    def slow(heard: Heard) -> bytes:
        time.sleep(4)
        return good(heard)

    one = f"POST /predictions/motions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\nContent-Length: 40\r\n\r\n"
    upstream.forget()
    with proxies.running(upstream.port, limits=UNHURRIED | {ARRIVAL: "2"}) as proxy, proxy.connect() as connection:
        for answer in (good, slow, good):
            upstream.answer = answer
            connection.sendall(one.encode())
            for _ in range(4):
                time.sleep(0.3)
                connection.sendall(b"0123456789")
            assert connection.recv(1 << 16).startswith(b"HTTP/1.1 200")
        assert len(upstream.heard) == 3


def test_places_are_counted_by_both_processes(upstream: Upstream) -> None:
    """Of twelve that are here as a whole at once as many are let in as the server has places, whoever took them in."""
    over = threading.Event()

    def slow(heard: Heard) -> bytes:
        assert over.wait(60)
        return good(heard)

    upstream.forget()
    upstream.answer = slow
    limits = UNHURRIED | {"limit_conn key_of_large": "12", "limit_conn large": "12"}
    with proxies.running(upstream.port, limits=limits) as proxy, ThreadPoolExecutor(24) as pool:
        large = [pool.submit(proxy.call, body=bytes(LARGE)) for _ in range(12)]
        until(lambda: sum(each.done() for each in large) == 8)
        assert {each.result().status for each in large if each.done()} == {429}
        small = pool.submit(proxy.call)
        until(lambda: len(upstream.heard) == 5)
        over.set()
        assert [each.result().status for each in large].count(200) == 4
        assert small.result().status == 200


def half_open(proxy: Proxy, count: int) -> Iterator[socket.socket]:
    """Open connections whose TLS handshakes stop after 6 bytes; those that are cut are among them."""
    for _ in range(count):
        with contextlib.suppress(OSError):
            connection = socket.create_connection(("127.0.0.1", proxy.port), timeout=20)
            connection.sendall(b"\x16\x03\x01\x02\x00\x01")
            yield connection


def test_half_a_handshake(upstream: Upstream, ready: Upstream) -> None:
    """While 2400 connections of one address do not speak, probes and another address are answered, within a second."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(6000, hard), hard))
    took = []

    def ask(proxy: Proxy) -> None:
        began = time.monotonic()
        assert proxy.inside("/ready").status == proxy.inside("/status").status == 200
        connection = socket.create_connection(("127.0.0.1", proxy.port), 20, source_address=("127.0.0.2", 0))
        with proxy.trust().wrap_socket(connection, server_hostname="127.0.0.1") as other:
            other.sendall(b"GET /ready HTTP/1.0\r\n\r\n")
            assert other.recv(100).startswith(b"HTTP/1.1 200")
        took.append(time.monotonic() - began)

    upstream.forget()
    with proxies.running(upstream.port, health=ready.port, limits=UNHURRIED) as proxy, contextlib.ExitStack() as stack:
        try:
            for number, connection in enumerate(half_open(proxy, 2400)):
                stack.enter_context(connection)
                if number % 100 == 0:
                    ask(proxy)
            active = int(proxy.inside("/metrics/proxy").body.split(b'"active"} ')[1].split()[0])
            assert active < 2 * 512 + 50, "of one address there are 512"
            with pytest.raises(OSError, match=r"(?i)reset|eof|pipe"):
                proxy.connect()
            stack.close()
            until(lambda: int(proxy.inside("/status").body.split()[2]) < 50)
            assert proxy.call().status == 200
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert max(took) < 2, "a second, and one for a busy machine"
        assert "not enough" not in proxy.errors()


def test_the_log_says_why_the_server_refused(proxy: Proxy, upstream: Upstream) -> None:
    """The line of a request has the code that its caller got: a full queue and a dead worker differ."""
    queue = torchserve(503, "ServiceUnavailableException", "no worker")
    worker = torchserve(503, "InternalServerException", "worker died")
    own = lambda _: reply({"error": {"code": "not_a_video", "message": "the bytes are no video at all"}}, 415)  # noqa: E731
    for answer in (queue, worker, own):
        upstream.answer = answer
        got = proxy.call()
        assert proxy.log(got.headers["x-request-id"])["refused"] == got.code
    assert proxy.log(proxy.call(headers={}).headers["x-request-id"])["refused"] == "key_missing"


def test_a_proxy_that_cannot_check_keys_is_not_ready(proxy: Proxy) -> None:
    """Without its keys file the pod gets no requests, which would all be refused."""
    assert proxy.inside("/ready").status == 200
    proxy.keys.unlink()
    answer = proxy.inside("/ready")
    assert (answer.status, answer.code) == (500, "keys_unreadable")
    assert proxy.inside("/status").status == 200
    proxy.allow(entry(NAME, KEY))
    assert proxy.inside("/ready").status == 200


@pytest.mark.parametrize("name", ["constructor", "toString", "__proto__", "nope"])
def test_a_model_is_one_that_is_served(proxy: Proxy, name: str) -> None:
    """A name that every object of JavaScript has is no model."""
    assert proxy.call("/v1/models/motions", None, AUTHORIZED, "GET").status == 200
    assert proxy.call(f"/v1/models/{name}", None, AUTHORIZED, "GET").status == 404


def test_the_tool_writes_no_line_that_opens_to_nobody(proxy: Proxy) -> None:
    """Names of models with a space are refused, and the file stays as it was."""
    before = proxy.keys.read_bytes()
    command = [sys.executable, str(CONFIGURATION / "keys.py"), "new", "bob", "--models", "a, b"]
    done = subprocess.run(
        [*command, "--file", str(proxy.keys)], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "no spaces" in done.stderr
    assert proxy.keys.read_bytes() == before
