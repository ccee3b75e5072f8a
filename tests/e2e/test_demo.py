"""The first command that a stranger runs."""

import subprocess
from pathlib import Path

import psutil
from PIL import Image

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


def test_the_demo_refuses_what_is_not_there() -> None:
    """A file that does not exist is named at once, before anything is started."""
    done = subprocess.run([ROOT / "demo.sh", "no-such.mp4"], capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 2
    assert "no-such.mp4" in done.stderr
