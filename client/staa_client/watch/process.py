"""Reads a live source in its own process; this module is both the parent's side and the process.

FFmpeg cannot be interrupted while it looks up a host name, opens a camera or waits for a picture. A process can be
ended at any moment, and a picture that crashes the decoder ends only this process. It reads one line of JSON from its
standard input, the question, and ends when that is closed. To its standard output it writes messages: a line of JSON,
which says how many bytes follow, and these bytes, a picture.
"""

import contextlib
import json
import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np

from staa_client.video.frames import smaller
from staa_client.video.pictures_of import LivePicture, live_pictures
from staa_client.watch.address import LiveAddress

_STALLED = 3  # the exit status of a process whose source gave nothing for too long
_LOOK_EVERY = 0.1  # seconds between two looks at the watchdog


class LostError(Exception):
    """Says why the source cannot be opened or read."""


class ReaderProcess:
    """Starts a process that reads a source once, and receives its pictures.

    Args:
        address: The address of the source.
        longest: The most pixels of the longer edge of a picture.
        stall: Seconds to wait for the source to open, and for each frame.
    """

    def __init__(self, address: LiveAddress, longest: int, stall: float) -> None:
        if getattr(sys, "frozen", False) or not sys.executable:
            raise RuntimeError(
                "a live source is read by a second Python, and this program holds none that could be started; read it "
                "yourself and give (seconds, frame) pairs as the source"
            )
        self._stall = stall
        self._process = subprocess.Popen(  # noqa: S603  # this interpreter, this module
            [sys.executable, "-P", "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(str(Path(folder).absolute()) for folder in sys.path)},
            start_new_session=True,  # Ctrl-C is for the asker
        )
        asked = {"address": asdict(address), "longest": longest, "stall": stall}
        assert self._process.stdin is not None  # noqa: S101  # a pipe, as asked for
        with contextlib.suppress(OSError):  # where it ended at once, reading says so
            self._process.stdin.write(json.dumps(asked).encode() + b"\n")
            self._process.stdin.flush()

    def length(self) -> float:
        """Return the seconds that a recording says it lasts, infinite for a live source; call it once, first.

        Raises:
            LostError: the source cannot be opened within `stall` seconds.
        """
        return next((float(message["length"]) for message, _ in self._messages()), math.inf)

    def pictures(self) -> Iterator[LivePicture]:
        """Yield the pictures until the source ends.

        Raises:
            LostError: the source cannot be read, or no frame came for `stall` seconds.
        """
        for message, data in self._messages():
            width, height = message["size"]
            image = np.frombuffer(data, np.uint8).reshape(message["shape"])
            yield image, message["seconds"], (width, height), tuple(message["notes"])

    def _messages(self) -> Iterator[tuple[dict[str, Any], bytes]]:
        """Yield each message with the bytes after it; raise LostError if the last one is an error, or is missing."""
        assert self._process.stdout is not None  # noqa: S101  # a pipe, as asked for
        while (line := self._process.stdout.readline()).endswith(b"\n"):
            message = json.loads(line)
            if message.get("error"):
                raise LostError(message["error"])
            if "error" in message:
                return
            data = self._process.stdout.read(message["bytes"])
            if len(data) < message["bytes"]:
                break
            yield message, data
        status = self._process.wait()
        why = f"no frame for {self._stall:g} s" if status == _STALLED else f"its process ended with status {status}"
        raise LostError(why)

    def kill(self) -> None:
        """Kill the process at once; any thread may call this."""
        self._process.kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError), self._process:  # what was not yet written goes nowhere
            self._process.kill()


class _Watchdog:
    """Ends this process if `feed` was not called for `limit` seconds."""

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self.feed()

    def feed(self) -> None:
        """Start the time again."""
        self._until = time.monotonic() + self._limit

    def hold(self) -> None:
        """Stop the time until `feed` is called."""
        self._until = math.inf

    def run(self) -> None:
        """Check the time for ever; this never returns, but may end the process."""
        while time.monotonic() <= self._until:
            time.sleep(_LOOK_EVERY)
        os._exit(_STALLED)


def _end_with_asker() -> None:
    """Wait for the end of the parent process, and then end this process."""
    os.read(0, 1)  # nothing more is written; the end comes when the asker closes it, or is no more
    os._exit(0)


def _main() -> None:
    """Answer the question on standard input until the source or the parent process ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with os.fdopen(os.dup(0), "rb", buffering=0) as question:  # unbuffered, as _end_with_asker reads on
        asked = json.loads(question.readline())
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a driver prints is no message
    watchdog = _Watchdog(float(asked["stall"]))
    for run in (watchdog.run, _end_with_asker):
        threading.Thread(target=run, daemon=True).start()

    def send(data: Any = b"", **message: Any) -> None:  # anything with bytes; anything that JSON holds
        watchdog.hold()  # whoever reads may be slow
        try:
            out.write(json.dumps(message | {"bytes": memoryview(data).nbytes}).encode() + b"\n")
            out.write(data)
            out.flush()
        except BrokenPipeError:  # nobody reads any more
            os._exit(0)
        watchdog.feed()

    try:
        send(error=_send_pictures(LiveAddress(**asked["address"]), int(asked["longest"]), send))
    finally:
        os._exit(0)  # closing a device may hang


def _send_pictures(address: LiveAddress, longest: int, send: Callable[..., None]) -> str:
    """Send the pictures; return why there are no more, or "" at the end of the source."""
    try:
        with live_pictures(
            address.kind, address.name, address.device, address.options, partial(smaller, longest=longest), "SLICE"
        ) as (length, pictures):
            send(length=length)
            for image, seconds, size, notes in pictures:
                send(image, seconds=seconds, size=size, shape=image.shape, notes=notes)
    except (OSError, ValueError) as reason:
        return getattr(reason, "strerror", None) or str(reason)
    return ""


if __name__ == "__main__":
    _main()
