"""A frame lies as its file says: by a matrix, by SEI messages or by EXIF, turned by quarters or mirrored."""

import io
import math

import numpy as np
import PIL.Image
import PIL.ImageOps
import pytest

from staa_video import decode
from staa_video.picture.orientation import Matrix, is_turned, quarter_turn, upright
from tests.made import awkward, shapes
from tests.made.videos import Image

PICTURE = awkward.picture(321)
WAYS: dict[Matrix, Image] = {
    None: PICTURE,
    (1, 0, 0, 1): PICTURE,
    (0, 1, -1, 0): np.rot90(PICTURE, -1),
    (-1, 0, 0, -1): np.rot90(PICTURE, 2),
    (0, -1, 1, 0): np.rot90(PICTURE, 1),
    (-1, 0, 0, 1): PICTURE[:, ::-1],
    (1, 0, 0, -1): PICTURE[::-1],
    (0, 1, 1, 0): PICTURE.transpose(1, 0, 2),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_matrix_turns_and_mirrors(way: Matrix) -> None:
    """Each of the eight ways in which a picture can lie is undone, and it is told which change width and height."""
    np.testing.assert_array_equal(upright(PICTURE, way), WAYS[way])
    assert is_turned(way) == (WAYS[way].shape != PICTURE.shape)


@pytest.mark.parametrize("way", [way for way in WAYS if way is not None])
def test_a_matrix_is_read_from_the_frame(way: tuple[int, int, int, int]) -> None:
    """What a phone writes into the header of its video holds for every frame of it."""
    clip = decode(awkward.displayed(awkward.film(), way), 3)
    plain = decode(awkward.film(), 3)
    for image, stored in zip(clip.frames, plain.frames, strict=True):
        np.testing.assert_array_equal(image, upright(stored, way))


@pytest.mark.parametrize("orientation", shapes.FLIPPED)
@pytest.mark.parametrize("container", ["avi", "mov"])
def test_motion_jpeg_lies_as_its_exif_says(orientation: int, container: str) -> None:
    """FFmpeg 8 turns pictures of Motion JPEG by their EXIF, and so do players on it; Pillow says what is right."""
    clip = decode(shapes.lying(awkward.pictures(4, 321), [orientation], container), 4)
    stored, exif = PIL.Image.fromarray(PICTURE), PIL.Image.Exif()
    exif[274] = orientation
    target = io.BytesIO()
    stored.save(target, "PNG", exif=exif)
    expected = np.asarray(PIL.ImageOps.exif_transpose(PIL.Image.open(target)), np.int16)
    assert clip.frames[0].shape == expected.shape
    assert np.abs(clip.frames[0] - expected).mean() < 4
    assert [awkward.number(image, shapes.FLIPPED[orientation]) for image in clip.frames] == [321, 322, 323, 324]
    assert clip.notes == ()


def test_the_first_frame_says_how_all_lie() -> None:
    """EXIF that changes from picture to picture turns none of them differently."""
    clip = decode(shapes.lying(awkward.pictures(4, 321), [6, 1, 3]), 4)
    assert clip.source == (120, 160)
    assert [awkward.number(image, shapes.FLIPPED[6]) for image in clip.frames] == [321, 322, 323, 324]


@pytest.mark.parametrize("degrees", [10, 45, 80, 135, -45, 200])
def test_an_angle_that_is_no_quarter_is_left_out(degrees: int) -> None:
    """The picture stays as it is stored, and a note says which angle was left out."""
    sine, cosine = math.sin(math.radians(degrees)), math.cos(math.radians(degrees))
    turn = round(cosine * 65536), round(sine * 65536), round(-sine * 65536), round(cosine * 65536)
    shown = degrees - 360 if degrees > 180 else degrees
    note = f"the rotation by {shown} degrees is no quarter turn: it is left out"
    assert quarter_turn(turn) == (None, note)


def test_nearly_a_quarter_is_one() -> None:
    """What rounding or a scale does to a matrix does not matter; one of zeros turns nothing."""
    for turn in ((2, 0, 0, 1), (65536, 1, -1, 65536), (-1, 65536, -65536, 3), (0, -3, 1, 0)):
        assert quarter_turn(turn) == (turn, "")
    assert quarter_turn(None) == quarter_turn((0, 0, 0, 0)) == (None, "")
    for turn in ((1, 1, 1, 1), (0, 0, 0, 1), (0, 1, 0, 0)):
        assert quarter_turn(turn)[0] is None


def test_a_lean_of_a_file_is_noted() -> None:
    """A track header that leans by 45 degrees leaves the picture as it is."""
    half = round(0.5**0.5 * 65536)
    source = awkward.film()
    at = source.index(b"tkhd") + 4 + 40
    matrix = b"".join(part.to_bytes(4, "big", signed=True) for part in (half, half, 0, -half, half))
    clip = decode(source[:at] + matrix + source[at + 20 :], 3)
    assert clip.source == (160, 120)
    assert clip.notes == ("the rotation by 45 degrees is no quarter turn: it is left out",)
