"""A decoded frame as it is meant to be seen: turned, mirrored, scaled, and in its colours."""

from fractions import Fraction

import av
import numpy as np
import pytest
from av.video.frame import VideoFrame

from staa_video.picture import Scaler, matrix
from tests.made import awkward

PICTURE = awkward.picture(321)


def frame(height: int = 120, width: int = 160, form: str = "yuv444p") -> VideoFrame:
    """Make a decoded frame."""
    made = VideoFrame.from_ndarray(awkward.picture(321, height, width), format="rgb24").reformat(format=form)
    made.pts, made.time_base = 0, Fraction(1, 25)
    return made


def test_all_are_as_the_first() -> None:
    """Sizes that change are scaled to the first, and the way in which the first lies is that of all."""
    scaler = Scaler()
    first = scaler(frame(), (0, 1, -1, 0))
    assert first.shape == (160, 120, 3)
    assert scaler.source == (120, 160)
    second = scaler(frame(240, 320), None)
    assert second.shape == (160, 120, 3)
    assert awkward.number(second, (0, 1, -1, 0)) == 321


@pytest.mark.parametrize("form", ["yuv420p", "yuyv422", "rgb24", "gray"])
def test_a_size_that_is_wanted_is_that_of_the_picture(form: str) -> None:
    """Planar or not, a frame is scaled to what is asked for by the size of the source as it is displayed."""
    asked = []

    def half(size: tuple[int, int]) -> tuple[int, int]:
        asked.append(size)
        return size[0] // 2, size[1] // 2

    image = Scaler(half, "AREA")(frame(form=form), (0, 1, -1, 0))
    assert image.shape == (80, 60, 3)
    assert asked == [(120, 160)]
    assert awkward.number(image, (0, 1, -1, 0)) == 321


@pytest.mark.parametrize(
    ("colour_matrix", "primaries", "same"),
    [(12, 1, 1), (13, 1, 1), (12, 6, 6), (12, 9, 9), (12, 2, 2), (10, 9, 9), (2, 9, 9)],
)
def test_a_derived_colour_matrix_is_that_of_the_primaries(colour_matrix: int, primaries: int, same: int) -> None:
    """A matrix that the primaries imply gives the colours of the one that says so by name."""
    derived, named = frame(), frame()
    derived.colorspace, named.colorspace = colour_matrix, same
    derived.color_primaries = named.color_primaries = primaries
    np.testing.assert_array_equal(Scaler()(derived, None), Scaler()(named, None))


def test_a_colour_matrix_that_nobody_knows_is_named() -> None:
    """It is taken as that of a frame that names none, and the note says which it is and what was taken."""
    for number in (3, 11, 14, 15, 17):
        unknown, scaler = frame(), Scaler()
        unknown.colorspace = number
        np.testing.assert_array_equal(scaler(unknown, None), Scaler()(frame(), None))
        assert scaler.notes == (f"colour matrix {number} of H.273 is not known here: taken as that of BT.601",)


def test_without_side_data_there_is_no_matrix() -> None:
    """A frame that says nothing lies as it is stored."""
    assert matrix(frame()) is None
    assert av.VideoFrame(8, 8).rotation == 0
