"""Windows over the seconds of a stream, out of a buffer that keeps only the frames that some window needs: pure."""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from staa_client._frames import Frame, Frames

EPSILON = 1e-6
"""Seconds; times that differ by less are the same time."""


@dataclass(frozen=True, slots=True, eq=False)
class Shot:
    """One frame of a stream."""

    image: Frame = field(repr=False)
    """(H, W, 3) uint8 RGB, in display orientation; may be smaller than the source."""
    seconds: float
    """Stream time: seconds since the stream's first frame, not descending, gaps included."""
    index: int
    """Number of the frame since the start of the stream; the first is 0."""
    size: tuple[int, int]
    """(width, height) of the source in pixels, in display orientation."""
    clock: float
    """When it was captured, seconds since 1970 (UTC)."""
    arrival: float
    """The same on the monotonic clock, seconds."""
    cut: bool = False
    """It is the first after a cut: no window holds frames from both sides."""
    reconnects: int = 0
    """How often the source was opened anew before this frame."""
    live: bool = False
    """The source does not wait for whoever takes its frames."""


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """The frames of [start, end) seconds of a stream that a model is shown."""

    number: int
    """Of the windows of this stream; the first is 0."""
    start: float
    """Stream time, seconds."""
    end: float
    """Stream time, seconds; start + window, exactly."""
    shots: tuple[Shot, ...]
    """At most as many as the model takes, each once, those nearest to evenly spread times."""
    last: Shot
    """The last frame of these seconds, which a window of few frames may not hold."""
    fps: float
    """Mean frame rate since the last cut, frames per second."""
    segment: int
    """Rises at each cut."""

    def frames(self) -> Frames:
        """The window as a video: times and numbers are those of the stream, which is as long as it was by now."""
        return Frames(
            np.stack([shot.image for shot in self.shots]),
            np.array([shot.seconds for shot in self.shots]),
            np.array([shot.index for shot in self.shots], np.int64),
            self.fps,
            self.end,
            self.shots[0].size,
        )


def nearest(seconds: Sequence[float], start: float, length: float, wanted: int) -> NDArray[np.int64]:
    """The places in `seconds`, (N,) ascending, nearest to the centres of `wanted` equal parts; each once, ascending."""
    known = np.asarray(seconds, np.float64)
    centres = start + (np.arange(wanted) + 0.5) * length / wanted
    return np.unique(np.searchsorted((known[:-1] + known[1:]) / 2, centres, side="right"))


class Ring:
    """Turns frames into windows of `window` seconds every `stride` seconds, from the first frame and from each cut.

    Of the frames it keeps those that are nearest to a time that some window asks for, and the first and last of each
    window: never more than `bound`. A window is complete when a frame after it comes. Windows without a frame of their
    own are left out, as is what a cut leaves of one.
    """

    def __init__(self, window: float, stride: float, frames: int) -> None:
        self.window = window
        self.stride = stride
        self.frames = frames
        self.bound = (frames + 2) * (math.ceil(window / stride) + 1)
        self._kept: deque[Shot] = deque()
        self._first: Shot | None = None
        self._before: Shot | None = None
        self._latest: Shot | None = None
        self._count = 0
        self._next = 0
        self._number = 0
        self._segment = 0

    def __len__(self) -> int:
        return len(self._kept) + (self._latest is not None)

    def push(self, shot: Shot) -> list[Window]:
        """The windows that this frame completes, oldest first."""
        if self._latest is None:
            self._begin(shot)
            return []
        if shot.cut or shot.image.shape != self._latest.image.shape:
            done = self._rest()
            self._segment += 1
            self._begin(shot)
            return done
        self._settle(shot.seconds)
        self._latest = shot
        self._count += 1
        return self._complete(shot.seconds)

    def finish(self) -> list[Window]:
        """The windows that the end of the stream completes.

        A stream shorter than a window, without a cut, gives one window with all of it.
        """
        latest = self._latest
        done = self._rest()
        if not done and self._number == 0 and self._segment == 0 and latest is not None and self._first is not None:
            end = latest.seconds + (self._spacing() or 1 / self._fps())
            done = [self._made(self._first.seconds, end - self._first.seconds, list(self._kept))]
        self._latest = None
        self._kept.clear()
        return done

    def _begin(self, shot: Shot) -> None:
        self._kept.clear()
        self._first, self._latest, self._before = shot, shot, None
        self._count, self._next = 1, 0

    def _rest(self) -> list[Window]:
        """What is complete as the last frame, too, is on display for as long as the others were."""
        if self._latest is None:
            return []
        end = self._latest.seconds + self._spacing()
        self._settle(math.inf)
        return self._complete(end)

    def _start(self, place: int) -> float:
        return 0.0 if self._first is None else self._first.seconds + place * self.stride

    def _spacing(self) -> float:
        """Mean seconds between two frames since the cut; 0 where there is but one."""
        if self._first is None or self._latest is None or self._count < 2:
            return 0.0
        return (self._latest.seconds - self._first.seconds) / (self._count - 1)

    def _fps(self) -> float:
        spacing = self._spacing()
        return 1 / spacing if spacing > 0 else 1 / self.window

    def _settle(self, after: float) -> None:
        """Keep the latest frame, if any window needs it; the next one comes at `after` seconds."""
        latest = self._latest
        if latest is None:
            return
        before = -math.inf if self._before is None else self._before.seconds
        if self._needed(before, latest.seconds, after):
            self._kept.append(latest)
        self._before = latest

    def _needed(self, before: float, at: float, after: float) -> bool:
        origin, step = self._start(0), self.window / self.frames
        low, high = (before + at) / 2, (at + after) / 2
        first = max(self._next, math.floor((at - origin - self.window) / self.stride))
        for place in range(first, math.floor((at - origin + EPSILON) / self.stride) + 1):
            start, end = self._start(place), self._start(place) + self.window
            if not start - EPSILON <= at < end - EPSILON:
                continue
            if before < start - EPSILON or after >= end - EPSILON:
                return True
            part = max(0, math.ceil((low - start) / step - 0.5 - EPSILON))
            if part < self.frames and start + (part + 0.5) * step < high + EPSILON:
                return True
        return False

    def _complete(self, until: float) -> list[Window]:
        done = []
        while (start := self._start(self._next)) + self.window <= until + EPSILON:
            end = start + self.window
            shots = [shot for shot in self._kept if start - EPSILON <= shot.seconds < end - EPSILON]
            self._next += 1
            if shots:
                done.append(self._made(start, self.window, shots))
            else:  # nothing there: on to the window that ends after the next frame
                following = next((shot.seconds for shot in self._kept if shot.seconds >= end - EPSILON), until)
                ahead = math.floor((following - self._start(0) - self.window + EPSILON) / self.stride)
                self._next = max(self._next, ahead)
            while self._kept and self._kept[0].seconds < self._start(self._next) - EPSILON:
                self._kept.popleft()
        return done

    def _made(self, start: float, length: float, shots: list[Shot]) -> Window:
        chosen = nearest([shot.seconds for shot in shots], start, length, self.frames)
        self._number += 1
        picked = tuple(shots[place] for place in chosen)
        return Window(self._number - 1, start, start + length, picked, shots[-1], self._fps(), self._segment)
