"""VideoMAE: the classifier reads the mean of all tubelets, or the first one; there is no CLS token.

Token order: step-major, row, column.
"""

from typing import Any

import torch
from torch import Tensor, nn

from staa.capture import Tap, carry, chosen, route, stack, weights
from staa.families import pair
from staa.types import Grid

PIXELS = "pixel_values"
STRIDE = 1
"""Every how many queries count in the mean over queries; 1 is exact."""
adapt = route
read = stack


def grid(config: Any) -> Grid:
    """One token a tubelet."""
    (height, width), (rows, columns) = size(config), pair(config.patch_size)
    tubelet = int(config.tubelet_size)
    return Grid(t=config.num_frames // tubelet, h=height // rows, w=width // columns, tubelet=tubelet)


def size(config: Any) -> tuple[int, int]:
    """A number or a pair in the configuration."""
    return pair(config.image_size)


def taps(model: nn.Module, grid: Grid, rows: Tensor | None) -> dict[str, Tap]:
    """Of every block the mean over queries; row 0 where the checkpoint does not pool."""

    def mean(query: Tensor, key: Tensor, scale: float) -> Tensor:
        query = chosen(query[:, :, ::STRIDE], rows)
        even = torch.full((len(query), query.shape[2]), 1 / query.shape[2], device=query.device)
        return carry(even, query, chosen(key, rows), scale).view(-1, grid.t, grid.h * grid.w)

    def first(query: Tensor, key: Tensor, scale: float) -> Tensor:
        row = weights(chosen(query[:, :, :1], rows), chosen(key, rows), scale)[:, 0]
        return row.view(-1, grid.t, grid.h * grid.w)

    config: Any = model.config
    blocks = model.get_submodule("videomae.encoder.layer")
    modules = [block.get_submodule("attention.attention") for block in blocks.children()]
    return {"space": Tap(modules, mean if config.use_mean_pooling else first)}
