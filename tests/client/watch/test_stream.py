"""Reading a source: opened, cut, opened anew, and stopped wherever it waits."""

import socket
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from staa_client.errors import StreamError
from staa_client.watch.settings import WatchSettings
from staa_client.watch.stream import StopSignal, pause, stream_frames
from tests.client.watch.conftest import Live, brightness, grabbed, read
from tests.made.videos import remuxed

MATRIX = (0, 1, -1, 0)
QUICK = {"analyzeduration": "200000"}  # microseconds of looking at a stream before its first frame


@pytest.mark.parametrize("scheme", ["http", "tcp"])
def test_a_cut_stream_is_read_again_and_time_goes_on(scheme: str, caplog: pytest.LogCaptureFixture) -> None:
    """After a cut the stream is opened anew, once, said in the log; numbers and time go on by what passed meanwhile."""
    with Live(20, 1000, scheme=scheme) as live:
        found = read(live.url, WatchSettings(av_options=QUICK), 32)
    assert live.connections == 2
    assert [frame.index for frame in found] == list(range(32))
    (first,) = [frame.index for frame in found if frame.cut]
    assert 17 <= first <= 20
    assert [frame.reconnects for frame in found] == [0] * first + [1] * (32 - first)
    steps = np.diff([frame.seconds for frame in found])
    np.testing.assert_allclose(np.delete(steps, first - 1), 1 / 25, atol=1e-3)
    assert steps[first - 1] == pytest.approx(found[first].arrival - found[first - 1].arrival, abs=0.5)
    assert steps[first - 1] > 0.25
    assert all(abs(int(frame.image.mean()) - brightness(frame.index)) < 6 for frame in found[:first])
    assert abs(int(found[first].image.mean()) - brightness(0)) < 6
    assert sum("was lost" in record.message for record in caplog.records) == 1


def test_a_stream_that_stays_away_is_an_error() -> None:
    """When opening it again failed as often as allowed, or is not wanted, the error says what was lost and why."""
    with Live(8) as live, pytest.raises(StreamError, match=r"was lost after [5-8] frames \(") as caught:
        read(live.url, WatchSettings(reconnect=False, av_options=QUICK))
    assert caught.value.code == "stream_lost"
    live = Live(8)
    stop = StopSignal()
    with pytest.raises(StreamError, match=r"1 attempts to open it again failed .*refused"):  # noqa: PT012  # all of it
        with live:
            stream = stream_frames(live.url, WatchSettings(reconnect_max=1, av_options=QUICK), stop)
            next(stream)
        list(stream)


def test_what_was_never_there_says_what_to_do() -> None:
    """A port where nothing listens is an error with the address, the reason and what to check, but no password."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(StreamError) as caught:
            read(f"rtsp://user:secret@127.0.0.1:{port}/cam", WatchSettings())
    assert caught.value.code == "stream_unreachable"
    assert f"rtsp://127.0.0.1:{port}/cam (Connection refused); check the address" in caught.value.message
    assert "secret" not in str(caught.value)


@pytest.mark.skipif(Path("/dev/video0").exists() or sys.platform != "linux", reason="about a machine without a camera")
def test_no_camera_says_so() -> None:
    """Camera 0 of a machine without one is an error that names the device and what may be wrong."""
    with pytest.raises(StreamError, match=r"/dev/video0 \(No such file or directory\); is it plugged in"):
        read(0, WatchSettings())


def test_a_files_frames_are_upright_and_as_small_as_asked(clip: bytes, tmp_path: Path) -> None:
    """Frames have display orientation and at most `longest` pixels a side; the size is the source's own."""
    from tests.made.videos import displayed

    path = tmp_path / "clip.mp4"
    path.write_bytes(displayed(clip, MATRIX))
    found = read(path, WatchSettings(longest=160, latency="keep"), 5)
    assert {(frame.image.shape, frame.source_size) for frame in found} == {((160, 120, 3), (240, 320))}
    assert [frame.seconds for frame in found] == pytest.approx([i / 8 for i in range(5)])
    path.write_bytes(clip)
    assert read(path, WatchSettings(longest=4000, latency="keep"), 1)[0].image.shape == (240, 320, 3)


def test_a_file_is_played_at_its_pace_or_at_once(clip: bytes, tmp_path: Path) -> None:
    """Paced, 9 frames at 8 a second take a second; otherwise all 64 come at once, and their end is the end."""
    path = tmp_path / "clip.mp4"
    path.write_bytes(clip)
    begun = time.monotonic()
    assert len(read(str(path), WatchSettings(latency="keep"))) == 64
    at_once = time.monotonic() - begun
    begun = time.monotonic()
    read(path, WatchSettings(), 9)
    assert at_once < 8, "the seconds that it lasts"
    assert time.monotonic() - begun >= 1


def test_what_is_no_video_is_an_error(tmp_path: Path) -> None:
    """A text file is a StreamError that names it, a file that is not there an OSError."""
    path = tmp_path / "notes.mp4"
    path.write_text("no video" * 100)
    with pytest.raises(StreamError, match=r"notes\.mp4 cannot be read as a video"):
        read(path, WatchSettings())
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "none.mp4", WatchSettings())


def test_a_playlist_opens_nothing(tmp_path: Path, clip: bytes) -> None:
    """A file that names other files makes nothing else be opened."""
    remuxed(clip, tmp_path / "clip.ts")
    path = tmp_path / "list.m3u8"
    path.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:8\n#EXTINF:8,\nclip.ts\n#EXT-X-ENDLIST\n")
    assert read(tmp_path / "clip.ts", WatchSettings(latency="keep"), 1)
    with pytest.raises(StreamError):
        read(path, WatchSettings(latency="keep"), 1)


def test_a_callers_own_frames_are_copied_and_checked() -> None:
    """Frames of one reused buffer stay what they were; other shapes, and seconds that run back, are told by number."""
    for longest, side in ((480, 32), (16, 16)):
        found = read(grabbed(2), WatchSettings(longest=longest))
        assert [int(frame.image[0, 0, 0]) for frame in found] == list(range(20))
        assert {(frame.image.shape, frame.source_size) for frame in found} == {((side, side, 3), (32, 32))}
    grey = np.zeros((4, 4), np.uint8)
    with pytest.raises(ValueError, match=r"got \(4, 4\) uint8 as frame 0"):
        read([(0.0, grey)], WatchSettings())
    with pytest.raises(ValueError, match=r"pairs, got 'clip\.mp4' as item 0"):
        read(["clip.mp4"], WatchSettings())  # type: ignore[list-item]
    frame = np.zeros((4, 4, 3), np.uint8)
    with pytest.raises(ValueError, match=r"must ascend, got 1\.0 after 2\.0 at frame 1"):
        read([(2.0, frame), (1.0, frame)], WatchSettings())


def test_pauses_double_up_to_half_a_minute() -> None:
    """Half a second, doubled with each attempt up to 30 s, less a random half; never less, however many attempts."""
    for attempt in range(2000):
        whole = min(30.0, 0.5 * 2 ** min(attempt, 10))
        assert whole / 2 <= pause(attempt) <= whole
