"""Says how long the windows of a video are, and where they start; arithmetic only."""

import math
import warnings

import numpy as np
from numpy.typing import NDArray

ClipSeconds = tuple[float, float]
"""The shortest and the longest clip that a model was trained on, seconds."""
WINDOW = 2.0
"""Seconds of a window if neither the caller nor the model's card says how long it should be."""
_EPSILON = 1e-6
_NEARLY = 0.98
"""A video that has so much of a length is as long: files round."""


def window_lengths(
    window: float | None,
    stride: float | None,
    clip_seconds: ClipSeconds | None,
    model: str = "the model",
    stacklevel: int = 2,
) -> tuple[float, float]:
    """Return the window and the stride as numbers of seconds.

    A window that the caller did not choose is as long as the middle of `clip_seconds`, or WINDOW if the model does not
    say them. One that the caller did choose is warned about if it lies outside of them. A stride that the caller did
    not choose is a quarter of the window.
    """
    if window is None:
        window = WINDOW if clip_seconds is None else sum(clip_seconds) / 2
    elif said := untrained_words(window, math.inf, clip_seconds, model):
        warnings.warn(said, UserWarning, stacklevel=stacklevel + 1)
    return window, stride or window / 4


def untrained_words(window: float, shown: float, clip_seconds: ClipSeconds | None, model: str) -> str:
    """Return that a model was trained on other clips than those of a window, or of a video that is shorter than it.

    Empty if it was trained on such clips, or if its card does not say on which.

    Args:
        window: Seconds of a window.
        shown: Seconds of the video, or infinity.
        clip_seconds: As the card of the model says it.
        model: The name of the model.
    """
    if clip_seconds is None:
        return ""
    shortest, longest = clip_seconds
    if not shortest <= window <= longest:
        what = f"the window is {window:g} s long"
    elif shown < shortest * _NEARLY:
        what = f"the video lasts {shown:.3g} s"
    else:
        return ""
    return f"{what}, and {model} was trained on clips of {shortest:g} to {longest:g} s: do not trust its labels"


def window_starts(duration: float, window: float, stride: float) -> NDArray[np.float64]:
    """Return (N,) the starts of the windows of a video, seconds: every `stride`, and one that ends with the video.

    For windows of 4 s each 2 s, a video of 9 s has the starts 0, 2, 4 and 5. A video that is shorter than a window has
    the start 0 only.
    """
    last = max(0.0, duration - window)
    starts = np.arange(0, last + _EPSILON, stride)
    return starts if last - starts[-1] <= _EPSILON else np.append(starts, last)
