"""Checkpoints in the layouts of the hub: older names of weights, keys of older configurations, and preprocessor files.

Each is a tiny model with random weights, written as the named repositories have theirs, and loaded as they are.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from staa import Explainer
from staa.checkpoint import files
from tests.made import families
from tests.made.families import VARIANTS


@dataclass(frozen=True)
class Layout:
    """Hold how a group of repositories differs from what the installed transformers writes."""

    variant: str
    processor: Mapping[str, Any]
    """The preprocessor file, without its sizes."""
    processor_file: str = "preprocessor_config.json"
    renames: tuple[tuple[str, str], ...] = ()
    """Pattern -> the older name of the same weight."""
    more: tuple[str, ...] = ()
    """Names of weights that the classifier has no use for."""
    config: Mapping[str, Any] = field(default_factory=dict)
    """Keys of config.json that newer releases do not write, or write otherwise."""


RESCALED = {"do_center_crop": True, "do_normalize": True, "do_rescale": True, "do_resize": True, "resample": 2}
HALF = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}
OLD = {"torch_dtype": "float32", "transformers_version": "4.27.0.dev0", "problem_type": None}
LAYOUTS = {
    "facebook/timesformer-base-finetuned-k400": Layout(
        "divided",
        {"feature_extractor_type": "VideoMAEFeatureExtractor", **HALF, "do_resize": True, "do_center_crop": True},
        config={**OLD, "drop_path_rate": 0, "architectures": ["TimesformerForVideoClassification"]},
    ),
    "fine-tuned from facebook/timesformer-base-finetuned-ssv2": Layout(
        "divided",
        {"image_processor_type": "VideoMAEImageProcessor", **RESCALED, **HALF, "rescale_factor": 1 / 255},
        config={**OLD, "drop_path_rate": 0.1, "problem_type": "single_label_classification"},
    ),
    "google/vivit-b-16x2-kinetics400": Layout(
        "vivit",
        {
            "image_processor_type": "VivitImageProcessor",
            **RESCALED,
            **HALF,
            "offset": True,
            "rescale_factor": 1 / 127.5,
        },
        renames=(
            (r"vivit\.layers\.", "vivit.encoder.layer."),
            (r"attention\.([qkv])_proj", r"attention.attention.\1_proj"),
            ("q_proj", "query"),
            ("k_proj", "key"),
            ("v_proj", "value"),
            (r"attention\.o_proj", "attention.output.dense"),
            (r"mlp\.fc1", "intermediate.dense"),
            (r"mlp\.fc2", "output.dense"),
        ),
        more=("vivit.pooler.dense.weight",),
        config={**OLD, "hidden_act": "gelu_fast", "video_size": [6, 16, 32]},
    ),
    "MCG-NJU/videomae-base-finetuned-kinetics": Layout(
        "videomae-mean",
        {"feature_extractor_type": "VideoMAEFeatureExtractor", **HALF, "do_resize": True, "resample": 2},
        renames=((r"query\.bias", "q_bias"), (r"value\.bias", "v_bias")),
        more=("decoder.mask_token",),
        config={**OLD, "norm_pix_loss": True, "decoder_hidden_size": 32},
    ),
    "facebook/vjepa2-vitl-fpc16-256-ssv2": Layout(
        "vjepa2",
        {
            "video_processor_type": "VJEPA2VideoProcessor",
            **RESCALED,
            "do_sample_frames": False,
            "input_data_format": None,
        },
        "video_preprocessor_config.json",
        config={**OLD, "use_SiLU": False, "wide_SiLU": False, "image_size": 24, "num_channels": 3},
    ),
    "fine-tuned from google/videoprism-base-f16r288": Layout(
        "videoprism",
        {
            "video_processor_type": "LlavaOnevisionVideoProcessor",
            "do_center_crop": None,
            "do_normalize": False,
            "do_sample_frames": True,
            "num_frames": 4,
            "resample": 1,
        },
        "video_preprocessor_config.json",
        more=("auxiliary_layers.0.mlp.fc1.weight",),
        config={"dtype": "float32", "transformers_version": "5.15.0"},
    ),
}


@pytest.fixture(params=LAYOUTS)
def layout(request: pytest.FixtureRequest) -> Layout:
    """Return each layout."""
    return LAYOUTS[request.param]


@pytest.fixture
def model(layout: Layout) -> Any:
    """Return an untouched eager model of transformers."""
    act = {"hidden_act": layout.config["hidden_act"]} if "hidden_act" in layout.config else {}
    return VARIANTS[layout.variant].make(**act)


@pytest.fixture
def folder(layout: Layout, model: Any, tmp_path: Path) -> Path:
    """Return the model's checkpoint, rewritten in the layout."""
    model.config.save_pretrained(tmp_path)
    weights = {key: value.clone() for key, value in model.state_dict().items()}  # save_pretrained may rename them
    for pattern, old in layout.renames:
        assert any(re.search(pattern, key) for key in weights), f"{pattern} is the name of no weight"
        weights = {re.sub(pattern, old, key): value for key, value in weights.items()}
    save_file(weights | {name: torch.ones(3) for name in layout.more}, tmp_path / "model.safetensors", {"format": "pt"})
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, **layout.config}))
    crop = families.processor(model)["crop_size"]
    sizes = {"size": crop if "Llava" in str(layout.processor) else {"shortest_edge": 40}, "crop_size": crop}
    (tmp_path / layout.processor_file).write_text(json.dumps({**layout.processor, **sizes}))
    return tmp_path


def agree(loaded: Explainer, model: Any) -> bool:
    """Return whether the logits are those of transformers' own model, to 1e-5 of the largest."""
    pixels = families.pixels(loaded, 2)
    wanted = families.logits(model, pixels)
    return bool((loaded.forward(pixels, []).logits - wanted).abs().max() < 1e-5 * wanted.abs().max())


def test_a_published_layout_loads_completely(folder: Path, model: Any) -> None:
    """Whatever its release, a checkpoint gives the logits of the model that it was made of."""
    assert agree(Explainer.load(folder, device="cpu"), model)


def test_the_names_of_this_release_load_completely(folder: Path, model: Any) -> None:
    """So does one that has the names by which the installed transformers knows its weights."""
    weights = {key: value.clone() for key, value in model.state_dict().items()}
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    assert agree(Explainer.load(folder, device="cpu"), model)


def test_a_divided_checkpoint_loads_completely(folder: Path, layout: Layout, model: Any) -> None:
    """So does one whose weights lie in several files, as the larger published ones do."""
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    parts = {f"model-0000{number + 1}-of-00002.safetensors": sorted(weights)[number::2] for number in range(2)}
    for name, keys in parts.items():
        save_file({key: weights[key] for key in keys}, folder / name, {"format": "pt"})
    index = {"metadata": {}, "weight_map": {key: name for name, keys in parts.items() for key in keys}}
    (folder / files.INDEX).write_text(json.dumps(index))
    assert agree(Explainer.load(folder, device="cpu"), model), layout.variant
