"""Packets that are read twice: a recording of any size takes little memory, and gives the frames that it holds."""

import os
import subprocess
import sys
import threading
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from staa_client import _packets, video
from staa_client.video import frames_at
from tests import videos
from tests.client.test_stream import remuxed

NUMBERS = [50, 3, 31, 59, 0, 32]
PEAK = """
import resource, sys
from staa_client.video import frames_at
frames_at(sys.argv[1], [0])  # what one frame takes
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
frames_at(sys.argv[2], [0, 100, 199])
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) << 10)
"""


def film(container: str = "matroska", bframes: int = 2, **options: str) -> bytes:
    """Sixty frames with a key frame every six."""
    coding = {"g": "6", "bf": str(bframes), "sc_threshold": "0"}
    return videos.encode(videos.images(60), container, options=coding, muxing=options)


def noise(path: Path, count: int) -> int:
    """Write a mov of `count` copies of a frame that hardly compresses; its bytes."""
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
    """Frames of a file of more than 100 MB take less than a quarter of it more than those of a short one."""
    noise(tmp_path / "short.mov", 2)
    size = noise(tmp_path / "long.mov", 200)
    assert size > 100_000_000
    command = [sys.executable, "-c", PEAK, str(tmp_path / "short.mov"), str(tmp_path / "long.mov")]
    peak = int(subprocess.run(command, check=True, capture_output=True, timeout=60).stdout)
    assert peak < size / 4


@pytest.mark.parametrize("near", [0, 2000, 1 << 20])
@pytest.mark.parametrize("bframes", [0, 3])
@pytest.mark.parametrize("container", ["mp4", "matroska", "mpegts"])
def test_frames_are_those_of_the_whole(
    container: str, bframes: int, near: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether packets are sought or read on to, the frames are those of decoding everything."""
    monkeypatch.setattr(_packets, "_NEAR", near)
    source = film(container, bframes)
    every, _ = videos.everything(source)
    for number, frame in zip(NUMBERS, frames_at(source, NUMBERS), strict=True):
        np.testing.assert_array_equal(frame, every[number])


def test_fragments_and_small_groups_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fragmented mp4, and groups shorter than the delay of their frames, give the frames of decoding everything."""
    monkeypatch.setattr(_packets, "_NEAR", 0)
    short = {"g": "3", "bf": "2", "sc_threshold": "0"}
    for source in (
        film("mp4", movflags="frag_keyframe+empty_moov"),
        videos.encode(videos.images(60), options=short),
        videos.encode(videos.images(60), "mpegts", options=short),
    ):
        every, _ = videos.everything(source)
        for number, frame in zip(NUMBERS, frames_at(source, NUMBERS), strict=True):
            np.testing.assert_array_equal(frame, every[number])


def test_an_index_that_lies_changes_no_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the index of a Matroska file leads past its frames, they are found by reading it from its start."""
    monkeypatch.setattr(_packets, "_NEAR", 0)
    source = film(cluster_time_limit="200")
    begin = source.rindex(b"\x1c\x53\xbb\x6b")  # of the cues
    lies = bytearray(source)
    at = begin + 4
    while (at := lies.find(b"\xf1\x82", at)) >= 0:  # where a cluster is, two bytes
        lies[at + 2 : at + 4] = (int.from_bytes(lies[at + 2 : at + 4], "big") + 30).to_bytes(2, "big")
        at += 4
    assert bytes(lies) != source
    for one, other in zip(frames_at(bytes(lies), NUMBERS), frames_at(source, NUMBERS), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_file_may_grow_but_not_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is appended to a recording meanwhile changes no frame; other content is a ValueError that says so."""
    monkeypatch.setattr(_packets, "_NEAR", 0)
    path, source = tmp_path / "clip.ts", film("mpegts")
    every, _ = videos.everything(source)
    path.write_bytes(source)
    with video._opened(path) as opened:
        with path.open("ab") as file:
            file.write(source)
        for number, frame in opened.at(set(NUMBERS)):
            np.testing.assert_array_equal(opened.upright(frame), every[number])
    path.write_bytes(videos.encode(videos.images(900), "mpegts"))  # more than is read ahead
    with (  # noqa: PT012  # the file changes within
        pytest.raises(ValueError, match="did the file change meanwhile"),
        video._opened(path) as opened,
    ):
        path.write_bytes(film("mpegts", 0))
        list(opened.at({300}))


def test_a_pipe_is_read_once(clip: bytes, tmp_path: Path) -> None:
    """A named pipe gives the frames of what comes through it."""
    remuxed(clip, tmp_path / "clip.mkv")
    source = (tmp_path / "clip.mkv").read_bytes()
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(source,), daemon=True)
    writer.start()
    np.testing.assert_array_equal(frames_at(pipe, [40])[0], frames_at(source, [40])[0])
    writer.join(5)
