"""Tiny models with random weights, and the slow way to their attention: full matrices from an untouched eager model."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import TimesformerConfig, TimesformerForVideoClassification

from staa import Clip, Explainer
from staa.recipe import Recipe

PROCESSOR: dict[str, Any] = {
    "image_processor_type": "VideoMAEImageProcessor",
    "size": {"shortest_edge": 32},
    "crop_size": {"height": 32, "width": 32},
    "image_mean": [0.45] * 3,
    "image_std": [0.225] * 3,
}


def timesformer(seed: int = 0, **changes: Any) -> TimesformerForVideoClassification:
    """Return a TimeSformer of 4 frames of 4 x 4 patches, 3 blocks, with positions that are not zero."""
    torch.manual_seed(seed)
    facts = {
        "image_size": 32,
        "patch_size": 8,
        "num_frames": 4,
        "hidden_size": 32,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "intermediate_size": 64,
        "initializer_range": 0.5,
        "num_labels": 5,
    }
    model = TimesformerForVideoClassification(TimesformerConfig(**{**facts, **changes}))
    model.train(mode=False)
    with torch.no_grad():
        model.timesformer.embeddings.time_embeddings.normal_()
        model.timesformer.embeddings.position_embeddings.normal_()
    return model


def explainer(model: nn.Module) -> Explainer:
    """Return an explainer around a copy of the model, so that the model itself stays as transformers made it."""
    copy = type(model)(model.config)
    copy.load_state_dict(model.state_dict())
    return Explainer(copy, Recipe.read(PROCESSOR))


def save(model: Any, folder: Path) -> Path:
    """Write the model as a checkpoint folder."""
    import json

    model.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(PROCESSOR))
    return folder


def clip(seed: int, frames: int = 4, height: int = 40, width: int = 48) -> Clip:
    """Return frames of noise at 25 frames a second."""
    pictures = np.random.default_rng(seed).integers(0, 256, (frames, height, width, 3), np.uint8)
    return Clip(pictures, np.arange(frames) / 25, np.arange(frames), 25.0, frames / 25)


@contextmanager
def matrices(model: nn.Module, name: str) -> Iterator[list[Tensor]]:
    """Return full attention matrices (sequences, heads, n, n) of the modules of this name, taken by plain hooks."""
    taken: list[Tensor] = []

    def keep(_module: nn.Module, _inputs: Any, output: Tensor) -> None:
        taken.append(output)

    hooks = [
        m.register_forward_hook(keep) for n, m in model.named_modules() if n.endswith(f"{name}.attention.attn_drop")
    ]
    try:
        yield taken
    finally:
        for hook in hooks:
            hook.remove()


def bright_token(pixels: Tensor) -> Tensor:
    """Answer as a model that sees how bright one token (step 1, row 0, column 2) is, and nothing else."""
    bright = pixels[:, 2:4, :, 0:2, 4:6].mean((1, 2, 3, 4))
    return torch.stack([1 - bright, bright], 1)
