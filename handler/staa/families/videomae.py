"""VideoMAE: the classifier reads the mean of all tubelets, or the first one; there is no CLS token.

The tokens are in the order of step, row, column: all of the first step come first.
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
    return Grid.of((config.num_frames, *size(config)), (int(config.tubelet_size), *pair(config.patch_size)))


def size(config: Any) -> tuple[int, int]:
    """Return (height, width) of frames in pixels."""
    return pair(config.image_size)


def shorten(model: PreTrainedModel) -> None:
    """Compute only the first token in the last block, if the checkpoint reads no other one."""
    config: Any = model.config
    if not config.use_mean_pooling:
        last: Any = list(model.get_submodule("videomae.encoder.layer").children())[-1]
        last.forward = MethodType(_last_block, last)


def _last_block(self: Any, hidden_states: Tensor, **_: Any) -> Tensor:
    """Compute only the first token, since no other one is read later: (B, N, width) -> (B, 1, width)."""
    tokens, inner = self.layernorm_before(hidden_states), self.attention.attention
    projections = inner.query(tokens[:, :1]), inner.key(tokens), inner.value(tokens)
    mixed = attend_first_token(inner, projections, inner.attention_head_size, inner.scaling)
    first = hidden_states[:, :1] + self.attention.output(mixed, tokens)
    output: Tensor = self.output(self.intermediate(self.layernorm_after(first)), first)
    return output


OPTIMISATIONS = {"short last block": shorten}


def sites(model: nn.Module, grid: Grid, stride: int) -> list[Site]:
    """Return every block's attention.

    Block l reads every `stride`-th query, the first of them l modulo stride; or only the query of token 0, if the
    checkpoint reads no other token.
    """
    config: Any = model.config
    layout = Layout(grid)
    listed = []
    blocks: Any = model.get_submodule("videomae.encoder.layer").children()
    for index, block in enumerate(blocks):
        attention, inner = block.attention, block.intermediate
        mlp = Mlp(block.layernorm_after, inner.dense, inner.intermediate_act_fn, block.output.dense)
        output = attention.output.dense
        parts = {"output": output, "factors": head_factors(output, config.num_attention_heads), "mlp": mlp}
        if config.use_mean_pooling:
            listed.append(Site(attention.attention, layout, "all", index % stride, stride, **parts))
        else:
            listed.append(Site(attention.attention, layout, "first", **parts))
    return listed


def directions(model: nn.Module) -> Tensor:
    """Return the directions of the classes (K, width), in the mean of all tokens or in the first token."""
    config: Any = model.config
    norm = "fc_norm" if config.use_mean_pooling else "videomae.layernorm"
    return class_directions(model.get_submodule("classifier"), model.get_submodule(norm))
