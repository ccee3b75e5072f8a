"""ViViT: CLS attends to all tubelets at once.

CLS is the first token; the others are in the order of step, row, column: all of the first step come first.
"""

from types import MethodType
from typing import Any

from torch import Tensor, nn
from transformers import PreTrainedModel

from staa import capture
from staa.capture import attend_first_token
from staa.families import class_directions, pair
from staa.sites import Layout, Mlp, Site, head_factors
from staa.types import Grid

INPUT_NAME = "pixel_values"
route = capture.route


def grid(config: Any) -> Grid:
    """Return the token grid, with one token for each tubelet."""
    return Grid.of((config.num_frames, *size(config)), tuple(config.tubelet_size))


def size(config: Any) -> tuple[int, int]:
    """Return (height, width) of frames in pixels."""
    return pair(config.image_size)


def shorten(model: PreTrainedModel) -> None:
    """Compute only CLS in the last block."""
    last: Any = list(model.get_submodule("vivit.layers").children())[-1]
    last.forward = MethodType(_last_block, last)


def _last_block(self: Any, hidden_states: Tensor, *_: Any, **__: Any) -> Tensor:
    """Compute only CLS, since no other token is read later: (B, N, width) -> (B, 1, width)."""
    tokens, inner = self.layernorm_before(hidden_states), self.attention
    projections = inner.q_proj(tokens[:, :1]), inner.k_proj(tokens), inner.v_proj(tokens)
    cls = hidden_states[:, :1] + inner.o_proj(attend_first_token(inner, projections, inner.head_dim, inner.scaling))
    output: Tensor = cls + self.mlp(self.layernorm_after(cls))
    return output


OPTIMISATIONS = {"short last block": shorten}


def sites(model: nn.Module, grid: Grid, _stride: int) -> list[Site]:
    """Return every block's attention."""
    config: Any = model.config
    layout = Layout(grid, cls=True)
    listed = []
    blocks: Any = model.get_submodule("vivit.layers").children()
    for block in blocks:
        mlp = Mlp(block.layernorm_after, block.mlp.fc1, block.mlp.activation_fn, block.mlp.fc2)
        output = block.attention.o_proj
        factors = head_factors(output, config.num_attention_heads)
        listed.append(Site(block.attention, layout, "cls", output=output, factors=factors, mlp=mlp))
    return listed


def directions(model: nn.Module) -> Tensor:
    """Return the directions of the classes (K, width) in the token CLS."""
    return class_directions(model.get_submodule("classifier"), model.get_submodule("vivit.layernorm"))
