"""Which frames of a video a model wants: the server's own rule, so that frames sampled here are those it would take."""

import numpy as np
from numpy.typing import NDArray

_EPSILON = 1e-6
"""Seconds: a time that was rounded to microseconds still names its frame."""


def choose(
    seconds: NDArray[np.float64], duration: float, wanted: int, start: float | None = None, end: float | None = None
) -> NDArray[np.int64]:
    """`wanted` frames, uniform in source time over [start, end).

    Args:
        seconds: (N,) ascending times of all frames, the first is 0.
        duration: Length of the source, seconds.
        wanted: How many.
        start: Seconds; None is the start of the source.
        end: Seconds; None is its end.

    Returns:
        (wanted,) ascending places in `seconds`; they repeat where the segment holds fewer.

    Raises:
        ValueError: the segment is empty, or lies outside of the video.
    """
    begin, stop = start or 0.0, duration if end is None else min(end, duration)
    if not 0 <= begin < (stop if end is not None else duration) or len(seconds) == 0:
        until = "the end" if end is None else f"{end:g} s"
        msg = f"the segment from {begin:g} s to {until} holds no frame of a video of {duration:.3f} s; give another"
        raise ValueError(msg)
    first = int(_on_display(seconds, np.array(begin)))
    last = len(seconds) - 1 if end is None or end >= duration else int(np.searchsorted(seconds, stop - _EPSILON)) - 1
    last = max(first, last)
    if last - first + 1 >= wanted:
        times = np.linspace(seconds[first], seconds[last], wanted)
    else:
        times = begin + (np.arange(wanted) + 0.5) * (stop - begin) / wanted
    return np.clip(_on_display(seconds, times), first, last)


def _on_display(seconds: NDArray[np.float64], times: NDArray[np.float64]) -> NDArray[np.int64]:
    """The last frame that appeared at or before each time, the first where none did."""
    return np.maximum(np.searchsorted(seconds, times + _EPSILON, side="right") - 1, 0).astype(np.int64)
