"""What a container crops is not seen: the clean aperture of MP4 and MOV, the pixel crop of Matroska."""

import io
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest

from staa_video import decode
from staa_video.picture.crop import tracks_of
from staa_video.picture.shape import Crop
from tests.made import awkward, shapes
from tests.made.awkward import CORNERS, SHARED
from tests.made.videos import Image, encode

MIDDLE = shapes.clean_aperture(Fraction(80), Fraction(60))


def crops_of(file: BinaryIO) -> dict[int, Crop]:
    """Read the crops that a file names, by track."""
    return {number: track.crop for number, track in tracks_of(file).items() if track.crop}


def pictures() -> list[Image]:
    """Draw three pictures."""
    return list(awkward.pictures(3, 341))


def plain(**options: object) -> bytes:
    """Encode them without a crop."""
    return encode(pictures(), options={"crf": "4"}, **options)  # type: ignore[arg-type]


def same(found: Image, expected: Image) -> None:
    """Check that two pictures differ by the rounding of scaling and of colours alone."""
    assert found.shape == expected.shape
    assert np.abs(found.astype(int) - expected).mean() < 3


@pytest.mark.parametrize(
    ("box", "kept"),
    [
        (MIDDLE, (slice(30, 90), slice(40, 120))),
        (shapes.clean_aperture(Fraction(80), Fraction(60), 40, -30), (slice(0, 60), slice(80, 160))),
        (shapes.clean_aperture(Fraction(161, 2), Fraction(121, 2)), (slice(29, 89), slice(39, 119))),
        (shapes.clean_aperture(Fraction(160), Fraction(100)), (slice(10, 110), slice(0, 160))),
    ],
)
def test_a_clean_aperture_is_what_is_seen(box: bytes, kept: tuple[slice, slice]) -> None:
    """In the middle or beside it, whole or in fractions, all frames are those of the whole picture cut to it."""
    clip, whole = decode(shapes.inserted(plain(), box), 3), decode(plain(), 3)
    for image, frame in zip(clip.frames, whole.frames, strict=True):
        np.testing.assert_array_equal(image, frame[kept])
    height, width = clip.frames.shape[1:3]
    assert clip.source == (width, height)
    assert clip.notes == (f"cropped as the container says: 160x120 to {width}x{height}",)


def test_the_same_of_a_file_of_others() -> None:
    """The middle of the picture stays of a file that another program wrote."""
    if not (SHARED / "clap_80x60.mp4").exists():
        pytest.skip("../shared/cases is not beside this checkout")
    image = decode(SHARED / "clap_80x60.mp4", 3).frames[0]
    assert image.shape == (60, 80, 3)
    corners = image[np.ix_([6, -6], [8, -8])].astype(int)
    assert np.abs(corners - CORNERS).max() < 8


@pytest.mark.parametrize(
    "box",
    [
        shapes.clean_aperture(Fraction(200), Fraction(60)),
        shapes.clean_aperture(Fraction(80), Fraction(60), 60),
        shapes.clean_aperture(Fraction(0), Fraction(60)),
        shapes.clean_aperture(Fraction(-80), Fraction(60)),
        shapes.boxed(b"clap", bytes(32)),
        shapes.boxed(b"clap", b"\xff" * 32),
        shapes.boxed(b"clap", b"1234"),
        shapes.clean_aperture(Fraction(160), Fraction(120)),
    ],
)
def test_an_aperture_that_is_none_is_ignored(box: bytes) -> None:
    """One that leaves the picture, holds nothing, is cut off or is the whole picture changes nothing."""
    clip = decode(shapes.inserted(plain(), box), 3)
    np.testing.assert_array_equal(clip.frames, decode(plain(), 3).frames)
    assert clip.notes == ()


def test_each_track_has_its_own() -> None:
    """The aperture of a track of MP4 is read by its number, in a header of 64 bits too."""
    first = shapes.inserted(plain(), MIDDLE)
    assert crops_of(io.BytesIO(first)) == {1: Crop(40, 30, 40, 30)}
    at = first.index(b"tkhd") + 4
    assert first[at] == 0
    renumbered = first[: at + 12] + b"\0\0\0\7" + first[at + 16 :]
    assert crops_of(io.BytesIO(renumbered)) == {7: Crop(40, 30, 40, 30)}


def test_the_pixel_crop_of_matroska() -> None:
    """What Matroska crops is left out; its display size is that of what stays."""
    edges = {"left": 40, "top": 30, "right": 40, "bottom": 30}
    whole = decode(encode(pictures(), "matroska", options={"crf": "4"}), 3)
    for shown, note in (((80, 60), ()), ((160, 60), ("pixels are not square: 80x60 shown as 160x60",))):
        display = shapes.numbers(shapes.DISPLAY, {"width": shown[0], "height": shown[1], "unit": 0})
        added = shapes.numbers(shapes.EDGES, edges) + display
        clip = decode(shapes.matroska(pictures(), added, options={"crf": "4"}), 3)
        assert clip.source == shown
        assert clip.notes == ("cropped as the container says: 160x120 to 80x60", *note)
        for image, frame in zip(clip.frames, whole.frames, strict=True):
            same(image[:, :: shown[0] // 80], frame[30:90, 40:120])
    too_much = shapes.numbers(shapes.EDGES, edges | {"left": 120})
    assert crops_of(io.BytesIO(shapes.matroska(pictures(), too_much))) == {}  # FFmpeg opens no such file


def test_crop_shape_and_rotation_together() -> None:
    """First the crop, in the picture as it is stored, then the shape of its pixels, then the rotation."""
    turned = awkward.displayed(plain(), (0, 1, -1, 0))
    source = shapes.inserted(shapes.inserted(turned, shapes.pixel_shape(2, 1)), MIDDLE)
    clip, whole = decode(source, 3), decode(plain(), 3)
    assert clip.source == (60, 160)
    assert clip.notes == (
        "cropped as the container says: 160x120 to 80x60",
        "pixels are not square: 80x60 shown as 160x60",
    )
    for image, frame in zip(clip.frames, whole.frames, strict=True):
        same(np.rot90(image)[:, ::2], frame[30:90, 40:120])


def test_bytes_that_are_broken_crop_nothing_or_something() -> None:
    """Whatever stands in the file, its crops are read in a bounded number of steps, without an error."""
    rng = np.random.default_rng(0)
    good = [
        shapes.inserted(plain(), MIDDLE),
        shapes.matroska(pictures(), shapes.numbers(shapes.EDGES, {"left": 8})),
    ]
    assert [list(crops_of(io.BytesIO(source)).values()) for source in good] == [
        [Crop(40, 30, 40, 30)],
        [Crop(8, 0, 0, 0)],
    ]
    for source in good:
        for _ in range(400):
            broken = bytearray(source)
            for place in rng.integers(0, len(broken), 12):
                broken[place] = rng.integers(0, 256)
            crops_of(io.BytesIO(bytes(broken[: rng.integers(0, len(broken))])))
    for head in (
        b"",
        b"\x1a\x45\xdf\xa3",
        b"\0\0\0\1moov",
        b"\0\0\0\0moov" * 9,
        b"\x1a\x45\xdf\xa3" + b"\xae\xff" * 9000,
    ):
        file = io.BytesIO(head)
        assert crops_of(file) == {}
        assert file.tell() == 0


def test_an_element_that_begins_before_an_end_and_goes_on_behind_it(tmp_path: Path) -> None:
    """A video whose size ends within the head of what it holds has no crop, and its length is not less than nothing."""
    track = b"\xae\x86" + b"\x83\x81\x01" + b"\xe0\x81\x54"  # the name 54 b0 begins in it
    tracks = b"\x16\x54\xae\x6b" + bytes([0x80 + len(track)]) + track
    whole = b"\x1a\x45\xdf\xa3\x80" + b"\x18\x53\x80\x67" + bytes([0x80 + len(tracks)]) + tracks
    (tmp_path / "film").write_bytes(whole + b"\xb0\x82\x00\x10" + bytes(20))
    with (tmp_path / "film").open("rb") as file:
        assert set(crops_of(file).values()) <= {Crop()}
