"""A token that others can read is warned of, once; a proxy of the environment is named where it is in the way."""

import socket
import warnings
from pathlib import Path
from typing import Any

import httpx2
import pytest

from staa_client import AsyncClient, Client, InsecureWarning, UnreachableError
from staa_client.cli import main
from staa_client.transport.server import is_local, proxy_of

LOCAL = [
    "localhost:8080", "LOCALHOST", "a.localhost", "127.0.0.1", "127.8.9.10", "http://[::1]:8080", "[::ffff:127.0.0.1]",
    "localhost.",
]  # fmt: skip
ELSEWHERE = ["10.0.0.1", "host", "http://[fe80::1]:8080", "127.0.0.1.example.com", "localhost.example.com"]


@pytest.mark.parametrize("kind", [Client, AsyncClient])
@pytest.mark.parametrize("token", ["text", Path("file"), lambda: "made"], ids=["text", "file", "function"])
def test_a_token_over_plain_http_to_another_machine_is_warned_of(kind: Any, token: Any) -> None:
    """Each way to give a token, each client: one warning, which names the host and not the token."""
    for url in ELSEWHERE:
        with pytest.warns(InsecureWarning, match="plain http") as caught:
            kind(url, token)
        assert len(caught) == 1
        assert "text" not in str(caught[0].message)
        assert caught[0].filename == __file__


def test_what_stays_here_or_is_encrypted_is_not_warned_of(recwarn: pytest.WarningsRecorder) -> None:
    """This machine by any of its names, https, a socket of this machine, and no token at all."""
    for url in LOCAL:
        Client(url, "token")
    for url in ELSEWHERE:
        Client(url)
        Client(f"https://{url.removeprefix('http://')}", "token")
    Client("http://staa", "token", transport=httpx2.HTTPTransport(uds="/run/staa.sock"))
    assert not recwarn.list


def test_a_password_and_the_management_address_count_too() -> None:
    """A password in the address is a secret as a token is, and the management API gets a token, too."""
    with pytest.warns(InsecureWarning):
        Client("http://user:password@host")
    with pytest.warns(InsecureWarning, match="other"):
        Client("https://host", "token", management_url="http://other:8081")


def test_the_names_of_this_machine() -> None:
    """Loopback is a network of addresses, in both versions, and a domain."""
    assert all(is_local(httpx2.URL(url if "//" in url else f"http://{url}")) for url in LOCAL)
    assert not any(is_local(httpx2.URL(url if "//" in url else f"http://{url}")) for url in ELSEWHERE)


def test_the_command_warns_on_a_line_of_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Plain http, and a settings file with a token that others can read: a line each, once; mode 600 is silent."""
    monkeypatch.setenv("STAA_CONFIG", str(tmp_path / "config.toml"))
    monkeypatch.setenv("no_proxy", "*")
    (tmp_path / "config.toml").write_text('token = "s3cr3t"\nserver = "http://staa.invalid"\n')
    for mode, lines in ((0o644, 2), (0o640, 2), (0o604, 2), (0o600, 1)):
        (tmp_path / "config.toml").chmod(mode)
        assert main(["ready"]) in {1, 3}
        told = [line for line in capsys.readouterr().err.splitlines() if line.startswith("staa: warning: ")]
        assert len(told) == lines
        assert ("chmod 600" in told[0]) == (lines == 2)
        assert "s3cr3t" not in "".join(told)
    (tmp_path / "config.toml").write_text('server = "http://staa.invalid"\n')
    (tmp_path / "config.toml").chmod(0o644)
    main(["ready"])
    assert "warning" not in capsys.readouterr().err


@pytest.mark.parametrize("kind", [Client, AsyncClient])
@pytest.mark.parametrize("name", ["ALL_PROXY", "HTTP_PROXY", "all_proxy"])
def test_a_socks_proxy_without_its_package_is_said(kind: Any, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The proxy is named, less its password, with what to install or to set."""
    monkeypatch.setenv(name, "socks5://user:s3cr3t@127.0.0.1:1")
    with pytest.raises(
        ImportError, match=r"SOCKS proxy socks5://127\.0\.0\.1:1.*pip install socksio.*NO_PROXY=a\.invalid"
    ) as caught:
        kind("http://a.invalid")
    assert "s3cr3t" not in str(caught.value)
    kind("http://127.0.0.1:8080")
    monkeypatch.setenv("NO_PROXY", "a.invalid")
    kind("http://a.invalid")


def test_a_proxy_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who cannot be reached by HTTP_PROXY is told of the proxy, less its password, and only then."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        monkeypatch.setenv("HTTP_PROXY", f"http://user:s3cr3t@127.0.0.1:{port}")
        with (
            Client("http://a.invalid", max_retries=0) as staa,
            pytest.raises(
                UnreachableError, match=rf"by the proxy http://127\.0\.0\.1:{port}.*NO_PROXY=a\.invalid"
            ) as caught,
        ):
            staa.card()
        assert "s3cr3t" not in str(caught.value)
        monkeypatch.setenv("NO_PROXY", "a.invalid")
        assert proxy_of(httpx2.URL("http://a.invalid")) is None


def test_a_warning_can_be_turned_into_an_error() -> None:
    """The category is public, so that a program can treat it as it likes."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", InsecureWarning)
        with pytest.raises(InsecureWarning):
            Client("http://host", "token")
