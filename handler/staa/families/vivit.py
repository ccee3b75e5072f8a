"""ViViT: CLS attends to all tubelets at once.

Token order: CLS, then step-major, row, column.
"""

from types import MethodType
from typing import Any

from torch import Tensor, nn
from transformers import PreTrainedModel

from staa import capture
from staa.capture import first_token
from staa.families import pair, toward
from staa.sites import Layout, Site
from staa.types import Grid

PIXELS = "pixel_values"
route = capture.route


def grid(config: Any) -> Grid:
    """One token a tubelet."""
    return Grid.of((config.num_frames, *size(config)), tuple(config.tubelet_size))


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


def sites(model: nn.Module, grid: Grid, _stride: int) -> list[Site]:
    """Every block's attention."""
    layout = Layout(grid, cls=True)
    found = []
    for block in model.get_submodule("vivit.layers").children():
        inner: Any = block.get_submodule("attention")
        found.append(Site(inner, layout, "cls", output=inner.o_proj))
    return found


def directions(model: nn.Module) -> Tensor:
    """(K, width) of the classes, at CLS."""
    return toward(model.get_submodule("classifier"), model.get_submodule("vivit.layernorm"))
