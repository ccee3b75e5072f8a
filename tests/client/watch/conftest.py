"""What tests of watching share: a live stream on loopback, clients that are slow or fail, and that nothing is left."""

import contextlib
import gc
import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import av
import numpy as np
import pytest

from staa_client import Explanation, Result, UnavailableError, contract
from staa_client.video.frames import Frames
from staa_client.watch.settings import WatchSettings
from staa_client.watch.stream import LiveSource, StopSignal, stream_frames
from staa_client.watch.windows import StreamFrame
from tests.client.conftest import document


def read(source: LiveSource, settings: WatchSettings, most: int = 10_000) -> list[StreamFrame]:
    """Return the first frames of a source, which is then stopped."""
    stop, found = StopSignal(), []
    stream = stream_frames(source, settings, stop)
    try:
        for frame in stream:
            found.append(frame)
            if len(found) == most:
                break
    finally:
        stop.stop()
        stream.close()
    return found


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """After each test no capture thread runs, and no process that one started."""
    yield
    gc.collect()
    assert not threads()
    assert not [children for task in Path("/proc/self/task").glob("*/children") if (children := task.read_text())]


def threads() -> list[str]:
    """Return the names of the threads that capture something."""
    return [thread.name for thread in threading.enumerate() if thread.name == "staa-watch"]


class _Pipe:
    """A file object that writes to a socket."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection

    def write(self, data: bytes) -> int:
        self.connection.sendall(data)
        return len(data)


def brightness(number: int) -> int:
    """Return the brightness of all pixels of frame `number` of a connection."""
    return 20 + number % 100 * 2


def _send(connection: socket.socket, frames: int, stopped: threading.Event) -> None:
    """Encode and send frames at their pace, one after the other."""
    with av.open(_Pipe(connection), "w", format="mpegts", options={"flush_packets": "1"}) as container:
        stream = container.add_stream("mpeg2video", rate=FPS, options={"g": "5", "bf": "0"})
        stream.width = stream.height = 96
        stream.pix_fmt = "yuv420p"
        begun = time.monotonic()
        for number in range(frames):
            if stopped.wait(max(0.0, begun + number / FPS - time.monotonic())):
                return
            picture = np.full((96, 96, 3), brightness(number), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))


class Live:
    """Serves MPEG-TS over HTTP or bare TCP: to connection n as many frames as `lives` says, to further ones the last.

    0 frames is a server that accepts and says nothing.
    """

    def __init__(self, *lives: int, scheme: str = "http") -> None:
        self.lives = list(lives)
        self.connections = 0
        self.scheme = scheme
        self._stopped = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(0.1)
        self._threads: list[threading.Thread] = []
        self.url = f"{scheme}://127.0.0.1:{self._listener.getsockname()[1]}" + ("/live.ts" if scheme == "http" else "")

    def _accept(self) -> None:
        while not self._stopped.is_set():
            with contextlib.suppress(TimeoutError):
                connection, _ = self._listener.accept()
                frames = self.lives[min(self.connections, len(self.lives) - 1)]
                self.connections += 1
                self._thread(self._serve, connection, frames)

    def _serve(self, connection: socket.socket, frames: int) -> None:
        with connection:
            connection.settimeout(5)
            with contextlib.suppress(OSError, av.FFmpegError):
                if not frames:
                    self._stopped.wait()
                    return
                if self.scheme == "http":
                    connection.recv(65536)
                    connection.sendall(_HEADERS)
                _send(connection, frames, self._stopped)

    def _thread(self, target: Any, *args: object) -> None:
        thread = threading.Thread(target=target, args=args, name="live-server")
        self._threads.append(thread)
        thread.start()

    def __enter__(self) -> Self:
        self._thread(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join(10)
        self._listener.close()


FPS = 25


_HEADERS = b"HTTP/1.0 200 OK\r\nContent-Type: video/mp2t\r\n\r\n"


class SlowClient:
    """A client whose server needs `seconds` for each window; it keeps what it was sent, and fails as it is told."""

    def __init__(self, seconds: float = 0.0, *errors: Exception | None) -> None:
        self.seconds = seconds
        self.errors = list(errors)
        self.seen: list[Frames] = []
        self.options: list[dict[str, object]] = []
        self.label = "moves down"

    def _body(self, frames: Frames, options: dict[str, object]) -> bytes:
        self.seen.append(frames)
        self.options.append(options)
        time.sleep(self.seconds)
        if self.errors and (error := self.errors.pop(0)) is not None:
            raise error
        return json.dumps(document(label=self.label)).encode()

    def explain(self, frames: Frames, model: str, **options: object) -> Explanation:
        """Return a whole explanation, by way of the contract."""
        return contract.explanation(200, {}, self._body(frames, {"model": model, **options}))

    def predict(self, frames: Frames, model: str, **options: object) -> Result:
        """Return labels only."""
        return contract.result(200, {}, self._body(frames, {"model": model, **options}))


class SlowAsyncClient(SlowClient):
    """The same for an event loop."""

    async def explain(self, frames: Frames, model: str, **options: object) -> Explanation:  # type: ignore[override]
        """Return a whole explanation, by way of the contract."""
        return super().explain(frames, model, **options)

    async def predict(self, frames: Frames, model: str, **options: object) -> Result:  # type: ignore[override]
        """Return labels only."""
        return super().predict(frames, model, **options)


def busy() -> UnavailableError:
    """Return what a server without a free worker gives."""
    return UnavailableError("no worker is free", code="busy", status=503)


def grabbed(seconds: float, fps: float = 10.0, size: int = 32) -> Iterator[tuple[float, Any]]:
    """Yield the frames of a caller's own grabber, which fills one buffer again and again."""
    buffer = np.zeros((size, size, 3), np.uint8)
    for number in range(round(seconds * fps)):
        buffer[:] = number
        yield number / fps, buffer
