"""A checkpoint becomes a model that is known, with its own preprocessing, or is refused at load."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import (
    TimesformerConfig,
    TimesformerForVideoClassification,
    TimesformerModel,
    ViTConfig,
    ViTForImageClassification,
)

from staa import Explainer
from staa.checkpoint import loader
from staa.errors import LoadError
from tests.made import models


@pytest.fixture(scope="module")
def model() -> TimesformerForVideoClassification:
    """Return an untouched model of transformers."""
    return models.timesformer()


@pytest.fixture(scope="module")
def explainer(model: TimesformerForVideoClassification) -> Explainer:
    """Return the same weights behind the core."""
    return models.explainer(model)


def test_a_folder_round_trips(model: TimesformerForVideoClassification, explainer: Explainer, tmp_path: Path) -> None:
    """A checkpoint folder loads to the same results."""
    loaded = Explainer.load(models.save(model, tmp_path), device="cpu")
    assert loaded.family == "timesformer"
    clips = [models.clip(0)]
    for one, other in zip(loaded(clips)[0].predictions, explainer(clips)[0].predictions, strict=True):
        assert (one.class_id, one.label) == (other.class_id, other.label)
        assert one.score == pytest.approx(other.score, abs=1e-5)


def test_bfloat16_is_close(model: TimesformerForVideoClassification, explainer: Explainer, tmp_path: Path) -> None:
    """In bfloat16 the map stays within 1e-2 of float32's."""
    low = Explainer.load(models.save(model, tmp_path), device="cpu", dtype="bfloat16")
    assert low.dtype == torch.bfloat16
    one, other = (each([models.clip(0)])[0].attribution for each in (low, explainer))
    assert one is not None
    assert other is not None
    assert np.abs(one.joint - other.joint).max() < 1e-2


def test_a_checkpoint_without_a_head_is_refused(tmp_path: Path) -> None:
    """Weights that were never fine-tuned for classification name what is missing."""
    config = TimesformerConfig(
        image_size=32, patch_size=8, num_frames=4, hidden_size=32, num_hidden_layers=1, num_attention_heads=2
    )
    models.save(TimesformerModel(config), tmp_path)
    with pytest.raises(LoadError, match="lacks the weights classifier"):
        Explainer.load(tmp_path)


def test_an_unknown_family_is_refused(tmp_path: Path) -> None:
    """Another kind of model is refused with the list of known families."""
    config = ViTConfig(image_size=32, patch_size=8, hidden_size=32, num_hidden_layers=1, num_attention_heads=2)
    models.save(ViTForImageClassification(config), tmp_path)
    with pytest.raises(LoadError, match="known families are timesformer"):
        Explainer.load(tmp_path)


def test_more_tokens_than_any_model_has_are_refused() -> None:
    """Numbers that are each small enough may together ask for more memory than a machine has."""
    facts = TimesformerConfig(image_size=2048, patch_size=1, num_frames=1000).to_dict()
    with pytest.raises(LoadError, match="4194304000 tokens"):
        loader.configuration(facts)


def test_pickled_weights_are_refused(model: TimesformerForVideoClassification, tmp_path: Path) -> None:
    """A checkpoint without safetensors is not loaded."""
    models.save(model, tmp_path)
    (tmp_path / "model.safetensors").unlink()
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(LoadError, match="safetensors"):
        Explainer.load(tmp_path)


def test_preprocessing_for_another_size_is_refused(tmp_path: Path) -> None:
    """A processor that ends in another size than the model takes is refused at load, not at the first request."""
    models.save(models.timesformer(image_size=64), tmp_path)
    with pytest.raises(LoadError, match=r"ends in \(32, 32\), the model takes \(64, 64\)"):
        Explainer.load(tmp_path)


@pytest.mark.parametrize(("key", "value"), [("device", "abacus"), ("dtype", "float7")])
def test_settings_that_do_not_exist_are_refused(tmp_path: Path, key: str, value: str) -> None:
    """An unknown device or dtype is refused with what is allowed."""
    wrong: dict[str, Any] = {key: value}
    with pytest.raises(LoadError, match="expected"):
        Explainer.load(tmp_path, **wrong)


def test_a_processor_is_needed(model: TimesformerForVideoClassification, tmp_path: Path) -> None:
    """Without the checkpoint's own preprocessing the pixels would be a guess: refused."""
    (models.save(model, tmp_path) / "preprocessor_config.json").unlink()
    with pytest.raises(LoadError, match="preprocessor_config"):
        Explainer.load(tmp_path)


def test_the_video_processors_file_is_read(model: TimesformerForVideoClassification, tmp_path: Path) -> None:
    """A checkpoint with only video_preprocessor_config.json is served from it."""
    models.save(model, tmp_path)
    (tmp_path / "preprocessor_config.json").rename(tmp_path / "video_preprocessor_config.json")
    facts = json.loads((tmp_path / "video_preprocessor_config.json").read_text())
    assert Explainer.load(tmp_path).recipe.crop == (facts["crop_size"]["height"],) * 2
