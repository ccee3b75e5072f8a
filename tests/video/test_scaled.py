"""Frames that are scaled one by one, as they come, become the pixels of whole frames, in a fraction of the room."""

import tracemalloc
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from staa import Clip, decode
from staa.errors import RequestError, TooManyPixelsError
from staa.prepare import MAX_RESIZED_PIXELS, prepare, scaled
from staa.recipe import Recipe
from staa_video.frames_archive import unpack
from tests.made import archives, videos

RECIPES = [
    Recipe(32, "bilinear", (32, 32), (1.0,) * 3, (0.0,) * 3),
    Recipe(33, "bicubic", None, (1.0,) * 3, (0.0,) * 3),
    Recipe((40, 24), "bilinear", (32, 32), (1.0,) * 3, (0.0,) * 3),
    Recipe(300, "bilinear", (224, 224), (1.0,) * 3, (0.0,) * 3),
    Recipe(None, "bilinear", (32, 32), (1.0,) * 3, (0.0,) * 3),
]
Read = Callable[..., Clip]


def archive(clip: Clip) -> bytes:
    """Return the frames of a clip as a client sends them."""
    return archives.pack(archives.about(clip), [archives.encode(image) for image in clip.frames])


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("degrees", [0, 90])
def test_pixels_and_box_are_those_of_whole_frames(recipe: Recipe, degrees: int) -> None:
    """Bit by bit, of a file and of an archive, lying and upright, with frames that repeat."""
    file = videos.encode(videos.images(6, 50, 66), degrees=degrees)
    sources: list[tuple[Read, bytes]] = [(decode, file), (unpack, archive(decode(file, 6)))]
    for read, source in sources:
        whole = read(source, 8)
        small = read(source, 8, scale=partial(scaled, recipe))
        assert small.source == whole.source == ((50, 66) if degrees else (66, 50))
        np.testing.assert_array_equal(small.indices, whole.indices)
        pixels, box = prepare(small.frames, recipe, size=small.size)
        wanted, wanted_box = prepare(whole.frames, recipe)
        assert torch.equal(pixels, wanted)
        assert box == wanted_box


def test_large_frames_are_not_kept() -> None:
    """Of sixteen frames, two are in memory at once: one as it came, and what it is turned to."""
    height, width = 540, 960
    file = videos.encode(videos.images(16, height, width))
    sources: list[tuple[Read, bytes]] = [(decode, file), (unpack, archive(decode(file, 16)))]
    for read, source in sources:
        kept = [_peak(read, source, scale) / (height * width * 3) for scale in (None, partial(scaled, RECIPES[0]))]
        assert kept[0] > 16
        assert kept[1] < 4


def _peak(read: Read, source: bytes, scale: Any) -> int:
    """Bytes of arrays at the peak: numpy's are traced, FFmpeg's and torch's are not."""
    tracemalloc.start()
    try:
        read(source, 16, scale=scale)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_strip_is_refused_before_it_is_scaled() -> None:
    """What would grow beyond the limit is an error of the first frame, of a file as of an archive."""
    file = videos.encode(videos.images(2, 16, 1600))
    recipe = Recipe(224, "bilinear", (224, 224), (1.0,) * 3, (0.0,) * 3)
    assert MAX_RESIZED_PIXELS < 22_400 * 224
    sources: list[tuple[Read, bytes]] = [(decode, file), (unpack, archive(decode(file, 2)))]
    for read, source in sources:
        with pytest.raises(TooManyPixelsError, match="22400x224"):
            read(source, 2, scale=partial(scaled, recipe))


def test_a_strip_that_has_been_scaled_is_refused() -> None:
    """An archive's frames of the size that the model sees are no way around the limit."""
    recipe = Recipe(224, "bilinear", (224, 224), (1.0,) * 3, (0.0,) * 3)
    images = [archives.encode(np.zeros((224, 22_400, 3), np.uint8))]
    source = archives.pack(archives.about(_clip(1, 224, 22_400), width=1600, height=16), images)
    with pytest.raises(TooManyPixelsError, match="22400x224"):
        unpack(source, 1, scale=partial(scaled, recipe))


def test_frames_that_were_cut_are_refused() -> None:
    """An archive's frames that are no scaled copy of their source are an error, whatever becomes of them."""
    images = [archives.encode(np.zeros((40, 40, 3), np.uint8))] * 2
    source = archives.pack(archives.about(_clip(2, 40, 40), width=66, height=50), images)
    with pytest.raises(RequestError, match="40x40 pixels, the source is 66x50"):
        unpack(source, 2, scale=partial(scaled, RECIPES[0]))


def _clip(count: int, height: int, width: int) -> Clip:
    pictures: NDArray[np.uint8] = np.zeros((count, height, width, 3), np.uint8)
    return Clip(pictures, np.arange(count) / 10, np.arange(count), 10.0, count / 10)
