"""A checkpoint's preprocessing is read as its own processor reads it, or refused."""

from typing import Any

import pytest

from staa.errors import LoadError
from staa.recipe import DEFAULTS, Recipe


@pytest.mark.parametrize("name", DEFAULTS)
def test_every_known_processor_has_whole_defaults(name: str) -> None:
    """A file that only names its processor is enough, under any of the three keys."""
    recipes = {
        Recipe.read({key: name}) for key in ("image_processor_type", "feature_extractor_type", "video_processor_type")
    }
    assert len(recipes) == 1
    assert recipes.pop().shape in {(224, 224), (256, 256), (288, 288), (384, 384)}


def test_vjepa2_takes_its_size_from_its_crop() -> None:
    """V-JEPA 2 resizes to 256/224 of its crop, whatever size the file states."""
    recipe = Recipe.read(
        {"video_processor_type": "VJEPA2VideoProcessor", "crop_size": 384, "size": {"shortest_edge": 1}}
    )
    assert recipe.resize == 438
    assert recipe.crop == (384, 384)


@pytest.mark.parametrize(
    "saved",
    [
        {"video_processor_type": "LlavaOnevisionVideoProcessor", "resample": 1, "size": {"height": 288, "width": 288}},
        {"video_processor_type": "LlavaOnevisionVideoProcessor", "size": {"height": 288, "width": 288}},
        {"video_processor_type": "VideoPrismVideoProcessor", "crop_size": None, "do_center_crop": None},
    ],
)
def test_videoprism_sees_the_whole_frame_from_0_to_1(saved: dict[str, Any]) -> None:
    """Published files squeeze the whole frame into the model's square, and only divide by 255."""
    recipe = Recipe.read({**saved, "do_normalize": False, "do_sample_frames": True, "num_frames": 16})
    assert (recipe.resize, recipe.crop, recipe.shape) == ((288, 288), None, (288, 288))
    assert (recipe.scale, recipe.shift) == ((1 / 255,) * 3, (0.0,) * 3)
    assert recipe.mode == ("lanczos" if "resample" in saved else "bicubic")


def test_spellings_of_a_size() -> None:
    """A size may be a number: the shortest edge of the resize, the square of the crop; a suffix names the backend."""
    old = {"feature_extractor_type": "VideoMAEFeatureExtractor", "size": 224, "crop_size": 112, "image_mean": 0.5}
    recipe = Recipe.read(old)
    assert (recipe.resize, recipe.crop) == (224, (112, 112))
    assert Recipe.read({**old, "feature_extractor_type": "VideoMAEImageProcessorFast"}) == recipe


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({}, "VivitImageProcessor"),
        ({"image_processor_type": "CLIPImageProcessor"}, "CLIPImageProcessor.*VideoMAEImageProcessor"),
        ({"image_processor_type": "VideoMAEImageProcessor", "resample": 0}, "resample = 0"),
        (
            {"image_processor_type": "VideoMAEImageProcessor", "size": {"shortest_edge": 2, "longest_edge": 4}},
            "longest_edge",
        ),
        ({"image_processor_type": "VideoMAEImageProcessor", "crop_size": {"width": 4}}, "crop_size"),
        ({"image_processor_type": "VideoMAEImageProcessor", "size": 0}, "size = 0"),
        ({"image_processor_type": "VideoMAEImageProcessor", "image_std": [1, 2]}, "image_std"),
        ({"image_processor_type": "VideoMAEImageProcessor", "image_std": 0}, "image_std"),
        ({"image_processor_type": "VivitImageProcessor", "do_rescale": False}, "offset"),
    ],
)
def test_what_cannot_be_followed(config: dict[str, Any], message: str) -> None:
    """A file that is not understood is an error that names what came and what is known."""
    with pytest.raises(LoadError, match=message):
        Recipe.read(config)
