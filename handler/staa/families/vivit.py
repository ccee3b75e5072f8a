"""ViViT: CLS attends to all tubelets at once.

Token order: CLS, then step-major, row, column.
"""

from typing import Any

from torch import Tensor, nn

from staa.capture import Tap, chosen, route, stack, weights
from staa.families import pair
from staa.types import Grid

PIXELS = "pixel_values"
adapt = route
read = stack


def grid(config: Any) -> Grid:
    """One token a tubelet."""
    steps, rows, columns = config.tubelet_size
    height, width = size(config)
    return Grid(t=config.num_frames // steps, h=height // rows, w=width // columns, tubelet=steps)


def size(config: Any) -> tuple[int, int]:
    """A number or a pair in the configuration."""
    return pair(config.image_size)


def taps(model: nn.Module, grid: Grid, rows: Tensor | None) -> dict[str, Tap]:
    """The CLS row of every block."""

    def space(query: Tensor, key: Tensor, scale: float) -> Tensor:
        row = weights(chosen(query[:, :, :1], rows), chosen(key, rows), scale)[:, 0, 1:]
        return row.view(-1, grid.t, grid.h * grid.w)

    blocks = model.get_submodule("vivit.layers")
    return {"space": Tap([block.get_submodule("attention") for block in blocks.children()], space)}
