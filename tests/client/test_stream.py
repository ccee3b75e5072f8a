"""Reading a source: opened, cut, opened anew, and stopped wherever it waits."""

import io
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import av
import numpy as np
import pytest

from staa_client._errors import StreamError
from staa_client._grab import place_of
from staa_client._ring import Shot
from staa_client._stream import Halt, LiveSource, Reading, pause, shots
from tests.client.live import Live, brightness, grabbed

MATRIX = (0, 1, -1, 0)
QUICK = {"analyzeduration": "200000"}  # microseconds of looking at a stream before its first frame


def remuxed(clip: bytes, path: Path) -> None:
    """Write the same packets in the container of the path's ending."""
    with av.open(io.BytesIO(clip), "r") as source, av.open(str(path), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)


def read(source: LiveSource, reading: Reading, most: int = 10_000) -> list[Shot]:
    """The first frames of a source, which is then stopped."""
    halt, found = Halt(), []
    stream = shots(source, reading, halt)
    try:
        for shot in stream:
            found.append(shot)
            if len(found) == most:
                break
    finally:
        halt.stop()
        stream.close()
    return found


@pytest.mark.parametrize("scheme", ["http", "tcp"])
def test_a_cut_stream_is_read_again_and_time_goes_on(scheme: str, caplog: pytest.LogCaptureFixture) -> None:
    """After a cut the stream is opened anew, once, said in the log; numbers and time go on by what passed meanwhile."""
    with Live(20, 1000, scheme=scheme) as live:
        found = read(live.url, Reading(av_options=QUICK), 32)
    assert live.connections == 2
    assert [shot.index for shot in found] == list(range(32))
    (first,) = [shot.index for shot in found if shot.cut]
    assert 17 <= first <= 20
    assert [shot.reconnects for shot in found] == [0] * first + [1] * (32 - first)
    steps = np.diff([shot.seconds for shot in found])
    np.testing.assert_allclose(np.delete(steps, first - 1), 1 / 25, atol=1e-3)
    assert steps[first - 1] == pytest.approx(found[first].arrival - found[first - 1].arrival, abs=0.05)
    assert steps[first - 1] > 0.25
    assert all(abs(int(shot.image.mean()) - brightness(shot.index)) < 6 for shot in found[:first])
    assert abs(int(found[first].image.mean()) - brightness(0)) < 6
    assert sum("was lost" in record.message for record in caplog.records) == 1


def test_a_stream_that_stays_away_is_an_error() -> None:
    """When opening it again failed as often as allowed, or is not wanted, the error says what was lost and why."""
    with Live(8) as live, pytest.raises(StreamError, match=r"was lost after [5-8] frames \(") as caught:
        read(live.url, Reading(reconnect=False, av_options=QUICK))
    assert caught.value.code == "stream_lost"
    live = Live(8)
    halt = Halt()
    with pytest.raises(StreamError, match=r"1 attempts to open it again failed .*refused"):  # noqa: PT012  # all of it
        with live:
            stream = shots(live.url, Reading(reconnect_max=1, av_options=QUICK), halt)
            next(stream)
        list(stream)


def test_what_was_never_there_says_what_to_do() -> None:
    """A port where nothing listens is an error with the address, the reason and what to check, but no password."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(StreamError) as caught:
            read(f"rtsp://user:secret@127.0.0.1:{port}/cam", Reading())
    assert caught.value.code == "stream_unreachable"
    assert f"rtsp://127.0.0.1:{port}/cam (Connection refused); check the address" in caught.value.message
    assert "secret" not in str(caught.value)


@pytest.mark.skipif(Path("/dev/video0").exists() or sys.platform != "linux", reason="about a machine without a camera")
def test_no_camera_says_so() -> None:
    """Camera 0 of a machine without one is an error that names the device and what may be wrong."""
    with pytest.raises(StreamError, match=r"/dev/video0 \(No such file or directory\); is it plugged in"):
        read(0, Reading())


def test_a_silent_source_counts_as_lost() -> None:
    """A server that accepts and says nothing is given up after `stall` seconds."""
    begun = time.monotonic()
    with Live(0) as live, pytest.raises(StreamError, match=r"no frame for 0\.5 s"):
        read(live.url, Reading(stall=0.5))
    assert time.monotonic() - begun < 3


def test_a_stop_ends_a_read_that_blocks() -> None:
    """`stop` from another thread ends, at once, a read from a server that says nothing, and the process that reads."""
    halt, ended = Halt(), []
    with Live(0) as live:
        reader = threading.Thread(target=lambda: ended.append(list(shots(live.url, Reading(stall=60), halt))))
        reader.start()
        while not live.connections:
            time.sleep(0.01)
        begun = time.monotonic()
        halt.stop()
        reader.join(5)
        assert time.monotonic() - begun < 1
    assert ended == [[]]


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_no_process_outlives_a_killed_program() -> None:
    """When the program is killed, even so that it cannot clean up, the process that reads the source ends too."""
    script = "import sys; from staa_client._stream import *; list(shots(sys.argv[1], Reading(stall=60), Halt()))"
    with Live(0) as live:
        program = subprocess.Popen([sys.executable, "-c", script, live.url], stderr=subprocess.DEVNULL)
        while not live.connections:
            time.sleep(0.02)
        (child,) = (Path(f"/proc/{program.pid}/task/{program.pid}/children").read_text().split()) or ["0"]
        program.send_signal(signal.SIGKILL)
        program.wait(5)
        until = time.monotonic() + 3
        while Path(f"/proc/{child}").exists() and time.monotonic() < until:
            time.sleep(0.02)
        assert child != "0"
        with pytest.raises(ProcessLookupError):
            os.kill(int(child), 0)


def test_a_files_frames_are_upright_and_as_small_as_asked(clip: bytes, tmp_path: Path) -> None:
    """Frames have display orientation and at most `longest` pixels a side; the size is the source's own."""
    from tests.client.test_video import displayed

    path = tmp_path / "clip.mp4"
    path.write_bytes(displayed(clip, MATRIX))
    found = read(path, Reading(longest=160, paced=False), 5)
    assert {(shot.image.shape, shot.size) for shot in found} == {((160, 120, 3), (240, 320))}
    assert [shot.seconds for shot in found] == pytest.approx([i / 8 for i in range(5)])
    path.write_bytes(clip)
    assert read(path, Reading(longest=4000, paced=False), 1)[0].image.shape == (240, 320, 3)


def test_a_file_is_played_at_its_pace_or_at_once(clip: bytes, tmp_path: Path) -> None:
    """Paced, 9 frames at 8 a second take a second; otherwise all 64 come at once, and their end is the end."""
    path = tmp_path / "clip.mp4"
    path.write_bytes(clip)
    begun = time.monotonic()
    assert len(read(str(path), Reading(paced=False))) == 64
    at_once = time.monotonic() - begun
    begun = time.monotonic()
    read(path, Reading(), 9)
    assert at_once < 1 <= time.monotonic() - begun


def test_what_is_no_video_is_an_error(tmp_path: Path) -> None:
    """A text file is a StreamError that names it, a file that is not there an OSError."""
    path = tmp_path / "notes.mp4"
    path.write_text("no video" * 100)
    with pytest.raises(StreamError, match=r"notes\.mp4 cannot be read as a video"):
        read(path, Reading())
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "none.mp4", Reading())


def test_a_playlist_opens_nothing(tmp_path: Path, clip: bytes) -> None:
    """A file that names other files makes nothing else be opened."""
    remuxed(clip, tmp_path / "clip.ts")
    path = tmp_path / "list.m3u8"
    path.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:8\n#EXTINF:8,\nclip.ts\n#EXT-X-ENDLIST\n")
    assert read(tmp_path / "clip.ts", Reading(paced=False), 1)
    with pytest.raises(StreamError):
        read(path, Reading(paced=False), 1)


def test_a_callers_own_frames_are_copied_and_checked() -> None:
    """Frames of one reused buffer stay what they were; other shapes, and seconds that run back, are told by number."""
    for longest, side in ((480, 32), (16, 16)):
        found = read(grabbed(2), Reading(longest=longest))
        assert [int(shot.image[0, 0, 0]) for shot in found] == list(range(20))
        assert {(shot.image.shape, shot.size) for shot in found} == {((side, side, 3), (32, 32))}
    grey = np.zeros((4, 4), np.uint8)
    with pytest.raises(ValueError, match=r"got \(4, 4\) uint8 as frame 0"):
        read([(0.0, grey)], Reading())
    frame = np.zeros((4, 4, 3), np.uint8)
    with pytest.raises(ValueError, match=r"must ascend, got 1\.0 after 2\.0 at frame 1"):
        read([(2.0, frame), (1.0, frame)], Reading())


def test_pauses_double_up_to_half_a_minute() -> None:
    """Half a second, doubled with each attempt up to 30 s, less a random half; never less, however many attempts."""
    for attempt in range(2000):
        whole = min(30.0, 0.5 * 2 ** min(attempt, 10))
        assert whole / 2 <= pause(attempt) <= whole


@pytest.mark.parametrize(
    ("platform", "device", "kind"),
    [("linux", "/dev/video1", "v4l2"), ("darwin", "1:none", "avfoundation"), ("win32", "1", "dshow")],
)
def test_a_number_is_a_camera(platform: str, device: str, kind: str) -> None:
    """A camera's number is the device of the platform; options go to it."""
    place = place_of(1, {"video_size": "640x480"}, platform)
    assert (place.kind, place.name, place.format) == ("camera", device, kind)
    assert place.options["video_size"] == "640x480"


def test_an_address_is_a_stream_and_all_else_a_file() -> None:
    """Schemes of streams are streams, unknown ones are told; RTSP goes over TCP unless asked otherwise."""
    assert place_of("RTSP://host/x", {}).options["rtsp_transport"] == "tcp"
    assert place_of("rtsp://host/x", {"rtsp_transport": "udp"}).options["rtsp_transport"] == "udp"
    assert place_of("C:/clip.mp4", {}).kind == "file"
    assert "file" not in place_of("http://host/x.m3u8", {}).options["protocol_whitelist"].split(",")
    with pytest.raises(ValueError, match="got ftp://"):
        place_of("ftp://host/x", {})
    with pytest.raises(ValueError, match="numbered from 0"):
        place_of(-1, {})
