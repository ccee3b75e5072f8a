"""The process that reads a live source: it ends with whoever asked for it, wherever it waits."""

import math
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from staa_client.errors import StreamError
from staa_client.watch.address import LiveAddress
from staa_client.watch.process import LostError, ReaderProcess
from staa_client.watch.settings import WatchSettings
from staa_client.watch.stream import StopSignal, stream_frames
from staa_client.watch.windows import StreamFrame, Window
from tests.client.watch.conftest import Live, read
from tests.made.waiting import until


def test_a_silent_source_counts_as_lost() -> None:
    """A server that accepts and says nothing is given up after `stall` seconds."""
    begun = time.monotonic()
    with Live(0) as live, pytest.raises(StreamError, match=r"no frame for 0\.5 s"):
        read(live.url, WatchSettings(stall=0.5))
    assert time.monotonic() - begun < 60, "it would be silent for ever"


def test_it_starts_without_what_asks_a_server() -> None:
    """The process loads none of what only its asker needs, so that a source is read sooner."""
    code = "import sys, staa_client.watch.process; sys.exit(bool({'httpx2', 'asyncio', 'PIL'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0


def test_a_stop_ends_a_read_that_blocks() -> None:
    """`stop` from another thread ends, at once, a read from a server that says nothing, and the process that reads."""
    stop, ended = StopSignal(), []
    with Live(0) as live:
        reader = threading.Thread(
            target=lambda: ended.append(list(stream_frames(live.url, WatchSettings(stall=600), stop)))
        )
        reader.start()
        until(lambda: live.connections)
        stop.stop()
        reader.join(60)
    assert ended == [[]]


def test_a_reason_that_is_no_unicode_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the system says in another encoding, why it opens no source, does not end the process without a word."""
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\n"
        "def refuse(event, arguments):\n"
        "    if event == 'open' and arguments[0] == 'camera':\n"
        "        raise OSError(5, 'd\\udce9fectueux')\n"
        "sys.addaudithook(refuse)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with ReaderProcess(LiveAddress("file", "camera"), 480, 60) as process, pytest.raises(LostError, match="fectueux"):
        process.length()


def test_what_was_done_to_a_source_is_handed_on() -> None:
    """Pictures of another process come with their notes, as those of a file do, and a window of them has these."""
    address = LiveAddress("camera", "testsrc=s=64x48:d=1,setsar=2", "lavfi")
    with ReaderProcess(address, 480, 60) as process:
        process.length()
        image, _, size, notes = next(process.pictures())
    assert (image.shape, size) == ((48, 128, 3), (128, 48))
    assert notes == ("pixels are not square: 64x48 shown as 128x48",)
    frame = StreamFrame(image, 0.0, 0, size, 0.0, 0.0, notes=notes)
    assert Window(0, 0.0, 1.0, (frame,), frame, 25.0, 0).frames().notes == notes


def test_a_process_that_dies_within_a_picture_lost_its_source() -> None:
    """Half a picture, of a process that was killed meanwhile, is a source that was lost, and no picture."""
    with ReaderProcess(LiveAddress("camera", "testsrc=s=1920x1080", "lavfi"), 1920, 60) as process:
        assert process.length() == math.inf
        time.sleep(1)  # until the pipe is full, as it holds less than a picture
        process.kill()
        with pytest.raises(LostError, match="its process ended"):
            list(process.pictures())


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_no_process_outlives_a_killed_program() -> None:
    """When the program is killed, even so that it cannot clean up, the process that reads the source ends too."""
    script = "import sys; from staa_client.watch.stream import StopSignal, stream_frames\n"
    script += "from staa_client.watch.settings import WatchSettings\n"
    script += "list(stream_frames(sys.argv[1], WatchSettings(stall=600), StopSignal()))"
    with Live(0) as live:
        program = subprocess.Popen([sys.executable, "-c", script, live.url], stderr=subprocess.DEVNULL)
        until(lambda: live.connections)
        (child,) = (Path(f"/proc/{program.pid}/task/{program.pid}/children").read_text().split()) or ["0"]
        program.send_signal(signal.SIGKILL)
        program.wait(5)
        until(lambda: not Path(f"/proc/{child}").exists())
        assert child != "0"
        with pytest.raises(ProcessLookupError):
            os.kill(int(child), 0)
