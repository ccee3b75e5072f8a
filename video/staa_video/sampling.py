"""Chooses the frames of a video that a model sees, and the seconds of each token step: arithmetic only."""

import math
from bisect import bisect_right
from collections.abc import Collection, Sequence
from fractions import Fraction
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from staa_video.errors import NoFramesError, OptionError

EPSILON = 1e-6
"""Tolerance in seconds: a time that a client read in a reply, rounded to microseconds, still means the same frame."""
RESET_SECONDS, STEADY_SECONDS = 5.0, 10_000.0
"""The shortest jump forward, in seconds, of a clock that may be set anew, as in MPEG-TS; and of one that runs through
all of a file. These are mpv's (player/video.c); ffmpeg has 10 s for the first, and none for the second."""
JUMP_SPACINGS = 20
"""How many times longer than the spacings beside it a gap is that is a jump: the pictures of a slide show are none."""
BACKWARD_SECONDS = 0.1
"""The shortest jump backward, in seconds, as in ffmpeg."""
_MPEG_TICK = 1 / 90_000
TURN_SECONDS = 2**33 * _MPEG_TICK
"""After so many seconds the clock of MPEG begins anew; FFmpeg takes a jump backward for a turn of it."""


SHORTEST_SECONDS, USUAL_SECONDS = 0.02, 0.1
"""A picture of an animation that is to be displayed for less than the first stays for the second, as in browsers."""


class Jump(NamedTuple):
    """Holds one jump of a container's clock, both in seconds."""

    after: float
    """When it happens, from the first frame on, jumps before it closed."""
    gap: float
    """From the end of the frame before to the frame after; negative where the clock runs back."""


def choose(
    seconds: NDArray[np.float64], duration: float, wanted: int, start: float | None = None, end: float | None = None
) -> NDArray[np.int64]:
    """Choose frames uniformly in source time.

    The segment is [start, end): the frame on display at `start` belongs to it, a frame that appears at `end` does not.
    With enough frames, `wanted` times are spread evenly from its first frame to its last one, and each takes the frame
    on display. With fewer, the segment is cut into `wanted` equal cells, and each takes the frame on display at its
    centre: 4 wanted of 2 frames are the frames 0, 0, 1, 1.

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
        raise ValueError(f"at least one frame must be wanted, got {wanted = }")
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

    If a time is missing or the times run backwards, the frames get the times of a constant frame rate.

    Args:
        ticks: times of all frames in display order, units of `base`.
        base: seconds of one tick.
        last: duration of the last frame, ticks; 0 where it is not known.
        average: frames per second, computed from the times of the container.
        guessed: frames per second that the coded frames themselves state.

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


def jumps_forward(gap: float, beside: float, *, resets: bool) -> bool:
    """Tell whether the clock jumps forward between two frames.

    Args:
        gap: from the one frame to the other, seconds.
        beside: the longer one of the spacings before and after it, seconds.
        resets: whether the container's clock may be set anew.
    """
    return gap >= (RESET_SECONDS if resets else STEADY_SECONDS) and gap > JUMP_SPACINGS * beside


def closed(
    ticks: NDArray[np.int64], coded: NDArray[np.int64], base: float, *, resets: bool
) -> tuple[NDArray[np.int64], list[Jump]]:
    """Close the jumps of a clock, so that the frame after a jump follows the one before it as others do.

    At 25 ticks a second the times 0, 1, 2, 900, 901 become 0, 1, 2, 3, 4.

    Args:
        ticks: (N,) display times in decoding order, units of `base`.
        coded: (N,) the times at which the frames are decoded, in the same order.
        base: seconds of one tick.
        resets: whether the container's clock may be set anew, also to an earlier time.

    Returns:
        ticks: (N,) display times without the jumps.
        jumps: those that were closed.
    """
    if len(ticks) < 3:
        return ticks, []
    spacings = np.diff(coded)
    spacing = max(1, round(float(np.median(spacings[spacings > 0])))) if np.any(spacings > 0) else 1
    jumps: list[Jump] = []
    if resets:
        pieces = np.split(ticks, np.flatnonzero(spacings * base <= -BACKWARD_SECONDS) + 1)
        shifted = pieces[:1]
        for before, piece in pairwise(pieces):
            due = int(shifted[-1].max()) + spacing
            jumps.append(Jump((due - int(pieces[0].min())) * base, (int(piece.min() - before.max()) - spacing) * base))
            shifted.append(piece - int(piece.min()) + due)
        ticks = np.concatenate(shifted)
    order = np.argsort(ticks, kind="stable")
    gaps = np.diff(ticks[order])
    beside = np.maximum(np.append(gaps[1:], gaps[-2]), np.insert(gaps[:-1], 0, gaps[1]))
    excess = np.zeros_like(gaps)
    for place in np.flatnonzero(gaps > JUMP_SPACINGS * beside).tolist():
        if jumps_forward(gaps[place] * base, beside[place] * base, resets=resets):
            excess[place] = gaps[place] - spacing
    shift = np.zeros_like(ticks)
    shift[order[1:]] = np.cumsum(excess)
    ticks = ticks - shift
    for place in np.flatnonzero(excess).tolist():
        gap = float(excess[place]) * base
        turned = gap - TURN_SECONDS if base == _MPEG_TICK and gap > TURN_SECONDS / 2 else gap
        jumps.append(Jump(float(ticks[order[place + 1]] - ticks.min()) * base, turned))
    return ticks, sorted(jumps)


def as_browsers_do(lasts: float) -> float:
    """Return how long a picture of an animation is displayed that states so many seconds."""
    return USUAL_SECONDS if lasts < SHORTEST_SECONDS - EPSILON else lasts


def slowed(seconds: NDArray[np.float64], duration: float) -> tuple[NDArray[np.float64], float]:
    """Return the times and the duration of an animation as browsers show it."""
    lasts = [as_browsers_do(each) for each in np.diff(seconds, append=duration).tolist()]
    ends = np.cumsum(lasts)
    return np.concatenate([[0.0], ends[:-1]]), float(ends[-1])


def before_gap(display: Sequence[int], coded: int, usual: float) -> tuple[int, float]:
    """Return how many frames of a cut video follow each other without one missing between them, and the gap behind.

    Frames that would be decoded after the end of the file may be missing between those that are displayed after it. The
    gap is in spacings of frames; 0 where none is missing.

    Args:
        display: (N,) ascending display times, ticks.
        coded: when the last frame is decoded, ticks.
        usual: the spacing that the container states, ticks.
    """
    spacing = min(usual, float(np.median(np.diff(display)))) if len(display) > 1 else 0.0
    for place in range(max(1, bisect_right(display, coded)), len(display)):
        if display[place] - display[place - 1] > 1.75 * spacing > 0:  # a film on a disc has steps of 2 and 3
            return place, (display[place] - display[place - 1]) / spacing
    return len(display), 0.0


def in_words(jumps: Sequence[Jump]) -> str:
    """Say that jumps of the clock were closed; "" where there were none."""
    if not jumps:
        return ""
    after, gap = jumps[0]
    size = f"{abs(gap):.{0 if abs(gap) >= 10 else 1}f} s"
    way = f"the clock {'jumps' if gap > 0 else 'runs back'} by {size} after {after:.1f} s"
    return (
        f"{way}, and {len(jumps) - 1} times more: the gaps were closed" if jumps[1:] else f"{way}: the gap was closed"
    )


def thinned(seconds: NDArray[np.float64], rate: float) -> NDArray[np.int64]:
    """Choose frames with ascending times, at most `rate` of them for one second of video.

    Args:
        seconds: (N,) times of the frames.
        rate: the most frames for one second; infinite keeps all that appear later than the one before them.

    Returns:
        (M,) ascending indices into `seconds`, the first of them 0.
    """
    gap = 1 / rate
    places: list[int] = []
    latest, due = -math.inf, float(seconds[0]) if len(seconds) else 0.0
    for place, second in enumerate(seconds.tolist()):
        if second > latest and second >= due - gap / 20:  # times are rounded to the container's clock
            places.append(place)
            due = max(due + gap, second + gap / 2)
            latest = second
    return np.array(places, np.int64)


def runs(ticks: Sequence[int], keys: Sequence[bool], wanted: Collection[int]) -> list[slice]:
    """Return the slices of the packets, in decoding order, that must be decoded for the frames displayed at `wanted`.

    Each slice starts at a key frame and ends with a wanted frame. A frame that follows a key frame in decoding order
    but is displayed before it also needs the key frame before that one. For key frames at 0 and 3 in decoding order and
    display times 0, 2, 1, 4, 3, 5, the frame displayed at 3 needs the packets 0 to 4, the one at 5 the packets 3 to 5.

    Args:
        ticks: (N,) display times in decoding order, all different; the first is the earliest.
        keys: (N,) whether each packet is a key frame; the first one is.
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
            raise OptionError(f"{name} = {value} is no time in the video: give seconds, 0 or more")
    begin = 0.0 if start is None else start
    if end is not None and begin >= end:
        raise OptionError(f"the segment from {begin} s to {end} s is empty: start must be less than end")
    if start is not None and start >= duration:
        msg = f"start = {start} s is not before the end of the video, {duration:.3f} s: ask for an earlier segment"
        raise NoFramesError(msg)
    return begin, duration if end is None else min(end, duration)


def _on_display(seconds: NDArray[np.float64], times: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return for each time the index of the frame on display; before the first frame it is 0."""
    return np.maximum(np.searchsorted(seconds, times + EPSILON, side="right") - 1, 0).astype(np.int64)
