"""Requests that two HTTP servers could read in two ways: refused, or handed on in the one way that is left."""

from collections.abc import Iterator

import pytest

from tests.deploy import proxies
from tests.deploy.proxies import KEY, UNHURRIED, Proxy, parse
from tests.deploy.upstreams import Upstream

START = f"POST /predictions/motions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n"
HIDDEN = f"POST /explanations/hidden HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\nContent-Length: 0\r\n\r\n"


@pytest.fixture(scope="module")
def running(upstream: Upstream) -> Iterator[Proxy]:
    """Return one proxy for all tests, without a limit on the rate."""
    limits = UNHURRIED | {"client_body_timeout": "1s"}
    with proxies.running(upstream.port, limits=limits) as up:
        yield up


@pytest.fixture
def proxy(running: Proxy, upstream: Upstream) -> Proxy:
    """Return the proxy, with an upstream that has heard nothing yet."""
    upstream.forget()
    return running


REFUSED = {
    "length and chunks": f"{START}Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{HIDDEN}",
    "chunks and length": f"{START}Transfer-Encoding: chunked\r\nContent-Length: 6\r\n\r\n0\r\n\r\n{HIDDEN}",
    "two lengths": f"{START}Content-Length: 0\r\nContent-Length: {len(HIDDEN)}\r\n\r\n{HIDDEN}",
    "the same length twice": f"{START}Content-Length: 1\r\nContent-Length: 1\r\n\r\nv",
    "a list of lengths": f"{START}Content-Length: 1, 1\r\n\r\nv",
    "a signed length": f"{START}Content-Length: +1\r\n\r\nv",
    "a length in hexadecimal": f"{START}Content-Length: 0x1\r\n\r\nv",
    "a space before the colon": f"{START}Content-Length : 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{HIDDEN}",
    "a folded header": f"{START}X-Staa-Top-K: 1\r\n Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n{HIDDEN}",
    "a folded encoding": f"{START}Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n{HIDDEN}",
    "an encoding before chunked": f"{START}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n{HIDDEN}",
    "an encoding after chunked": f"{START}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n{HIDDEN}",
    "two encodings": f"{START}Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n{HIDDEN}",
    "an encoding with a tab": f"{START}Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n{HIDDEN}",
    "chunks in HTTP/1.0": f"{START}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n{HIDDEN}".replace("1.1", "1.0", 1),
    "a chunk of no number": f"{START}Transfer-Encoding: chunked\r\n\r\nx\r\n\r\n{HIDDEN}",
    "a chunk of a huge number": f"{START}Transfer-Encoding: chunked\r\n\r\n{'f' * 20}\r\n\r\n{HIDDEN}",
    "no host": "POST /predictions/motions HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
    "two hosts": f"{START}Host: y\r\nContent-Length: 0\r\n\r\n",
    "a zero byte in a header": f"{START}X-Staa-Top-K: 1\x00\r\nContent-Length: 0\r\n\r\n",
    "a carriage return alone": f"{START}X-Staa-Top-K: 1\rExplain: True\r\nContent-Length: 0\r\n\r\n",
    "HTTP/2 over plain text": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a tunnel": f"CONNECT motions:443 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n\r\n",
    "a trace": f"TRACE /predictions/motions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n\r\n",
}


@pytest.mark.parametrize("form", REFUSED)
def test_refused(proxy: Proxy, upstream: Upstream, form: str) -> None:
    """A request that has no single reading is refused in the contract's form, closed, not passed on."""
    data = proxy.send(REFUSED[form].encode("latin-1"))
    answer = parse(data)
    assert 400 <= answer.status < 600
    assert answer.code
    assert data.count(b"\r\nServer: nginx\r\n") == 1, "what followed was not taken for a request"
    assert proxy.call().status == 200
    assert len(upstream.heard) == 1, "of the two requests the good one"


LENGTH = "Content-Length: 5"
CHUNKED = "Transfer-Encoding: chunked\r\n\r\n"
ONE_WAY = {
    "chunks": (f"{START}{CHUNKED}2\r\nvi\r\n3\r\ndeo\r\n0\r\n\r\n", "video"),
    "chunks with extensions": (f'{START}{CHUNKED}5;a="b"\r\nvideo\r\n0;x\r\n\r\n', "video"),
    "chunks with trailers": (f"{START}{CHUNKED}5\r\nvideo\r\n0\r\nExplain: True\r\nContent-Length: 9\r\n\r\n", "video"),
    "chunks with capitals": (f"{START}Transfer-Encoding: CHUNKED\r\n\r\n5\r\nvideo\r\n0\r\n\r\n", "video"),
    "lines that end with a line feed alone": (f"{START}Content-Length: 5\r\n\r\nvideo".replace("\r\n", "\n"), "video"),
    "an absolute address": (
        f"{START}Content-Length: 5\r\n\r\nvideo".replace("POST ", "POST http://elsewhere:9999"),
        "video",
    ),
    "an upgrade": (
        f"{START}Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n{LENGTH}\r\n\r\nvideo",
        "video",
    ),
    "a header named by Connection": (f"{START}Connection: content-length\r\nContent-Length: 5\r\n\r\nvideo", "video"),
    "underscores": (
        f"{START}Content_Length: 99\r\nTransfer_Encoding: chunked\r\nContent-Length: 5\r\n\r\nvideo",
        "video",
    ),
}


@pytest.mark.parametrize("form", ONE_WAY)
def test_one_reading(proxy: Proxy, upstream: Upstream, form: str) -> None:
    """What may be sent in several forms reaches TorchServe in one: its length and its body."""
    sent, body = ONE_WAY[form]
    if "\r\nConnection:" not in sent:
        sent = sent.replace("Host: x", "Host: x\r\nConnection: close", 1) if "\r\n" in sent else sent
    data = proxy.send(sent.encode("latin-1"))
    assert parse(data).status == 200, data[:400]
    (heard,) = upstream.heard
    assert heard.line == "POST /predictions/motions HTTP/1.1"
    assert heard.body == body.encode()
    assert heard.values("content-length") == [str(len(body))]
    names = {name for name, _ in heard.headers}
    assert names == {"host", "content-length", "x-request-id"}


def test_http_of_1991(proxy: Proxy, upstream: Upstream) -> None:
    """A line end in the address makes a request without headers of it: no key, no way in, and the connection closed."""
    for end in ("\r\n", "\n"):
        data = proxy.send(f"POST /predictions/motions{end}X: y HTTP/1.1\r\n{START.partition(chr(10))[2]}\r\n".encode())
        assert b'"code": "request_invalid"' in data
    assert proxy.send(b"GET /ping\r\n").startswith(b'{"bytes"')
    assert [heard.line for heard in upstream.heard] == ["GET /ping HTTP/1.1"]


def test_pipelined_requests_stay_apart(proxy: Proxy, upstream: Upstream) -> None:
    """Two requests in one go are two requests, each with its own check of the key."""
    second = START.replace(KEY, "wrong") + "Content-Length: 0\r\n\r\n"
    data = proxy.send(f"{START}Content-Length: 5\r\n\r\nvideo{second}".encode())
    assert data.count(b"HTTP/1.1 200") == 1
    assert data.count(b"HTTP/1.1 401") == 1
    assert len(upstream.heard) == 1


def test_a_body_that_looks_like_a_request_is_a_body(proxy: Proxy, upstream: Upstream) -> None:
    """Bytes of a body are never read as a request, when it is refused before it was read either."""
    assert proxy.call(body=HIDDEN.encode()).status == 200
    assert upstream.heard[0].body == HIDDEN.encode()
    upstream.heard.clear()
    refused = START.replace(KEY, "wrong") + f"Content-Length: {len(HIDDEN)}\r\n\r\n{HIDDEN}"
    data = proxy.send(refused.encode())
    assert parse(data).status == 401
    assert data.count(b"\r\nServer: nginx\r\n") == 1
    assert not upstream.heard
