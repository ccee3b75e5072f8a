"""Frames that a client sampled become the Clip, the pixels, the box and the map that the whole video gives."""

import io
import json
import zipfile
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from staa import Clip, Explainer, decode
from staa.errors import NoFramesError, OptionError, RequestError, TooManyPixelsError
from staa.prepare import prepare
from staa.recipe import Recipe
from staa_client.video.frames import Frames
from staa_video import frames_archive
from staa_video.frames_archive import unpack
from staa_video.sampling import choose
from tests.made import archives, models, videos
from tests.made.archives import pack, steady


@pytest.fixture(scope="module")
def explainer() -> Explainer:
    """Wants 4 frames, and sees the middle 32 x 32 of them."""
    return models.explainer(models.timesformer())


@pytest.fixture(scope="module")
def video() -> bytes:
    """Forty frames of 170 x 120."""
    return videos.encode(videos.images(40, 120, 170))


def sent(clip: Clip, size: tuple[int, int] | None = None, form: str = "PNG", **options: Any) -> bytes:
    """The frames of a clip, as a client sends them: scaled by Pillow to (width, height), or whole."""
    images = [Image.fromarray(image) for image in clip.frames]
    if size:
        images = [image.resize(size, Image.Resampling.BILINEAR) for image in images]
    files = [archives.encode(np.asarray(image), form, **options) for image in images]
    return pack(archives.about(clip), files, form.lower())


def test_whole_frames_give_what_the_file_gives(explainer: Explainer, video: bytes) -> None:
    """Lossless frames of the source's size have bit-equal pixels, labels and maps, and its numbers and times."""
    clip = decode(video, 4)
    given = unpack(sent(clip), 4)
    assert (given.source, given.fps, given.duration) == (clip.source, clip.fps, clip.duration)
    np.testing.assert_array_equal(given.frames, clip.frames)
    np.testing.assert_array_equal(given.seconds, clip.seconds)
    np.testing.assert_array_equal(given.indices, clip.indices)
    one, other = (explainer([each])[0] for each in (clip, given))
    assert one.predictions == other.predictions
    assert one.box == other.box
    assert one.attribution is not None
    assert other.attribution is not None
    np.testing.assert_array_equal(one.attribution.joint, other.attribution.joint)


@pytest.mark.parametrize("source", [(426, 320), (320, 426), (333, 257), (91, 37), (1920, 1080)])
def test_frames_of_the_models_size_are_seen_as_they_are(explainer: Explainer, source: tuple[int, int]) -> None:
    """Scaled by Pillow to the size that the server would scale to, pixels differ by a grey level and the box not."""
    width, height = source
    pictures = np.random.default_rng(1).integers(0, 256, (4, height, width, 3), np.uint8)
    pictures[:, : height // 2] = np.linspace(0, 255, width, dtype=np.uint8)[:, None]
    clip = Clip(pictures, np.arange(4) / 10, np.arange(4), 10.0, 0.4)
    size = (32 * width // height, 32) if width > height else (32, 32 * height // width)
    given = unpack(sent(clip, size), 4)
    assert given.frames.shape[1:3] == size[::-1]
    assert given.source == source
    (pixels, (box,)), (wanted, (wanted_box,)) = (explainer.prepare([each]) for each in (given, clip))
    assert box == wanted_box
    assert box[2] - box[0] >= min(source) - 1
    grey = explainer.recipe.scale[0]
    assert (pixels - wanted).abs().max() <= 1.01 * grey
    assert (pixels - wanted).abs().mean() <= 0.1 * grey


@pytest.mark.parametrize(
    ("resize", "size"), [((61, 85), (85, 61)), ((61, 85), (340, 240)), (None, (340, 240)), (64, (85, 60))]
)
def test_every_recipe_takes_frames_smaller_than_the_source(resize: Any, size: tuple[int, int]) -> None:
    """A resize to a fixed shape, none at all, and one upwards: the box is that of the whole frame, in its pixels."""
    recipe = Recipe(resize, "bilinear", (48, 48), (1.0,) * 3, (0.0,) * 3)
    picture = np.full((1, 480, 680, 3), 99, np.uint8)
    small = np.full((1, size[1], size[0], 3), 99, np.uint8)
    pixels, box = prepare(small, recipe, size=(680, 480))
    wanted, wanted_box = prepare(picture, recipe)
    assert box == wanted_box
    assert torch.equal(pixels, wanted)


def test_frames_of_another_shape_than_the_source_are_refused(explainer: Explainer) -> None:
    """Cropped frames would be explained at the wrong place: refused with both sizes and the one to scale to."""
    recipe = explainer.recipe
    for size in ((32, 32), (40, 32), (45, 32), (64, 64), (426, 300)):
        with pytest.raises(RequestError, match=rf"{size[0]}x{size[1]} pixels, the source is 426x320.*to 42x32"):
            prepare(np.zeros((1, *size[::-1], 3), np.uint8), recipe, size=(426, 320))
    for size in ((42, 32), (43, 32), (213, 160), (300, 225), (300, 226), (852, 640), (1, 1)):
        prepare(np.zeros((1, *size[::-1], 3), np.uint8), recipe, size=(426, 320))


def test_a_strip_does_not_fill_the_memory() -> None:
    """What its short edge would scale to more than a large frame is refused before that is made."""
    recipe = Recipe(224, "bilinear", (224, 224), (1.0,) * 3, (0.0,) * 3)
    with pytest.raises(TooManyPixelsError, match="448000x224"):
        prepare(np.zeros((1, 10, 20_000, 3), np.uint8), recipe)
    with pytest.raises(TooManyPixelsError, match="14679840x224"):
        prepare(np.zeros((1, 1, 999, 3), np.uint8), recipe, size=(65_535, 1))


@pytest.mark.parametrize(
    ("form", "mode", "options", "error"),
    [
        ("PNG", "RGB", {}, 0),
        ("PNG", "RGBA", {}, 0),
        ("PNG", "L", {}, 0),
        ("PNG", "P", {}, 0),
        ("PNG", "1", {}, 0),
        ("WEBP", "RGB", {"lossless": True}, 0),
        ("WEBP", "RGBA", {"lossless": True}, 0),
        ("WEBP", "RGB", {"quality": 95}, 4),
        ("JPEG", "RGB", {"quality": 95}, 2),
        ("JPEG", "RGB", {"quality": 95, "progressive": True}, 2),
        ("JPEG", "L", {"quality": 95}, 2),
        ("JPEG", "CMYK", {"quality": 95}, 2),
        ("MPO", "RGB", {"quality": 95, "save_all": True, "append_images": [Image.new("RGB", (64, 48))]}, 2),
    ],
)
def test_every_kind_of_image(form: str, mode: str, options: dict[str, Any], error: int) -> None:
    """JPEG, PNG and WebP, in colour, grey, with a palette or with alpha, are told by content and not by name."""
    picture = np.full((48, 64, 3), 255, np.uint8)
    picture[:16] = 0
    made = Image.fromarray(picture).convert("L").convert(mode, dither=Image.Dither.NONE)
    buffer = io.BytesIO()
    made.save(buffer, form, **options)
    clip = unpack(pack(steady(1), {"0.jpeg": buffer.getvalue()}), 2)
    assert clip.frames.shape == (2, 48, 64, 3)
    assert np.abs(clip.frames.astype(int) - picture).max() <= error


def test_an_image_is_turned_as_it_is_displayed() -> None:
    """The orientation in an image's EXIF is followed, as that of a video is."""
    picture = np.zeros((48, 64, 3), np.uint8)
    picture[:24] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise
    clip = unpack(pack(steady(1, width=48, height=64), [archives.encode(picture, exif=exif)]), 1)
    np.testing.assert_array_equal(clip.frames[0], np.rot90(picture, -1))


def grey(clip: Clip) -> list[int]:
    """Which of the grey frames a clip has."""
    found: list[int] = (clip.frames[:, 0, 0, 0] // 10).tolist()
    return found


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_as_many_as_wanted_are_taken_as_they_are(method: int) -> None:
    """N wanted frames are all seen, in order, however odd their times are; in the zip they may lie in any order."""
    times = [0.0, 0.0, 0.1, 0.11, 0.5, 5.0, 5.0, 5.0]
    facts = steady(8, times=times, duration=5.0)
    images = {f"{i}.png": archives.encode(image) for i, image in enumerate(archives.greys())}
    for order in (images, dict(reversed(images.items()))):
        clip = unpack(pack(facts, order, method=method), 8)
        assert grey(clip) == list(range(8))
        assert clip.seconds.tolist() == times


@pytest.mark.parametrize(
    ("wanted", "start", "end"),
    [(8, 0.0, None), (4, None, None), (16, None, None), (3, 0.2, 0.6), (8, 0.25, 0.55), (1, None, 0.1), (5, None, 9.0)],
)
def test_other_numbers_are_chosen_from_as_from_a_video(wanted: int, start: float | None, end: float | None) -> None:
    """Of all frames of a source, those are seen that would be seen of the source."""
    clip = unpack(pack(steady(), [archives.encode(image) for image in archives.greys()]), wanted, start, end)
    expected = choose(np.arange(8) / 10, 0.8, wanted, start, end).tolist()
    assert grey(clip) == clip.indices.tolist() == expected
    assert clip.seconds.tolist() == [index / 10 for index in expected]


def test_frames_of_a_part_of_the_source() -> None:
    """Frames from the middle of a long source are spread over their own time; nothing is known of what is around it."""
    facts = steady(4, duration=60.0, times=[30.0, 30.1, 30.2, 30.3], frames=[300, 301, 302, 303])
    source = pack(facts, [archives.encode(image) for image in archives.greys(4)])
    assert unpack(source, 2).indices.tolist() == [300, 303]
    assert grey(unpack(source, 8)) == [0, 0, 1, 1, 2, 2, 3, 3]
    assert grey(unpack(source, 8, 30.2)) == [2, 2, 2, 2, 3, 3, 3, 3]
    assert grey(unpack(source, 8, 30.0, 30.4)) == [0, 0, 1, 1, 2, 2, 3, 3]
    for segment in ((0.0, 10.0), (None, 30.0), (30.5, None), (60.0, None), (99.0, None)):
        with pytest.raises(NoFramesError, match=r"show 30\.000 s to 30\.400 s"):
            unpack(source, 2, *segment)
    with pytest.raises(OptionError):
        unpack(source, 2, 30.3, 30.2)


def test_a_single_frame() -> None:
    """One image is a clip, of no length too."""
    for duration in (0.0, 0.04):
        clip = unpack(pack(steady(1, duration=duration), [archives.encode(archives.greys(3)[2])]), 8)
        assert grey(clip) == [2] * 8
        assert clip.duration == duration


def test_only_what_is_seen_is_unpacked() -> None:
    """An image that the model does not see may be anything."""
    images = [archives.encode(image) for image in archives.greys(9)]
    images[1::2] = [b"no image"] * 4
    assert grey(unpack(pack(steady(9), images), 5)) == [0, 2, 4, 6, 8]


def test_what_the_python_client_packs_is_read() -> None:
    """The client's own archive: its JPEGs are the frames, and all that it says arrives."""
    pictures = np.asarray(list(videos.images(4)))
    mine = Frames(pictures, np.array([0, 0.5, 0.9, 1.7]), np.array([0, 12, 22, 42]), 25.0, 2.0, (640, 480))
    archive = mine.archive(quality=100)
    assert frames_archive.packed(archive)
    clip = unpack(archive, 4)
    assert np.abs(clip.frames.astype(int) - pictures).max() <= 2
    assert (clip.seconds.tolist(), clip.indices.tolist()) == (mine.seconds.tolist(), mine.indices.tolist())
    assert (clip.fps, clip.duration, clip.source) == (25.0, 2.0, (640, 480))


def test_a_video_is_no_archive(video: bytes) -> None:
    """Containers and JSON are not taken for a zip."""
    assert not any(map(frames_archive.packed, (video, b"", b"PK", json.dumps(steady()).encode())))
