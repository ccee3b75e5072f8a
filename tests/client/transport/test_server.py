"""Addresses as messages show them: no password, whatever is in it, and no key of a query."""

import asyncio
import ssl
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from staa_client import AsyncClient, Client, UnreachableError
from staa_client.cli import main
from staa_client.video.source import shown
from tests.client.servers import Recorder
from tests.client.socket_servers import FakeServer, http_server
from tests.deploy.proxies import certify

HIDDEN = "s3cr3t"


@pytest.mark.parametrize(
    "url",
    [
        *("", "ftp://host", "http://", "http://a b:x", "http:/localhost:8080", "http:localhost", "rtsp://host:port/s"),
        *("http://a..b", f"http://{'a' * 64}.com", "http://127.0.0.1:99999"),
        *(f"ftp://user:{HIDDEN}@host", f"user:{HIDDEN}@host:x", f"http:/u:{HIDDEN}@host:x"),
    ],
)
def test_an_address_that_is_none_is_refused_without_its_password(url: str) -> None:
    """What a client cannot take as the address of a server is quoted at once, less what is secret in it."""
    with pytest.raises(ValueError, match="a server's address looks like") as caught:
        Client(url)
    assert shown(url) in str(caught.value)
    assert HIDDEN not in str(caught.value)


@pytest.mark.parametrize("end", ["?top_k=3", "/?key=sesame", "/staa?x", "#part", "?", "/#"])
def test_a_query_is_refused(end: str) -> None:
    """TorchServe drops it, so that an option in it would change nothing; what it holds is not shown."""
    with pytest.raises(ValueError, match=r"ends before the \? or #.* as arguments") as caught:
        Client(f"http://127.0.0.1:8080{end}")
    assert "sesame" not in str(caught.value)


def test_a_path_before_the_routes_is_kept() -> None:
    """A base_url with a path, as behind a proxy, is kept before /predictions."""
    recorder = Recorder()
    with Client("https://host/staa/", transport=httpx2.MockTransport(recorder)) as staa:
        staa.predict(b"x")
    assert str(recorder.requests[0].url) == "https://host/staa/predictions/motions"


COOKIE = {"Set-Cookie": "a=b", "Retry-After": "0"}


def test_no_cookie_is_kept() -> None:
    """What a server sets goes with no later request, of either client."""
    strange = {"Set-Cookie": "a=b; max-age=" + "9" * 4000, "Retry-After": "0"}
    recorder = Recorder(*[httpx2.Response(429, headers=setting) for setting in (COOKIE, strange)])
    with Client(transport=httpx2.MockTransport(recorder)) as staa:
        staa.predict(b"x")
    recorder.first = [httpx2.Response(429, headers=COOKIE)]

    async def twin() -> None:
        async with AsyncClient(transport=httpx2.MockTransport(recorder)) as staa:
            await staa.predict(b"x")

    asyncio.run(twin())
    assert len(recorder.requests) == 5
    assert not any("cookie" in request.headers for request in recorder.requests)


@pytest.mark.parametrize("url", ["localhost:8080", "127.0.0.1:8080/staa", "[::1]:8080", "a.host-name"])
def test_an_address_without_a_scheme_is_http(url: str) -> None:
    """What is typed without a scheme is asked by http at the same host, port and path."""
    recorder = Recorder()
    with Client(url, transport=httpx2.MockTransport(recorder)) as staa:
        staa.predict(b"x")
    assert str(recorder.requests[0].url) == f"http://{url}/predictions/motions"


@pytest.fixture
def authority(tmp_path: Path) -> Path:
    """The file of the certificate that signs itself."""
    certify(tmp_path)
    return tmp_path / "tls.crt"


@pytest.fixture
def url(authority: Path) -> Iterator[str]:
    """The address of a server with that certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority, authority.with_suffix(".key"))
    with http_server(FakeServer, context) as url:
        yield url


def test_the_authority_that_is_named_is_trusted(
    url: str, authority: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As an option, in the environment and in the settings; without it the server is not asked."""
    video = tmp_path / "clip.mp4"
    video.write_bytes(b"any")
    ask = ["predict", str(video), "--server", url]
    before = len(FakeServer.seen)
    assert main(ask) == 3
    said = capsys.readouterr().err
    assert "certificate verify failed" in said
    assert "--cacert" in said
    assert len(FakeServer.seen) == before
    assert main([*ask, "--cacert", str(authority)]) == 0
    (tmp_path / "config.toml").write_text(f'cacert = "{authority}"\n')
    assert main(["--config", str(tmp_path / "config.toml"), *ask]) == 0
    monkeypatch.setenv("STAA_CACERT", str(authority))
    assert main(ask) == 0
    assert len(FakeServer.seen) == before + 3


def test_a_path_is_trusted_and_nothing_else(url: str, authority: Path) -> None:
    """The client in Python: a Path, the same as text, or a context."""
    for verify in (authority, str(authority), ssl.create_default_context(cafile=authority), False):
        with Client(url, verify=verify) as client:
            assert client.predict(b"any").predictions
    with Client(url, backoff=60) as client, pytest.raises(UnreachableError, match=r"is not trusted .* who signs"):
        client.predict(b"any")
    other = url.replace("127.0.0.1", "localhost")
    with (
        Client(other, verify=authority) as client,
        pytest.raises(UnreachableError, match="the name that its certificate"),
    ):
        client.predict(b"any")


def test_a_file_that_is_no_certificate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Is named, with what is wrong."""
    ask = ["ready", "--server", "https://127.0.0.1:9", "--cacert"]
    assert main([*ask, str(tmp_path / "absent.pem")]) == 2
    assert capsys.readouterr().err == f"staa: {tmp_path}/absent.pem: No such file or directory\n"
    (tmp_path / "key").write_text("no certificate")
    assert main([*ask, str(tmp_path / "key")]) == 2
    assert f"{tmp_path}/key holds no certificate in PEM's form" in capsys.readouterr().err
