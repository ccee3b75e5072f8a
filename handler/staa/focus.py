"""What is done to a copy of a map for the eye: dynamic threshold, smoothing, scaling. Deterministic, numpy only."""

from typing import Literal

import numpy as np

from staa.types import Floats


def threshold(joint: Floats, mass: float) -> float:
    """The value of the last cell of the smallest set of cells, strongest first, that holds `mass` of the map."""
    ordered = np.sort(joint, axis=None)[::-1]
    held = np.cumsum(ordered, dtype=np.float64)
    last = int(np.searchsorted(held, mass * held[-1] * (1 - 1e-9)))
    return float(ordered[min(last, len(ordered) - 1)])


def focused(joint: Floats, mass: float) -> Floats:
    """The map with all cells under the threshold set to zero, renormalised to sum 1."""
    kept = np.where(joint >= threshold(joint, mass), joint, 0)
    return np.asarray(kept / kept.sum(dtype=np.float64), np.float32)


def smoothed(joint: Floats, sigma: float) -> Floats:
    """Each map (h, w) of (t, h, w) under a Gaussian of `sigma` cells, mirrored at its edges; the sum stays."""
    reach = max(1, round(3 * sigma))
    bell = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    bell /= bell.sum()
    for axis in (1, 2):
        pad = [(reach, reach) if axis == other else (0, 0) for other in range(3)]
        wide = np.pad(joint, pad, mode="symmetric")
        windows = np.lib.stride_tricks.sliding_window_view(wide, 2 * reach + 1, axis)
        joint = (windows @ bell).astype(np.float32)
    return joint


def scaled(joint: Floats, per: Literal["clip", "frame"] = "clip") -> Floats:
    """The map from 0 to 1 over the clip, which keeps the difference between frames, or over each frame.

    A constant map has no difference to show and is returned as it is.
    """
    axes = None if per == "clip" else (1, 2)
    low, high = joint.min(axes, keepdims=True), joint.max(axes, keepdims=True)
    span = np.where(high > low, high - low, 1)
    return np.asarray(np.where(high > low, (joint - low) / span, joint), np.float32)
