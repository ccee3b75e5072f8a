"""VideoMAE: the classifier reads the mean of all tubelets, or the first one; there is no CLS token.

Token order: step-major, row, column.
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
    return Grid.of((config.num_frames, *size(config)), (int(config.tubelet_size), *pair(config.patch_size)))


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


def sites(model: nn.Module, grid: Grid, stride: int) -> list[Site]:
    """Every block's attention: of block l the queries l, l + stride, ... (l modulo stride), or token 0."""
    config: Any = model.config
    layout = Layout(grid)
    found = []
    for number, block in enumerate(model.get_submodule("videomae.encoder.layer").children()):
        attention: Any = block.get_submodule("attention")
        output = attention.output.dense
        if config.use_mean_pooling:
            found.append(Site(attention.attention, layout, "all", number % stride, stride, output))
        else:
            found.append(Site(attention.attention, layout, "first", output=output))
    return found


def directions(model: nn.Module) -> Tensor:
    """(K, width) of the classes, at the mean of all tokens or at the first."""
    config: Any = model.config
    norm = "fc_norm" if config.use_mean_pooling else "videomae.layernorm"
    return toward(model.get_submodule("classifier"), model.get_submodule(norm))
