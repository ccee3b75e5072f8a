"""Whose certificates are trusted, of a server that speaks TLS with one of an authority of its own."""

import shutil
import ssl
import threading
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest

from staa_client import Client, UnreachableError
from staa_client.cli import main
from tests.client.doors import Door
from tests.deploy.proxies import certify

pytestmark = pytest.mark.skipif(not shutil.which("openssl"), reason="needs openssl")


@pytest.fixture
def authority(tmp_path: Path) -> Path:
    """The file of the certificate that signs itself."""
    certify(tmp_path)
    return tmp_path / "tls.crt"


@pytest.fixture
def url(authority: Path) -> Iterator[str]:
    """The address of a server with that certificate."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Door) as house:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(authority, authority.with_suffix(".key"))
        house.socket = context.wrap_socket(house.socket, server_side=True)
        thread = threading.Thread(target=house.serve_forever, args=(0.05,))
        thread.start()
        yield f"https://127.0.0.1:{house.server_port}"
        house.shutdown()
        thread.join()


def test_the_authority_that_is_named_is_trusted(
    url: str, authority: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As an option, in the environment and in the settings; without it the server is not asked."""
    video = tmp_path / "clip.mp4"
    video.write_bytes(b"any")
    ask = ["predict", str(video), "--server", url]
    before = len(Door.seen)
    assert main(ask) == 3
    said = capsys.readouterr().err
    assert "certificate verify failed" in said
    assert "--cacert" in said
    assert len(Door.seen) == before
    assert main([*ask, "--cacert", str(authority)]) == 0
    (tmp_path / "config.toml").write_text(f'cacert = "{authority}"\n')
    assert main(["--config", str(tmp_path / "config.toml"), *ask]) == 0
    monkeypatch.setenv("STAA_CACERT", str(authority))
    assert main(ask) == 0
    assert len(Door.seen) == before + 3


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
