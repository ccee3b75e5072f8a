"""The front proxy before a stand-in for TorchServe: what it lets through, what it adds, what it writes down."""

import json
import os
import re
import signal
import socket
import ssl
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from tests.deploy import proxies
from tests.deploy.proxies import AUTHORIZED, KEY, NAME, Proxy
from tests.deploy.upstreams import Upstream, good, listening, reply, torchserve

ORIGIN = "https://app.example.com"
ALLOWED = f'"{ORIGIN}" $http_origin;'


@pytest.fixture(scope="module")
def health() -> Iterator[Upstream]:
    """Return a stand-in for the health endpoint, which says that motions is ready."""
    with listening(lambda _: reply({"ready": True, "models": {"motions": {"ready": 1, "workers": 1}}})) as up:
        yield up


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    """Return a stand-in for TorchServe."""
    with listening() as up:
        yield up


@pytest.fixture(scope="module")
def proxy(upstream: Upstream, health: Upstream) -> Iterator[Proxy]:
    """Return a proxy with the limits as shipped, but for the rate."""
    limits = {"limit_req zone=requests": "burst=10000 nodelay"}
    with proxies.running(
        upstream.port, health=health.port, metrics=upstream.port, limits=limits, origins=ALLOWED
    ) as up:
        yield up


@pytest.fixture(autouse=True)
def _fresh(upstream: Upstream) -> None:
    upstream.heard.clear()
    upstream.answer = good


@pytest.mark.parametrize(
    "path",
    [
        "/predictions/motions",
        "/predictions/motions/0.1.0",
        "/explanations/motions",
        "/v1/models/motions:predict",
        "/v1/models/motions:explain",
        "/v2/models/motions/infer",
        "/v2/models/motions/explain",
    ],
)
def test_the_routes(proxy: Proxy, upstream: Upstream, path: str) -> None:
    """Every route of the contract reaches TorchServe under its own name, with the body to the byte."""
    body = os.urandom(300_000)
    assert json.loads(proxy.call(path, body).body) == {"bytes": len(body)}
    (heard,) = upstream.heard
    assert heard.line == f"POST {path} HTTP/1.1"
    assert heard.body == body


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/models",
        "/metrics",
        "/status",
        "/authorise",
        "/error",
        "/model",
        "/predictions",
        "/predictions/",
        "/predictions/motions/",
        "/predictions/../ping",
        "/predictions/motions/../../models",
        "/predictions/mot%69ons",
        "//predictions/motions",
        "/predictions//motions",
        "/predictions/motions;x",
        "/Predictions/motions",
        "/workflows/x",
        "/v2/models/motions",
        "/v2/repository/index",
    ],
)
def test_nothing_else(proxy: Proxy, upstream: Upstream, path: str) -> None:
    """Any other path, and any path that could be read in two ways, is 404 and reaches nobody."""
    answer = proxy.call(path)
    assert (answer.status, answer.code) == (404, "route_unknown")
    assert not upstream.heard


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/predictions/motions", "POST, PUT, OPTIONS"),
        ("DELETE", "/predictions/motions", "POST, PUT, OPTIONS"),
        ("PUT", "/v2/models/motions/infer", "POST, OPTIONS"),
        ("POST", "/ping", "GET, HEAD"),
    ],
)
def test_methods(proxy: Proxy, upstream: Upstream, method: str, path: str, allowed: str) -> None:
    """A method that a path does not take is 405, and the answer says which it takes."""
    answer = proxy.call(path, method=method)
    assert (answer.status, answer.code, answer.headers["allow"]) == (405, "method_not_allowed", allowed)
    assert not upstream.heard


def test_put_is_post(proxy: Proxy, upstream: Upstream) -> None:
    """PUT, which `curl -T` sends, arrives as POST: a proxy may repeat the one and never the other."""
    assert proxy.call(method="PUT").status == 200
    assert upstream.heard[0].line.startswith("POST ")
    assert proxy.call(method="PUT", headers={}).code == "key_missing"


def test_what_torchserve_must_not_see(proxy: Proxy, upstream: Upstream) -> None:
    """The key ends at the proxy, and no caller sets the header by which TorchServe tells the handler the route."""
    forged = {"Explain": "True", "EXPLAIN": "True", "Cookie": "a=b", "X-Forwarded-For": "1.2.3.4", "X_Staa_Mass": "0"}
    forged |= {
        "Proxy-Authorization": "Basic x",
        "Upgrade": "h2c",
        "Connection": "Upgrade, HTTP2-Settings, X-Staa-Top-K",
    }
    wanted = {
        "X-Staa-Top-K": "3",
        "Content-Type": "video/mp4",
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7-01",
    }
    assert proxy.call(headers=AUTHORIZED | forged | wanted).status == 200
    names = dict(upstream.heard[0].headers)
    assert not set(names) & {name.lower() for name in forged}
    assert "authorization" not in names
    assert {name.lower(): value for name, value in wanted.items()}.items() <= names.items()
    assert set(names) == {name.lower() for name in wanted} | {"host", "content-length", "x-request-id"}


def test_request_ids(proxy: Proxy, upstream: Upstream) -> None:
    """A well-formed id is taken over, any other replaced; caller, TorchServe and log have the same one."""
    for sent in ("a-1.B:c", "", "with space", "x" * 129, '"};{"', None):
        upstream.heard.clear()
        answer = proxy.call(headers=AUTHORIZED | ({} if sent is None else {"X-Request-Id": sent}))
        got = answer.headers["x-request-id"]
        assert (got == sent) == (sent == "a-1.B:c")
        assert re.fullmatch("a-1.B:c|[0-9a-f]{32}", got)
        assert upstream.heard[0].values("x-request-id") == [got]
        assert proxy.log(got)["server_request_id"] == "of-torchserve"


def test_the_log_holds_no_secret(proxy: Proxy) -> None:
    """The access log is JSON with who, what and how long; neither log has a key, a query or a cookie."""
    answer = proxy.call(headers=AUTHORIZED | {"Cookie": "session=s3cret", "User-Agent": 'a"b\\c'})
    line = proxy.log(answer.headers["x-request-id"])
    assert (line["key"], line["path"], line["status"], line["agent"]) == (NAME, "/predictions/motions", 200, 'a"b\\c')
    assert line["bytes_in"] > 5
    assert line["seconds"] >= 0
    refused = proxy.call("/predictions/motions?token=s3cret")
    assert refused.code == "query_refused"
    assert proxy.log(refused.headers["x-request-id"])["refused"] == "query_refused"
    proxy.call("/predictions/motions?token=s3cret", headers={"Content-Length": "999999999", "Authorization": "s3cret"})
    proxy.call("/nothing?token=s3cret")
    text = "\n".join(proxy.lines()) + proxy.errors()
    assert KEY not in text
    assert "s3cret" not in text


def test_headers_of_every_answer(proxy: Proxy) -> None:
    """Good and bad answers forbid to sniff, to keep and to frame them, and ask for TLS; TorchServe's own are gone."""
    for answer in (proxy.call(), proxy.call(headers={}), proxy.call("/nothing"), proxy.call(method="GET")):
        headers = answer.headers
        assert headers["cache-control"] == "no-store"
        assert headers["x-content-type-options"] == "nosniff"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert int(headers["strict-transport-security"].removeprefix("max-age=")) >= 31536000
        assert headers["server"] == "nginx"
        assert not {"pragma", "expires", "access-control-allow-origin"} & set(headers)


def test_browsers(proxy: Proxy, upstream: Upstream) -> None:
    """A page of an origin that is listed may ask, without a key in the preflight; one of any other may not."""
    asks = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,x-staa-top-k"}
    granted = proxy.call(method="OPTIONS", body=None, headers={"Origin": ORIGIN} | asks)
    assert (granted.status, granted.body) == (204, b"")
    assert granted.headers["access-control-allow-origin"] == ORIGIN
    assert granted.headers["access-control-allow-headers"] == "authorization,x-staa-top-k"
    assert "POST" in granted.headers["access-control-allow-methods"]
    for origin in ("https://evil.example.com", f"{ORIGIN}.evil.com", "null"):
        refused = proxy.call(method="OPTIONS", body=None, headers={"Origin": origin} | asks)
        assert (refused.status, refused.code) == (403, "origin_forbidden")
        assert not {name for name in refused.headers if name.startswith("access-control")}
    assert not upstream.heard
    answer = proxy.call(headers=AUTHORIZED | {"Origin": ORIGIN})
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    assert "X-Request-Id" in answer.headers["access-control-expose-headers"]
    assert answer.headers["vary"] == "Origin"
    assert proxy.call(headers={"Origin": ORIGIN}).headers["access-control-allow-origin"] == ORIGIN


def test_connections_are_kept(proxy: Proxy, upstream: Upstream) -> None:
    """A caller's connection serves one request after the other, and so do those to TorchServe."""
    before = upstream.connections
    request = (
        f"POST /predictions/motions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\nContent-Length: 1\r\n\r\nv"
    )
    with proxy.connect() as connection:
        for _ in range(20):
            connection.sendall(request.encode())
            assert connection.recv(1 << 16).startswith(b"HTTP/1.1 200")
    assert len(upstream.heard) == 20
    assert upstream.connections - before <= 2, "one for each of nginx's two processes"


def test_torchserves_errors_take_the_contracts_form(proxy: Proxy, upstream: Upstream) -> None:
    """TorchServe's own errors are translated, in many pieces too; the handler's, and good replies, pass to the byte."""
    upstream.answer = torchserve(404, "ModelNotFoundException", "Model not found: nope")
    answer = proxy.call()
    assert (answer.status, answer.code) == (404, "model_not_found")
    assert "Model not found: nope" in json.loads(answer.body)["error"]["message"]
    own = json.dumps({"error": {"code": "not_a_video", "message": "ä" * 20_000}}).encode()
    upstream.answer = lambda _: reply(own, 415)
    assert (proxy.call().status, proxy.call().body) == (415, own)
    large = os.urandom(5_000_000)
    upstream.answer = lambda _: reply(large)
    assert proxy.call().body == large
    upstream.answer = lambda _: reply(b"", 413)
    assert proxy.call().code == "too_many_bytes"
    upstream.answer = lambda _: reply(b"<html>", 500)
    assert proxy.call().code == "http_500"


def test_readiness(proxy: Proxy, health: Upstream) -> None:
    """/ready and KServe's forms of it say what the health endpoint says, need no key, and hand nothing on."""
    for path in ("/ready", "/v2/health/ready", "/v2/health/live"):
        answer = proxy.call(path, None, {"X-Big": "x" * 2000}, method="GET")
        assert json.loads(answer.body)["ready"] is True
        assert not health.heard[-1].values("x-big")
    named = proxy.call("/v1/models/motions", None, method="GET")
    assert (named.status, json.loads(named.body)) == (200, {"name": "motions", "ready": True})
    assert proxy.call("/v1/models/nope", None, method="GET").code == "model_not_found"
    assert proxy.call("/v1/models/motions", None, {}, method="GET").code == "key_missing"
    before, health.answer = health.answer, lambda _: reply({"error": {"code": "draining", "message": "it" * 20}}, 503)
    try:
        for path in ("/ready", "/v2/health/ready", "/v1/models/motions"):
            answer = proxy.call(path, None, method="GET")
            assert (answer.status, answer.code) == (503, "draining")
        assert proxy.inside("/ready").code == "draining"
    finally:
        health.answer = before


def test_the_inner_port(proxy: Proxy, upstream: Upstream) -> None:
    """The port for the cluster has probes, both metrics and nginx's status, and no way to the model."""
    assert proxy.inside("/ready").status == proxy.inside("/live").status == 200
    assert proxy.inside("/metrics").status == 200
    assert upstream.heard[-1].line.startswith("GET /metrics ")
    assert b"Active connections" in proxy.inside("/status").body
    samples = proxy.inside("/metrics/proxy").body.decode().splitlines()
    assert re.fullmatch(r'nginx_connections\{state="active"\} \d+', samples[1])
    upstream.heard.clear()
    for path in (
        "/",
        "/predictions/motions",
        "/explanations/motions",
        "/ping",
        "/models",
        "/v1/models/motions:predict",
    ):
        assert proxy.inside(path, "POST").code == "route_unknown"
    assert not upstream.heard


def test_it_is_an_ordinary_user_and_writes_only_to_tmp(proxy: Proxy) -> None:
    """No process of it is root, and no file outside of /tmp is open for writing but the log that is handed in."""
    assert proxy.call(body=b"x" * 3_000_000).status == 200
    master = psutil.Process(proxy.process.pid)
    family = [master, *master.children()]
    assert len(family) == 3
    for process in family:
        assert 0 not in process.uids()
        writable = [file.path for file in process.open_files() if file.mode != "r"]
        assert [path for path in writable if not Path(path).is_relative_to(proxy.folder / "tmp")] == [
            str(proxy.folder / "error.log")
        ]
    outside = [path.name for path in proxy.folder.iterdir()]
    assert sorted(outside) == ["error.log", "etc", "tmp"]


@pytest.mark.parametrize(("version", "spoken"), [("TLSv1_1", False), ("TLSv1_2", True), ("TLSv1_3", True)])
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_tls(proxy: Proxy, version: str, *, spoken: bool) -> None:
    """TLS 1.2 and 1.3 are spoken, with forward secrecy; nothing older is."""
    context = proxy.trust()
    context.set_ciphers("ALL:@SECLEVEL=0")  # what this side would speak
    context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=5) as connection:
        if not spoken:
            with pytest.raises(ssl.SSLError, match=r"ALERT|alert"):
                context.wrap_socket(connection, server_hostname="127.0.0.1")
            return
        with context.wrap_socket(connection, server_hostname="127.0.0.1") as secured:
            assert secured.cipher()[0].startswith(("ECDHE-", "TLS_"))  # type: ignore[index]


def test_reload_and_stop_finish_what_is_in_flight(upstream: Upstream) -> None:
    """A reload drops no request; SIGQUIT, the image's stop signal, answers what is in flight; exit code 0."""

    def slow(heard: object) -> bytes:
        time.sleep(1)
        return good(heard)  # type: ignore[arg-type]

    upstream.answer = slow
    with proxies.running(upstream.port) as proxy, ThreadPoolExecutor(2) as pool:
        first = pool.submit(proxy.call)
        time.sleep(0.3)
        proxy.process.send_signal(signal.SIGHUP)
        time.sleep(0.3)
        second = pool.submit(proxy.call)
        time.sleep(0.2)
        proxy.process.send_signal(signal.SIGQUIT)
        assert first.result().status == second.result().status == 200
        assert proxy.process.wait(10) == 0
