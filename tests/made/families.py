"""Every family and variant with random weights: the model as transformers makes it, with eager attention."""

import copy
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import (
    TimesformerConfig,
    TimesformerForVideoClassification,
    VideoMAEConfig,
    VideoMAEForVideoClassification,
    VideoPrismForVideoClassification,
    VideoPrismVisionConfig,
    VivitConfig,
    VivitForVideoClassification,
    VJEPA2Config,
    VJEPA2ForVideoClassification,
)

from staa import Explainer
from staa.recipe import Recipe
from tests.made import models

Doubles = NDArray[np.float64]
Shape = tuple[int, int, int]


@dataclass(frozen=True)
class Variant:
    """Hold one way in which a family is read."""

    family: str
    make: Callable[..., Any]
    """Changes of the configuration -> a model as transformers makes it, with eager attention."""
    blocks: int
    """Attentions that a forward pass computes."""
    shape: Shape
    """t, h, w."""


TINY: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "initializer_range": 0.5,
    "num_labels": 5,
}


def _eager(model: Any) -> Any:
    """Return the model, for inference, with attention that makes matrices."""
    model.train(mode=False)
    model.set_attn_implementation("eager")
    return model


def _vivit(**changes: Any) -> Any:
    torch.manual_seed(0)
    facts = {**TINY, "image_size": [16, 32], "num_frames": 6, "tubelet_size": [2, 8, 8], **changes}
    model = VivitForVideoClassification(VivitConfig(**facts))
    for parameter in (model.vivit.embeddings.cls_token, model.vivit.embeddings.position_embeddings):
        nn.init.normal_(parameter)
    return _eager(model)


def _videomae(**changes: Any) -> Any:
    torch.manual_seed(0)
    facts = {**TINY, "image_size": [16, 32], "patch_size": [8, 8], "num_frames": 6, "tubelet_size": 2, **changes}
    return _eager(VideoMAEForVideoClassification(VideoMAEConfig(**facts)))


def _first(**changes: Any) -> Any:
    return _videomae(**{"use_mean_pooling": False, "patch_size": [8, 16], "tubelet_size": 3, **changes})


def _vjepa2(**changes: Any) -> Any:
    torch.manual_seed(0)
    facts = {**TINY, "initializer_range": 0.3, "crop_size": 24, "patch_size": 8, "frames_per_clip": 8, "mlp_ratio": 2.0}
    small = {"pred_hidden_size": 16, "pred_num_attention_heads": 2, "pred_num_hidden_layers": 1, "num_pooler_layers": 2}
    return _eager(VJEPA2ForVideoClassification(VJEPA2Config(**{**facts, **small, **changes})))


def _videoprism(**changes: Any) -> Any:
    torch.manual_seed(0)
    size = {"image_size": [16, 32], "tubelet_size": [1, 8, 8], "num_frames": 4, "attn_logit_softcapping": 2.0}
    layers = {"num_spatial_layers": 2, "num_temporal_layers": 2, "hidden_size": 32, "num_attention_heads": 4}
    facts = {**size, **layers, "intermediate_size": 64, "num_labels": 5, **changes}
    spread = facts.pop("initializer_range", 0.3)
    model = VideoPrismForVideoClassification(VideoPrismVisionConfig(**facts))
    for name, parameter in model.named_parameters():  # transformers' own are small, and many of them zero
        nn.init.normal_(parameter, std=1.0 if name.endswith("query") else spread)
    return _eager(model)


def _timesformer(kind: str) -> Callable[..., Any]:
    def make(**changes: Any) -> Any:
        torch.manual_seed(0)
        if kind != "space_only":
            return models.timesformer(**{"attention_type": kind, **changes})
        config = {**TINY, "image_size": 32, "patch_size": 8, "num_frames": 4, "attention_type": kind, **changes}
        model = TimesformerForVideoClassification(TimesformerConfig(**config))
        nn.init.normal_(model.timesformer.embeddings.position_embeddings)
        model.train(mode=False)
        return model

    return make


VARIANTS = {
    "divided": Variant("timesformer", _timesformer("divided_space_time"), blocks=6, shape=(4, 4, 4)),
    "joint": Variant("timesformer", _timesformer("joint_space_time"), blocks=3, shape=(4, 4, 4)),
    "space": Variant("timesformer", _timesformer("space_only"), blocks=3, shape=(4, 4, 4)),
    "vivit": Variant("vivit", _vivit, blocks=3, shape=(3, 2, 4)),
    "videomae-mean": Variant("videomae", _videomae, blocks=3, shape=(3, 2, 4)),
    "videomae-cls": Variant("videomae", _first, blocks=3, shape=(2, 2, 2)),
    "vjepa2": Variant("vjepa2", _vjepa2, blocks=3 + 2 + 1, shape=(4, 3, 3)),
    "videoprism": Variant("videoprism_vision_model", _videoprism, blocks=2 + 2 + 1, shape=(4, 2, 4)),
}

BASE: dict[str, Any] = {
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "initializer_range": 0.05,
    "num_labels": 400,
    "patch_size": 16,
}
_LARGE = {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "num_labels": 174}
_VITL = {**BASE, **_LARGE, "mlp_ratio": 4.0, "num_pooler_layers": 3, "crop_size": 256, "frames_per_clip": 16}
_PRISM: dict[str, Any] = {
    "hidden_size": 768,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "initializer_range": 0.05,
    "num_labels": 400,
    "image_size": 288,
    "tubelet_size": [1, 18, 18],
    "num_frames": 16,
    "num_spatial_layers": 12,
    "num_temporal_layers": 4,
    "attn_logit_softcapping": 50.0,
}
PUBLISHED: dict[str, tuple[str, dict[str, Any], Shape]] = {
    "timesformer-base-finetuned-k400": ("divided", {**BASE, "image_size": 224, "num_frames": 8}, (8, 14, 14)),
    "timesformer-hr-finetuned-k400": ("divided", {**BASE, "image_size": 448, "num_frames": 16}, (16, 28, 28)),
    "vivit-b-16x2-kinetics400": (
        "vivit",
        {**BASE, "image_size": 224, "num_frames": 32, "tubelet_size": [2, 16, 16]},
        (16, 14, 14),
    ),
    "videomae-base-finetuned-kinetics": (
        "videomae-mean",
        {**BASE, "image_size": 224, "num_frames": 16},
        (8, 14, 14),
    ),
    "vjepa2-vitl-fpc16-256-ssv2": ("vjepa2", _VITL, (8, 16, 16)),
    "videoprism-base-f16r288": ("videoprism", _PRISM, (16, 16, 16)),
}
"""Best-known public checkpoint -> variant, its configuration (initializer_range apart), and its grid."""


def logits(model: Any, pixels: Tensor) -> Tensor:
    """Return (B, K) of the untouched model; space only as its authors have it: the norm of the mean over frames."""
    with torch.no_grad():
        if getattr(model.config, "attention_type", None) != "space_only":
            found: Tensor = model(**{model.main_input_name: pixels}).logits
            return found.flatten(1)  # VideoPrism's are (B, 1, K)
        last = model(pixel_values=pixels, output_hidden_states=True).hidden_states[-1][:, 0]
        mean = last.reshape(len(pixels), pixels.shape[1], -1).mean(1)
        headed: Tensor = model.classifier(model.timesformer.layernorm(mean))
        return headed


def shape(config: Any) -> Shape:
    """Return (t, h, w) of any configuration, worked out apart from the families."""
    facts = config.to_dict()
    edge = facts.get("image_size", facts.get("crop_size"))
    height, width = edge if isinstance(edge, (list, tuple)) else (edge, edge)
    tubelet = facts.get("tubelet_size", 1)
    step, *patch = (tubelet, facts["patch_size"]) if isinstance(tubelet, int) else tubelet
    patch = patch[0] if len(patch) == 1 else patch
    rows, columns = patch if isinstance(patch, (list, tuple)) else (patch, patch)
    return facts.get("num_frames", facts.get("frames_per_clip")) // step, height // rows, width // columns


def processor(model: Any) -> dict[str, Any]:
    """Return a preparation to the model's size."""
    edge = getattr(model.config, "image_size", getattr(model.config, "crop_size", None))
    height, width = edge if isinstance(edge, (list, tuple)) else (edge, edge)
    return {**models.PROCESSOR, "crop_size": {"height": height, "width": width}}


def explainer(model: Any) -> Explainer:
    """Return an explainer around a copy, so that the model itself stays as transformers made it; every query counts."""
    return Explainer(copy.deepcopy(model), Recipe.read(processor(model)), stride=1)


def save(model: Any, folder: Path) -> Path:
    """Write the model as a checkpoint folder."""
    model.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(processor(model)))
    return folder


def pixels(explainer: Explainer, batch: int) -> Tensor:
    """Return normalised pixels (B, T, 3, h, w) of noise."""
    return explainer.pixels([models.clip(seed, explainer.grid.frames) for seed in range(batch)])


def plant(model: Any) -> None:
    """Set the weights so that every query matches the key of a bright token, and of no dark one (all zeros).

    A bright cell becomes channel 0 of its token; a key copies channel 0 into each head's last channel; every query is 1
    there, by its bias. The first head's values copy channel 0, too, and next to nothing of them is written back.
    """
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        for name, module in model.named_modules():
            if torch.is_tensor(table := getattr(module, "position_embeddings", None)):
                table.zero_()
            if isinstance(module, nn.LayerNorm):
                module.weight.fill_(1)
            if isinstance(module, nn.Conv2d | nn.Conv3d):
                module.weight[0] = 1
            if isinstance(module, nn.Linear):
                _plant(name, module)


def _plant(name: str, linear: nn.Linear) -> None:
    """Set the weights of one linear layer of an attention, all of which are zero."""
    heads = slice(7, 32, 8)  # the last channel of each of 4 heads, 8 wide
    if name.endswith((".q_proj", ".query", ".qkv")):
        linear.bias[:32][heads] = 1
    if name.endswith((".k_proj", ".key")):
        linear.weight[heads, 0] = 5
    if name.endswith((".v_proj", ".value")):
        linear.weight[0, 0] = 1
    if name.endswith((".o_proj", ".attention.output.dense")):
        linear.weight[1, 0] = 1e-3
    if name.endswith(".qkv"):
        linear.weight[32:64][heads, 0] = 5
        linear.weight[64, 0] = 1
