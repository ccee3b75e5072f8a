"""A video from a URL of the user: fetched by the client, with no word of the server's token."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest

from staa_client import Client, SourceError, _fetch
from tests.client.doors import Door, door


class Shelf(BaseHTTPRequestHandler):
    """A web server with a video, a redirect to it, and nothing else."""

    videos: ClassVar[dict[str, bytes]] = {}
    headers_seen: ClassVar[list[dict[str, str]]] = []

    def do_GET(self) -> None:
        """Answer one request."""
        self.headers_seen.append({name.lower(): value for name, value in self.headers.items()})
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/clip%20one.mp4?key=1")
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
    with ThreadingHTTPServer(("127.0.0.1", 0), Shelf) as house:
        thread = threading.Thread(target=house.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{house.server_port}"
        house.shutdown()
        thread.join()


@pytest.mark.parametrize("path", ["/clip%20one.mp4", "/moved"])
def test_a_url_is_fetched_here(path: str, shelf: str, clip: bytes) -> None:
    """The server gets the bytes, never the URL; the web server never gets the token; redirects are followed."""
    with door() as url, Client(url, "secret") as staa:
        explanation = staa.explain(shelf + path)
    assert explanation.source == clip
    assert explanation.name == ("clip one.mp4" if path != "/moved" else "moved")
    assert Door.seen[-1][1]["content-length"] == str(len(clip))
    assert not any("authorization" in headers for headers in Shelf.headers_seen)


@pytest.mark.parametrize("path", ["/none.mp4", "/empty.mp4"])
def test_what_cannot_be_fetched_is_said(path: str, shelf: str) -> None:
    """A missing or empty video is a SourceError with the address, and the server is not asked."""
    with Client("http://127.0.0.1:9") as staa, pytest.raises(SourceError, match=path) as caught:
        staa.predict(shelf + path)
    assert caught.value.code == "source_unreachable"
    assert caught.value.status == (404 if path == "/none.mp4" else None)


def test_nobody_at_the_address_is_said() -> None:
    """A refused connection to the video's address is a SourceError: it is not the server that is missing."""
    with Client() as staa, pytest.raises(SourceError, match="try the address in a browser"):
        staa.predict("http://127.0.0.1:9/clip.mp4")


def test_there_is_a_limit(shelf: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A video without an end is not taken into memory."""
    monkeypatch.setattr(_fetch, "MOST", 1000)
    with Client() as staa, pytest.raises(SourceError, match="more than 1000 bytes"):
        staa.predict(shelf + "/clip%20one.mp4")


@pytest.mark.parametrize("password", ["hunter", "hun@ter", "hun/ter", "hun?ter"])
def test_no_secret_of_the_address_is_told(password: str, caplog: pytest.LogCaptureFixture) -> None:
    """Neither the error, nor what it was caused by, nor the log has user, password or query; the host is named."""
    url = f"http://admin:{password}@127.0.0.1:9/clip.mp4?X-Amz-Signature=sesame"
    with Client() as staa, pytest.raises(SourceError, match=r"at http://127\.0\.0\.1:9/clip\.mp4 cannot") as caught:
        staa.predict(url)
    told = f"{caught.value} {caught.value.__cause__} {caplog.text}"
    assert not any(secret in told for secret in ("admin", "hun", "ter@", "sesame"))
