"""ViViT: CLS attends to all tubelets at once.

Token order: CLS, then step-major, row, column.
"""

from types import MethodType
from typing import Any

from torch import Tensor, nn
from transformers import PreTrainedModel

from staa import capture
from staa.capture import Tap, chosen, first_token, weights
from staa.families import pair
from staa.types import Grid

PIXELS = "pixel_values"
route = capture.route
read = capture.stack


def grid(config: Any) -> Grid:
    """One token a tubelet."""
    steps, rows, columns = config.tubelet_size
    height, width = size(config)
    return Grid(t=config.num_frames // steps, h=height // rows, w=width // columns, tubelet=steps)


def size(config: Any) -> tuple[int, int]:
    """A number or a pair in the configuration."""
    return pair(config.image_size)


def shorten(model: PreTrainedModel) -> None:
    """In the last block CLS alone."""
    last: Any = list(model.get_submodule("vivit.layers").children())[-1]
    last.forward = MethodType(_last_block, last)


def _last_block(self: Any, hidden_states: Tensor, *_: Any, **__: Any) -> Tensor:
    """(B, N, width) -> (B, 1, width): after the last block nobody reads a token but CLS."""
    tokens, inner = self.layernorm_before(hidden_states), self.attention
    parts = inner.q_proj(tokens[:, :1]), inner.k_proj(tokens), inner.v_proj(tokens)
    cls = hidden_states[:, :1] + inner.o_proj(first_token(inner, parts, inner.head_dim, inner.scaling))
    made: Tensor = cls + self.mlp(self.layernorm_after(cls))
    return made


SAVINGS = {"short last block": shorten}


def taps(model: nn.Module, grid: Grid, rows: Tensor | None, _stride: int) -> dict[str, Tap]:
    """The CLS row of every block."""

    def space(query: Tensor, key: Tensor, scale: float) -> Tensor:
        row = weights(chosen(query[:, :, :1], rows), chosen(key, rows), scale)[:, 0, 1:]
        return row.view(-1, grid.t, grid.h * grid.w)

    blocks = model.get_submodule("vivit.layers")
    return {"space": [(block.get_submodule("attention"), space) for block in blocks.children()]}
