"""Which frames of a video a model sees, and which seconds each of its token steps stands for: pure arithmetic."""

import math
from collections.abc import Collection, Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from staa.errors import NoFramesError, OptionError

EPSILON = 1e-6
"""Seconds. A time that a client read from a reply and sent back, rounded to microseconds, still names its frame."""


def choose(
    seconds: NDArray[np.float64],
    duration: float,
    wanted: int,
    start: float | None = None,
    end: float | None = None,
) -> NDArray[np.int64]:
    """Choose frames uniformly in source time.

    The segment is [start, end): the frame on display at `start` belongs to it, a frame that appears at `end` does not.
    With enough frames, `wanted` times from its first frame to its last one each take the frame on display. With fewer,
    the segment is cut into `wanted` equal cells and each takes the frame displayed at its centre: frames repeat evenly.

    Args:
        seconds: (N,) ascending display times of all frames, seconds; the first is 0.
        duration: length of the source, seconds.
        wanted: number of frames to choose, at least 1.
        start: start of the segment, seconds; None is the start of the source.
        end: end of the segment, seconds, clamped to the duration; None is the end of the source.

    Returns:
        (wanted,) ascending indices into `seconds`.

    Raises:
        OptionError: start or end is negative or not finite, or the segment is empty.
        NoFramesError: there is no frame, or the segment starts at the end of the source or later.
    """
    if wanted < 1:
        msg = f"at least one frame must be wanted, got {wanted = }"
        raise ValueError(msg)
    begin, stop = _segment(duration, start, end)
    if len(seconds) == 0:
        raise NoFramesError("the video holds no frame: send a video with at least one")

    first = int(_on_display(seconds, np.array(begin)))
    last = len(seconds) - 1 if end is None or end >= duration else int(np.searchsorted(seconds, stop - EPSILON)) - 1
    last = max(first, last)
    if last - first + 1 >= wanted:
        times = np.linspace(seconds[first], seconds[last], wanted)
    else:
        times = begin + (np.arange(wanted) + 0.5) * (stop - begin) / wanted
    return np.clip(_on_display(seconds, times), first, last)


def steps(clip_seconds: NDArray[np.float64], fps: float, duration: float, t: int) -> NDArray[np.float64]:
    """Cut the time that a clip covers into `t` equal token steps.

    The clip covers the source from its first frame to the end of its last one, `1 / fps` later but not beyond the
    source. At a steady rate frame i of T is on display during step `i * t // T`.

    Args:
        clip_seconds: (T,) ascending times of the chosen frames, seconds.
        fps: frame rate of the source, frames per second.
        duration: length of the source, seconds.
        t: number of token steps.

    Returns:
        (t, 2) start and end of each step, seconds; each step starts where the one before it ends.
    """
    edges = np.linspace(clip_seconds[0], min(duration, clip_seconds[-1] + 1 / fps), t + 1)
    return np.stack([edges[:-1], edges[1:]], axis=1)


def timeline(
    ticks: Sequence[int | None], base: float, last: int, average: Fraction | None, guessed: Fraction | None
) -> tuple[NDArray[np.float64], float, float]:
    """Turn the display times that a container gives into seconds.

    Where a time is missing or they run backwards, frames are taken to follow each other at a steady rate.

    Args:
        ticks: times of all frames in display order, units of `base`.
        base: seconds of one tick.
        last: duration of the last frame, ticks; 0 where it is not known.
        average: frames per second, made of the times of the container.
        guessed: frames per second, made of what the frames themselves state.

    Returns:
        seconds: (N,) ascending times, the first is 0.
        fps: mean frame rate, frames per second.
        duration: seconds from the first frame to the end of the last.
    """
    known = np.array([tick for tick in ticks if tick is not None], np.float64)
    timed = len(known) == len(ticks) and bool(np.all(np.diff(known) >= 0))
    stated = float((average or guessed or 25) if timed else (guessed or average or 25))
    seconds = (known - known[:1]) * base if timed else np.arange(len(ticks)) / stated
    span = float(seconds[-1]) if len(seconds) else 0.0
    mean = (len(seconds) - 1) / span if span > 0 else stated
    # Times are rounded to the container's clock: where the stated rate agrees with them, it is the exact one.
    fps = stated if abs(stated - mean) <= 0.01 * mean else mean
    return seconds, fps, span + (last * base if last and timed else 1 / fps)


def runs(ticks: Sequence[int], keys: Sequence[bool], wanted: Collection[int]) -> list[slice]:
    """Return the slices of the packets, in decoding order, that must be decoded for the frames displayed at `wanted`.

    Each starts at a key frame and ends with a wanted frame. A frame that is displayed before the key frame that it
    follows depends on the key frame before that one.

    Args:
        ticks: (N,) display times in decoding order, all different; the first is the earliest.
        keys: (N,) whether each is a key frame; the first is.
        wanted: some of `ticks`.
    """
    seen: list[int] = []
    slices: list[slice] = []
    for place, tick in enumerate(ticks):
        if keys[place]:
            seen.append(place)
        if tick in wanted:
            key = next(key for key in reversed(seen) if ticks[key] <= tick)
            while slices and key <= slices[-1].stop:  # the same run, or one that touches it
                key = min(key, slices.pop().start)
            slices.append(slice(key, place + 1))
    return slices


def _segment(duration: float, start: float | None, end: float | None) -> tuple[float, float]:
    """Check a segment and return its start and end in seconds, the end clamped to the duration."""
    for name, value in (("start", start), ("end", end)):
        if value is not None and not (math.isfinite(value) and value >= 0):
            msg = f"{name} = {value} is no time in the video: give seconds, 0 or more"
            raise OptionError(msg)
    begin = 0.0 if start is None else start
    if end is not None and begin >= end:
        msg = f"the segment from {begin} s to {end} s is empty: start must be less than end"
        raise OptionError(msg)
    if start is not None and start >= duration:
        msg = f"start = {start} s is not before the end of the video, {duration:.3f} s: ask for an earlier segment"
        raise NoFramesError(msg)
    return begin, duration if end is None else min(end, duration)


def _on_display(seconds: NDArray[np.float64], times: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the index of the last frame that appeared at or before each time, of the first frame where none did."""
    return np.maximum(np.searchsorted(seconds, times + EPSILON, side="right") - 1, 0).astype(np.int64)
