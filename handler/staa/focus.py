"""Prepares a copy of a map for display: dynamic threshold, smoothing, scaling. Deterministic, with numpy only."""

from typing import Literal

import numpy as np

from staa.types import Floats


def threshold(joint: Floats, mass: float) -> float:
    """Return the value above or at which the strongest cells hold `mass` of the map, with as few cells as possible.

    For the cells 0.5, 0.3, 0.15, 0.05 and a mass of 0.7 it is 0.3: the first two cells hold 0.8, one alone only 0.5.
    """
    ordered = np.sort(joint, axis=None)[::-1]
    held = np.cumsum(ordered, dtype=np.float64)
    last = int(np.searchsorted(held, mass * held[-1] * (1 - 1e-9)))
    return float(ordered[min(last, len(ordered) - 1)])


def focused(joint: Floats, mass: float) -> Floats:
    """Return the map with all cells below the threshold set to 0, normalised to sum 1 again."""
    kept = np.where(joint >= threshold(joint, mass), joint, 0)
    return np.asarray(kept / kept.sum(dtype=np.float64), np.float32)


def smoothed(joint: Floats, sigma: float) -> Floats:
    """Smooth each step (h, w) of a map (t, h, w) by a Gaussian of `sigma` cells, mirrored at edges; keep its sum."""
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
    """Scale the map to the range 0 to 1: over the whole clip, which keeps differences between steps, or for each step.

    A constant map has no difference to show and is returned as it is.
    """
    axes = None if per == "clip" else (1, 2)
    low, high = joint.min(axes, keepdims=True), joint.max(axes, keepdims=True)
    span = np.where(high > low, high - low, 1)
    return np.asarray(np.where(high > low, (joint - low) / span, joint), np.float32)
