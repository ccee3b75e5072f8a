"""What is sent: refused when there is nothing in it, and the same at every attempt."""

import asyncio
import base64
import contextlib
import io
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import numpy as np
import pytest
from numpy.typing import NDArray

from staa_client import AsyncClient, Client, NotVideoError
from staa_client.batch.key import key_of
from staa_client.video.source import Link, Upload, shown, source_of
from tests.client.conftest import server
from tests.client.socket_servers import raw_server, read_request


def test_an_empty_file_is_no_video(tmp_path: Path) -> None:
    """A file, bytes or a stream without a byte is a ValueError that says so."""
    path = tmp_path / "clip.mp4"
    path.touch()
    for empty in (path, str(path), b"", io.BytesIO()):
        with pytest.raises(ValueError, match="the file is empty"):
            source_of(empty)


def test_a_named_pipe_is_no_empty_file(tmp_path: Path) -> None:
    """A path that has no size until it is read, such as a shell's `<(...)`, is read whole, once for all attempts."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_bytes, args=(b"abc",), daemon=True)
    writer.start()
    source = source_of(path)
    writer.join(5)
    assert isinstance(source, bytes)
    upload = Upload(source)
    assert (upload.size, b"".join(upload.chunks()), b"".join(upload.chunks())) == (3, b"abc", b"abc")


def test_a_folder_cannot_be_sent(tmp_path: Path) -> None:
    """A folder, and a path where nothing is, is an OSError before anything is sent."""
    for path in (tmp_path, tmp_path / "none.mp4"):
        with pytest.raises(OSError, match=path.name):
            source_of(path)


def ask(way: str, url: str, path: Path) -> None:
    """Send a file with one of the clients."""

    async def twin() -> None:
        async with AsyncClient(url) as staa:
            await staa.predict(path)

    if way == "Client":
        with Client(url) as staa:
            staa.predict(path)
    else:
        asyncio.run(twin())


@pytest.mark.parametrize("way", ["Client", "AsyncClient"])
def test_a_file_that_grows_is_sent_as_long_as_it_was(way: str, tmp_path: Path) -> None:
    """Of a recording under way that is sent that was there when the call began: stated and sent bytes agree."""
    path = tmp_path / "recording.ts"
    path.write_bytes(b"a" * 16_000_000)
    came: list[int] = []

    def grow(connection: socket.socket) -> None:
        data = connection.recv(1 << 16)
        with path.open("ab") as file:
            file.write(b"b" * 1_000_000)
        came.append(read_request(connection, data).count(b"a" * 1000) * 1000)
        connection.sendall(b"HTTP/1.1 415 No\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")

    with raw_server(grow) as (url, _), pytest.raises(NotVideoError):
        ask(way, url, path)
    assert came == [16_000_000]


@pytest.mark.parametrize("way", ["Client", "AsyncClient"])
def test_a_file_that_shrinks_while_it_is_sent_is_an_os_error(way: str, tmp_path: Path) -> None:
    """A file that is cut meanwhile cannot be sent whole: an OSError names it, and a batch collects it."""
    path = tmp_path / "clip.mp4"

    def cut_file(connection: socket.socket) -> None:
        connection.recv(1 << 16)
        os.truncate(path, 1_000_000)
        with contextlib.suppress(OSError):
            read_request(connection)

    path.write_bytes(b"a" * 16_000_000)
    with raw_server(cut_file) as (url, _), pytest.raises(OSError, match="changed while it was sent") as caught:
        ask(way, url, path)
    assert caught.value.filename == str(path)
    path.write_bytes(b"a" * 16_000_000)
    with raw_server(cut_file) as (url, _), Client(url) as staa:
        (item,) = staa.batch([path], on_error="collect")
    assert isinstance(item.error, OSError)


def test_a_slow_file_object_does_not_stop_the_event_loop() -> None:
    """AsyncClient reads a pipe, and takes frames from an iterator, beside the loop, which goes on meanwhile."""
    goes = threading.Event()

    class Slow(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            assert goes.wait(20)
            return super().read(size)

    def frames() -> Iterator[NDArray[np.uint8]]:
        assert goes.wait(20)
        yield np.zeros((24, 32, 3), np.uint8)

    async def both() -> None:
        async with AsyncClient(transport=httpx2.MockTransport(server())) as staa:
            for slow in (Slow(b"abc"), frames()):
                goes.clear()
                asyncio.get_running_loop().call_later(0.05, goes.set)
                await staa.predict(slow)

    asyncio.run(both())


HIDDEN = "s3cr3t"


def test_no_password_is_shown() -> None:
    """Of any user, password and query the address shown is the bare one, also with characters that must be encoded."""
    rng = np.random.default_rng(0)
    odd = list("ab19/?#@:[]%&=+ \\.")
    hosts = ["10.0.0.5", "10.0.0.5:554", "cam.local", "cam.local:8080", "localhost:80", "[fe80::1]", "[::1]:554"]
    for _ in range(2000):
        scheme = rng.choice(["rtsp://", "http://", "https://", "srt://", "//", ""])
        password = "".join(rng.choice(odd, rng.integers(0, 12)))
        password = password if scheme else password.lstrip("/")  # "admin://" is a scheme
        bare = scheme + rng.choice(hosts) + rng.choice(["", "/", "/s", "/live/1.m3u8"])
        before, after = bare[: len(scheme)], bare[len(scheme) :]
        assert shown(f"{before}admin:{password}@{after}") == bare
        assert shown(f"{before}admin@{after}") == bare
        assert shown(f"{bare}?passphrase={HIDDEN}#{HIDDEN}") == bare


@pytest.mark.parametrize(
    "url",
    [
        "https://host/@name/clip@2x.mp4",
        "http://127.0.0.1:8080/@name/clip.mp4",
        "http://[::1]:8080/a@b",
        "rtsp://cam.local:554/stream:1",
        "localhost:8080",
        "http://localhost:8080/a@b",
        "srt://host",
        "",
    ],
)
def test_what_is_no_secret_stays(url: str) -> None:
    """An "@" in the path of a host that cannot be a user and a password is no end of one."""
    assert shown(url) == url


def test_a_fetched_video_has_no_secret_in_its_name() -> None:
    """The name that goes into answers is the last part of the path, and never the end of a password."""
    assert Link("http://admin:p/secret@host").name == "video"
    assert Link("http://admin:p/x?secret@host/a/clip%20one.mp4?key=secret").name == "clip one.mp4"
    assert Link("https://host/@name/clip@2x.mp4").name == "clip@2x.mp4"


@pytest.mark.parametrize(
    "head", ["data:video/mp4;base64,", "DATA:;base64,", "data:application/octet-stream;x=y;base64,"]
)
def test_a_data_url_is_its_bytes(head: str, clip: bytes) -> None:
    """What a browser's FileReader gives is a video, in a batch too, with line breaks or percent signs."""
    text = base64.b64encode(clip).decode()
    assert source_of(head + text) == clip
    assert source_of(head + text[:76] + "\r\n" + text[76:]) == clip
    assert source_of(head + text.replace("+", "%2B").replace("=", "%3D")) == clip
    assert key_of(head + text)[0] == key_of(clip)[0]


def test_a_data_url_without_base64_is_said() -> None:
    """What follows the comma is named by its head, not repeated."""
    with pytest.raises(ValueError, match=r"data:video/mp4;base64, is followed by no base64"):
        source_of("data:video/mp4;base64,!!!!")
    with pytest.raises(ValueError, match="no byte in the data URL"):
        source_of("data:video/mp4;base64,")
    assert source_of("data:,a%20b") == b"a b"


def test_a_file_whose_name_begins_like_a_data_url_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name is a name where there is such a file."""
    monkeypatch.chdir(tmp_path)
    Path("data:,x").write_bytes(b"file")
    assert source_of("data:,x") == tmp_path / "data:,x"
    assert source_of("data:,y") == b"y"


def test_base64_is_no_path() -> None:
    """A text that is far too long for a path says how a video in base64 is given; it is not repeated."""
    with pytest.raises(OSError, match=r"is no path: a video in base64 is given as base64\.b64decode") as caught:
        source_of("AAAA" * 5000)
    assert len(str(caught.value)) < 200
    began = time.perf_counter()
    with pytest.raises(OSError, match="is no path"):
        source_of("data:" + "a;" * 500_000)
    assert time.perf_counter() - began < 5
