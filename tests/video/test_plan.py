"""Packets that are read again: a recording of any size takes little memory, and gives the frames that it holds."""

import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from staa_video import UNLIMITED, decode
from staa_video.decoder import opened, pictures
from staa_video.errors import DecodeError
from tests.made import videos
from tests.made.videos import encode, everything, images

NUMBERS = [50, 3, 31, 59, 0, 32]
PEAK = """
import resource, sys
from staa_video import UNLIMITED
from staa_video.decoder import pictures
pictures(sys.argv[1], [0], UNLIMITED)  # what one frame takes
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
pictures(sys.argv[2], [0, 100, 199], UNLIMITED)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) << 10)
"""


@pytest.fixture(params=["kept", "read on", "read on or sought", "sought"])
def read_again(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have packets kept, or read again: near ones by reading on, others by a search."""
    if request.param != "kept":
        monkeypatch.setattr("staa_video.plan.KEPT_BYTES", 0)
        near = {"read on": 2**30, "read on or sought": 2000, "sought": 0}[request.param]
        monkeypatch.setattr("staa_video.plan.NEAR_BYTES", near)


@pytest.fixture
def sought(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have packets read again, and always sought."""
    monkeypatch.setattr("staa_video.plan.KEPT_BYTES", 0)
    monkeypatch.setattr("staa_video.plan.NEAR_BYTES", 0)


def film(container: str = "matroska", bframes: int = 2, codec: str = "libx264", **muxing: str) -> bytes:
    """Encode sixty frames with a key frame every six."""
    coding = {"g": "6", "bf": str(bframes), "sc_threshold": "0"}
    return encode(images(60), container, codec, options=coding, muxing=muxing)


def check(source: bytes) -> None:
    """Compare some frames with those of decoding everything."""
    every, _ = everything(source)
    found = pictures(source, NUMBERS)
    assert sorted(found) == sorted(NUMBERS)
    for number, image in found.items():
        np.testing.assert_array_equal(image, every[number])
    for number in NUMBERS:
        np.testing.assert_array_equal(pictures(source, [number])[number], every[number])


def noise(path: Path, count: int) -> int:
    """Write a mov of `count` copies of a frame that hardly compresses; return its bytes."""
    picture = np.random.default_rng(0).integers(0, 256, (720, 1280, 3), np.uint8)
    with av.open(str(path), "w", format="mov") as container:
        stream = container.add_stream("mjpeg", rate=25, options={"qmin": "1", "qmax": "1"})
        stream.width, stream.height, stream.pix_fmt = 1280, 720, "yuvj420p"
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="yuvj420p")
        data = b"".join(bytes(packet) for packet in (*stream.encode(frame), *stream.encode(None)))
        for number in range(count):
            packet = av.Packet(data)
            packet.stream, packet.time_base, packet.is_keyframe = stream, Fraction(1, 25), True
            packet.pts = packet.dts = number
            container.mux(packet)
    return path.stat().st_size


@pytest.mark.skipif(sys.platform != "linux", reason="getrusage counts KiB")
def test_a_long_recording_takes_little_memory(tmp_path: Path) -> None:
    """Frames of a file of more than 200 MB take less than half of it more than those of a short one."""
    noise(tmp_path / "short.mov", 2)
    size = noise(tmp_path / "long.mov", 200)
    assert size > 200_000_000
    command = [sys.executable, "-c", PEAK, str(tmp_path / "short.mov"), str(tmp_path / "long.mov")]
    peak = int(subprocess.run(command, check=True, capture_output=True, timeout=60).stdout)
    assert peak < size / 2


@pytest.mark.usefixtures("read_again")
@pytest.mark.parametrize("bframes", [0, 3])
@pytest.mark.parametrize("container", ["mp4", "matroska", "mpegts", "avi"])
def test_frames_are_those_of_the_whole(container: str, bframes: int) -> None:
    """Whether packets are kept, sought or read on to, the frames are those of decoding everything."""
    check(film(container, bframes, "mpeg4" if container == "avi" else "libx264"))


@pytest.mark.usefixtures("read_again")
def test_fragments_and_small_groups_are_found() -> None:
    """A fragmented mp4, and groups shorter than the delay of their frames, give the frames of decoding everything."""
    short = {"g": "3", "bf": "2", "sc_threshold": "0"}
    check(film("mp4", movflags="frag_keyframe+empty_moov"))
    check(encode(images(60), options=short))
    check(encode(images(60), "mpegts", options=short))


@pytest.mark.usefixtures("sought")
def test_an_index_that_lies_changes_no_frame() -> None:
    """Where the index of a Matroska file leads past its frames, they are found by reading it from its start."""
    source = film(cluster_time_limit="200")
    begin = source.rindex(b"\x1c\x53\xbb\x6b")  # of the cues
    lies = bytearray(source)
    at = begin + 4
    while (at := lies.find(b"\xf1\x82", at)) >= 0:  # where a cluster is, two bytes
        lies[at + 2 : at + 4] = (int.from_bytes(lies[at + 2 : at + 4], "big") + 30).to_bytes(2, "big")
        at += 4
    assert bytes(lies) != source
    right = pictures(source, NUMBERS)
    for number, image in pictures(bytes(lies), NUMBERS).items():
        np.testing.assert_array_equal(image, right[number])


@pytest.mark.usefixtures("sought")
def test_a_file_may_grow_but_not_change(tmp_path: Path) -> None:
    """What is appended to a recording meanwhile changes no frame; other content is an error that says so."""
    path, source = tmp_path / "clip.ts", film("mpegts")
    every, _ = everything(source)
    path.write_bytes(source)
    with opened(path) as video:
        with path.open("ab") as file:
            file.write(source)
        for number, image in video.pictures(NUMBERS):
            np.testing.assert_array_equal(image, every[number])
    path.write_bytes(encode(images(900), "mpegts"))  # more than is read ahead
    with opened(path) as video:
        path.write_bytes(film("mpegts", 0))
        with pytest.raises(DecodeError, match="did the file change meanwhile"):
            list(video.pictures([300]))


def test_only_frames_between_key_and_wanted_are_decoded() -> None:
    """The last frame of a group costs its group, a segment nothing beside it, and what is not planned costs all."""
    source = encode(videos.images(60), options={"g": "20", "bf": "0", "sc_threshold": "0"})
    with opened(source) as video:
        assert [number for number, _ in video.pictures([39])] == [39]
        assert video.planned
        assert video.decoded == 20
    with opened(film("avi", codec="mpeg4")) as video:
        assert not video.planned
        assert video.decoded == 60


def test_limits_of_a_server_do_not_hold_for_a_video_of_ones_own() -> None:
    """Without limits a video of hours is decoded, and a frame as large as FFmpeg makes it."""
    long = encode(images(3), ticks=[0, 30 * 7200, 30 * 7201])
    assert decode(long, 3, limits=UNLIMITED).duration == pytest.approx(7200, rel=0.01)
