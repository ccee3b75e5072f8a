"""A live source is read in a process of its own: both ends of it.

FFmpeg cannot be interrupted while it looks up a name, opens a camera or waits for a picture; a process can be ended at
any moment, and a picture that crashes a decoder ends no more than it. The process is asked one line of JSON on its
standard input and ends when that is closed; on its standard output it answers with messages.
"""

import contextlib
import json
import math
import os
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

import numpy as np

from staa_client._grab import Picture, Place, length, opened, pictures

_HEAD = struct.Struct("<cQ")
"""Of a message: "L" the length, "P" a picture or "E" the end, and how many bytes follow."""
_SECONDS = struct.Struct("<d")
_PICTURE = struct.Struct("<d4I")
"""Own time in seconds, width and height of the source, and of the picture, whose bytes follow."""
_STALLED = 3
_LOOK = 0.1  # seconds between two looks at the watchdog

Tell = Callable[..., None]


class LostError(Exception):
    """The source cannot be opened or read; the text says why."""


class Child:
    """The process that reads one source, once.

    Args:
        place: What to read.
        longest: Pixels that the longer side of a picture has at most.
        stall: Seconds to wait for the source to open, and for each frame.
    """

    def __init__(self, place: Place, longest: int, stall: float) -> None:
        if getattr(sys, "frozen", False) or not sys.executable:
            msg = (
                "a live source is read by a second Python, and this program holds none that could be started; read it "
                "yourself and give (seconds, frame) pairs as the source"
            )
            raise RuntimeError(msg)
        self._stall = stall
        self._process = subprocess.Popen(  # noqa: S603  # this interpreter, this module
            [sys.executable, "-P", "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(str(Path(each).absolute()) for each in sys.path)},
            start_new_session=True,  # Ctrl-C is for the asker
        )
        asked = {"place": asdict(place), "longest": longest, "stall": stall}
        with contextlib.suppress(OSError):  # where it ended at once, reading says so
            self._stdin.write(json.dumps(asked).encode() + b"\n")
            self._stdin.flush()

    @property
    def _stdin(self) -> Any:  # IO[bytes], as it was asked for
        return self._process.stdin

    def length(self) -> float:
        """Seconds that a recording says it lasts, infinite for what is live; asked first, once.

        Raises:
            LostError: the source cannot be opened in `stall` seconds.
        """
        return next((float(_SECONDS.unpack(body)[0]) for _, body in self._messages()), math.inf)

    def pictures(self) -> Iterator[Picture]:
        """The pictures, until the source ends.

        Raises:
            LostError: the source cannot be read, or no frame came for `stall` seconds.
        """
        for _, body in self._messages():
            seconds, source_width, source_height, width, height = _PICTURE.unpack_from(body)
            image = np.frombuffer(body, np.uint8, offset=_PICTURE.size).reshape(height, width, 3)
            yield Picture(image, seconds, (source_width, source_height))

    def _messages(self) -> Iterator[tuple[bytes, bytes]]:
        while head := self._read(_HEAD.size):
            kind, size = _HEAD.unpack(head)
            body = self._read(size)
            if kind == b"E":
                if body:
                    raise LostError(body.decode())
                return
            yield kind, body
        status = self._process.wait()
        why = f"no frame for {self._stall:g} s" if status == _STALLED else f"its process ended with status {status}"
        raise LostError(why)

    def _read(self, size: int) -> bytes:
        """That many bytes, or none at the end."""
        assert self._process.stdout is not None  # noqa: S101  # a pipe, as asked for
        found = self._process.stdout.read(size)
        return found if len(found) == size else b""

    def kill(self) -> None:
        """End it at once; from any thread."""
        self._process.kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):  # what was not yet written goes nowhere
                    pipe.close()


class _Watchdog:
    """Ends the process when it was fed longer than `limit` seconds ago."""

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self.feed()

    def feed(self) -> None:
        self._until = time.monotonic() + self._limit

    def hold(self) -> None:
        self._until = math.inf

    def run(self) -> None:
        while time.monotonic() <= self._until:
            time.sleep(_LOOK)
        os._exit(_STALLED)


def _end_with_asker() -> None:
    os.read(0, 1)  # nothing more is written; the end comes when the asker closes it, or is no more
    os._exit(0)


def _main() -> None:
    """Answer the question on standard input, until the source or the asker ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with os.fdopen(os.dup(0), "rb", buffering=0) as question:  # unbuffered, as _end_with_asker reads on
        asked = json.loads(question.readline())
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a driver prints is no message
    watchdog = _Watchdog(float(asked["stall"]))
    for run in (watchdog.run, _end_with_asker):
        threading.Thread(target=run, daemon=True).start()

    def tell(kind: bytes, *parts: Any) -> None:  # anything with bytes
        watchdog.hold()  # whoever reads may be slow
        try:
            out.write(_HEAD.pack(kind, sum(memoryview(part).nbytes for part in parts)))
            for part in parts:
                out.write(part)
            out.flush()
        except BrokenPipeError:  # nobody reads any more
            os._exit(0)
        watchdog.feed()

    try:
        tell(b"E", _answer(Place(**asked["place"]), int(asked["longest"]), tell).encode())
    finally:
        os._exit(0)  # closing a device may hang


def _answer(place: Place, longest: int, tell: Tell) -> str:
    """Tell the pictures; returns why there are no more, or nothing at the end of the source."""
    import av  # noqa: PLC0415  # an optional extra

    try:
        with opened(place) as container:
            tell(b"L", _SECONDS.pack(length(container)))
            for picture in pictures(container, longest, "SLICE"):
                height, width = picture.image.shape[:2]
                tell(b"P", _PICTURE.pack(picture.seconds, *picture.size, width, height), picture.image)
    except (av.FFmpegError, OSError, ValueError) as reason:
        # FFmpeg's own text would name the address, password and all.
        return getattr(reason, "strerror", None) or str(reason)
    return ""


if __name__ == "__main__":
    _main()
