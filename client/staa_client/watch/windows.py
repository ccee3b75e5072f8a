"""Computes stream time from the times of a source, which may jump or restart, and cuts windows; it does no I/O."""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from staa_client.video.frames import Frame, Frames
from staa_client.video.origin import Origin


class StreamClock:
    """Computes stream time, the seconds since a stream's first frame, which go on through every gap.

    Args:
        longest: Seconds. If the source's times jump forward by more, or jump backwards, its clock was reset: this is a
            cut. Stream time then goes on by the time between the arrivals of the two frames. For source times 5.0 and
            0.0 that arrive 0.1 s apart, stream time goes from 5.0 to 5.1.
    """

    def __init__(self, longest: float) -> None:
        self._longest = longest
        self._last: tuple[float, float, float] | None = None

    def at(self, source_seconds: float, arrival: float, *, fresh: bool = False) -> tuple[float, bool]:
        """Return the stream time of the next frame, seconds, and whether it is the first after a cut.

        Args:
            source_seconds: The time of the frame in the source, in seconds; its zero can be anywhere.
            arrival: The time when it came, in seconds of any steady clock.
            fresh: Whether it is the first frame after the source was opened again.
        """
        if self._last is None:
            seconds, cut = 0.0, False
        else:
            stream, before, came = self._last
            cut = fresh or not 0 <= source_seconds - before <= self._longest
            seconds = stream + max(0.0, arrival - came if cut else source_seconds - before)
        self._last = (seconds, source_seconds, arrival)
        return seconds, cut


EPSILON = 1e-6
"""Times that differ by fewer seconds are the same time."""


@dataclass(frozen=True, slots=True, eq=False)
class StreamFrame:
    """Holds one frame of a stream, with its number and times."""

    image: Frame = field(repr=False)
    """(H, W, 3) uint8 RGB, in display orientation; may be smaller than the source."""
    seconds: float
    """Stream time: seconds since the stream's first frame, not descending, gaps included."""
    index: int
    """Number of the frame since the start of the stream; the first is 0."""
    source_size: tuple[int, int]
    """(width, height) of the source in pixels, in display orientation."""
    clock: float
    """The time when it was captured, in seconds since 1970 (UTC)."""
    arrival: float
    """The same time in seconds of the monotonic clock."""
    cut: bool = False
    """Whether it is the first frame after a cut; no window has frames from both sides of a cut."""
    reconnects: int = 0
    """How often the source was opened again before this frame."""
    live: bool = False
    """Whether the source is live, so that it does not wait until its frames are taken."""
    notes: tuple[str, ...] = ()
    """What was done to the source so far, beyond plain decoding."""


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """Holds the frames from [start, end) seconds of a stream that the model gets."""

    number: int
    """The number of the window in this stream; the first is 0."""
    start: float
    """Stream time, seconds."""
    end: float
    """Stream time, seconds; start + window, exactly."""
    stream_frames: tuple[StreamFrame, ...]
    """The frames nearest to evenly spread times, each once, at most as many as the model takes."""
    last: StreamFrame
    """The last frame before `end`, which may not be among `stream_frames`."""
    fps: float
    """Mean frame rate since the last cut, frames per second."""
    segment: int
    """How many cuts were before this window."""

    def frames(self, origin: Origin | None = None) -> Frames:
        """Return the window as frames of a video, with the times and numbers of the stream.

        The duration of the video is that of the stream at the end of the window. `origin` says of what it is a window.
        """
        return Frames(
            np.stack([frame.image for frame in self.stream_frames]),
            np.array([frame.seconds for frame in self.stream_frames]),
            np.array([frame.index for frame in self.stream_frames], np.int64),
            self.fps,
            self.end,
            self.stream_frames[0].source_size,
            self.last.notes,
            origin,
        )


def nearest(seconds: Sequence[float], start: float, length: float, count: int) -> NDArray[np.int64]:
    """Return the indices of the `seconds`, (N,) ascending, nearest to the centres of `count` equal parts of a window.

    Each index is returned once, so there may be fewer than `count`. They ascend.
    """
    known = np.asarray(seconds, np.float64)
    centres = start + (np.arange(count) + 0.5) * length / count
    return np.unique(np.searchsorted((known[:-1] + known[1:]) / 2, centres, side="right"))


class WindowBuffer:
    """Turns frames into windows of `window` seconds every `stride` seconds, from the first frame and from each cut.

    It keeps only the frames that some window needs: those nearest to its evenly spread times, and its first and last.
    There are never more than `bound`. A window is complete when a frame after it comes. A window without any frame is
    left out, and so is one that a cut interrupts.
    """

    def __init__(self, window: float, stride: float, frames: int) -> None:
        self.window = window
        self.stride = stride
        self.frames = frames
        self.bound = (frames + 2) * (math.ceil(window / stride) + 1)
        self._kept: deque[StreamFrame] = deque()
        self._latest: StreamFrame | None = None
        self._before = -math.inf
        """Stream time of the frame before the latest one, in seconds."""
        self._origin = 0.0
        """Stream time of the first frame after the last cut, in seconds."""
        self._span = 0.0
        """Seconds from that frame to the latest one."""
        self._count = 0
        """How many frames came after the last cut."""
        self._next = 0
        """The number, counted from the last cut, of the next window to complete."""
        self._windows = 0
        """How many windows were made so far."""
        self._segment = 0

    def __len__(self) -> int:
        return len(self._kept) + (self._latest is not None)

    def push(self, frame: StreamFrame) -> list[Window]:
        """Take a frame, and return the windows that it completes, oldest first."""
        latest = self._latest
        if latest is None or frame.cut or frame.image.shape != latest.image.shape:
            windows = self._complete_segment()
            self._segment += latest is not None
            self._kept.clear()
            self._latest, self._before, self._origin = frame, -math.inf, frame.seconds
            self._span, self._count, self._next = 0.0, 1, 0
            return windows
        self._keep(latest, frame.seconds)
        self._latest, self._span = frame, frame.seconds - self._origin
        self._count += 1
        return self._complete(frame.seconds)

    def finish(self) -> list[Window]:
        """Return the windows that are complete at the end of the stream.

        A stream without a cut that is shorter than a window gives one window with all its frames.
        """
        windows = self._complete_segment()
        if self._latest is not None and self._windows == self._segment == 0:
            length = self._span + (self._spacing() or self.window)
            windows = [self._window_of(self._origin, length, list(self._kept))]
        self._latest = None
        self._kept.clear()
        return windows

    def _complete_segment(self) -> list[Window]:
        """Return the windows that are complete if the last frame is displayed for the mean time between two frames."""
        if self._latest is None:
            return []
        self._keep(self._latest, math.inf)
        return self._complete(self._latest.seconds + self._spacing())

    def _start(self, index: int) -> float:
        """Return the start of window `index` after the last cut, in seconds of stream time."""
        return self._origin + index * self.stride

    def _spacing(self) -> float:
        """Return the mean seconds between two frames since the last cut; 0 if there is only one."""
        return self._span / (self._count - 1) if self._count > 1 else 0.0

    def _keep(self, latest: StreamFrame, after: float) -> None:
        """Keep the latest frame, if any window needs it; the next one comes at `after` seconds."""
        if self._is_needed(self._before, latest.seconds, after):
            self._kept.append(latest)
        self._before = latest.seconds

    def _is_needed(self, before: float, seconds: float, after: float) -> bool:
        """Return whether a window needs the frame at `seconds`; its neighbours are at `before` and `after`."""
        origin, step = self._origin, self.window / self.frames
        low, high = (before + seconds) / 2, (seconds + after) / 2
        first = max(self._next, math.floor((seconds - origin - self.window) / self.stride))
        for index in range(first, math.floor((seconds - origin + EPSILON) / self.stride) + 1):
            start, end = self._start(index), self._start(index) + self.window
            if not start - EPSILON <= seconds < end - EPSILON:
                continue
            if before < start - EPSILON or after >= end - EPSILON:
                return True
            centre = max(0, math.ceil((low - start) / step - 0.5 - EPSILON))
            if centre < self.frames and start + (centre + 0.5) * step < high + EPSILON:
                return True
        return False

    def _complete(self, until: float) -> list[Window]:
        """Return the windows that end at or before `until`, and drop the frames that no later window needs."""
        windows = []
        while (start := self._start(self._next)) + self.window <= until + EPSILON:
            end = start + self.window
            inside = [frame for frame in self._kept if start - EPSILON <= frame.seconds < end - EPSILON]
            self._next += 1
            if inside:
                windows.append(self._window_of(start, self.window, inside))
            else:  # nothing there: on to the window that ends after the next frame
                following = next((frame.seconds for frame in self._kept if frame.seconds >= end - EPSILON), until)
                ahead = math.floor((following - self._origin - self.window + EPSILON) / self.stride)
                self._next = max(self._next, ahead)
            while self._kept and self._kept[0].seconds < self._start(self._next) - EPSILON:
                self._kept.popleft()
        return windows

    def _window_of(self, start: float, length: float, inside: list[StreamFrame]) -> Window:
        chosen = nearest([frame.seconds for frame in inside], start, length, self.frames)
        self._windows += 1
        frames = tuple(inside[index] for index in chosen)
        fps = 1 / (self._spacing() or self.window)
        return Window(self._windows - 1, start, start + length, frames, inside[-1], fps, self._segment)
