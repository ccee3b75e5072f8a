"""Reads a source as one stream of frames: at its pace, again after a connection is lost, and until it is stopped."""

import logging
import math
import random
import threading
import time
from collections.abc import Generator, Iterable, Iterator
from functools import partial
from itertools import takewhile
from pathlib import Path

import numpy as np

from staa_client.errors import StreamError
from staa_client.video.frames import Frame, smaller
from staa_client.video.pictures_of import LivePicture, live_pictures, require_extra, resized
from staa_client.watch.address import LiveAddress, address_of
from staa_client.watch.process import LostError, ReaderProcess
from staa_client.watch.settings import WatchSettings
from staa_client.watch.windows import StreamClock, StreamFrame

LOG = logging.getLogger("staa_client.watch")
LiveSource = int | str | Path | Iterable[tuple[float, Frame]]
"""A camera's number, a stream's URL, a file's path, or (seconds, (H, W, 3) uint8 RGB) pairs."""
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0


class StopSignal:
    """Stops a capture from another thread, wherever it waits; it cannot be started again."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._lock = threading.RLock()  # the garbage collector may call `stop` in the thread that has it
        self._process: ReaderProcess | None = None

    def __bool__(self) -> bool:
        return self._event.is_set()

    def wait(self, seconds: float) -> bool:
        """Wait for so many seconds, or until stopped; return whether it was stopped."""
        return self._event.wait(max(0.0, seconds))

    def stop(self) -> None:
        """End the process that reads the source, and every wait."""
        with self._lock:
            self._event.set()
            if self._process is not None:
                self._process.kill()

    def ending(self, process: ReaderProcess) -> ReaderProcess:
        """Register the process that `stop` must end, the only one that reads, and return it."""
        with self._lock:
            self._process = process
            if self._event.is_set():
                process.kill()
        return process


def pause(attempt: int) -> float:
    """Return the seconds to wait before the next attempt to open a source.

    They double with each attempt up to 30, and a random part of up to a half is taken off.

    Args:
        attempt: The number of the attempt; the first is 0.
    """
    return min(_SHORTEST_PAUSE * 2.0 ** min(attempt, 10), _LONGEST_PAUSE) * random.uniform(0.5, 1)


def stream_frames(source: LiveSource, settings: WatchSettings, stop: StopSignal) -> Generator[StreamFrame, None, None]:
    """Yield the frames of a source until it ends or is stopped.

    Raises:
        StreamError: the source cannot be opened, has no frame, or was lost.
        ImportError: the extra `video` is missing.
        OSError: a file cannot be opened.
        TypeError, ValueError: the source has a wrong type, or yields something else than frames.
    """
    if isinstance(source, int | str | Path):
        require_extra("cameras, streams and files")
        address = address_of(source, settings.av_options or {})
        read = _file_frames if address.kind == "file" else _live_frames
        frames = read(address, settings, stop)
    else:
        frames = _copied_frames(source, settings)
    yield from takewhile(lambda _: not stop, frames)


def _copied_frames(source: Iterable[tuple[float, Frame]], settings: WatchSettings) -> Iterator[StreamFrame]:
    """Yield copies of the caller's frames, since a frame grabber may use its buffer again."""
    clock, before = StreamClock(settings.gap), -math.inf
    for index, pair in enumerate(source):
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise ValueError(
                f"a source gives (seconds, (H, W, 3) uint8 RGB array) pairs, got {pair!r:.100} as item {index}"
            )
        source_seconds, image = pair
        if not (isinstance(image, np.ndarray) and image.ndim == 3 and image.shape[2] == 3 and image.dtype == np.uint8):
            shape = f"{getattr(image, 'shape', type(image).__name__)} {getattr(image, 'dtype', '')}".strip()
            raise ValueError(f"a source gives (seconds, (H, W, 3) uint8 RGB array) pairs, got {shape} as frame {index}")
        if not (math.isfinite(source_seconds) and source_seconds >= before):
            msg = f"the seconds of a source must ascend, got {source_seconds} after {before} at frame {index}"
            raise ValueError(msg)
        before = source_seconds
        size = (image.shape[1], image.shape[0])
        seconds, cut = clock.at(source_seconds, source_seconds)
        width, height = smaller(size, settings.longest)
        copied = np.array(resized(image, height, width))
        yield StreamFrame(copied, seconds, index, size, time.time(), time.monotonic(), cut)


def _file_frames(address: LiveAddress, settings: WatchSettings, stop: StopSignal) -> Iterator[StreamFrame]:
    """Yield the frames of a file, at its own pace or as fast as they are taken."""
    frame: StreamFrame | None = None
    try:
        with live_pictures(
            address.kind, address.name, None, address.options, partial(smaller, longest=settings.longest), "AUTO"
        ) as (_, pictures):
            for frame in _recorded_frames(pictures, settings, stop):
                yield frame
    except ValueError as reason:
        msg = f"{address} cannot be read as a video ({reason}); give a video file"
        raise StreamError(msg, code="stream_unreadable") from reason
    if frame is None and not stop:
        raise StreamError(f"{address} holds no frame that can be decoded; give a video file", code="stream_unreadable")


def _recorded_frames(
    pictures: Iterator[LivePicture], settings: WatchSettings, stop: StopSignal
) -> Iterator[StreamFrame]:
    """Yield the frames of a recording; a large gap between its times is no cut."""
    clock, begun = StreamClock(math.inf), time.monotonic()
    for index, (image, source_seconds, size, notes) in enumerate(pictures):
        seconds, cut = clock.at(source_seconds, source_seconds)
        if not settings.keeps and stop.wait(begun + seconds - time.monotonic()):
            return
        yield StreamFrame(image, seconds, index, size, time.time(), time.monotonic(), cut, notes=notes)


def _live_frames(address: LiveAddress, settings: WatchSettings, stop: StopSignal) -> Iterator[StreamFrame]:
    """Yield the frames of a camera or a stream, and go on after each cut; a recording on the web is read to its end."""
    clock, index, reconnects, attempt, is_recording = StreamClock(settings.gap), 0, 0, 0, False
    while not stop:
        why, fresh = "it ended", index > 0
        with stop.ending(ReaderProcess(address, settings.longest, settings.stall)) as process:
            try:
                is_recording = math.isfinite(process.length()) and address.name.lower().startswith("http")
                if is_recording and fresh:  # an event that ended is one from then on, which begins with what was seen
                    LOG.info("%s has ended: what is there now is its recording", address)
                    return
                if is_recording:
                    for frame in _recorded_frames(process.pictures(), settings, stop):
                        yield frame
                        index += 1
                    return
                for image, source_seconds, size, notes in process.pictures():
                    seconds, cut = clock.at(source_seconds, time.monotonic(), fresh=fresh)
                    if fresh:
                        reconnects += 1
                        LOG.warning("%s is read again, after %d attempts", address, attempt)
                    fresh, attempt = False, 0
                    now = time.time(), time.monotonic()
                    yield StreamFrame(image, seconds, index, size, *now, cut, reconnects, live=True, notes=notes)
                    index += 1
            except LostError as reason:
                why = str(reason)
        if stop:
            return
        if not index or is_recording or not settings.reconnect or attempt == settings.reconnect_max:
            raise _lost(address, why, index, attempt)
        seconds = pause(attempt)
        LOG.warning("%s was lost (%s); it is opened again in %.1f s", address, why, seconds)
        stop.wait(seconds)
        attempt += 1


def _lost(address: LiveAddress, why: str, frames: int, attempts: int) -> StreamError:
    """Return the error for a source that ended or failed, after so many frames and attempts to open it again."""
    if not frames:
        return StreamError(_unreachable(address, why), code="stream_unreachable")
    tried = f", and {attempts} attempts to open it again failed" if attempts else ""
    msg = f"{address} was lost after {frames} frames{tried} ({why}); watch it again when it is back"
    return StreamError(msg, code="stream_lost")


def _unreachable(address: LiveAddress, why: str) -> str:
    """Return the message for a source that gave no picture, with what to do."""
    if address.kind == "camera":
        return (
            f"no picture from the camera {address} ({why}); is it plugged in, used by no other program, and may this "
            "user read it (on Linux: group video)? Other cameras have the numbers 1, 2, ..."
        )
    return (
        f"no picture from {address} ({why}); check the address, its user and password, and that a player on this "
        "machine shows it"
    )
