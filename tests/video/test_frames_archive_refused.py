"""Archives of frames that are broken, lie, or cost too much are refused by name, before they cost anything."""

import io
import struct
import time
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from staa.errors import (
    DecodeError,
    NotVideoError,
    RequestError,
    StaaError,
    TooManyBytesError,
    TooManyFramesError,
    TooManyPixelsError,
    TooSlowError,
)
from staa_video import LIMITS
from staa_video.codecs import SCANS
from staa_video.frames_archive import unpack
from tests.made import archives
from tests.made.archives import pack, steady

PNG = archives.encode(archives.greys(1)[0])
JPEG = archives.encode(np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8), "JPEG")
EIGHT = [PNG] * 8


def test_the_plain_archive_of_these_tests_is_taken() -> None:
    """What is refused below is refused for what was changed."""
    assert len(unpack(pack(steady(), EIGHT), 8).frames) == 8


HUGE = 10**400
FACTS: dict[str, tuple[Any, str]] = {
    "no json": (b"{", "cannot be read as JSON"),
    "not unicode": (b"\xff\xfe\xfd", "cannot be read as JSON"),
    "deep": (b"[" * 200_000, "cannot be read as JSON"),
    "long number": (b'{"width": ' + b"9" * 9000 + b"}", "cannot be read as JSON"),
    "empty": (b"", "cannot be read as JSON"),
    "list": ([], "holds 'list'"),
    "null": (None, "holds 'NoneType'"),
    "missing": ({"width": 64}, "exactly width, height, fps"),
    "unknown": (steady(colour=1), "colour"),
    "width is text": (steady(width="64"), "width in clip.json is '64'"),
    "width is no": (steady(width=0), "whole number from 1"),
    "width is part": (steady(width=64.0), "whole number"),
    "width is true": (steady(width=True), "whole number"),
    "height is huge": (steady(height=HUGE), "height in"),
    "fps is zero": (steady(fps=0), "fps in"),
    "fps is nan": (steady(fps=float("nan")), "fps in"),
    "fps is null": (steady(fps=None), "fps in"),
    "fps is huge": (steady(fps=HUGE), "fps in"),
    "duration is negative": (steady(duration=-1), "duration in"),
    "duration is infinite": (steady(duration=float("inf")), "duration in"),
    "duration is short": (steady(duration=0.5), r"times\[6\]"),
    "no frames": (steady(frames=[], times=[]), "frames in"),
    "frames are text": (steady(frames="01234567"), "expected a list"),
    "frames are parts": (steady(frames=[0.5] * 8), r"frames\[0\].*whole"),
    "frames are negative": (steady(frames=[-1, *range(7)]), r"frames\[0\]"),
    "frames are huge": (steady(frames=[*range(7), HUGE]), r"frames\[7\]"),
    "frames run back": (steady(frames=[0, 2, 1, 3, 4, 5, 6, 7]), r"frames\[2\].*ascend"),
    "frames are lists": (steady(frames=[[0]] * 8), r"frames\[0\]"),
    "times are null": (steady(times=None), "times in"),
    "times are nan": (steady(times=[0, float("nan")] + [0.5] * 6), r"times\[1\]"),
    "times run back": (steady(times=[0.5, 0.4] + [0.6] * 6), r"times\[1\].*ascend"),
    "times are negative": (steady(times=[-0.1] + [0.6] * 7), r"times\[0\]"),
    "times are few": (steady(times=[0.0] * 7), "8 frames and 7 times"),
    "times are true": (steady(times=[True] * 8), r"times\[0\]"),
    "images are few": (steady(9), "8 images for 9 frames"),
    "images are many": (steady(7), "8 images for 7 frames"),
}


@pytest.mark.parametrize("name", FACTS)
def test_a_bad_description_is_a_bad_request_that_names_the_field(name: str) -> None:
    """Whatever clip.json holds, it is 400 and told by name; text of any length is not repeated."""
    facts, named = FACTS[name]
    with pytest.raises(RequestError, match=named) as caught:
        unpack(pack(facts, EIGHT), 8)
    assert caught.value.status == 400
    assert len(str(caught.value)) < 500


def listed(names: list[str]) -> bytes:
    """An archive whose images have these names."""
    buffer = io.BytesIO(pack(steady(), []))
    with zipfile.ZipFile(buffer, "a") as archive:
        for name in names:
            archive.writestr(name, PNG)
    return buffer.getvalue()


GOOD = [f"{i}.png" for i in range(8)]


@pytest.mark.parametrize(
    "names",
    [
        GOOD[:7],
        [*GOOD[:7], "8.png"],
        [*GOOD, "0.jpg"],
        [*GOOD, "00.png"],
        [*GOOD[:7], "/7.png"],
        [*GOOD[:7], "../7.png"],
        [*GOOD[:7], "frames/7.png"],
        [*GOOD, "frames/"],
        [*GOOD[:7], "7.gif"],
        [*GOOD[:7], "\N{ARABIC-INDIC DIGIT SEVEN}.png"],
        [*GOOD, "99999999999999999999.png"],
        [*GOOD, "CLIP.JSON"],
        [*GOOD, "x" * 60_000],
    ],
)
def test_odd_names_are_a_bad_request(names: list[str]) -> None:
    """Images are named by their numbers and nothing else is in the archive: 400 with the form that is expected."""
    with pytest.raises(RequestError, match=r"two images|application/x-staa-frames") as caught:
        unpack(listed(names), 8)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("name", ["0.png", "clip.json"])
def test_a_name_that_comes_twice(name: str) -> None:
    """Two entries of one name are refused: readers differ in which they take."""
    buffer = io.BytesIO(pack(steady(), EIGHT))
    with zipfile.ZipFile(buffer, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr(name, PNG)
    with pytest.raises(RequestError, match="same name"):
        unpack(buffer.getvalue(), 8)


def test_encrypted_and_odd_compression() -> None:
    """What needs a password, or unpacks without bound, is refused before it is unpacked."""
    for method in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        with pytest.raises(RequestError, match="deflate"):
            unpack(pack(steady(), EIGHT, method=method), 8)
    source = bytearray(pack(steady(), EIGHT))
    for place in (source.find(b"PK\3\4", 100) + 6, source.find(b"PK\1\2", source.find(b"PK\1\2") + 1) + 8):
        source[place] |= 1
    with pytest.raises(RequestError, match="encrypted"):
        unpack(bytes(source), 8)


@pytest.mark.parametrize("names", [[], ["0.jpg"], ["word/document.xml"]])
def test_another_zip_is_no_video(names: list[str]) -> None:
    """A zip without clip.json is 415, and the message says what an archive of frames is."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(name, PNG)
    for source in (buffer.getvalue(), b"PK\3\4" + bytes(900)):
        with pytest.raises(NotVideoError, match=r"application/x-staa-frames.*clip\.json and 0\.jpg"):
            unpack(source, 8)


def animated(form: str) -> bytes:
    """Three images in one."""
    first, *rest = map(Image.fromarray, archives.greys(3))
    buffer = io.BytesIO()
    first.save(buffer, form, save_all=True, append_images=rest)
    return buffer.getvalue()


def deep() -> bytes:
    """16 bits a pixel."""
    buffer = io.BytesIO()
    Image.fromarray(np.full((48, 64), 40_000, np.uint16)).save(buffer, "PNG")
    return buffer.getvalue()


UNREADABLE: dict[str, tuple[Callable[[], bytes], str]] = {
    "nothing": (lambda: b"", "cannot be read"),
    "noise": (lambda: np.random.default_rng(0).bytes(5000), "cannot be read"),
    "text": (lambda: b"a picture of a cat", "cannot be read"),
    "gif": (lambda: archives.encode(archives.greys(1)[0], "GIF"), "cannot be read"),
    "cut off png": (lambda: PNG[: len(PNG) * 2 // 3], "cannot be read"),
    "cut off jpeg": (lambda: JPEG[: len(JPEG) * 2 // 3], "truncated"),
    "header only": (lambda: PNG[:33], "cannot be read"),
    "animated webp": (lambda: animated("WEBP"), "animated"),
    "animated png": (lambda: animated("PNG"), "animated"),
    "deep": (deep, "8 bits"),
    "scans": (lambda: JPEG[:-2] + b"\xff\xda\0\6\1\1\0\0\x3f\0" * SCANS + JPEG[-2:], "64 scans"),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_an_image_that_cannot_be_read_is_an_undecodable_video(name: str) -> None:
    """One image that is cut off, no image, animated or endless is 422, and named."""
    make, why = UNREADABLE[name]
    with pytest.raises(DecodeError, match=rf"^5\.png .*{why}") as caught:
        unpack(pack(steady(), [*EIGHT[:5], make(), *EIGHT[6:]]), 8)
    assert caught.value.status == 422


def test_images_of_different_sizes_are_refused() -> None:
    """One size for all; the image that has another is named with both."""
    other = archives.encode(archives.greys(1, 48, 63)[0])
    with pytest.raises(RequestError, match=r"2\.png is 63x48 pixels, .* 64x48"):
        unpack(pack(steady(), [PNG, PNG, other, *EIGHT[3:]]), 8)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9, 0.999])
def test_an_upload_that_broke_off(share: float) -> None:
    """The first part of an archive is an archive that cannot be read, not something else."""
    source = pack(steady(), EIGHT)
    with pytest.raises(DecodeError, match="cut off"):
        unpack(source[: int(len(source) * share)], 8)


def test_limits() -> None:
    """Each limit has its own error, and an archive that just meets it passes."""
    images = [archives.encode(np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8))] * 8
    source = pack(steady(), images)
    unpack(source, 8, limits=replace(LIMITS, bytes=len(source), pixels=64 * 48, duration=0.1, frames=8))
    cases: list[tuple[dict[str, Any], type[StaaError]]] = [
        ({"bytes": len(source) - 1}, TooManyBytesError),
        ({"pixels": 64 * 48 - 1}, TooManyPixelsError),
        ({"frames": 7}, TooManyFramesError),
        ({"seconds": 0.0}, TooSlowError),
    ]
    for limit, error in cases:
        with pytest.raises(error):
            unpack(source, 8, limits=replace(LIMITS, **limit))


def claimed(width: int, height: int) -> bytes:
    """A PNG whose header says that it is larger than it is."""
    header = b"IHDR" + struct.pack(">II", width, height) + PNG[24:29]
    return PNG[:12] + header + struct.pack(">I", zlib.crc32(header)) + PNG[33:]


def lying() -> bytes:
    """An archive in which 60 MB of zeros are stated, in both headers, to be 3 bytes."""
    source = pack(steady(1), {"0.png": bytes(60 << 20)}, method=zipfile.ZIP_DEFLATED)
    return source.replace(struct.pack("<I", 60 << 20), struct.pack("<I", 3))


BOMBS: dict[str, tuple[Callable[[], bytes], type[StaaError]]] = {
    "zeros": (lambda: pack(steady(1), {"0.png": bytes(65 << 20)}, method=zipfile.ZIP_DEFLATED), TooManyBytesError),
    "zeros that lie": (lying, DecodeError),
    "zeros as json": (lambda: pack(b" " * (9 << 20), [PNG], method=zipfile.ZIP_DEFLATED), TooManyBytesError),
    "pixels": (lambda: pack(steady(1), [claimed(9000, 9000)]), TooManyPixelsError),
    "more pixels": (lambda: pack(steady(1), [claimed(2**31 - 1, 2**31 - 1)]), TooManyPixelsError),
    "entries": (lambda: pack(steady(1), [PNG]) + b"PK\1\2".ljust(46, b"\0") * 400_000, TooManyFramesError),
    "frames": (lambda: pack(steady(20_001, duration=9, times=[0] * 20_001), [PNG]), TooManyFramesError),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_costs_nothing(name: str) -> None:
    """What would unpack to gigabytes is refused in a moment and in little memory."""
    make, error = BOMBS[name]
    source = make()
    tracemalloc.start()
    began = time.perf_counter()
    try:
        with pytest.raises(error):
            unpack(source, 8)
        assert tracemalloc.get_traced_memory()[1] < 24 << 20
        assert time.perf_counter() - began < 5
    finally:
        tracemalloc.stop()
