"""The pixels are those of the checkpoint's own processor, and the box is the part of the frame that they show."""

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from transformers import VideoMAEImageProcessorPil, VivitImageProcessor

from staa.prepare import prepare
from staa.recipe import Recipe

SIZES = [(320, 426), (426, 320), (256, 256), (48, 40), (37, 91), (333, 257), (1080, 1920), (225, 224)]
CONFIGS: list[dict[str, Any]] = [
    {},
    {"size": {"shortest_edge": 97}, "crop_size": {"height": 96, "width": 64}},
    {"size": {"height": 61, "width": 85}, "crop_size": {"height": 48, "width": 49}},
    {"size": {"height": 61, "width": 85}, "crop_size": {"height": 96, "width": 71}},
    {"size": {"shortest_edge": 64}, "crop_size": {"height": 101, "width": 101}},
    {"size": {"shortest_edge": 64}, "resample": 3, "do_center_crop": False},
    {"size": {"height": 61, "width": 85}, "resample": 1, "do_center_crop": False},
    {"do_resize": False, "crop_size": {"height": 33, "width": 34}},
    {"do_rescale": False, "offset": False, "do_normalize": True, "image_mean": [10, 20, 30.5], "image_std": [2, 3, 4]},
    {"do_normalize": False, "image_std": [9, 9, 9]},
    {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225], "rescale_factor": 0.01},
]


def noise(height: int, width: int, count: int = 2) -> NDArray[np.uint8]:
    """Return smooth shapes and sharp edges, down to single pixels."""
    random = np.random.default_rng(height * width)
    frames = random.integers(0, 256, (count, height, width, 3), np.uint8)
    frames[:, : height // 2] = np.linspace(0, 255, width, dtype=np.uint8)[:, None]
    return frames


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("number", range(len(CONFIGS)))
@pytest.mark.parametrize("name", ["VideoMAEImageProcessor", "VivitImageProcessor"])
def test_pixels_are_those_of_the_processor(name: str, number: int, size: tuple[int, int]) -> None:
    """Whatever the size and the settings, the mean difference from the processor is below a tenth of a grey level."""
    config = CONFIGS[number]
    frames = noise(*size)
    kind = VivitImageProcessor if name.startswith("Vivit") else VideoMAEImageProcessorPil
    expected = kind(**config)([*frames], return_tensors="pt")["pixel_values"][0].double()
    recipe = Recipe.read({"image_processor_type": name, **config})
    pixels, _ = prepare(frames, recipe)
    assert pixels.shape == expected.shape
    grey = torch.tensor(recipe.scale).double().view(3, 1, 1)
    assert ((pixels.double() - expected) / grey).abs().mean() < 0.1


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_the_type_that_was_asked_for(dtype: torch.dtype) -> None:
    """Pixels have the wanted type, and are computed in float32 before they are rounded to it."""
    recipe = Recipe.read({"image_processor_type": "VivitImageProcessor"})
    exact, _ = prepare(noise(50, 60), recipe)
    pixels, _ = prepare(noise(50, 60), recipe, "cpu", dtype)
    assert pixels.dtype == dtype
    assert torch.equal(pixels, exact.to(dtype))


def test_frames_are_left_as_they_are() -> None:
    """Neither the frames nor a view of them is changed, and a turned view gives what its copy gives."""
    frames = noise(50, 60)
    before = frames.copy()
    recipe = Recipe.read({"image_processor_type": "VideoMAEImageProcessor"})
    turned, _ = prepare(np.rot90(frames, axes=(1, 2)), recipe)
    assert torch.equal(turned, prepare(np.rot90(frames, axes=(1, 2)).copy(), recipe)[0])
    np.testing.assert_array_equal(frames, before)


@pytest.mark.parametrize("size", [(320, 426), (426, 320), (480, 854), (1080, 1920), (224, 224)])
@pytest.mark.parametrize("config", [CONFIGS[0], CONFIGS[1], CONFIGS[2]])
def test_the_corners_of_the_box_are_the_corners_of_the_pixels(config: dict[str, Any], size: tuple[int, int]) -> None:
    """Squares in the corners of the box are seen in the corners of the pixels, and nothing outside the box is seen."""
    recipe = Recipe.read({"image_processor_type": "VideoMAEImageProcessor", **config})
    frames = np.zeros((1, *size, 3), np.uint8)
    _, (x0, y0, x1, y1) = prepare(frames, recipe)
    side = 48
    for top, left in [(y0, x0), (y0, x1 - side), (y1 - side, x0), (y1 - side, x1 - side)]:
        frames[:, top : top + side, left : left + side] = 255
    pixels, _ = prepare(frames, recipe)
    for corner in (pixels[..., :2, :2], pixels[..., :2, -2:], pixels[..., -2:, :2], pixels[..., -2:, -2:]):
        assert corner.mean() > 0.5
    outside = np.full((1, *size, 3), 255, np.uint8)
    outside[:, y0:y1, x0:x1] = 0
    assert prepare(outside, recipe)[0][..., 2:-2, 2:-2].max() == -1
    assert prepare(outside, recipe)[0].mean() < -0.97


def test_known_boxes() -> None:
    """The box of 426x320 frames through a resize to 224 and a square crop is the middle 320 columns."""
    recipe = Recipe.read({"image_processor_type": "VideoMAEImageProcessor"})
    assert prepare(noise(320, 426), recipe)[1] == (53, 0, 373, 320)
    assert prepare(noise(426, 320), recipe)[1] == (0, 53, 320, 373)


def test_padding_is_outside_the_box() -> None:
    """Where the crop is larger than the frame the box is the whole frame."""
    recipe = Recipe.read({"image_processor_type": "VideoMAEImageProcessor", "do_resize": False})
    assert prepare(noise(37, 91), recipe)[1] == (0, 0, 91, 37)
    assert prepare(noise(37, 300), recipe)[1] == (38, 0, 262, 37)


@pytest.mark.parametrize("size", [(1, 2), (2, 1), (1, 1), (1, 3), (3, 1), (2, 3), (1, 300), (5, 7)])
@pytest.mark.parametrize("crop", [1, 4, 37])
def test_a_box_holds_at_least_one_pixel(size: tuple[int, int], crop: int) -> None:
    """However small the source: what the model saw of it is never nothing, and lies in the frame."""
    height, width = size
    recipe = Recipe.read({"image_processor_type": "VideoMAEImageProcessor", "size": 37, "crop_size": crop})
    _, (x0, y0, x1, y1) = prepare(noise(height, width), recipe)
    assert 0 <= x0 < x1 <= width
    assert 0 <= y0 < y1 <= height
