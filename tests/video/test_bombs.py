"""Files that state more than they hold are refused before room is made for it, and long before the time is up."""

import ctypes
import io
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from staa.errors import DecodeError, TooManyBytesError, TooManyFramesError, TooManyPixelsError
from staa_video import LIMITS, decode, mp4
from staa_video.clip import UNLIMITED
from staa_video.decoder import opened
from staa_video.pool.confinement import _libavutil, limit_bytes, limit_ffmpeg
from tests.made import awkward, bombs, formats, videos

PICTURE = bombs.picture()


@pytest.fixture(scope="module", autouse=True)
def bounded() -> None:
    """Bound this process, as a worker bounds itself."""
    assert limit_ffmpeg(LIMITS)


def test_a_file_that_says_what_it_holds_is_taken() -> None:
    """The files of these tests are right, but for what they state too much of."""
    assert decode(bombs.mp4([PICTURE], [0] * 25, sounds=25), 4).indices.tolist() == [0, 8, 16, 24]


def test_samples_that_share_their_bytes() -> None:
    """A megabyte, two hundred times: refused once it is more than a file may have."""
    source = bombs.mp4([PICTURE + bytes(2**20)], [0] * 200)
    with pytest.raises(TooManyBytesError, match="more than 67108864 bytes"):
        decode(source, 2)
    assert len(decode(bombs.mp4([PICTURE + bytes(2**20)], [0] * 60), 2).frames) == 2


def test_sound_is_left_unread() -> None:
    """Half a terabyte of it, which lies in a megabyte, costs nothing."""
    began = time.monotonic()
    assert len(decode(bombs.mp4([PICTURE + bytes(2**20)], [0] * 3, sounds=500_000), 2).frames) == 2
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("count", [LIMITS.samples + 1, 60_000_000, 2**27 - 1])
def test_samples_that_are_only_stated(count: int) -> None:
    """One chunk of millions of samples, in a file of a kilobyte: FFmpeg would take 32 bytes for each."""
    with pytest.raises(TooManyFramesError, match=f"states {count} samples"):
        decode(bombs.stated(count), 2)
    hidden = [
        bombs.box(b"abcd", bytes(8)) + bombs.stated(count),
        bombs.box(b"udta", bombs.stated(count)),
        bombs.stated(count).replace(b"stsz", b"trunstsz", 1),
        b"G\0\0\0" + bombs.stated(count)[bombs.stated(count).index(b"moov") :],
    ]
    for source in hidden:
        with pytest.raises(TooManyFramesError):
            decode(source, 2)


def test_edits_multiply_samples() -> None:
    """FFmpeg lists the samples of each edit anew."""
    source = bombs.mp4([PICTURE], [0] * 2000)
    edits = bombs.full(b"elst", (5000).to_bytes(4, "big"), bytes(60_000))
    with pytest.raises(TooManyFramesError, match="2000 samples and 5000 edits"):
        decode(source + bombs.box(b"edts", edits), 2)


def test_uncompressed_sound_may_be_long() -> None:
    """Ten minutes of it have more samples than that, which FFmpeg reads by chunks; in a few tracks, as sound alone."""
    source = bombs.mp4([PICTURE], [0] * 25)
    long = bombs.stated(28_800_000, b"soun")
    assert len(decode(source + long[long.index(b"moov") - 4 :], 2).frames) == 2
    with pytest.raises(TooManyFramesError):
        decode(source + 9 * long[long.index(b"moov") - 4 :], 2)
    short = bombs.stated(480_000, b"soun")  # ten seconds, on as many tracks as are taken, each with an edit
    edit = bombs.box(b"elst", (1).to_bytes(8, "big") + bytes(12))
    tracks = 8 * (short[short.index(b"moov") - 4 :] + edit)
    assert len(decode(source + tracks, 2).frames) == 2
    with pytest.raises(TooManyFramesError):
        decode(source + tracks.replace(b"soun", b"vide"), 2)
    with pytest.raises(TooManyFramesError):
        decode(source + long[long.index(b"moov") - 4 :].replace(b"soun", b"vide"), 2)


def test_boxes_without_end() -> None:
    """Eight megabytes of empty ones are refused at once."""
    began = time.monotonic()
    with pytest.raises(DecodeError, match="boxes"):
        decode(bombs.box(b"free") * 2**20, 2)
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("name", [b"stsz", b"stsz\0\0\0\0\0\0\0\0\0\x0f\xff\xff"])
def test_names_without_end(name: bytes) -> None:
    """Eight megabytes of them, in one box or in many, are refused at once, and not looked at one by one."""
    for boxes in (1, 32):
        began = time.monotonic()
        with pytest.raises((DecodeError, TooManyFramesError)):
            decode(bombs.mp4([PICTURE], [0]) + boxes * bombs.box(b"free", name * (2**23 // boxes // len(name))), 2)
        assert time.monotonic() - began < 10


def test_what_ffmpeg_takes_at_once_is_bounded() -> None:
    """For the library that decodes; a larger bound holds for whoever comes after."""
    assert limit_bytes(2**20)
    library = _libavutil()
    assert library is not None
    library.av_malloc.restype = ctypes.c_void_p
    decode(bombs.mp4([PICTURE], [0]), 2)
    assert not library.av_malloc(ctypes.c_size_t(2**30))
    some = library.av_malloc(ctypes.c_size_t(LIMITS.bytes))
    assert some
    library.av_free(ctypes.c_void_p(some))


def test_decoding_bounds_nobody_else() -> None:
    """A program that decodes a video may make larger frames afterwards; only a process that asks for it is bounded."""
    program = """
import sys, av
from staa_video import LIMITS, decode
from staa_video.pool import confinement
decode(sys.stdin.buffer.read(), 2)
av.VideoFrame(8192, 8192, "rgb24")
assert confinement.limit_ffmpeg(LIMITS)
try:
    av.VideoFrame(8192, 8192, "rgb24")
except MemoryError:
    print("bounded")
"""
    source = bombs.mp4([PICTURE], [0])
    done = subprocess.run([sys.executable, "-c", program], input=source, capture_output=True, check=False, timeout=60)
    assert (done.stdout, done.stderr) == (b"bounded\n", b"")


class Read(io.BytesIO):
    """A file that knows how much of it was read at once."""

    most = 0

    def read(self, size: int | None = -1, /) -> bytes:
        """Read, and remember."""
        data = super().read(size)
        self.most = max(self.most, len(data))
        return data


def test_large_boxes_are_searched_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """No box is taken into memory as a whole, and what lies across the border of two pieces is found."""
    monkeypatch.setattr(mp4, "PIECE", 2**21)
    words = b"trun" + bytes(4) + b"\x07\xff\xff\xff"
    for before in range(2**21 - 20, 2**21 + 4):
        file = Read(bombs.box(b"free", bytes(before - 8), words, bytes(2**22)))
        with pytest.raises(TooManyFramesError):
            mp4.check_samples(file, LIMITS.samples)
        assert file.most <= 2**21 + mp4.OVERLAP
    mp4.check_samples(Read(bombs.box(b"free", bytes(2**22))), LIMITS.samples)


def test_what_is_no_mp4_claims_no_samples(tmp_path: Path) -> None:
    """Bytes of another container that look like a box are none, unless FFmpeg makes an MP4 of the file by its name."""
    source = awkward.film("h264") + b"trun" + bytes(4) + b"\x07\xff\xff\xff" + bytes(2**22)
    junk = [b"\0\0\0\2" * 9, bombs.box(b"abcd", bytes(9)), b"\0\0\0\1abcd" + (21).to_bytes(8, "big") + b"12345", b"ID3"]
    for start in junk:
        with pytest.raises(TooManyFramesError):
            mp4.check_samples(io.BytesIO(start + bombs.stated(2**26)), LIMITS.samples)
    for name in ("film.h264", "film.MP4"):
        (tmp_path / name).write_bytes(source)
    with (tmp_path / "film.h264").open("rb") as file:
        mp4.check_samples(file, LIMITS.samples)
    with (tmp_path / "film.MP4").open("rb") as file, pytest.raises(TooManyFramesError):
        mp4.check_samples(file, LIMITS.samples)


def test_more_than_ffmpeg_itself_takes() -> None:
    """It is refused all the same."""
    with pytest.raises(DecodeError):
        decode(bombs.stated(2**31 - 1), 2)


def test_a_title_is_no_number() -> None:
    """Words that are names of boxes count no samples, nor does what is in the media, where no index leads there."""
    source = bombs.mp4([PICTURE], [0] * 5) + bombs.box(b"udta", b"a truncated clip, with a stsz in its title, twice")
    assert len(decode(source, 2).frames) == 2
    words = b"trun" + bytes(4) + b"\x07\xff\xff\xff"
    assert len(decode(bombs.mp4([PICTURE + words], [0] * 5), 2).frames) == 2
    with pytest.raises(TooManyFramesError):
        decode(source + bombs.box(b"free", words), 2)
    with pytest.raises(TooManyFramesError):
        decode(bombs.mp4([PICTURE + words], [0] * 5) + bombs.box(b"sidx", bytes(40)), 2)


def test_a_compressed_header() -> None:
    """It would be counted by nobody."""
    source = bombs.mp4([PICTURE], [0] * 5).replace(b"mvhd", b"cmov", 1)
    place = source.index(b"cmov")
    hidden = source[: place + 4] + b"\0\0\0\x0cdcomzlib" + source[place + 16 :]
    with pytest.raises(DecodeError, match="compressed"):
        decode(hidden, 2)


def test_more_packets_than_any_video() -> None:
    """Something is kept of each while the file is read, though few of them are decoded."""
    limits = replace(LIMITS, frames=40, bytes=2**30, duration=1e6)
    assert len(decode(bombs.mp4([PICTURE], [0] * limits.packets), 2, limits=limits).frames) == 2
    with pytest.raises(TooManyFramesError, match="more than 200000 frames"):
        decode(bombs.mp4([PICTURE], [0] * (limits.packets + 1)), 2, limits=limits)


def test_a_picture_that_grows() -> None:
    """It is refused for its pixels; where it is much larger FFmpeg makes no room for it, whatever was said before."""
    source = bombs.mp4([PICTURE, bombs.picture(64, 96)], [0] * 5 + [1] * 5)
    with pytest.raises(TooManyPixelsError, match="64x96"):
        decode(source, 10, limits=replace(LIMITS, pixels=64 * 48))
    source = bombs.mp4([PICTURE, bombs.picture(640, 480)], [0] * 5 + [1] * 5)
    assert decode(source, 10).frames.shape == (10, 48, 64, 3)
    for wanted in (2, 10):
        with pytest.raises(DecodeError, match="5 of 10 frames are damaged"):
            decode(source, wanted, limits=replace(LIMITS, pixels=64 * 48))


@pytest.mark.parametrize(
    ("form", "codec", "pixels"),
    [("webm", "libvpx-vp9", "yuv420p"), ("mov", "mjpeg", "yuvj420p"), ("mp4", "libx264", "yuv420p")],
)
def test_a_picture_that_is_too_large_from_the_start(form: str, codec: str, pixels: str) -> None:
    """It is refused for its pixels, whichever codec it has."""
    source = videos.encode(videos.images(4, 96, 128), form, codec, pixels)
    with pytest.raises(TooManyPixelsError, match="128x96"):
        decode(source, 2, limits=replace(LIMITS, pixels=64 * 48))


def test_threads_are_those_of_the_limits() -> None:
    """The cores of a machine do not decide how many frames FFmpeg holds; small frames take one thread."""
    file = videos.encode(videos.images(4, 720, 1280))
    with opened(videos.encode(videos.images(4)), LIMITS) as video:
        assert video._context.thread_count == 1
    for threads in (1, 3):
        with opened(file, replace(LIMITS, threads=threads)) as video:
            assert video._context.thread_count == threads


def test_a_webp_of_more_pixels_than_its_library_makes() -> None:
    """Without limits it is refused as any other, whatever the library raises."""
    source = bytearray(formats.animation("WEBP", count=2))
    source[24:30] = 2 * (16_000 - 1).to_bytes(3, "little")
    with pytest.raises(TooManyPixelsError, match="16000x16000"):
        decode(bytes(source), 2, limits=UNLIMITED)


def test_what_is_raised_before_a_container_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is an error of the tree, too."""
    monkeypatch.setattr("staa_video.container.header.is_scrambled", lambda _: b""[0])
    with pytest.raises(DecodeError, match="cannot be read"):
        decode(bombs.mp4([PICTURE], [0] * 5), 2)
