"""A video becomes a Clip with the numbers, times, colours and orientation of its source, all else the right error."""

import io
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import PIL.Image
import pytest

from staa.errors import (
    DecodeError,
    NotVideoError,
    OptionError,
    TooLongError,
    TooManyBytesError,
    TooManyFramesError,
    TooManyPixelsError,
    TooMuchMemoryError,
    TooSlowError,
)
from staa_video import LIMITS, decode
from staa_video.decoder import delay
from staa_video.sampling import choose
from tests.made.awkward import jumping
from tests.made.videos import Image, encode, everything, images, music, real

IRREGULAR = np.cumsum(np.random.default_rng(3).integers(1, 9, 90)).tolist()
GROUPS = {f"gop{gop}_b{b}": {"options": {"g": str(gop), "bf": str(b)}} for gop in (1, 2, 5, 12, 250) for b in (0, 3)}
VIDEOS: dict[str, dict[str, Any]] = {
    **GROUPS,
    "irregular": {"ticks": IRREGULAR, "options": {"g": "7"}},
    "late": {"ticks": list(range(1000, 1090)), "container": "matroska"},
    "open_gop": {"options": {"g": "10", "x264-params": "open-gop=1:bframes=3:b-adapt=0"}, "container": "matroska"},
    "intra_refresh": {"options": {"x264-params": "intra-refresh=1:keyint=20"}, "container": "mpegts"},
    "edit_list": {"ticks": list(range(-7, 83))},
    "transport": {"container": "mpegts", "options": {"g": "10"}},
    "avi_b": {"container": "avi", "options": {"g": "10", "bf": "3"}},
    "avi": {"container": "avi", "codec": "mpeg4"},
    "program": {"container": "mpeg", "codec": "mpeg2video", "options": {"bf": "2"}},
    "raw": {"container": "h264", "options": {"g": "10"}},
    "interlaced": {"options": {"x264-params": "interlaced=1:keyint=10"}, "container": "mpegts"},
    "hevc": {"codec": "libx265", "options": {"x265-params": "log-level=none:keyint=10:open-gop=1:bframes=3"}},
    "vp8": {"container": "webm", "codec": "libvpx", "options": {"auto-alt-ref": "1", "lag-in-frames": "16", "g": "30"}},
    "vp9": {
        "container": "webm",
        "codec": "libvpx-vp9",
        "options": {"auto-alt-ref": "1", "lag-in-frames": "16", "g": "30"},
    },
    "ten_bits": {"pixels": "yuv420p10le", "options": {"g": "10"}},
    "gif": {"container": "gif", "codec": "gif", "pixels": "rgb8"},
    "sound": {"sound": "aac", "options": {"g": "10"}},
}


@pytest.fixture(scope="module", params=VIDEOS)
def video(request: pytest.FixtureRequest) -> tuple[str, bytes]:
    """Ninety frames, in many ways."""
    return request.param, encode(images(90), **VIDEOS[request.param])


def same(found: Image, expected: list[Image]) -> bool:
    """Whether images are the same, one by one and exactly."""
    return len(found) == len(expected) and all(map(np.array_equal, found, expected))


@pytest.mark.parametrize(
    ("wanted", "start", "end"), [(8, None, None), (16, 0.7, 1.9), (3, 1.41, None), (120, None, None)]
)
def test_frame_i_is_frame_i_of_a_full_decode(
    video: tuple[str, bytes], wanted: int, start: float | None, end: float | None
) -> None:
    """Whatever the container, codec, groups and times are, index i is frame i of a full decode, pixel for pixel."""
    name, source = video
    expected, ticks = everything(source)
    clip = decode(source, wanted, start, end)
    assert len(expected) >= 80
    assert same(clip.frames, [expected[i] for i in clip.indices])
    base = float(av.open(io.BytesIO(source)).streams.video[0].time_base or 0)
    if name in {"raw", "avi_b"}:
        seconds = np.arange(len(expected)) / 30
    else:
        seconds = (np.array(ticks, np.float64) - float(ticks[0] or 0)) * base
    assert clip.indices.tolist() == choose(seconds, clip.duration, wanted, start, end).tolist()
    np.testing.assert_allclose(clip.seconds, seconds[clip.indices], atol=1e-9)


@pytest.mark.clips
@pytest.mark.parametrize(
    "name", ["kinetics_a.mp4", "kinetics_b.mp4", "flipping_a_pancake.mkv", "h265_video.mp4", "h264_10bits.mp4"]
)
@pytest.mark.parametrize(("start", "end"), [(None, None), (0.31, 0.83)])
def test_real_clips_are_numbered_as_a_full_decode(name: str, start: float | None, end: float | None) -> None:
    """Real clips too: the kept frames are those of decoding everything."""
    source = real(name).read_bytes()
    expected, _ = everything(source)
    clip = decode(source, 8, start, end)
    stored = [expected[i] for i in clip.indices]
    if clip.notes:  # that clip of Kinetics was squeezed, and says so
        assert clip.notes == ("pixels are not square: 340x256 shown as 427x256",)
        for image, frame in zip(clip.frames, stored, strict=True):
            stretched = np.asarray(PIL.Image.fromarray(frame).resize((427, 256)), np.int16)
            assert np.abs(stretched - image).mean() < 3
        return
    assert same(clip.frames, stored)


@pytest.mark.parametrize(("gop", "allowed"), [(1, 8), (5, 40), (12, 90)])
def test_only_what_is_needed_is_decoded(gop: int, allowed: int) -> None:
    """Eight of 300 frames cost at most eight groups of pictures, and a segment nothing outside its groups."""
    source = encode(images(300), options={"g": str(gop), "bf": "0"})
    decode(source, 8, limits=replace(LIMITS, frames=allowed))
    decode(source, 8, 9.0, limits=replace(LIMITS, frames=30 + gop))
    with pytest.raises(TooManyFramesError):
        decode(source, 8, limits=replace(LIMITS, frames=7))


@pytest.mark.parametrize("ticks", [None, IRREGULAR])
def test_rate_and_duration(ticks: list[int] | None) -> None:
    """The rate is the mean of the whole source, the duration ends with its last frame."""
    clip = decode(encode(images(90), ticks=ticks), 4)
    span = 89 if ticks is None else ticks[-1] - ticks[0]
    assert clip.fps == pytest.approx(89 / span * 30, rel=0.01)
    assert clip.duration == pytest.approx(span / 30, abs=0.3)
    assert clip.duration > clip.seconds[-1]


@pytest.mark.parametrize("degrees", [90, 180, -90])
def test_display_rotation_is_applied(degrees: int) -> None:
    """A display rotation by multiples of 90 degrees turns the frames as a player does."""
    upright = decode(encode(images(5)), 5).frames
    turned = decode(encode(images(5), degrees=degrees), 5).frames
    assert same(turned, list(np.rot90(upright, degrees // 90, axes=(1, 2))))


def test_a_phone_held_upright() -> None:
    """A real clip that is stored on its side is turned clockwise, and one without rotation is left as it is."""
    turned, plain = real("rotated_90.mov"), real("rotated_0.mov")
    assert same(decode(turned, 3).frames, [np.rot90(image, -1) for image in everything(turned.read_bytes())[0]])
    assert same(decode(plain, 3).frames, everything(plain.read_bytes())[0])


@pytest.mark.parametrize("matrix", [1, 5, 9])
@pytest.mark.parametrize("span", [1, 2])
def test_colours_are_those_that_were_encoded(matrix: int, span: int) -> None:
    """Red, green and blue come back as such for BT.709, BT.601 and BT.2020, in limited and in full range."""
    colours = np.array([[200, 30, 30], [30, 200, 30], [30, 30, 200], [128, 128, 128]], np.uint8)
    image = np.repeat(np.repeat(colours.reshape(2, 2, 3), 24, 0), 32, 1)
    tags = {"colorspace": matrix, "color_range": span}
    source = encode([image] * 5, tags=tags, options={"crf": "1"})
    found = decode(source, 1).frames[0][12::24, 16::32].reshape(4, 3)
    assert np.abs(found.astype(int) - colours).max() <= 4


def test_every_kind_of_source_gives_the_same(tmp_path: Path) -> None:
    """Bytes, views, paths, files and streams that cannot seek give the same clip; a file that was lent stays open."""
    source = encode(images(20))
    path = tmp_path / "a video"
    path.write_bytes(source)

    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

        def seek(self, *_: int) -> int:
            raise io.UnsupportedOperation

    lent = io.BytesIO(source)
    lent.seek(100)
    expected = decode(source, 4).frames
    for other in (bytearray(source), memoryview(source), path, str(path), lent, Pipe(source)):
        assert same(decode(other, 4).frames, list(expected))
    assert not lent.closed


def png() -> bytes:
    """Encode a black square."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = zlib.compress(b"".join(b"\0" + bytes(24) for _ in range(8)))
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0))
        + chunk(b"IDAT", rows)
        + chunk(b"IEND", b"")
    )


NOT_VIDEO = {
    "empty": b"",
    "text": b"a video of a cat\n" * 100,
    "png": png(),
    "jpeg": encode(images(1), "image2pipe", "mjpeg", "yuvj420p"),
    "still gif": encode(images(1), "gif", "gif", "rgb8"),
    "wav": music("wav", "pcm_s16le"),
    "m4a": music(),
    "playlist": b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n",
    "list": b"ffconcat version 1.0\nfile 'other.mp4'\n",
}


@pytest.mark.parametrize("name", NOT_VIDEO)
def test_what_is_no_video(name: str) -> None:
    """Text, stills, sound and playlists are not videos, though libav opens most of them."""
    with pytest.raises(NotVideoError):
        decode(NOT_VIDEO[name], 8)


def test_an_empty_file_is_no_video(tmp_path: Path) -> None:
    """However nothing comes, it is said to be empty: as bytes, by its path, or open."""
    path = tmp_path / "empty.mp4"
    path.touch()
    with path.open("rb") as file:
        for source in (b"", path, str(path), file):
            with pytest.raises(NotVideoError, match="empty"):
                decode(source, 8)


@pytest.mark.parametrize("seed", range(40))
def test_noise_is_no_video(seed: int) -> None:
    """Bytes of noise are not a video."""
    with pytest.raises(NotVideoError):
        decode(np.random.default_rng(seed).bytes(1 << 12 + seed % 5), 8)


@pytest.mark.parametrize(("container", "codec"), [("mp4", "aac"), ("mp3", "libmp3lame")])
def test_a_record_sleeve_is_no_video(container: str, codec: str) -> None:
    """Music with a cover picture is not a video."""
    with pytest.raises(NotVideoError):
        decode(music(container, codec, cover=True), 8)


@pytest.mark.parametrize("container", ["mp4", "matroska", "avi", "mpegts"])
def test_the_beginning_of_a_video_is_an_undecodable_video(container: str) -> None:
    """A video that is cut off within its header is a video that cannot be decoded, not something else."""
    with pytest.raises(DecodeError):
        decode(encode(images(30), container)[:500], 8)


def test_a_download_that_broke_off(tmp_path: Path) -> None:
    """Of a file whose header promises more frames than it holds, those that are there are taken, and a note says so."""
    source = encode(images(90), file=str(tmp_path / "fast.mp4"), muxing={"movflags": "faststart"})
    assert source.find(b"moov") < source.find(b"mdat")
    expected, _ = everything(source)
    clip = decode(source[: len(source) * 3 // 4], 8)
    (note,) = clip.notes
    last = int(clip.indices[-1])
    assert note == f"the file is cut off after frame {last + 1} of 90"
    assert 40 < last < 89
    assert same(clip.frames, [expected[i] for i in clip.indices])
    assert clip.duration == pytest.approx((last + 1) / 30)


@pytest.mark.parametrize("wanted", [2, 8, 16, 32])
def test_a_corrupted_clip(wanted: int) -> None:
    """A real clip with broken frames is answered without them, and a note says how many there are."""
    clip = decode(real("corrupted.mp4"), wanted)
    assert clip.notes == ("2 of 50 frames damaged, 19 depend on them",)
    assert len(clip.frames) == wanted


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("container", ["mp4", "matroska", "avi", "mpegts"])
def test_damage_never_escapes_the_tree_of_errors(container: str, seed: int) -> None:
    """A video with overwritten bytes, or cut anywhere, gives a clip or one of the documented errors."""
    random = np.random.default_rng(seed)
    source = bytearray(encode(images(30), container))
    for place in random.integers(0, len(source), 40):
        source[place] = random.integers(256)
    try:
        clip = decode(source[: random.integers(1, len(source))] if seed % 2 else source, 8)
    except (DecodeError, NotVideoError, TooManyPixelsError, TooLongError, TooMuchMemoryError):
        return
    assert len(clip.frames) == 8


def test_limits(tmp_path: Path) -> None:
    """Each limit has its own error, and a source that just meets it passes."""
    source = encode(images(60))
    path = tmp_path / "video.mp4"
    path.write_bytes(source)
    for kind in (source, path, io.BytesIO(source)):
        decode(kind, 4, limits=replace(LIMITS, bytes=len(source)))
        with pytest.raises(TooManyBytesError):
            decode(kind, 4, limits=replace(LIMITS, bytes=len(source) - 1))
    decode(source, 4, limits=replace(LIMITS, pixels=64 * 48, duration=2.0, frames=60))
    with pytest.raises(TooManyPixelsError, match="64x48"):
        decode(source, 4, limits=replace(LIMITS, pixels=64 * 48 - 1))
    with pytest.raises(TooLongError, match=r"2\.0 s"):
        decode(source, 4, limits=replace(LIMITS, duration=1.9))
    with pytest.raises(TooManyFramesError):
        decode(source, 4, limits=replace(LIMITS, frames=3))
    with pytest.raises(TooSlowError):
        decode(source, 4, limits=replace(LIMITS, seconds=0.0))
    with pytest.raises(OptionError):
        decode(source, 4, start=1.0, end=0.5)


def test_threads_do_not_disturb_each_other() -> None:
    """Videos decoded at the same time give what each gives alone."""
    sources = [encode(images(40 + i), options={"g": "6"}) for i in range(4)]
    alone = [decode(source, 8).frames for source in sources]
    with ThreadPoolExecutor(8) as pool:
        for i, clip in enumerate(pool.map(lambda i: decode(sources[i % 4], 8), range(24))):
            assert same(clip.frames, list(alone[i % 4]))


def test_silence(capfd: pytest.CaptureFixture[str]) -> None:
    """Nothing is printed, not even by libav on a damaged video: TorchServe parses what its worker prints."""
    source = encode(images(30), "mpegts")
    capfd.readouterr()
    broken = bytearray(source)
    broken[2000:9000:50] = bytes(140)
    for one in (source, broken, source[:600]):
        try:
            decode(one, 8)
        except DecodeError:
            continue
    assert capfd.readouterr() == ("", "")


def test_a_video_that_is_too_long_by_a_jump_of_its_clock_says_so() -> None:
    """Where a container's clock runs through all of the file, a gap of it is kept, and named where it is too much."""
    with pytest.raises(TooLongError, match=r"its clock jumps by 5000\.0 s after 0\.6 s.*sample=.client"):
        decode(jumping("matroska", seconds=5000), 8, 0.0, 0.5)
    with pytest.raises(TooLongError) as caught:
        decode(encode(images(4), ticks=[0, 30 * 300, 30 * 600, 30 * 900]), 8)
    assert "jumps" not in str(caught.value)


@pytest.mark.parametrize("container", ["mp4", "matroska", "mpegts"])
def test_the_first_frame_comes_after_the_sound(container: str) -> None:
    """Where the sound begins 10 s before the first frame, players count 10 s more; otherwise as much as the frames."""
    late = [300 + number for number in range(30)]
    assert delay(encode(images(30), container, ticks=late, sound="aac")) == pytest.approx(10, abs=0.05)
    assert delay(encode(images(30), container, sound="aac")) == pytest.approx(0, abs=0.05)
    assert delay(encode(images(30), container)) == 0
