"""Maps: from cells to pixels, the region of the strongest cell, and their encodings."""

import json

import numpy as np

from staa_client.results.maps import pack, strongest_cells, unpack, upsample


def test_halves_are_used_where_they_lose_nothing() -> None:
    """What came as halves is written as halves, anything else as singles: reading back gives the same bits."""
    rng = np.random.default_rng(0)
    halves = rng.random((3, 4)).astype(np.float16).astype(np.float32)
    singles = rng.random((3, 4)).astype(np.float32)
    assert (pack(halves)["dtype"], pack(singles)["dtype"]) == ("<f2", "<f4")
    for array in (halves, singles, np.array([1e9, 1e-9], np.float32)):
        np.testing.assert_array_equal(unpack(json.loads(json.dumps(pack(array)))), array)


def test_upsampling_keeps_the_cells() -> None:
    """The centre of each cell keeps its value, nothing overshoots, and a constant stays constant."""
    grid = np.random.default_rng(0).random((4, 6)).astype(np.float32)
    large = upsample(grid, 4 * 5, 6 * 7)
    np.testing.assert_allclose(large[2::5, 3::7], grid, rtol=1e-6)
    assert grid.min() <= large.min() <= large.max() <= grid.max()
    np.testing.assert_allclose(upsample(np.full((3, 3), 0.5, np.float32), 10, 11), 0.5)
    assert upsample(grid, 2, 3).shape == (2, 3)
    assert upsample(np.ones((1, 1), np.float32), 5, 5).min() == 1


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
