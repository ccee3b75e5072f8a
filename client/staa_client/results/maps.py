"""Encodes maps, and maps their cells to the pixels of the source."""

import base64
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
"""An array of shares, of any shape."""
Box = tuple[int, int, int, int]
"""x0, y0, x1, y1: pixels in display orientation, x1 and y1 exclusive."""


def upsample(grid: Floats, height: int, width: int) -> Floats:
    """Return a grid (h, w) interpolated bilinearly to (height, width); the centre of a cell keeps the cell's value."""
    rows, down = _neighbours(grid.shape[0], height)
    columns, right = _neighbours(grid.shape[1], width)
    tall = grid[rows] * (1 - down)[:, None] + grid[np.minimum(rows + 1, grid.shape[0] - 1)] * down[:, None]
    wide: Floats = tall[:, columns] * (1 - right) + tall[:, np.minimum(columns + 1, grid.shape[1] - 1)] * right
    return wide


def _neighbours(cells: int, pixels: int) -> tuple[NDArray[np.int64], Floats]:
    """Return for each pixel the cell whose centre is before it, and its relative distance to that centre, 0 to 1."""
    in_cells = np.clip((np.arange(pixels) + 0.5) * cells / pixels - 0.5, 0, cells - 1)
    before = np.floor(in_cells).astype(np.int64)
    return before, (in_cells - before).astype(np.float32)


def lay_on_frame(grid: Floats, box: Box, height: int, width: int) -> Floats:
    """Return a frame (height, width) with a grid (h, w) enlarged to `box`, and zeros outside of the box."""
    x0, y0, x1, y1 = box
    canvas = np.zeros((height, width), np.float32)
    canvas[y0:y1, x0:x1] = upsample(grid, y1 - y0, x1 - x0)
    return canvas


def grid_at(grids: Floats, seconds: NDArray[np.float64], second: float) -> Floats:
    """Return the grid (h, w) at a moment: linear between the middles of steps, constant outside of them.

    Args:
        grids: (t, h, w), one for each step.
        seconds: (t, 2) start and end of each step.
        second: the moment, on the same time axis.
    """
    step = float(np.interp(second, seconds.mean(1), np.arange(len(grids))))
    before, share = int(step), np.float32(step % 1)
    mixed: Floats = grids[before] * (1 - share) + grids[min(before + 1, len(grids) - 1)] * share
    return mixed


def scaled_box(box: Box, before: tuple[int, int], after: tuple[int, int]) -> Box:
    """Scale a box from a frame of (width, height) `before` to one of (width, height) `after`; it is never empty."""
    x, y = after[0] / before[0], after[1] / before[1]
    x0, y0 = round(box[0] * x), round(box[1] * y)
    return x0, y0, max(round(box[2] * x), x0 + 1), max(round(box[3] * y), y0 + 1)


def strongest_cells(grid: Floats) -> NDArray[np.bool_]:
    """Return the mask (h, w) of the region around the strongest cell.

    It holds all cells that are at least half way from the grid's median to its maximum and connected by edges to the
    strongest cell. The median removes the background level, which every attention map has. A constant grid is one
    region.
    """
    enough = grid >= (np.median(grid) + grid.max()) / 2
    region: NDArray[np.bool_] = np.zeros(grid.shape, np.bool_)
    region[np.unravel_index(int(grid.argmax()), grid.shape)] = True
    while True:
        around = np.pad(region, 1)
        beside = around[:-2, 1:-1] | around[2:, 1:-1] | around[1:-1, :-2] | around[1:-1, 2:]
        grown = region | (beside & enough)
        if np.array_equal(grown, region):
            return region
        region = grown


def region_box(cells: NDArray[np.bool_], box: Box) -> Box:
    """Return the smallest box, in pixels of the source, around the marked cells (h, w) of the grid over `box`."""
    rows, columns = np.flatnonzero(cells.any(1)), np.flatnonzero(cells.any(0))
    x0, y0, x1, y1 = box
    wide, tall = (x1 - x0) / cells.shape[1], (y1 - y0) / cells.shape[0]
    return (
        x0 + round(columns[0] * wide),
        y0 + round(rows[0] * tall),
        x0 + round((columns[-1] + 1) * wide),
        y0 + round((rows[-1] + 1) * tall),
    )


_DTYPES = {"<f2", "<f4", "<f8"}


def unpack(value: Any) -> Floats:  # whatever JSON or npz holds
    """Return a map as float32, from nested lists, base64 or an array.

    Raises:
        ValueError: the value is none of these.
    """
    if isinstance(value, dict):
        if value["dtype"] not in _DTYPES:
            raise ValueError(f"expected one of the dtypes {sorted(_DTYPES)}, got {value['dtype']!r}")
        flat = np.frombuffer(base64.b64decode(value["data"], validate=True), value["dtype"])
        array: NDArray[Any] = flat.reshape(value["shape"])
    else:
        if isinstance(value, list):
            _check_numbers(value)
        array = np.asarray(value)
    if array.dtype.kind not in "fiu":  # texts, truths, numbers without bound, lists of different lengths
        raise ValueError(f"a map holds numbers, got {array.dtype}")
    with np.errstate(over="ignore"):  # infinity is refused with all that is no share
        return array.astype(np.float32)


def _check_numbers(values: list[Any]) -> None:
    """Raise ValueError unless nested lists hold only numbers: NumPy gives every text the room of the longest."""
    while values:
        kinds = set(map(type, values))
        if not kinds <= {list, int, float}:
            raise ValueError(f"a map holds numbers, got {sorted(kind.__name__ for kind in kinds)}")
        values = list(chain.from_iterable(value for value in values if isinstance(value, list)))


def pack(array: Floats) -> dict[str, Any]:
    """Return a map in base64: as float16 if that loses nothing, and as float32 otherwise."""
    with np.errstate(over="ignore"):
        halves = array.astype("<f2")
    exact = np.array_equal(halves.astype(np.float32), array)
    data = (halves if exact else array.astype("<f4")).tobytes()
    return {"dtype": "<f2" if exact else "<f4", "shape": list(array.shape), "data": base64.b64encode(data).decode()}
