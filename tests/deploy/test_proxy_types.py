"""What a body may say that it is: the list that the proxy hands on, and advice for all else before a body is read."""

import time
from collections.abc import Iterator

import pytest

from tests.deploy import proxies
from tests.deploy.proxies import AUTHORIZED, KEY, UNHURRIED, Proxy, parse
from tests.deploy.upstreams import Upstream

PATHS = ["/predictions/motions", "/v1/models/motions:predict", "/v2/models/motions/infer"]


@pytest.fixture(scope="module")
def running(upstream: Upstream) -> Iterator[Proxy]:
    """Return a proxy before a stand-in."""
    with proxies.running(upstream.port, limits=UNHURRIED) as up:
        yield up


@pytest.fixture
def proxy(running: Proxy, upstream: Upstream) -> Proxy:
    """Return the proxy, with an upstream that has heard nothing yet."""
    upstream.forget()
    return running


TAKEN = [
    "application/json",
    "application/json; charset=utf-8",
    "Application/JSON;charset=UTF-8",
    "application/octet-stream",
    "APPLICATION/OCTET-STREAM",
    "binary/octet-stream",
    "application/x-staa-frames",
    "application/zip",
    "video/mp4",
    "video/mp4; codecs=avc1.4d401f",
    "video/x-msvideo",
    "video/vnd.dlna.mpeg-tts",
    "VIDEO/QuickTime",
    "application/mp4",
    "application/ogg",
    "application/mxf",
    "image/gif",
    "image/webp",
    "image/avif",
]


@pytest.mark.parametrize("kind", TAKEN)
def test_what_is_taken(proxy: Proxy, upstream: Upstream, kind: str) -> None:
    """What clients call a video, JSON or an archive of frames arrives under its own name, by POST and by PUT."""
    for method in ("POST", "PUT"):
        assert proxy.call(headers=AUTHORIZED | {"Content-Type": kind}, method=method).status == 200
        assert upstream.heard[-1].values("content-type") == [kind]


def test_no_type(proxy: Proxy, upstream: Upstream) -> None:
    """Who says nothing, as `curl -T` does, is taken, and nothing is said for it."""
    assert proxy.call(headers=AUTHORIZED | {"Content-Type": ""}).status == 200
    assert proxy.call().status == 200
    assert [heard.values("content-type") for heard in upstream.heard] == [[], []]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("kind", "parameters"),
    [
        ("multipart/form-data", "; boundary=frontier"),
        ("Multipart/Form-Data", ';boundary="a b"; charset=utf-8'),
        ("multipart/form-data", ""),
        ("multipart/form-data", " ; boundary="),
    ],
)
def test_a_form_is_bytes_to_torchserve(proxy: Proxy, upstream: Upstream, path: str, kind: str, parameters: str) -> None:
    """TorchServe would take a form apart in its heap: it gets it under a name that it does not know, to the byte."""
    body = b"--frontier\r\n\xff\x00" * 50_000
    assert proxy.call(path, body, AUTHORIZED | {"Content-Type": f"{kind}{parameters}"}).status == 200
    (heard,) = upstream.heard
    assert heard.values("content-type") == [f"application/x-staa-form{parameters}"]
    assert heard.body == body


REFUSED = [
    "application/x-www-form-urlencoded",
    "Application/X-WWW-Form-URLEncoded; charset=utf-8",
    "text/plain",
    "text/plain;charset=UTF-8",
    "text/html",
    "application/x-staa-form; boundary=x",
    "multipart/mixed; boundary=x",
    "multipart/form-data-x; boundary=x",
    "multipart/",
    "application/jsonx",
    "application/json, text/plain",
    "application/json application/x-www-form-urlencoded",
    "application/xml",
    "application/x-tar",
    "image/svg+xml",
    "image/jpeg",
    "video/",
    "video/../../x",
    "video/mp4 x",
    "message/rfc822",
    "nonsense",
    ";",
    "application/json\x0b",
    "application/x-www-form-urlencoded\t",
]


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_not_taken(proxy: Proxy, upstream: Upstream, kind: str) -> None:
    """Any other type is 415 with a code of its own and advice, on every route; TorchServe does not hear of it."""
    for path in PATHS:
        for method in ("POST", "PUT") if path.startswith("/pred") else ("POST",):
            answer = proxy.call(path, headers=AUTHORIZED | {"Content-Type": kind}, method=method)
            assert (answer.status, answer.code) == (415, "unsupported_content_type")
            assert kind.lower().startswith("application/x-www-form") == (b"curl -T FILE" in answer.body)
    assert not upstream.heard


def test_it_is_said_before_the_body_is_read(proxy: Proxy) -> None:
    """Of a large body that is not wanted not a byte is waited for."""
    began = time.monotonic()
    head = (
        f"POST /predictions/motions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\nContent-Length: 90000000\r\n"
    )
    data = proxy.send(f"{head}Content-Type: application/x-www-form-urlencoded\r\n\r\n".encode())
    assert parse(data).code == "unsupported_content_type"
    assert time.monotonic() - began < 5


def test_two_types(proxy: Proxy, upstream: Upstream) -> None:
    """A request with two types is refused, or has the first one: TorchServe never gets the second."""
    head = f"POST /predictions/motions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\nContent-Length: 1\r\n"
    for first, second in (("video/mp4", "multipart/form-data; boundary=x"), ("multipart/form-data", "text/plain")):
        proxy.send(f"{head}Content-Type: {first}\r\nContent-Type: {second}\r\n\r\nv".encode())
    for heard in upstream.heard:
        assert len(heard.values("content-type")) == 1
        assert not heard.values("content-type")[0].startswith(("multipart", "text"))
