"""VideoMAE: the classifier reads the mean of all tubelets, or the first one; there is no CLS token.

Token order: step-major, row, column.
"""

from functools import partial
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from staa import capture
from staa.capture import Tap, carry, chosen, first_token, weights
from staa.families import pair
from staa.types import Grid

PIXELS = "pixel_values"
route = capture.route
read = capture.stack


def grid(config: Any) -> Grid:
    """One token a tubelet."""
    (height, width), (rows, columns) = size(config), pair(config.patch_size)
    tubelet = int(config.tubelet_size)
    return Grid(t=config.num_frames // tubelet, h=height // rows, w=width // columns, tubelet=tubelet)


def size(config: Any) -> tuple[int, int]:
    """A number or a pair in the configuration."""
    return pair(config.image_size)


def shorten(model: PreTrainedModel) -> None:
    """In the last block the first token alone, where the checkpoint reads no other."""
    config: Any = model.config
    if not config.use_mean_pooling:
        last: Any = list(model.get_submodule("videomae.encoder.layer").children())[-1]
        last.forward = MethodType(_last_block, last)


def _last_block(self: Any, hidden_states: Tensor, **_: Any) -> Tensor:
    """(B, N, width) -> (B, 1, width): after the last block nobody reads another token."""
    tokens, inner = self.layernorm_before(hidden_states), self.attention.attention
    parts = inner.query(tokens[:, :1]), inner.key(tokens), inner.value(tokens)
    looked = first_token(inner, parts, inner.attention_head_size, inner.scaling)
    first = hidden_states[:, :1] + self.attention.output(looked, tokens)
    made: Tensor = self.output(self.intermediate(self.layernorm_after(first)), first)
    return made


SAVINGS = {"short last block": shorten}


def taps(model: nn.Module, grid: Grid, rows: Tensor | None, stride: int) -> dict[str, Tap]:
    """Of block l the mean over the queries l, l + stride, ... (l modulo stride); row 0 where nothing is pooled."""

    def mean(start: int, query: Tensor, key: Tensor, scale: float) -> Tensor:
        query = chosen(query[:, :, start::stride], rows)
        even = torch.full((len(query), query.shape[2]), 1 / query.shape[2], device=query.device)
        return carry(even, query, chosen(key, rows), scale).view(-1, grid.t, grid.h * grid.w)

    def first(query: Tensor, key: Tensor, scale: float) -> Tensor:
        row = weights(chosen(query[:, :, :1], rows), chosen(key, rows), scale)[:, 0]
        return row.view(-1, grid.t, grid.h * grid.w)

    config: Any = model.config
    blocks = model.get_submodule("videomae.encoder.layer")
    modules = [block.get_submodule("attention.attention") for block in blocks.children()]
    pooled = config.use_mean_pooling
    return {"space": [(part, partial(mean, block % stride) if pooled else first) for block, part in enumerate(modules)]}
