"""TimeSformer: CLS attends to the patches of each frame (divided, space only) or of all frames at once (joint).

The token order of transformers' implementation is CLS, then for each patch all its frames (patch-major). Divided
temporal attention works on (B*P, T) tokens, divided spatial attention and space only on (B*T, 1 + P).
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from types import MethodType
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers.models.timesformer.modeling_timesformer import TimesformerSelfAttention

from staa.capture import FEW_TOKENS, attend, attend_first_token, attend_with_matrix
from staa.errors import LoadError
from staa.families import class_directions
from staa.sites import Layout, Mlp, Site, Stream, head_factors
from staa.types import Grid

INPUT_NAME = "pixel_values"
KINDS = ("divided_space_time", "joint_space_time", "space_only")


def grid(config: Any) -> Grid:
    """Return the token grid, with one token for each patch and frame; raise LoadError if transformers cannot run it."""
    if config.attention_type not in KINDS:
        msg = f"attention_type is {config.attention_type!r}: expected one of {', '.join(KINDS)}; use such a checkpoint"
        raise LoadError(msg)
    if not (isinstance(config.image_size, int) and isinstance(config.patch_size, int)):
        raise LoadError(
            f"got {config.image_size = }, {config.patch_size = }: transformers' TimeSformer takes square ones, a number"
        )
    return Grid.of((config.num_frames, *size(config)), (1, config.patch_size, config.patch_size))


def size(config: Any) -> tuple[int, int]:
    """Return (height, width) of square frames."""
    return config.image_size, config.image_size


def route(model: nn.Module) -> None:
    """Replace the eager attention, which transformers' AttentionInterface does not reach, by a fast one.

    For the kind space_only, transformers leaves out the mean over frames and gives B*T rows of logits. Here the tokens
    are averaged before the last norm, as in the authors' own code (facebookresearch/TimeSformer, models/vit.py).
    """
    config: Any = model.config
    for module in model.modules():
        if isinstance(module, TimesformerSelfAttention):
            module.forward = MethodType(_forward, module)  # type: ignore[method-assign]
    if config.attention_type == "space_only":
        norm = cast("nn.LayerNorm", model.get_submodule("timesformer.layernorm"))
        norm.forward = partial(_mean_norm, norm, config.num_frames)  # type: ignore[method-assign]


def merge(model: nn.Module) -> None:
    """Merge two linear layers into one: the temporal attention's output, and temporal_dense, which follows it."""
    config: Any = model.config
    if config.attention_type == "divided_space_time":
        for block in _blocks(model):
            if isinstance(block.temporal_dense, nn.Identity):  # merged by an Explainer before
                continue
            block.temporal_attention.output.dense = _merged(block.temporal_attention.output.dense, block.temporal_dense)
            block.temporal_dense = nn.Identity()


def keep_temporal_matrix(model: nn.Module) -> None:
    """Compute temporal attention over a few frames by its matrix, so that the matrix is not computed twice."""
    config: Any = model.config
    if config.attention_type == "divided_space_time" and config.num_frames <= FEW_TOKENS:
        for block in _blocks(model):
            module = block.temporal_attention.attention
            module.forward = partial(_forward, module, attend=attend_with_matrix)


def shorten(model: nn.Module) -> None:
    """Compute only CLS in the last block."""
    last = _blocks(model)[-1]
    last.forward = MethodType(_last_block, last)


OPTIMISATIONS = {"merged maps": merge, "short last block": shorten, "temporal matrix": keep_temporal_matrix}


def _blocks(model: nn.Module) -> list[Any]:
    return list(model.get_submodule("timesformer.encoder.layer").children())


def _forward(
    self: TimesformerSelfAttention,
    hidden_states: Tensor,
    output_attentions: bool = False,
    attend: Callable[..., Tensor] = attend,
) -> tuple[Tensor]:
    """Compute attention as the original forward does: (sequences, tokens, width) -> the same shape."""
    if output_attentions:
        raise ValueError("the matrices of fast attention do not exist: read the rows with staa.capture")
    sequences, tokens, width = hidden_states.shape
    qkv = self.qkv(hidden_states).view(sequences, tokens, 3, self.num_heads, width // self.num_heads)
    query, key, value = qkv.permute(2, 0, 3, 1, 4)
    mixed = attend(self, query, key, value, self.scale)
    return (mixed.transpose(1, 2).reshape(sequences, tokens, width),)


@torch.no_grad()
def _merged(first: nn.Linear, then: nn.Linear) -> nn.Linear:
    """Return one linear layer that does the same as `first` and `then`."""
    merged = nn.Linear(first.in_features, then.out_features, device=first.weight.device, dtype=first.weight.dtype)
    weight = then.weight.double()
    merged.weight.copy_(weight @ first.weight.double())
    merged.bias.copy_(weight @ first.bias.double() + then.bias.double())
    return merged.requires_grad_(requires_grad=False)


def _last_block(self: Any, hidden_states: Tensor, output_attentions: bool = False) -> tuple[Tensor]:
    """Compute only CLS, since no other token is read later: (sequences, tokens, width) -> (sequences, 1, width)."""
    if output_attentions:
        raise ValueError("the matrices of fast attention do not exist: read the rows with staa.capture")
    cls, tokens = hidden_states[:, :1], hidden_states
    if self.attention_type == "divided_space_time":
        batch, _, width = hidden_states.shape
        patches = hidden_states[:, 1:].reshape(-1, self.config.num_frames, width)  # (B*P, T, width)
        patches = patches + self.temporal_dense(self.temporal_attention(self.temporal_layernorm(patches))[0])
        frames = patches.view(batch, -1, self.config.num_frames, width).transpose(1, 2)
        tokens = torch.cat([cls.unsqueeze(1).expand(-1, self.config.num_frames, -1, -1), frames], 2).flatten(0, 1)
    mixed = _first(self.attention.attention, self.layernorm_before(tokens))
    if self.attention_type == "divided_space_time":
        mixed = mixed.view(len(cls), -1, mixed.shape[-1]).mean(1, keepdim=True)  # the projection is linear
    cls = cls + self.attention.output(mixed)
    return (cls + self.output(self.intermediate(self.layernorm_after(cls))),)


def _first(attention: TimesformerSelfAttention, tokens: Tensor) -> Tensor:
    """Compute attention for token 0 only: (sequences, tokens, width) -> (sequences, 1, width)."""
    width = tokens.shape[-1]
    weight, bias = attention.qkv.weight, attention.qkv.bias
    query = F.linear(tokens[:, :1], weight[:width], None if bias is None else bias[:width])
    pair = F.linear(tokens, weight[width:], None if bias is None else bias[width:])
    key, value = pair.chunk(2, -1)
    return attend_first_token(attention, (query, key, value), width // attention.num_heads, attention.scale)


def _mean_norm(norm: nn.LayerNorm, frames: int, hidden_states: Tensor) -> Tensor:
    """Return the norm of the mean over frames: (B*T, tokens, width) -> (B, tokens, width)."""
    return nn.LayerNorm.forward(norm, hidden_states.view(-1, frames, *hidden_states.shape[1:]).mean(1))


def sites(model: nn.Module, grid: Grid, _stride: int) -> list[Site]:
    """Return for every block its temporal attention, if attention is divided, and the attention that includes CLS."""
    config: Any = model.config
    kind = config.attention_type
    by_patch = Layout(grid, grid.h * grid.w, patch_major=True)
    by_frame = Layout(grid, grid.t, cls=True, cls_each=kind == "space_only")
    whole = Layout(grid, cls=True, patch_major=True)
    listed = []
    for block in _blocks(model):
        output, inner = block.attention.output.dense, block.intermediate
        site = Site(
            block.attention.attention,
            whole if kind == "joint_space_time" else by_frame,
            "cls",
            output=output,
            factors=head_factors(output, config.num_attention_heads),
            mlp=Mlp(block.layernorm_after, inner.dense, inner.intermediate_act_fn, block.output.dense),
        )
        if kind == "divided_space_time":
            start = Stream(block.temporal_layernorm, by_patch)
            middle = Stream(block.layernorm_before, by_frame)
            listed.append(Site(block.temporal_attention.attention, by_patch, "time", before=start, after=middle))
            site = replace(site, before=middle, after=Stream(block.layernorm_after, whole))
        listed.append(site)
    return listed


def directions(model: nn.Module) -> Tensor:
    """Return the directions of the classes (K, width) in the token CLS."""
    return class_directions(model.get_submodule("classifier"), model.get_submodule("timesformer.layernorm"))
