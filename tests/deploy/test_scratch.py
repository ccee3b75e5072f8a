"""The folder of a running server: it goes with its server, and at the next start where that was killed."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from staa_serve import scratch
from tests.made.waiting import until

ROOT = Path(__file__).resolve().parents[2]
SERVER = """
import time
from staa_serve import scratch
with scratch.make_folder() as folder:
    (folder / "models").mkdir()
    (folder / "models" / "weights").write_bytes(b"x")
    print(folder, flush=True)
    time.sleep(60)
"""


@pytest.fixture
def parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder for temporary files of this test."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


def environ(parent: Path) -> dict[str, str]:
    """Return the environment of another process, which has this folder for temporary files, and finds the package."""
    return os.environ | {"TMPDIR": str(parent), "PYTHONPATH": str(ROOT / "deploy")}


@pytest.fixture
def server(parent: Path) -> Iterator[tuple["subprocess.Popen[str]", Path]]:
    """Return another process with a folder, and the folder."""
    with subprocess.Popen(
        [sys.executable, "-c", SERVER],
        stdout=subprocess.PIPE,
        text=True,
        env=environ(parent),
    ) as process:
        assert process.stdout
        try:
            yield process, Path(process.stdout.readline().strip())
        finally:
            process.kill()


def test_a_killed_servers_folder_goes_at_the_next_start(server: tuple["subprocess.Popen[str]", Path]) -> None:
    """That of a server that lives stays; once it was killed the next start takes its folder away with all in it."""
    process, folder = server
    with scratch.make_folder() as own:
        assert own != folder
        assert (folder / "models" / "weights").is_file()
    assert not own.exists()
    process.send_signal(signal.SIGKILL)
    process.wait(20)
    assert folder.is_dir()
    with scratch.make_folder() as own:
        assert sorted(folder.parent.iterdir()) == [own]


def test_what_is_no_servers_stays(parent: Path) -> None:
    """Folders of other names, without a lock, or that are links are left alone, and so is what a link points to."""
    (parent / "other").mkdir()
    (parent / "other" / "lock").touch()
    (parent / "staa-serve-a").mkdir()
    (parent / "staa-serve-b").mkdir()
    (parent / "staa-serve-b" / "lock").symlink_to(parent / "other" / "lock")
    (parent / "staa-serve-c").symlink_to(parent / "other")
    (parent / "staa-serve-d").touch()
    before = sorted(parent.rglob("*"))
    with scratch.make_folder():
        pass
    assert sorted(parent.rglob("*")) == before


def test_two_servers_at_once(parent: Path) -> None:
    """Servers of one folder for temporary files start together, and none takes another's folder."""
    command = [sys.executable, "-c", SERVER.replace("60", "1")]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, env=environ(parent)) for _ in range(6)]
    until(lambda: len(list(parent.glob("staa-serve-*/models/weights"))) == 6 or any(p.poll() for p in processes))
    assert [process.wait(20) for process in processes] == [0] * 6
    for process in processes:
        assert process.stdout
        process.stdout.close()
    assert not list(parent.iterdir())
