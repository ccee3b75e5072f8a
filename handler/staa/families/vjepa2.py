"""V-JEPA 2: an attentive pooler on an encoder; one learned query attends to all tubelets after a few self-attentions.

Token order: step-major, row, column. The encoder rotates queries and keys (RoPE); the pooler, which is read, does not.
"""

from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers.models.vjepa2.modeling_vjepa2 import VJEPA2RopeAttention

from staa import capture
from staa.families import toward
from staa.sites import Layout, Site
from staa.types import Grid

PIXELS = "pixel_values_videos"
route = capture.route


def grid(config: Any) -> Grid:
    """One token a tubelet."""
    token = config.tubelet_size, config.patch_size, config.patch_size
    return Grid.of((config.frames_per_clip, *size(config)), token)


def size(config: Any) -> tuple[int, int]:
    """Square frames."""
    return config.crop_size, config.crop_size


def rotate_once(model: nn.Module) -> None:
    """Sines and cosines of the positions once for all blocks and clips, in the library's own arithmetic.

    The library works them out in every block for queries and keys, each axis by itself.
    """
    config: Any = model.config
    tokens, parameter = int(np.prod(grid(config).shape)), next(model.parameters())
    made: tuple[Tensor, Tensor] | None = None
    for module in model.get_submodule("vjepa2.encoder").modules():
        if isinstance(module, VJEPA2RopeAttention):
            made = made or _angles(module, tokens, parameter)
            module.get_position_ids = partial(_whole, made)  # type: ignore[method-assign]
            module.apply_rotary_embeddings = _rotate  # type: ignore[method-assign]


def _angles(module: Any, tokens: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """Cosines and sines (N, head width); the sines of even channels negated. Channels beyond the axes do not turn."""
    cosines, sines = [], []
    for positions, width in zip(
        module.get_position_ids(like.new_empty(1, tokens, 1)), (module.d_dim, module.h_dim, module.w_dim), strict=True
    ):
        steps = torch.arange(width // 2, dtype=like.dtype, device=like.device) / (width / 2)
        angles = positions.unsqueeze(-1) * (1 / 10000**steps)
        cosines.append(angles.cos().repeat(1, 2))
        sines.append(angles.sin().repeat(1, 2))
    rest = like.new_zeros(tokens, module.attention_head_size - module.d_dim - module.h_dim - module.w_dim)
    sine = torch.cat([*sines, rest], -1)
    sine[:, ::2] *= -1
    return torch.cat([*cosines, rest + 1], -1), sine


def _whole(angles: tuple[Tensor, Tensor], _tokens: Tensor, masks: None = None) -> tuple[Tensor, Tensor]:
    """In place of the positions; all tokens, in their order."""
    if masks is not None:
        raise ValueError("whole clips only: the classifier masks nothing")
    return angles


def _rotate(heads: Tensor, angles: tuple[Tensor, Tensor]) -> Tensor:
    """(B, heads, N, d) -> the same, every pair of channels turned by its angle."""
    swapped = heads.view(*heads.shape[:-1], -1, 2).flip(-1).flatten(-2)
    return (heads * angles[0]).add_(swapped.mul_(angles[1]))


SAVINGS = {"positions once": rotate_once}


def sites(model: nn.Module, grid: Grid, _stride: int) -> list[Site]:
    """The encoder's attentions, the pooler's self-attentions, and its one learned query."""
    layout = Layout(grid)
    encoder = [
        module for module in model.get_submodule("vjepa2.encoder").modules() if isinstance(module, VJEPA2RopeAttention)
    ]
    pooler = model.get_submodule("pooler.self_attention_layers").children()
    return [
        *(Site(module, layout, "deep") for module in encoder),
        *(Site(layer.get_submodule("self_attn"), layout, "pool", carried=True) for layer in pooler),
        Site(model.get_submodule("pooler.cross_attention_layer.cross_attn"), layout, "query"),
    ]


def directions(model: nn.Module) -> Tensor:
    """(K, width) of the classes, at the pooled query; no norm stands between."""
    return toward(model.get_submodule("classifier"), None)
