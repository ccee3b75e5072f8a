"""The small TimeSformer that is trained, and how it starts."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import TimesformerConfig, TimesformerForVideoClassification

from training.clips import LABELS


def build(size: int, patch: int, frames: int, width: int, blocks: int, heads: int) -> TimesformerForVideoClassification:
    """A divided space-time TimeSformer with random weights."""
    config = TimesformerConfig(
        image_size=size,
        patch_size=patch,
        num_frames=frames,
        hidden_size=width,
        num_hidden_layers=blocks,
        num_attention_heads=heads,
        intermediate_size=2 * width,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        initializer_range=0.1,
        id2label=dict(enumerate(LABELS)),
        label2id={label: index for index, label in enumerate(LABELS)},
    )
    model = TimesformerForVideoClassification(config)
    _start_positions(model, size // patch)
    return model


@torch.no_grad()
def _start_positions(model: TimesformerForVideoClassification, side: int) -> None:
    """Start at half sines: transformers starts time at zero, from where motion is hardly ever found."""
    embeddings = model.timesformer.embeddings
    frames, width = embeddings.time_embeddings.shape[1:]
    embeddings.time_embeddings.copy_(0.5 * _sines(frames, width))
    half = width // 2
    rows = _sines(side, half)[:, None].expand(side, side, half)
    columns = _sines(side, width - half)[None].expand(side, side, width - half)
    embeddings.position_embeddings[0, 1:] = 0.5 * torch.cat([rows, columns], -1).reshape(side * side, width)


@torch.no_grad()
def resize(model: TimesformerForVideoClassification, size: int) -> TimesformerForVideoClassification:
    """The same model for frames of another size: the positions are interpolated, every other weight is kept."""
    config: Any = model.config
    state = model.state_dict()
    name = "timesformer.embeddings.position_embeddings"
    side, new = config.image_size // config.patch_size, size // config.patch_size
    grid = state[name][:, 1:].reshape(1, side, side, -1).permute(0, 3, 1, 2)
    grid = F.interpolate(grid, (new, new), mode="bilinear", align_corners=True)
    state[name] = torch.cat([state[name][:, :1], grid.flatten(2).transpose(1, 2)], 1)
    other = TimesformerForVideoClassification(TimesformerConfig(**{**config.to_dict(), "image_size": size}))
    other.load_state_dict(state)
    return other


def _sines(length: int, width: int) -> Tensor:
    """(length, width) sines and cosines of falling frequency."""
    angles = torch.arange(length)[:, None] * 100 ** (-torch.arange(0, width, 2) / width)
    return torch.cat([angles.sin(), angles.cos()], 1)[:, :width]
