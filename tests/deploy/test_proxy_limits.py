"""Limits: who counts against whom, before a body is read."""

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from tests.deploy import proxies
from tests.deploy.proxies import AUTHORIZED, CONFIGURATION, KEY, NAME, Proxy, entry
from tests.deploy.upstreams import Upstream, listening, reply, torchserve

LARGE = 5_000_000  # bytes
FAST = {"limit_req zone=requests": "burst=10000 nodelay"}


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    """Return a stand-in for TorchServe."""
    with listening() as up:
        yield up


@pytest.fixture
def proxy(upstream: Upstream) -> Iterator[Proxy]:
    """Return a proxy that lets two requests in at once, one of them large; it is ready."""
    limits = FAST | {"limit_conn everybody": "2", "limit_conn large": "2", "limit_conn key_of_large": "1"}
    with listening() as health, proxies.running(upstream.port, health=health.port, limits=limits) as up:
        health.answer = lambda _: reply({"ready": True, "models": {"motions": {"ready": 1, "workers": 1}}})
        up.allow(entry(NAME, KEY), entry("other", "another-key"))
        yield up


def bearer(key: str) -> dict[str, str]:
    """Return the header with a key."""
    return {"Authorization": f"Bearer {key}"}


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
    deadline = time.monotonic() + 10
    while (status := proxy.call(body=body).status) == 429 and time.monotonic() < deadline:
        time.sleep(0.05)  # the proxy has yet to notice who hung up
    assert status == 200


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
