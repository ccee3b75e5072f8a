"""A source as one stream of frames: opened, read at its pace, opened anew after a cut; and stopped at any moment."""

import logging
import math
import random
import threading
import time
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from staa_client._child import Child, LostError
from staa_client._clock import Clock
from staa_client._errors import StreamError
from staa_client._frames import Frame
from staa_client._grab import Picture, Place, opened, pictures, place_of, require_av, smaller
from staa_client._ring import Shot

LOG = logging.getLogger("staa_client.watch")
LiveSource = int | str | Path | Iterable[tuple[float, Frame]]
"""A camera's number, a stream's URL, a file's path, or (seconds, (H, W, 3) uint8 RGB) pairs."""
_SHORTEST, _LONGEST = 0.5, 30.0


@dataclass(frozen=True, slots=True)
class Reading:
    """How a source is read."""

    longest: int = 480
    """Pixels that the longer side of a kept frame has at most."""
    window: float = 2.0
    """Seconds; where a live source's own times jump by more, and by more than 2 s, is a cut."""
    paced: bool = True
    """A recording is played at its own pace, not as fast as it is taken."""
    reconnect: bool = True
    """A live source that ends or fails is opened anew."""
    reconnect_max: int | None = 20
    """Attempts in a row before it is given up; None for no end."""
    stall: float = 10.0
    """Seconds to wait for a live source to open, and for each frame."""
    av_options: Mapping[str, str] = field(default_factory=dict)
    """FFmpeg's options for opening the source."""

    def __post_init__(self) -> None:
        if self.longest < 16:
            msg = f"pictures have 16 pixels or more on their longer side, got {self.longest = }"
            raise ValueError(msg)
        if not self.stall > 0:
            msg = f"a source is waited for, for a positive number of seconds, got {self.stall = }"
            raise ValueError(msg)
        if self.reconnect_max is not None and self.reconnect_max < 0:
            msg = f"a source is opened again 0 times or more, or None for no end, got {self.reconnect_max = }"
            raise ValueError(msg)

    @property
    def gap(self) -> float:
        """Seconds; a longer jump of a live source's own times is a cut."""
        return max(2.0, self.window)


class Halt:
    """Stops a capture from another thread, once and for all, wherever it waits."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._lock = threading.Lock()
        self._child: Child | None = None

    def __bool__(self) -> bool:
        return self._event.is_set()

    def wait(self, seconds: float) -> bool:
        """Wait, unless stopped; whether it was."""
        return self._event.wait(max(0.0, seconds))

    def stop(self) -> None:
        """End the process that is read from, and every wait."""
        with self._lock:
            self._event.set()
            if self._child is not None:
                self._child.kill()

    @contextmanager
    def ending(self, child: Child) -> Iterator[Child]:
        """`stop` ends this process too."""
        with child:
            with self._lock:
                self._child = child
                if self._event.is_set():
                    child.kill()
            try:
                yield child
            finally:
                with self._lock:
                    self._child = None


def pause(attempt: int) -> float:
    """Seconds before the next attempt to open a source; the first is number 0. Doubles up to 30, less a random half."""
    return min(_SHORTEST * 2.0 ** min(attempt, 10), _LONGEST) * random.uniform(0.5, 1)


def shots(source: LiveSource, reading: Reading, halt: Halt) -> Generator[Shot, None, None]:
    """The frames of a source, until it ends or is stopped.

    Raises:
        StreamError: it cannot be opened, holds no frame, or was lost.
        ImportError: the package `av` is missing.
        OSError: a file cannot be opened.
        TypeError, ValueError: the source is none, or gives no frames.
    """
    if isinstance(source, int | str | Path):
        require_av()
        place = place_of(source, reading.av_options)
        found = _file(place, reading, halt) if place.kind == "file" else _live(place, reading, halt)
    else:
        found = _given(source, reading)
    for shot in found:
        if halt:
            return
        yield shot


def _given(source: Iterable[tuple[float, Frame]], reading: Reading) -> Iterator[Shot]:
    """The caller's own frames, copied, as grabbers use their buffers again."""
    clock, before = Clock(reading.gap), -math.inf
    for index, (own, image) in enumerate(source):
        if not (isinstance(image, np.ndarray) and image.ndim == 3 and image.shape[2] == 3 and image.dtype == np.uint8):
            shape = f"{getattr(image, 'shape', type(image).__name__)} {getattr(image, 'dtype', '')}".strip()
            msg = f"a source gives (seconds, (H, W, 3) uint8 RGB array) pairs, got {shape} as frame {index}"
            raise ValueError(msg)
        if not (math.isfinite(own) and own >= before):
            msg = f"the seconds of a source must ascend, got {own} after {before} at frame {index}"
            raise ValueError(msg)
        before = own
        size = (image.shape[1], image.shape[0])
        seconds, cut = clock.at(own, own)
        yield Shot(_copied(image, smaller(size, reading.longest)), seconds, index, size, time.time(), _now(), cut)


def _copied(image: Frame, size: tuple[int, int]) -> Frame:
    if size == (image.shape[1], image.shape[0]):
        return image.copy()
    from PIL import Image  # noqa: PLC0415  # Pillow takes a third of the time that `import staa_client` may

    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR), np.uint8)


def _file(place: Place, reading: Reading, halt: Halt) -> Iterator[Shot]:
    """A file's frames, at its pace or as fast as they are taken."""
    import av  # noqa: PLC0415  # an optional extra

    empty = True
    try:
        with opened(place) as container:
            for shot in _recorded(pictures(container, reading.longest, "AUTO"), reading, halt):
                empty = False
                yield shot
    except (av.FFmpegError, ValueError) as reason:
        msg = f"{place} cannot be read as a video ({getattr(reason, 'strerror', None) or reason}); give a video file"
        raise StreamError(msg, code="stream_unreadable") from reason
    if empty and not halt:
        msg = f"{place} holds no frame that can be decoded; give a video file"
        raise StreamError(msg, code="stream_unreadable")


def _recorded(found: Iterator[Picture], reading: Reading, halt: Halt) -> Iterator[Shot]:
    """The frames of a recording, whose times are its own however far apart."""
    clock, begun = Clock(math.inf), _now()
    for index, picture in enumerate(found):
        seconds, cut = clock.at(picture.seconds, picture.seconds)
        if reading.paced and halt.wait(begun + seconds - _now()):
            return
        yield Shot(picture.image, seconds, index, picture.size, time.time(), _now(), cut)


def _live(place: Place, reading: Reading, halt: Halt) -> Iterator[Shot]:
    """The frames of a camera or a stream, over all its cuts; of a recording on the web, until its end."""
    clock, index, reconnects, attempt = Clock(reading.gap), 0, 0, 0
    while not halt:
        why, fresh = "it ended", index > 0
        with halt.ending(Child(place, reading.longest, reading.stall)) as child:
            try:
                if math.isfinite(child.length()) and place.name.lower().startswith("http"):
                    if fresh:  # an event that ended is a recording from then on, which begins with what was seen
                        LOG.info("%s has ended: what is there now is its recording", place)
                    else:
                        yield from _downloaded(place, child.pictures(), reading, halt)
                    return
                for picture in child.pictures():
                    seconds, cut = clock.at(picture.seconds, _now(), fresh=fresh)
                    if fresh:
                        reconnects += 1
                        LOG.warning("%s is read again, after %d attempts", place, attempt)
                    fresh, attempt = False, 0
                    yield Shot(
                        picture.image, seconds, index, picture.size, time.time(), _now(), cut, reconnects, live=True
                    )
                    index += 1
            except LostError as reason:
                why = str(reason)
        if halt:
            return
        if not index or not reading.reconnect or attempt == reading.reconnect_max:
            raise _gone(place, why, index, attempt)
        seconds = pause(attempt)
        LOG.warning("%s was lost (%s); it is opened again in %.1f s", place, why, seconds)
        halt.wait(seconds)
        attempt += 1


def _downloaded(place: Place, found: Iterator[Picture], reading: Reading, halt: Halt) -> Iterator[Shot]:
    """The frames of a recording on the web; it is not opened again, as it would begin with its first frame."""
    count = 0
    try:
        for count, shot in enumerate(_recorded(found, reading, halt), 1):  # noqa: B007  # told where it breaks off
            yield shot
    except LostError as reason:
        if not halt:
            raise _gone(place, str(reason), count, 0) from None  # its text is in the message


def _gone(place: Place, why: str, frames: int, attempts: int) -> StreamError:
    """The error of a source that ended or failed after so many frames, and attempts to open it again."""
    if not frames:
        return StreamError(_unreachable(place, why), code="stream_unreachable")
    tried = f", and {attempts} attempts to open it again failed" if attempts else ""
    msg = f"{place} was lost after {frames} frames{tried} ({why}); watch it again when it is back"
    return StreamError(msg, code="stream_lost")


def _unreachable(place: Place, why: str) -> str:
    if place.kind == "camera":
        return (
            f"no picture from the camera {place} ({why}); is it plugged in, used by no other program, and may this "
            "user read it (on Linux: group video)? Other cameras have the numbers 1, 2, ..."
        )
    return (
        f"no picture from {place} ({why}); check the address, its user and password, and that a player on this machine "
        "shows it"
    )


def _now() -> float:
    return time.monotonic()
