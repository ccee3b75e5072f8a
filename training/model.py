"""The small models that are trained, one a family, and how they start."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import (
    TimesformerConfig,
    TimesformerForVideoClassification,
    VideoMAEConfig,
    VideoMAEForVideoClassification,
    VivitConfig,
    VivitForVideoClassification,
    VJEPA2Config,
    VJEPA2ForVideoClassification,
)

from training.clips import LABELS

TUBELET = 2
"""Frames of a token in all families but TimeSformer."""
POOLED = 2
"""Blocks of a V-JEPA 2 that are self-attentions of its pooler; the others are its encoder."""
KINDS: dict[str, tuple[Callable[..., Any], Callable[..., Any], dict[str, Any]]] = {
    "timesformer": (TimesformerConfig, TimesformerForVideoClassification, {}),
    "vivit": (VivitConfig, VivitForVideoClassification, {}),
    "videomae": (VideoMAEConfig, VideoMAEForVideoClassification, {"tubelet_size": TUBELET, "use_mean_pooling": True}),
    "vjepa2": (VJEPA2Config, VJEPA2ForVideoClassification, {"tubelet_size": TUBELET, "num_pooler_layers": POOLED}),
}
"""model_type -> its configuration, its classifier, and what it has beside the common facts."""
NORMS = {
    "timesformer": "timesformer.layernorm",
    "vivit": "vivit.layernorm",
    "videomae": "videomae.encoder",
    "vjepa2": "vjepa2.encoder",
}
"""Where the tokens of the last block come out."""


def build(family: str, size: int, patch: int, frames: int, width: int, blocks: int, heads: int) -> Any:
    """Return a model with random weights; the TimeSformer is the divided space-time one."""
    config, classifier, facts = KINDS[family]
    if family == "vjepa2":
        shape: dict[str, Any] = {"crop_size": size, "frames_per_clip": frames, "patch_size": patch, "mlp_ratio": 2.0}
        # its predictor, which classifies nothing, is as small as it can be
        shape |= {"pred_hidden_size": heads, "pred_num_attention_heads": 1, "pred_num_hidden_layers": 1}
        blocks -= POOLED
    else:
        shape = {"image_size": size, "num_frames": frames, "intermediate_size": 2 * width, "hidden_dropout_prob": 0.0}
        shape |= {"tubelet_size": [TUBELET, patch, patch]} if family == "vivit" else {"patch_size": patch}
    model = classifier(
        config(
            **shape,
            hidden_size=width,
            num_hidden_layers=blocks,
            num_attention_heads=heads,
            attention_probs_dropout_prob=0.0,
            initializer_range=0.1,
            id2label=dict(enumerate(LABELS)),
            label2id={label: index for index, label in enumerate(LABELS)},
            **facts,
        )
    )
    _start_positions(model, size // patch)
    return model


def last_tokens(model: nn.Module) -> nn.Module:
    """Return the module whose output holds the tokens of the last block."""
    config: Any = model.config
    return model.get_submodule(NORMS[config.model_type])


@torch.no_grad()
def _start_positions(model: Any, side: int) -> None:
    """Start at half sines: transformers starts at zero, from where motion is hardly ever found.

    VideoMAE's are sines already, and stay.
    """
    if model.config.model_type == "timesformer":
        embeddings = model.timesformer.embeddings
        frames, width = embeddings.time_embeddings.shape[1:]
        embeddings.time_embeddings.copy_(_half_sines((frames, width)))
        half = width // 2
        embeddings.position_embeddings[0, 1:] = _half_sines((side, half), (side, width - half))
    elif model.config.model_type == "vivit":
        table = model.vivit.embeddings.position_embeddings
        width, steps = table.shape[-1], (table.shape[1] - 1) // side**2
        half, quarter = width // 2, width // 4
        table[0, 1:] = _half_sines((steps, half), (side, quarter), (side, width - half - quarter))


@torch.no_grad()
def resize(model: Any, size: int) -> Any:
    """Return a model for frames of another size: learned positions are interpolated, every other weight is kept."""
    facts = model.config.to_dict()
    family = facts["model_type"]
    patch = facts["tubelet_size"][1] if family == "vivit" else facts["patch_size"]
    config, classifier, _ = KINDS[family]
    other = classifier(config(**{**facts, "crop_size" if family == "vjepa2" else "image_size": size}))
    state = model.state_dict()
    name = f"{family}.embeddings.position_embeddings"
    if name in state:
        side, new = facts["image_size"] // patch, size // patch
        steps = (state[name].shape[1] - 1) // side**2
        grid = state[name][0, 1:].reshape(steps, side, side, -1).permute(0, 3, 1, 2)
        grid = F.interpolate(grid, (new, new), mode="bilinear", align_corners=True)
        state[name] = torch.cat([state[name][:, :1], grid.permute(0, 2, 3, 1).reshape(1, -1, grid.shape[1])], 1)
    other.load_state_dict(state)
    return other


def _half_sines(*axes: tuple[int, int]) -> Tensor:
    """Return sines and cosines of falling frequency, halved, for every cell of a grid: (cells, all widths together).

    Each axis has a length, and the width of its share.
    """
    lengths, shares = [length for length, _ in axes], []
    for positions, (_, width) in zip(torch.meshgrid(*map(torch.arange, lengths), indexing="ij"), axes, strict=True):
        angles = positions.flatten()[:, None] * 100 ** (-torch.arange(0, width, 2) / width)
        shares.append(torch.cat([angles.sin(), angles.cos()], 1)[:, :width])
    return 0.5 * torch.cat(shares, 1)
