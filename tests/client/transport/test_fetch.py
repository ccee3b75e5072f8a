"""A video from a URL of the user: fetched by the client, with no word of the server's token."""

import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from typing import ClassVar

import pytest

from staa_client import Client, SourceError, Timeout
from staa_client.transport.deadline import Deadline
from staa_client.transport.fetch import fetch
from staa_client.video.source import Link
from tests.client.socket_servers import DRIP_HEAD, FakeServer, fake_server, http_server, raw_server

MOVED = {"/moved": "/clip%20one.mp4?key=1", "/nowhere": "//:80"}
"""Path -> where it redirects to."""


class Shelf(BaseHTTPRequestHandler):
    """A web server with a video, a redirect to it, and nothing else."""

    videos: ClassVar[dict[str, bytes]] = {}
    headers_seen: ClassVar[list[dict[str, str]]] = []

    def do_GET(self) -> None:
        """Answer one request."""
        self.headers_seen.append({name.lower(): value for name, value in self.headers.items()})
        if self.path in MOVED:
            self.send_response(302)
            self.send_header("Location", MOVED[self.path])
            self.end_headers()
            return
        body = self.videos.get(self.path.partition("?")[0])
        self.send_response(404 if body is None else 200)
        self.end_headers()
        self.wfile.write(body or b"")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name is http.server's
        """Say nothing."""


@pytest.fixture(scope="module")
def shelf(clip: bytes) -> Iterator[str]:
    """Its address."""
    Shelf.videos = {"/clip%20one.mp4": clip, "/empty.mp4": b""}
    with http_server(Shelf) as url:
        yield url


@pytest.mark.parametrize("path", ["/clip%20one.mp4", "/moved"])
def test_a_url_is_fetched_here(path: str, shelf: str, clip: bytes) -> None:
    """The server gets the bytes, never the URL; the web server never gets the token; redirects are followed."""
    with fake_server() as url, Client(url, "secret") as staa:
        explanation = staa.explain(shelf + path)
    assert explanation.source == clip
    assert explanation.name == ("clip one.mp4" if path != "/moved" else "moved")
    assert FakeServer.seen[-1][1]["content-length"] == str(len(clip))
    assert not any("authorization" in headers for headers in Shelf.headers_seen)


@pytest.mark.parametrize("path", ["/none.mp4", "/empty.mp4", "/nowhere"])
def test_what_cannot_be_fetched_is_said(path: str, shelf: str) -> None:
    """A video that is missing or empty, or redirects to no address, is a SourceError that names it; nothing is sent."""
    with Client("http://127.0.0.1:9") as staa, pytest.raises(SourceError, match=path) as caught:
        staa.predict(shelf + path)
    assert caught.value.code == "source_unreachable"
    assert caught.value.status == (404 if path == "/none.mp4" else None)


def test_nobody_at_the_address_is_said() -> None:
    """A refused connection to the video's address is a SourceError: it is not the server that is missing."""
    with Client() as staa, pytest.raises(SourceError, match="try the address in a browser"):
        staa.predict("http://127.0.0.1:9/clip.mp4")


def test_there_is_a_limit(shelf: str) -> None:
    """A video without an end is not taken into memory."""
    with pytest.raises(SourceError, match="more than 1000 bytes"):
        fetch(Link(shelf + "/clip%20one.mp4"), Deadline.of(Timeout()), most=1000)


@pytest.mark.parametrize("password", ["hunter", "hun@ter", "hun/ter", "hun?ter"])
def test_no_secret_of_the_address_is_told(password: str, caplog: pytest.LogCaptureFixture) -> None:
    """Neither the error, nor what it was caused by, nor the log has user, password or query; the host is named."""
    url = f"http://admin:{password}@127.0.0.1:9/clip.mp4?X-Amz-Signature=sesame"
    with Client() as staa, pytest.raises(SourceError, match=r"at http://127\.0\.0\.1:9/clip\.mp4 cannot") as caught:
        staa.predict(url)
    told = f"{caught.value} {caught.value.__cause__} {caplog.text}"
    assert not any(secret in told for secret in ("admin", "hun", "ter@", "sesame"))


def test_the_total_holds_for_a_source_that_drips() -> None:
    """A web server that never comes to the end of its head is left at the call's total."""
    began = time.monotonic()
    with (
        raw_server(DRIP_HEAD) as (url, _),
        Client(timeout=Timeout(read=5, total=0.6)) as staa,
        pytest.raises(SourceError),
    ):
        staa.predict(url + "/clip.mp4")
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("host", ["a..b", "a" * 64 + ".com", "127.0.0.1:99999"])
def test_a_name_that_no_machine_can_have_is_said(host: str) -> None:
    """A host's name that cannot be looked up is a SourceError in a video's address."""
    with Client() as staa, pytest.raises(SourceError, match="cannot be fetched"):
        staa.predict(f"http://{host}/clip.mp4")
