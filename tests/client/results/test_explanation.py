"""Results: what their methods promise."""

import dataclasses

import numpy as np
import pytest

from staa_client import Explanation
from staa_client.results.explanation import FLAT, top_of_scale
from tests.client.conftest import flat
from tests.made.videos import disc_at


def test_a_heatmap_is_hot_where_the_object_is(explanation: Explanation) -> None:
    """The hottest pixel of each step lies on the moving object, in pixels of the source."""
    for step in range(16):
        heat = explanation.heatmap(step)
        assert heat.shape == (240, 320)
        assert heat.dtype == np.float32
        y, x = np.argwhere(heat == heat.max()).mean(0)  # the strongest cells have the same colour
        at = disc_at(step + 0.5)
        assert abs(x - at[0]) <= 12
        assert abs(y - at[1]) <= 12


def test_a_heatmap_is_scaled_over_the_clip(explanation: Explanation) -> None:
    """Heat runs from 0 to 1 over all steps together, so that steps can be compared, and is zero outside the box."""
    heats = np.stack([explanation.heatmap(step) for step in range(16)])
    assert heats.min() == 0
    assert heats.max() == pytest.approx(1, abs=0.01)
    assert heats[0].max() < 0.4
    assert np.all(heats[:, :, :40] == 0)
    assert np.all(heats[:, :, 280:] == 0)
    assert 0.2 < (heats[:, :, 40:280] > 0).mean() < 0.9  # what is less than the average is 0, too


def test_top_gives_the_strongest_steps_with_their_place(explanation: Explanation) -> None:
    """`top(n)` is the n largest of `temporal`, strongest first, each with its seconds and the region of the object."""
    top = explanation.top(4)
    assert [moment.share for moment in top] == sorted(explanation.temporal.tolist(), reverse=True)[:4]
    assert (top[0].step, top[0].start, top[0].end) == (9, 4.5, 5.0)
    for moment in top:
        x0, y0, x1, y1 = moment.region
        x, y = disc_at(moment.step + 0.5)
        assert x0 <= x <= x1
        assert y0 <= y <= y1
        assert (x1 - x0) * (y1 - y0) < 100 * 100
    assert len(explanation.top(99)) == 16


def test_the_focused_map_is_where_the_threshold_is_reached(explanation: Explanation) -> None:
    """`focused()` is zero below the threshold, sums to 1, keeps ratios, and leaves `joint` as it was."""
    before = explanation.joint.copy()
    focused = explanation.focused()
    np.testing.assert_array_equal(focused > 0, explanation.joint >= explanation.threshold)
    assert focused.sum() == pytest.approx(1, abs=1e-5)
    assert explanation.joint[focused > 0].sum() == pytest.approx(0.7, abs=0.01)
    assert explanation.heatmap(9, focused=True).max() == pytest.approx(explanation.heatmap(9).max())
    np.testing.assert_array_equal(explanation.joint, before)


@pytest.mark.parametrize("value", [0.0, 1 / (16 * 144)])
def test_a_constant_map_stays_finite(explanation: Explanation, value: float) -> None:
    """A flat map, or an empty one, gives flat heat, the whole box as its region, and no warning."""
    joint = np.full((16, 12, 12), value, np.float32)
    flat = dataclasses.replace(explanation, joint=joint, temporal=joint.sum((1, 2)), spatial=joint.sum(0))
    inside = flat.heatmap(0)[:, 40:280]
    assert np.allclose(inside, inside[0, 0])
    assert flat.region() == flat.box
    assert np.isfinite(flat.focused()).all()
    assert len(flat.top(3)) == 3


def test_shapes_are_checked_at_the_door(explanation: Explanation) -> None:
    """Maps that do not fit each other, or hold NaN, are refused with the shapes named."""
    with pytest.raises(ValueError, match=r"temporal must be \(16,\)"):
        dataclasses.replace(explanation, temporal=explanation.temporal[1:])
    with pytest.raises(ValueError, match="finite"):
        dataclasses.replace(explanation, spatial=explanation.spatial * np.float32("nan"))


def test_a_flat_map_stays_dark(explanation: Explanation) -> None:
    """A map in which every cell has the even share is at the bottom of the scale everywhere."""
    even = flat(explanation)
    assert np.abs(even.scaled()).max() < 1e-5
    assert np.abs(even.heatmap(0)).max() < 1e-5
    assert np.abs(even.heatmap()).max() < 1e-5
    assert even.top_of_scale == 3


def test_the_scale_ends_where_it_says(explanation: Explanation) -> None:
    """From the even share, 0, to the top, 1, the scale is a line; beyond them it is its ends."""
    multiples = explanation.joint * explanation.joint.size
    top = explanation.top_of_scale
    assert 3 < top < multiples.max()
    np.testing.assert_allclose(explanation.scaled(), np.clip((multiples - 1) / (top - 1), 0, 1), atol=1e-5)


def test_the_strongest_quarter_has_the_top_of_the_scale() -> None:
    """By hand: of 10 and eight times 8, 74 in all, a quarter is reached with the second 8; signs do not count."""
    values = np.array([8, 10, *[8] * 7, *[0] * 28], np.float32)
    assert top_of_scale(values) == pytest.approx(8 / (74 / 37))
    assert top_of_scale(-values) == top_of_scale(values)
    assert top_of_scale(np.ones(5, np.float32)) == top_of_scale(np.zeros(5, np.float32)) == FLAT


def test_one_cell_does_not_hide_the_others(explanation: Explanation) -> None:
    """With a cell of ten times the strongest one, the cells that held most of the map are still above the bottom."""
    joint = explanation.joint.copy()
    strong = joint >= explanation.threshold
    joint[np.unravel_index(joint.argmax(), joint.shape)] *= 10
    lit = dataclasses.replace(explanation, joint=joint / joint.sum()).scaled()[strong]
    assert np.median(lit) > 0.15


def test_the_map_of_the_whole_clip_needs_no_moment(explanation: Explanation) -> None:
    """Without arguments it is the spatial map, on a scale of its own."""
    shown = explanation.heatmap()
    assert shown.shape == (240, 320)
    assert (shown[:, :39] == 0).all()
    assert shown.max() == pytest.approx(1, abs=0.05)
    y, x = np.unravel_index(shown.argmax(), shown.shape)
    x0, y0, x1, y1 = explanation.region()
    assert x0 <= x <= x1
    assert y0 <= y <= y1
    with pytest.raises(ValueError, match="give a step, a second or a frame"):
        explanation.heatmap(0, second=1.0)


def test_a_peak_exceeds_the_even_share_by_a_fifth(explanation: Explanation) -> None:
    """The strongest step is a peak above 1.2 even shares; below, as in a flat map, there is none."""
    assert explanation.peak == 9
    assert flat(explanation).peak is None
    for share, peak in ((1.19 / 16, None), (1.21 / 16, 5)):
        temporal = np.full(16, (1 - share) / 15, np.float32)
        temporal[5] = share
        assert dataclasses.replace(explanation, temporal=temporal).peak == peak


def test_a_second_lies_between_its_steps(explanation: Explanation) -> None:
    """In the middle of a step the map is the step's, on its edge the mean of two, at the ends the outer ones."""
    middles = explanation.seconds.mean(1)
    for step in (0, 7, 15):
        np.testing.assert_allclose(explanation.heatmap(second=float(middles[step])), explanation.heatmap(step))
    edge = (explanation.heatmap(4) + explanation.heatmap(5)) / 2
    np.testing.assert_allclose(explanation.heatmap(second=2.5), edge, atol=1e-6)
    np.testing.assert_array_equal(explanation.heatmap(second=0), explanation.heatmap(0))
    np.testing.assert_array_equal(explanation.heatmap(second=8.0), explanation.heatmap(15))
    np.testing.assert_array_equal(explanation.heatmap(frame=18), explanation.heatmap(second=18 / 8))


def test_a_moment_outside_is_refused(explanation: Explanation) -> None:
    """A second, frame or step that is not there, or two of them: ValueError."""
    for wrong in ({"second": 8.1}, {"second": -1.0}, {"frame": 65}, {"step": 1, "second": 1.0}, {"step": 16}):
        with pytest.raises(ValueError, match=r"source|step"):
            explanation.heatmap(**wrong)
