"""Results: what their methods promise."""

import dataclasses
import io
import json
from pathlib import Path

import numpy as np
import pytest

from staa_client import Explanation, _wire
from staa_client._geometry import strongest_cells, upsample
from tests.client.conftest import centre, flat


def test_a_heatmap_is_hot_where_the_object_is(explanation: Explanation) -> None:
    """The hottest pixel of each step lies on the moving object, in pixels of the source."""
    for step in range(16):
        heat = explanation.heatmap(step)
        assert heat.shape == (240, 320)
        assert heat.dtype == np.float32
        y, x = np.unravel_index(int(heat.argmax()), heat.shape)
        at = centre(step + 0.5)
        assert abs(x - at[0]) <= 12
        assert abs(y - at[1]) <= 12


def test_a_heatmap_is_scaled_over_the_clip(explanation: Explanation) -> None:
    """Heat runs from 0 to 1 over all steps together, so that steps can be compared, and is zero outside the box."""
    heats = np.stack([explanation.heatmap(step) for step in range(16)])
    assert heats.min() == 0
    assert heats.max() == pytest.approx(1, abs=0.01)
    assert heats[0].max() < 0.3
    assert np.all(heats[:, :, :40] == 0)
    assert np.all(heats[:, :, 280:] == 0)
    assert np.all(heats[:, :, 40:280] > 0)


def test_upsampling_keeps_the_cells() -> None:
    """The centre of each cell keeps its value, nothing overshoots, and a constant stays constant."""
    grid = np.random.default_rng(0).random((4, 6)).astype(np.float32)
    large = upsample(grid, 4 * 5, 6 * 7)
    np.testing.assert_allclose(large[2::5, 3::7], grid, rtol=1e-6)
    assert grid.min() <= large.min() <= large.max() <= grid.max()
    np.testing.assert_allclose(upsample(np.full((3, 3), 0.5, np.float32), 10, 11), 0.5)
    assert upsample(grid, 2, 3).shape == (2, 3)
    assert upsample(np.ones((1, 1), np.float32), 5, 5).min() == 1


def test_top_gives_the_strongest_steps_with_their_place(explanation: Explanation) -> None:
    """`top(n)` is the n largest of `temporal`, strongest first, each with its seconds and the region of the object."""
    top = explanation.top(4)
    assert [moment.share for moment in top] == sorted(explanation.temporal.tolist(), reverse=True)[:4]
    assert (top[0].step, top[0].start, top[0].end) == (9, 4.5, 5.0)
    for moment in top:
        x0, y0, x1, y1 = moment.region
        x, y = centre(moment.step + 0.5)
        assert x0 <= x <= x1
        assert y0 <= y <= y1
        assert (x1 - x0) * (y1 - y0) < 100 * 100
    assert len(explanation.top(99)) == 16


def test_a_region_is_joined_to_the_strongest_cell() -> None:
    """A second hot spot far away is not in the region; a floor under the map does not widen it."""
    grid = np.zeros((8, 8), np.float32)
    grid[1:3, 1:4] = 1
    grid[1, 1] = 1.2
    grid[6, 6] = 1
    wanted = np.zeros((8, 8), bool)
    wanted[1:3, 1:4] = True
    np.testing.assert_array_equal(strongest_cells(grid), wanted)
    np.testing.assert_array_equal(strongest_cells(grid + 5), wanted)


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
    with pytest.raises(ValueError, match="box lies in the frame"):
        dataclasses.replace(explanation.clip, box=(40, 0, 400, 240))


def test_saved_numbers_are_read_back(explanation: Explanation, tmp_path: Path) -> None:
    """`.json` and `.npz` files have the form of the server's replies."""
    for name in ("map.json", "map.NPZ"):
        path = explanation.save(tmp_path / name)
        again = _wire.explanation(200, {}, path.read_bytes())
        np.testing.assert_allclose(again.joint, explanation.joint, rtol=1e-6)
        assert again.predictions == explanation.predictions
    json.loads((tmp_path / "map.json").read_text("utf-8"))
    with np.load(io.BytesIO((tmp_path / "map.NPZ").read_bytes()), allow_pickle=False) as arrays:
        assert sorted(arrays) == ["joint", "reply", "spatial", "temporal"]


@pytest.mark.parametrize("name", ["map.bmp", "map", ".html"])
def test_an_unknown_ending_names_the_known_ones(explanation: Explanation, tmp_path: Path, name: str) -> None:
    """Saving under another ending writes nothing and says which endings there are."""
    with pytest.raises(ValueError, match=r"\.html, \.png, \.json, \.npz, \.parquet, \.mp4, \.gif"):
        explanation.save(tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_a_flat_map_stays_dim(explanation: Explanation) -> None:
    """A map in which every cell has the even share is drawn at a third of the scale, and the scale says so."""
    even = flat(explanation)
    assert np.allclose(even.scaled(), 1 / 3)
    assert np.allclose(even.heatmap(0)[:, 40:280], 1 / 3)
    assert even.top_of_scale == 3


def test_the_scale_ends_where_it_says(explanation: Explanation) -> None:
    """Heat times the top of the scale is the cell's share in even shares, for a peaked map and a flat one."""
    for each in (explanation, flat(explanation)):
        shares = each.scaled() * each.top_of_scale / each.joint.size
        np.testing.assert_allclose(shares, each.joint, rtol=1e-5)


def test_a_peak_exceeds_the_even_share_by_a_fifth(explanation: Explanation) -> None:
    """The strongest step is a peak above 1.2 even shares; below, as in a flat map, there is none."""
    assert explanation.peak == 9
    assert flat(explanation).peak is None
    for share, peak in ((1.19 / 16, None), (1.21 / 16, 5)):
        temporal = np.full(16, (1 - share) / 15, np.float32)
        temporal[5] = share
        assert dataclasses.replace(explanation, temporal=temporal).peak == peak
