"""Post-processing of maps: what is kept, what stays, what happens to a flat map."""

from typing import Literal

import numpy as np
import pytest

from staa import focus


def random_map(seed: int = 0) -> np.ndarray:
    """Return a distribution over (5, 6, 7) cells."""
    joint = np.random.default_rng(seed).exponential(size=(5, 6, 7)) ** 2
    return np.asarray(joint / joint.sum(), np.float32)


@pytest.mark.parametrize("mass", [0.1, 0.5, 0.7, 0.95])
def test_the_smallest_set_that_holds_the_mass(mass: float) -> None:
    """The cells at or above the threshold hold the mass, and without the weakest of them they do not."""
    joint = random_map()
    kept = np.sort(joint[joint >= focus.threshold(joint, mass)])
    assert kept.sum() >= mass - 1e-6
    assert kept[1:].sum() < mass


def test_all_and_hardly_any_mass() -> None:
    """A mass of 1 keeps every cell, a mass of 0 the strongest one."""
    joint = random_map()
    assert focus.threshold(joint, 1) == joint.min()
    assert focus.threshold(joint, 0) == joint.max()


def test_focused_is_a_distribution() -> None:
    """The focused map sums to 1, and what it keeps keeps its proportions; the map itself is not touched."""
    joint = random_map()
    before = joint.copy()
    kept = focus.focused(joint, 0.6)
    assert kept.sum() == pytest.approx(1, abs=1e-5)
    assert np.count_nonzero(kept) < joint.size
    assert np.ptp(kept[kept > 0] / joint[kept > 0]) < 1e-3
    assert np.array_equal(joint, before)


def test_smoothing_keeps_the_sum_and_the_place() -> None:
    """A single hot cell spreads evenly around its place, within its own step, and the sum stays."""
    joint = np.zeros((3, 9, 9), np.float32)
    joint[1, 4, 6] = 1
    soft = focus.smoothed(joint, 1.0)
    assert soft.sum() == pytest.approx(1, abs=1e-5)
    assert [int(axis) for axis in np.unravel_index(soft.argmax(), soft.shape)] == [1, 4, 6]
    assert soft[0].sum() == 0
    assert soft[1, 3, 6] == pytest.approx(soft[1, 5, 6])
    assert soft[1, 4, 5] == pytest.approx(soft[1, 3, 6], abs=1e-6)


def test_scaling_keeps_the_difference_between_frames() -> None:
    """Per clip only the strongest frame reaches 1; per frame every frame does."""
    joint = random_map()
    clip, frame = focus.scaled(joint), focus.scaled(joint, per="frame")
    assert clip.min() == 0
    assert clip.max() == 1
    assert (clip.max((1, 2)) == 1).sum() == 1
    assert np.all(frame.max((1, 2)) == 1)


@pytest.mark.parametrize("per", ["clip", "frame"])
def test_a_flat_map_stays_finite(per: Literal["clip", "frame"]) -> None:
    """A constant map is returned as it is: no division by zero, no invented structure."""
    flat = np.full((2, 3, 4), 1 / 24, np.float32)
    assert np.array_equal(focus.scaled(flat, per=per), flat)
    assert np.allclose(focus.focused(flat, 0.7), flat)
    assert np.allclose(focus.smoothed(flat, 1.0), flat)


def test_focus_is_deterministic() -> None:
    """The same map gives the same threshold every time: nothing is drawn at random."""
    joint = random_map()
    assert len({focus.threshold(joint, 0.7) for _ in range(5)}) == 1
