"""The first command that a stranger runs."""

import contextlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil
from PIL import Image

from tests.client.socket_servers import fake_server

ROOT = Path(__file__).parents[2]
OUT = ROOT / "demo-out"
WRITTEN = ("clip.mp4", "clip.json", "server.log", "overlay.png", "report.html")


def processes_with(temporary: Path) -> list[psutil.Process]:
    """Return the processes whose TMPDIR this is."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.AccessDenied, psutil.NoSuchProcess, psutil.ZombieProcess):
            if process.environ().get("TMPDIR") == str(temporary):
                found.append(process)
    return found


def test_the_demo_shows_labels_when_where_and_the_truth() -> None:
    """`./demo.sh` ends with 0, prints the answer beside the truth, draws both pictures and leaves no process behind."""
    for name in WRITTEN:
        (OUT / name).unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(prefix="demo-") as folder:  # short, for the path of the worker's socket
        done = subprocess.run(
            [ROOT / "demo.sh"],
            capture_output=True,
            text=True,
            check=False,
            timeout=400,
            env=os.environ | {"TMPDIR": folder},
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert not processes_with(Path(folder))
    assert done.stderr == ""
    for expected in ("/predictions/motions", "/explanations/motions", "when ", "where ", "check ", "truth "):
        assert expected in done.stdout
    assert done.stdout.count(" met") >= 3, done.stdout
    assert "MISSED" not in done.stdout
    assert {path.name for path in OUT.iterdir()} >= set(WRITTEN)
    page = (OUT / "report.html").read_text()
    assert "<html" in page
    assert 'src="http' not in page
    with Image.open(OUT / "overlay.png") as sheet:
        assert min(sheet.size) > 400


def test_the_demo_refuses_what_is_not_there(tmp_path: Path) -> None:
    """A file that does not exist, or is empty, is named at once, before anything is started."""
    (tmp_path / "empty.mp4").touch()
    for name in ("no-such.mp4", "empty.mp4"):
        done = refused(tmp_path / name)
        assert f"{tmp_path}/{name}" in done.stderr


def test_the_demo_does_not_ask_about_what_it_writes_itself() -> None:
    """A video in the place of the generated clip would be lost: it is refused, and left as it is."""
    OUT.mkdir(exist_ok=True)
    (OUT / "clip.mp4").write_bytes(b"somebody's own")
    assert "move your video elsewhere" in refused(OUT / "clip.mp4").stderr
    assert (OUT / "clip.mp4").read_bytes() == b"somebody's own"


def refused(video: Path) -> "subprocess.CompletedProcess[str]":
    """Run the demo on a video that it does not take."""
    done = subprocess.run([ROOT / "demo.sh", video], capture_output=True, text=True, check=False, timeout=30)
    assert (done.returncode, done.stdout) == (2, "")
    return done


def test_the_demo_says_a_no_on_one_line(tmp_path: Path) -> None:
    """A file that is no video, and one that is gone meanwhile, end with 1 and the reason, and without a traceback."""
    noise = tmp_path / "noise.mp4"
    noise.write_bytes(b"noise")
    with fake_server() as url:
        for path, reason in ((noise, "415 not_a_video: noise came, send a video"), (tmp_path / "no.mp4", "no.mp4")):
            command = [sys.executable, "examples/demo.py", str(path), "--server", url]
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, cwd=ROOT)
            assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1), done.stderr
            assert done.stderr.startswith("demo: ")
            assert reason in done.stderr
