"""The front proxy before a stand-in for TorchServe: what it lets through, what it adds, what it writes down."""

import json
import os
import re
import time
from collections.abc import Iterator

import pytest

from staa_client import Client, Served
from staa_client.cli import main
from tests.deploy import proxies
from tests.deploy.proxies import AUTHORIZED, KEY, NAME, UNHURRIED, Proxy
from tests.deploy.upstreams import Upstream, reply, torchserve

ORIGIN = "https://app.example.com"
ALLOWED = f'"{ORIGIN}" $http_origin;'


@pytest.fixture(scope="module")
def proxy(upstream: Upstream, ready: Upstream) -> Iterator[Proxy]:
    """Return a proxy with the limits as shipped, but for the rate."""
    with proxies.running(
        upstream.port, health=ready.port, metrics=upstream.port, limits=UNHURRIED, origins=ALLOWED
    ) as up:
        yield up


@pytest.fixture(autouse=True)
def _fresh(upstream: Upstream) -> None:
    upstream.forget()


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
        "/models/",
        "/models/motions",
        "/models/motions/all",
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
        "/predictions/mot|ions",
        "/predictions/mot%7Cions",
        "/v1/models/a%7C%3F:predict",
        "/Predictions/motions",
        "/Models",
        "/workflows/x",
        "/v2/models/motions",
        "/v2/repository/index",
        "/-/routes",
        "/-/healthz",
        "/invocations",
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
        ("TRACE", "/v1/models/motions:predict", "POST, OPTIONS"),
        ("TRACE", "/explanations/motions", "POST, PUT, OPTIONS"),
        ("POST", "/ping", "GET, HEAD"),
        *((method, "/models", "GET, HEAD, OPTIONS") for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS-X")),
        *((method, "/ready", "GET, HEAD") for method in ("POST", "TRACE", "PROPFIND", "FOO", "DELETE", "OPTIONS-X")),
        *((method, "/v2/health/live", "GET, HEAD") for method in ("TRACE", "FOO")),
        *((method, "/v1/models/motions", "GET, HEAD, OPTIONS") for method in ("TRACE", "FOO", "PUT")),
        *((method, "/v2/models/motions/explain", "POST, OPTIONS") for method in ("TRACE", "FOO", "GET", "PATCH")),
        *((method, "/predictions/motions/1.0", "POST, PUT, OPTIONS") for method in ("TRACE", "FOO", "MKCOL")),
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
    """The key ends at the proxy, and no caller sets headers by which TorchServe and Ray decide what is done."""
    forged = {"Explain": "True", "EXPLAIN": "True", "Cookie": "a=b", "X-Forwarded-For": "1.2.3.4", "X_Staa_Mass": "0"}
    forged |= {
        "Serve-Multiplexed-Model-Id": "mine",
        "serve_multiplexed_model_id": "mine",
        "X-Session-Id": "1",
        "X-Request-Timeout-Seconds": "0.001",
        "X-Request-Disconnect-Disabled": "?1",
    }
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


@pytest.mark.parametrize("path", ["/models", "/v1/models/motions", "/v1/models/motions:predict", "/explanations/m"])
def test_browsers_may_ask_wherever_a_key_is_sent(proxy: Proxy, path: str) -> None:
    """A browser asks first, since a key makes a request one that is not simple; the answer names the path's methods."""
    asks = {"Access-Control-Request-Headers": "authorization"}
    granted = proxy.call(path, method="OPTIONS", body=None, headers={"Origin": ORIGIN} | asks)
    assert (granted.status, granted.headers["access-control-allow-headers"]) == (204, "authorization")
    allowed = proxy.call(path, method="TRACE").headers["allow"]
    assert granted.headers["access-control-allow-methods"] == allowed
    assert proxy.call(path, method="OPTIONS", body=None, headers=asks).status == 403


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


@pytest.mark.parametrize("form", ["Content-Length: 400000\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n61a80\r\n"])
def test_only_whole_requests_are_handed_on(proxy: Proxy, upstream: Upstream, form: str) -> None:
    """While a body is still on its way TorchServe hears nothing; once it is here it has its length and every byte."""
    body = os.urandom(400_000)
    start = f"POST /predictions/motions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n{form}"
    before = upstream.connections, upstream.bytes
    with proxy.connect() as connection:
        connection.sendall(start.encode() + body[:300_000])
        time.sleep(0.3)
        assert (upstream.connections, upstream.bytes) == before
        connection.sendall(body[300_000:] + (b"\r\n0\r\n\r\n" if "chunked" in form else b""))
        assert connection.recv(1 << 16).startswith(b"HTTP/1.1 200")
    assert upstream.heard[0].body == body
    assert upstream.heard[0].values("content-length") == ["400000"]


def test_torchserves_errors_take_the_contracts_form(proxy: Proxy, upstream: Upstream) -> None:
    """TorchServe's own errors are translated, in many pieces too; the handler's, and good replies, pass to the byte."""
    upstream.answer = torchserve(404, "ModelNotFoundException", "Model not found: nope")
    answer = proxy.call()
    assert (answer.status, answer.code) == (404, "model_not_found")
    assert "nope" not in answer.body.decode(), "the words are the proxy's own"
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


CLASSES = [
    ("ErrorDataDecoderException", "java.io.IOException: Out of size: 70 > 5"),
    ("StringIndexOutOfBoundsException", "String index out of range: -1"),
    ("IllegalCharsetNameException", "\x1b[2K" + "x" * 1_000_000),
    ("NullPointerException", 'Cannot invoke "io.netty.handler.codec"'),
    ("BadRequestException", "Parameter url is required."),
    ("constructor", "toString"),
]


@pytest.mark.parametrize("status", [400, 403, 404, 405, 500])
@pytest.mark.parametrize(("kind", "message"), CLASSES)
def test_no_word_of_java_is_told(proxy: Proxy, upstream: Upstream, status: int, kind: str, message: str) -> None:
    """Whatever class of error TorchServe names, a caller gets a code and words of the contract, and no text of it."""
    upstream.answer = torchserve(status, kind, message)
    answer = proxy.call()
    assert (answer.status, answer.code) == (status, "request_invalid" if status < 500 else "http_500")
    assert len(answer.body) < 300
    assert message[:9] not in answer.body.decode()
    assert proxy.log(answer.headers["x-request-id"])["refused"] == answer.code


def test_readiness(proxy: Proxy, ready: Upstream) -> None:
    """/ready and KServe's forms of it say what the health endpoint says, need no key, and hand nothing on."""
    for path in ("/ready", "/v2/health/ready", "/v2/health/live"):
        answer = proxy.call(path, None, {"X-Big": "x" * 2000}, method="GET")
        assert json.loads(answer.body)["ready"] is True
        assert not ready.heard[-1].values("x-big")
    named = proxy.call("/v1/models/motions", None, method="GET")
    assert (named.status, json.loads(named.body)) == (200, {"name": "motions", "ready": True})
    assert proxy.call("/v1/models/nope", None, method="GET").code == "model_not_found"
    assert proxy.call("/v1/models/motions", None, {}, method="GET").code == "key_missing"
    before, ready.answer = ready.answer, lambda _: reply({"error": {"code": "draining", "message": "it" * 20}}, 503)
    try:
        for path in ("/ready", "/v2/health/ready", "/v1/models/motions"):
            answer = proxy.call(path, None, method="GET")
            assert (answer.status, answer.code) == (503, "draining")
        assert proxy.inside("/ready").code == "draining"
    finally:
        ready.answer = before


def test_models_are_listed_for_a_key(
    proxy: Proxy, upstream: Upstream, ready: Upstream, capsys: pytest.CaptureFixture[str]
) -> None:
    """GET /models is the health endpoint's list, for a key alone; `staa models` prints it. TorchServe hears nothing."""
    one = {"name": "motions", "version": "1.0", "workers": 1, "ready": 0, "batch": 4, "waiting": 0}
    listed: dict[str, object] = {"models": [one]}
    before, ready.answer = ready.answer, lambda _: reply(listed)
    try:
        answer = proxy.call("/models", None, method="GET")
        assert (answer.status, json.loads(answer.body)) == (200, listed)
        assert ready.heard[-1].line.startswith("GET /models ")
        assert not ready.heard[-1].values("authorization")
        with Client(proxy.url, KEY, verify=proxy.trust()) as client:
            assert client.models() == (Served("motions", "1.0", 1, 0, 4, 0),)
        words = ["models", "--server", proxy.url, "--cacert", str(proxy.certificate), "--token"]
        assert main([*words, KEY]) == 0
        assert capsys.readouterr().out == "motions/1.0  0 of 1 workers ready, 0 requests waiting\n"
        assert main([*words, "nobody's"]) == 1
        assert "401 key_unknown" in capsys.readouterr().err
        assert main(["models", "--server", proxy.url, "--token", KEY]) == 3
        assert "certificate" in capsys.readouterr().err
        for headers in ({}, {"Authorization": "Bearer nobody's"}):
            assert proxy.call("/models", None, headers, method="GET").status == 401
        assert proxy.call("/models?limit=1", None, method="GET").code == "query_refused"
    finally:
        ready.answer = before
    assert not upstream.heard


def test_the_inner_port(proxy: Proxy, upstream: Upstream) -> None:
    """The port for the cluster has probes, both metrics and nginx's status, and no way to the model."""
    assert proxy.inside("/ready").status == proxy.inside("/live").status == 200
    assert proxy.inside("/metrics").status == 200
    assert upstream.heard[-1].line.startswith("GET /metrics ")
    assert b"Active connections" in proxy.inside("/status").body
    samples = proxy.inside("/metrics/proxy").body.decode().splitlines()
    assert re.fullmatch(r'nginx_connections\{state="active"\} \d+', samples[1])
    upstream.heard.clear()
    for path in ("/ready", "/live", "/metrics", "/metrics/proxy", "/status"):
        for method in ("POST", "PUT", "DELETE", "TRACE", "FOO"):
            answer = proxy.inside(path, method)
            assert (answer.status, answer.code, answer.headers["allow"]) == (405, "method_not_allowed", "GET, HEAD")
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
