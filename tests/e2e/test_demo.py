"""The first command that a stranger runs."""

import subprocess
import sys
from pathlib import Path

import psutil
from PIL import Image

from tests.client.doors import door

ROOT = Path(__file__).parents[2]


def test_the_demo_shows_labels_when_where_and_the_truth() -> None:
    """`./demo.sh` ends with 0, prints the answer beside the truth, draws both pictures and leaves no process behind."""
    pictures = [ROOT / "demo-out" / name for name in ("report.html", "overlay.png")]
    for picture in pictures:
        picture.unlink(missing_ok=True)
    before = {process.pid for process in psutil.process_iter()}
    done = subprocess.run([ROOT / "demo.sh"], capture_output=True, text=True, check=False, timeout=400)
    assert done.returncode == 0, done.stdout + done.stderr
    for expected in ("/predictions/motions", "/explanations/motions", "when ", "where ", "truth "):
        assert expected in done.stdout
    assert done.stdout.count(" met") >= 3, done.stdout
    assert "MISSED" not in done.stdout
    page = pictures[0].read_text()
    assert "<html" in page
    assert 'src="http' not in page
    with Image.open(pictures[1]) as sheet:
        assert min(sheet.size) > 400
    left = [process for process in psutil.process_iter(["cmdline"]) if process.pid not in before]
    assert not [process for process in left if str(ROOT / "deploy") in " ".join(process.info["cmdline"] or [])]


def test_the_demo_refuses_what_is_not_there(tmp_path: Path) -> None:
    """A file that does not exist, or is empty, is named at once, before anything is started."""
    (tmp_path / "empty.mp4").touch()
    for name in ("no-such.mp4", "empty.mp4"):
        done = subprocess.run(
            [ROOT / "demo.sh", tmp_path / name], capture_output=True, text=True, check=False, timeout=30
        )
        assert (done.returncode, done.stdout) == (2, "")
        assert f"{tmp_path}/{name}" in done.stderr


def test_the_demo_says_a_no_on_one_line(tmp_path: Path) -> None:
    """A file that is no video, and one that is gone meanwhile, end with 1 and the reason, and without a traceback."""
    noise = tmp_path / "noise.mp4"
    noise.write_bytes(b"noise")
    with door() as url:
        for path, reason in ((noise, "415 not_a_video: noise came, send a video"), (tmp_path / "no.mp4", "no.mp4")):
            command = [sys.executable, "-m", "training.demo", str(path), "--server", url]
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, cwd=ROOT)
            assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1), done.stderr
            assert done.stderr.startswith("demo: ")
            assert reason in done.stderr
