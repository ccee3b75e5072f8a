"""From a token grid to pixels of the source frame; pure."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Box = tuple[int, int, int, int]
"""x0, y0, x1, y1: pixels in display orientation, x1 and y1 exclusive."""


def upsample(grid: Floats, height: int, width: int) -> Floats:
    """Interpolate a grid (h, w) bilinearly to (height, width); the centre of a cell keeps the cell's value."""
    rows, down = _neighbours(grid.shape[0], height)
    columns, right = _neighbours(grid.shape[1], width)
    tall = grid[rows] * (1 - down)[:, None] + grid[np.minimum(rows + 1, grid.shape[0] - 1)] * down[:, None]
    wide: Floats = tall[:, columns] * (1 - right) + tall[:, np.minimum(columns + 1, grid.shape[1] - 1)] * right
    return wide


def _neighbours(cells: int, pixels: int) -> tuple[NDArray[np.int64], Floats]:
    """For each pixel the cell whose centre is just before its own, and how far it is towards the next one, 0 to 1."""
    places = np.clip((np.arange(pixels) + 0.5) * cells / pixels - 0.5, 0, cells - 1)
    before = np.floor(places).astype(np.int64)
    return before, (places - before).astype(np.float32)


def place(grid: Floats, box: Box, height: int, width: int) -> Floats:
    """Lay a grid (h, w) over `box` of an empty frame: (height, width), zero outside the box."""
    x0, y0, x1, y1 = box
    canvas = np.zeros((height, width), np.float32)
    canvas[y0:y1, x0:x1] = upsample(grid, y1 - y0, x1 - x0)
    return canvas


def in_time(grids: Floats, seconds: NDArray[np.float64], second: float) -> Floats:
    """The grid at a moment, (h, w): linear between the middles of the steps, constant outside of them.

    Args:
        grids: (t, h, w) one a step.
        seconds: (t, 2) start and end of each step.
        second: the moment, in the same time.
    """
    middles = seconds.mean(1)
    after = int(np.searchsorted(middles, second))
    if after in {0, len(middles)}:
        ends: Floats = grids[min(after, len(middles) - 1)]
        return ends
    part = np.float32((second - middles[after - 1]) / (middles[after] - middles[after - 1]))
    mixed: Floats = grids[after - 1] * (1 - part) + grids[after] * part
    return mixed


def scaled_box(box: Box, before: tuple[int, int], after: tuple[int, int]) -> Box:
    """The same box when a frame of (width, height) `before` is drawn at (width, height) `after`; never empty."""
    x, y = after[0] / before[0], after[1] / before[1]
    x0, y0 = round(box[0] * x), round(box[1] * y)
    return x0, y0, max(round(box[2] * x), x0 + 1), max(round(box[3] * y), y0 + 1)


def strongest_cells(grid: Floats) -> NDArray[np.bool_]:
    """The cells (h, w) joined to the strongest one that reach half way from the grid's median to its maximum.

    Half way is what makes it a region and not a cell; the median takes away the floor that lies under every attention
    map. Joined means by an edge. A constant grid is one region.
    """
    enough = grid >= (np.median(grid) + grid.max()) / 2
    region: NDArray[np.bool_] = np.zeros(grid.shape, np.bool_)
    region[np.unravel_index(int(grid.argmax()), grid.shape)] = True
    while True:
        grown = region.copy()
        grown[1:] |= region[:-1]
        grown[:-1] |= region[1:]
        grown[:, 1:] |= region[:, :-1]
        grown[:, :-1] |= region[:, 1:]
        grown &= enough
        grown |= region
        if np.array_equal(grown, region):
            return region
        region = grown


def region_box(cells: NDArray[np.bool_], box: Box) -> Box:
    """The smallest box in pixels of the source that holds the marked cells (h, w) of the grid over `box`."""
    rows, columns = np.flatnonzero(cells.any(1)), np.flatnonzero(cells.any(0))
    x0, y0, x1, y1 = box
    wide, tall = (x1 - x0) / cells.shape[1], (y1 - y0) / cells.shape[0]
    return (
        x0 + round(columns[0] * wide),
        y0 + round(rows[0] * tall),
        x0 + round((columns[-1] + 1) * wide),
        y0 + round((rows[-1] + 1) * tall),
    )
