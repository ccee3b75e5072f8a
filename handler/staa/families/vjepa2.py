"""V-JEPA 2: an encoder, then a pooler: a few self-attentions, and one learned query that attends to all tubelets.

The tokens are in the order of step, row, column: all of the first step come first. The encoder rotates queries and keys
(RoPE); the pooler, whose attention is read, does not.
"""

from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers.models.vjepa2.modeling_vjepa2 import VJEPA2RopeAttention

from staa import capture
from staa.families import class_directions
from staa.sites import Layout, Mlp, Site
from staa.types import Grid

INPUT_NAME = "pixel_values_videos"
route = capture.route


def grid(config: Any) -> Grid:
    """Return the token grid, with one token for each tubelet."""
    token = config.tubelet_size, config.patch_size, config.patch_size
    return Grid.of((config.frames_per_clip, *size(config)), token)


def size(config: Any) -> tuple[int, int]:
    """Return (height, width) of square frames."""
    return config.crop_size, config.crop_size


def rotate_once(model: nn.Module) -> None:
    """Compute the sines and cosines of RoPE once for all blocks and clips, with the same arithmetic as transformers.

    transformers computes them again in every block, for queries and for keys and for each axis.
    """
    config: Any = model.config
    tokens, parameter = int(np.prod(grid(config).shape)), next(model.parameters())
    angles: tuple[Tensor, Tensor] | None = None
    for module in model.get_submodule("vjepa2.encoder").modules():
        if isinstance(module, VJEPA2RopeAttention):
            angles = angles or _compute_angles(module, tokens, parameter)
            module.get_position_ids = partial(_angles_of_all, angles)  # type: ignore[method-assign]
            module.apply_rotary_embeddings = _rotate  # type: ignore[method-assign]


def _compute_angles(module: Any, tokens: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """Return the cosines and the sines of RoPE, each (N, head width), as `_rotate` needs them.

    N is the number of tokens. Every token has an angle for each channel of a head: first the channels of time, then of
    height, then of width. A pair of channels (x, y) becomes (x cos - y sin, y cos + x sin), so the sines of the even
    channels are stored with a minus. Channels that are left after the three axes are not rotated: cosine 1, sine 0.
    """
    cosines, sines = [], []
    for positions, width in zip(
        # the library's own, which an Explainer of this model before may have replaced in the instance
        type(module).get_position_ids(module, like.new_empty(1, tokens, 1)),
        (module.d_dim, module.h_dim, module.w_dim),
        strict=True,
    ):
        steps = torch.arange(width // 2, dtype=like.dtype, device=like.device) / (width / 2)
        angles = positions.unsqueeze(-1) * (1 / 10000**steps)
        cosines.append(angles.cos().repeat(1, 2))
        sines.append(angles.sin().repeat(1, 2))
    rest = like.new_zeros(tokens, module.attention_head_size - module.d_dim - module.h_dim - module.w_dim)
    sine = torch.cat([*sines, rest], -1)
    sine[:, ::2] *= -1
    return torch.cat([*cosines, rest + 1], -1), sine


def _angles_of_all(angles: tuple[Tensor, Tensor], _tokens: Tensor, masks: None = None) -> tuple[Tensor, Tensor]:
    """Return the precomputed angles of all tokens, where transformers asks for their positions."""
    if masks is not None:
        raise ValueError("whole clips only: the classifier masks nothing")
    return angles


def _rotate(heads: Tensor, angles: tuple[Tensor, Tensor]) -> Tensor:
    """Rotate every pair of channels of (B, heads, N, d) by the cosines and sines of `_compute_angles`."""
    swapped = heads.view(*heads.shape[:-1], -1, 2).flip(-1).flatten(-2)
    return (heads * angles[0]).add_(swapped.mul_(angles[1]))


OPTIMISATIONS = {"positions once": rotate_once}


def sites(model: nn.Module, grid: Grid, _stride: int) -> list[Site]:
    """Return the encoder's attentions, the pooler's self-attentions, and its one learned query."""
    layout = Layout(grid)
    encoder = [
        module for module in model.get_submodule("vjepa2.encoder").modules() if isinstance(module, VJEPA2RopeAttention)
    ]
    pooler: Any = model.get_submodule("pooler")
    last = pooler.cross_attention_layer
    mlp = Mlp(last.layer_norm2, last.mlp.fc1, last.mlp.activation, last.mlp.fc2)
    return [
        *(Site(module, layout, "deep") for module in encoder),
        *(Site(layer.self_attn, layout, "pool") for layer in pooler.self_attention_layers),
        Site(last.cross_attn, layout, "query", mlp=mlp),
    ]


def directions(model: nn.Module) -> Tensor:
    """Return the directions of the classes (K, width) in the pooled query, which no norm follows."""
    return class_directions(model.get_submodule("classifier"), None)
