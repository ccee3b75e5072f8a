"""A picture has the shape in which it is shown, wherever the file says so: in its codec or in its container."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from staa_video import decode
from staa_video.decoder import in_order, pictures
from staa_video.picture.shape import MOST_PIXELS, Crop, Shape
from tests.made import awkward, shapes
from tests.made.videos import encode

SIZE = (160, 120)


@pytest.mark.parametrize(
    ("ratio", "shown"),
    [
        (None, SIZE),
        (Fraction(1), SIZE),
        (Fraction(2), (320, 120)),
        (Fraction(1, 2), (160, 240)),
        (Fraction(16, 15), (171, 120)),
        (Fraction(8, 9), (160, 135)),
        (Fraction(8), (1280, 120)),
        (Fraction(640, 639), SIZE),
    ],
)
def test_pixels_that_are_not_square_are_stretched(ratio: Fraction | None, shown: tuple[int, int]) -> None:
    """The shorter direction is stretched, so that nothing is lost, and the note has both sizes."""
    assert Shape(ratio).stretched(SIZE) == (
        shown,
        f"pixels are not square: 160x120 shown as {shown[0]}x{shown[1]}" if shown != SIZE else "",
    )


@pytest.mark.parametrize("ratio", [Fraction(1, 65535), Fraction(65535), Fraction(100), Fraction(1, 9)])
def test_an_absurd_shape_is_ignored(ratio: Fraction) -> None:
    """A pixel many times as wide as high is taken for a mistake, which a note names."""
    said = f"a pixel is said to be {ratio.numerator}:{ratio.denominator}, which is no real shape: ignored"
    assert Shape(ratio).stretched(SIZE) == (SIZE, said)


@pytest.mark.parametrize("ratio", [Fraction(8), Fraction(1, 8), Fraction(4, 3)])
def test_stretching_makes_no_picture_too_large(ratio: Fraction) -> None:
    """A large picture is shrunk in its other direction instead, to the same shape."""
    (width, height), _ = Shape(ratio).stretched((4096, 2304))
    assert width * height <= MOST_PIXELS
    assert width / height == pytest.approx(4096 / 2304 * ratio, rel=0.01)


def test_stretching_makes_no_edge_too_long() -> None:
    """What is shown is a picture that a process for decoding hands on, and an archive takes."""
    assert Shape(Fraction(8)).stretched((8191, 16))[0] == (65528, 16)
    assert Shape(Fraction(8)).stretched((9000, 16))[0] == (9000, 2)
    assert Shape(Fraction(1, 8)).stretched((16, 9000))[0] == (2, 9000)
    assert Shape(Fraction(65536, 65535) * 2).stretched((32768, 16))[0] == (32768, 8)


def test_a_crop_grows_with_its_picture() -> None:
    """Of a frame that has another size than the first, the same part is shown; of a tiny one a pixel at least."""
    crop = Crop(40, 30, 40, 30)
    assert crop.rectangle((160, 120), (160, 120)) == (40, 30, 120, 90)
    assert crop.rectangle((160, 120), (320, 240)) == (80, 60, 240, 180)
    x0, y0, x1, y1 = crop.rectangle((160, 120), (1, 1))
    assert (x1 - x0, y1 - y0) == (1, 1)


CODECS: dict[str, dict[str, Any]] = {
    "H.264": {"tags": {"sample_aspect_ratio": Fraction(2)}},
    "H.264 of a stream": {"container": "mpegts", "tags": {"sample_aspect_ratio": Fraction(2)}},
    "MPEG-4 of AVI": {"container": "avi", "codec": "mpeg4", "tags": {"sample_aspect_ratio": Fraction(2)}},
    "Motion JPEG": {
        "container": "avi",
        "codec": "mjpeg",
        "pixels": "yuvj420p",
        "tags": {"sample_aspect_ratio": Fraction(2)},
    },
}


@pytest.mark.parametrize("kind", CODECS)
def test_a_codec_says_the_shape(kind: str) -> None:
    """Clips, pictures by number and movies have the shape and size that the codec says, all three the same."""
    source = encode(awkward.pictures(6, 341), **CODECS[kind])
    clip = decode(source, 3)
    assert clip.source == (320, 120)
    assert clip.frames.shape == (3, 120, 320, 3)
    assert clip.notes == ("pixels are not square: 160x120 shown as 320x120",)
    assert [awkward.number(image) for image in clip.frames] == [341 + i for i in clip.indices.tolist()]
    for number, image in pictures(source, clip.indices.tolist()).items():
        np.testing.assert_array_equal(image, clip.frames[clip.indices.tolist().index(number)])
    sizes = []
    drawn = [image for _, image in in_order(source, 0, 4, lambda size: sizes.append(size) or (80, 30))]  # type: ignore[func-returns-value]
    assert {*sizes} == {(320, 120)}
    assert [awkward.number(image) for image in drawn] == [341, 342, 343, 344, 345]


@pytest.mark.parametrize(
    ("display", "shown"),
    [
        ({"width": 320, "height": 120, "unit": 0}, (320, 120)),
        ({"width": 20, "height": 10, "unit": 1}, (240, 120)),
        ({"width": 16, "height": 9, "unit": 3}, (213, 120)),
        ({"width": 3, "height": 4, "unit": 3}, (160, 213)),
        ({"width": 160, "height": 120, "unit": 0}, SIZE),
        ({"width": 20, "height": 10, "unit": 4}, SIZE),
        ({"width": 65535, "height": 1, "unit": 3}, SIZE),
    ],
)
def test_matroska_says_the_size_of_the_display(display: dict[str, int], shown: tuple[int, int]) -> None:
    """In pixels, centimetres or as a ratio; a unit that is not known says nothing, nor does an absurd ratio."""
    source = shapes.matroska(awkward.pictures(3, 341), shapes.numbers(shapes.DISPLAY, display))
    clip = decode(source, 3)
    assert clip.source == shown
    assert [awkward.number(image) for image in clip.frames] == [341, 342, 343]


def test_mp4_says_the_shape_before_its_codec() -> None:
    """The box of MP4 goes before the codec's own shape; one of 0:1 or 1:0 says nothing."""
    said = encode(awkward.pictures(3, 341), tags={"sample_aspect_ratio": Fraction(2)})
    at = said.index(b"pasp") + 4
    for box, shown in ((b"\0\0\0\1\0\0\0\2", (160, 240)), (b"\0\0\0\0\0\0\0\1", None), (b"\0\0\0\1\0\0\0\0", None)):
        clip = decode(said[:at] + box + said[at + 8 :], 3)
        assert clip.source in {shown or (320, 120), shown or SIZE}
        assert awkward.number(clip.frames[1]) == 342
