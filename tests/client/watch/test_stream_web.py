"""What a web server gives: a recording, whole or cut short, and an event whose playlist ends."""

import contextlib
import http.server
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from staa_client.errors import StreamError
from staa_client.watch.settings import WatchSettings
from tests.client.watch.conftest import read
from tests.made.videos import moving_disc, remuxed

Answer = Callable[[str], tuple[bytes, int]]
"""A path -> the bytes of its file, and how many of them are sent before the connection is cut."""


@contextlib.contextmanager
def served(answer: Answer) -> Iterator[str]:
    """The address of a web server."""

    class Shelf(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            data, sent = answer(self.path)
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            with contextlib.suppress(OSError):  # the reader may leave before
                self.wfile.write(data[:sent])

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name is http.server's
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Shelf) as web:
        serving = threading.Thread(target=web.serve_forever, args=(0.05,))
        serving.start()
        try:
            yield f"http://127.0.0.1:{web.server_port}"
        finally:
            web.shutdown()
            serving.join(5)


def test_a_recording_on_the_web_ends(clip: bytes, tmp_path: Path) -> None:
    """A file behind http, which says how long it lasts, is read once to its end, as a file is."""
    remuxed(clip, tmp_path / "clip.mkv")
    film = (tmp_path / "clip.mkv").read_bytes()
    with served(lambda _: (film, len(film))) as url:
        found = read(f"{url}/clip.mkv", WatchSettings(latency="keep"))
    assert (len(found), {shot.reconnects for shot in found}, {shot.live for shot in found}) == (64, {0}, {False})
    assert [shot.index for shot in found] == list(range(64))


def test_a_recording_that_is_cut_short_was_lost(tmp_path: Path) -> None:
    """A connection that breaks halfway is an error that counts the frames that came and begins nothing anew."""
    remuxed(moving_disc(frames=400), tmp_path / "clip.mkv")
    film = (tmp_path / "clip.mkv").read_bytes()
    asked: list[str] = []

    def half(path: str) -> tuple[bytes, int]:
        asked.append(path)
        return film, len(film) // 2

    with served(half) as url, pytest.raises(StreamError, match=r"lost after \d{3} frames \(") as caught:
        read(f"{url}/clip.mkv?key=sesame", WatchSettings(latency="keep"))
    assert caught.value.code == "stream_lost"
    assert len(asked) == 1
    assert "sesame" not in caught.value.message


def test_the_end_of_an_event_is_the_end(tmp_path: Path) -> None:
    """A live playlist that is a recording once it ended is not played again: each frame came once, time never fell."""
    remuxed(moving_disc(96, 96, frames=40, fps=40), tmp_path / "part.ts")
    part = (tmp_path / "part.ts").read_bytes()
    head = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-PLAYLIST-TYPE:EVENT\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\npart.ts\n"
    lists: list[str] = []

    def event(path: str) -> tuple[bytes, int]:
        if path == "/part.ts":
            return part, len(part)
        lists.append(path)
        body = (head + "#EXT-X-ENDLIST\n" * (len(lists) > 1)).encode()
        return body, len(body)

    with served(event) as url:
        found = read(f"{url}/live.m3u8", WatchSettings(latency="keep"))
    assert len(lists) >= 3, "the playlist as it was live, as FFmpeg saw its end, and as it was opened anew"
    assert [shot.index for shot in found] == list(range(len(found)))
    assert 30 <= len(found) <= 40
    assert np.all(np.diff([shot.seconds for shot in found]) > 0)
    assert {shot.live for shot in found} == {True}
