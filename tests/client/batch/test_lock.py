"""One run at a time writes a file of answers."""

import subprocess
import sys
from pathlib import Path

import pytest

from staa_client.batch.lock import Lock
from tests.client.batch.conftest import CountingServer, client, small_files, sources, told_of_files


@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
def test_two_runs_do_not_share_a_file(ending: str, tmp_path: Path) -> None:
    """While a run writes, another one is refused before it asks; then it goes on, and no answer is lost."""
    counting, output = CountingServer(), tmp_path / f"out.{ending}"
    paths = small_files(tmp_path / "in", 6)
    with client(counting) as staa:
        first = staa.batch(paths, concurrency=1, output=output)
        next(first)
        asked = set(counting.asked)
        with pytest.raises(BlockingIOError, match="another run is writing"):
            list(staa.batch([tmp_path / "in" / "5.mp4"], output=output))
        assert b"fast 5" not in asked
        rest = list(first)
        assert len(rest) == 5
        again = list(staa.batch(paths, output=output))
    assert all(item.resumed for item in again)
    assert len(counting.asked) == len(sources(output)) == 6
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", output.name]


def test_another_process_is_refused_and_a_killed_one_leaves_no_lock(tmp_path: Path) -> None:
    """The lock holds between processes, and is gone with its process, though the file of the lock stays."""
    output = tmp_path / "out.jsonl"
    code = "import sys, pathlib; from staa_client.batch.lock import Lock\n"
    code += "lock = Lock(pathlib.Path(sys.argv[1])); print('has it', flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", code, str(output)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"has it\n"
        with pytest.raises(BlockingIOError, match=r"out\.jsonl"):
            Lock(output)
        process.kill()
        process.wait(10)
    assert (tmp_path / "out.jsonl.lock").exists()
    Lock(output).release()
    assert not list(tmp_path.iterdir())


def test_a_lock_that_went_while_it_was_opened_is_none(tmp_path: Path) -> None:
    """Who opens the lock's file just before its holder removes it has the lock under its name, and nobody beside it."""
    path = tmp_path / "out.jsonl"
    first = Lock(path)

    def gone(event: str, _: str) -> None:
        if event == "fcntl.flock":
            first.release()

    with told_of_files(gone):
        second = Lock(path)
    with pytest.raises(BlockingIOError):
        Lock(path)
    second.release()
    assert not list(tmp_path.iterdir())


def test_an_error_in_the_file_leaves_it_unlocked(tmp_path: Path) -> None:
    """A file that is refused is not locked by the run that was refused."""
    output = tmp_path / "out.jsonl"
    output.write_text("no answers\n")
    with client(CountingServer()) as staa:
        for _ in range(2):
            with pytest.raises(ValueError, match="no answers"):
                list(staa.batch([b"x"], output=output))
    assert [path.name for path in tmp_path.iterdir()] == ["out.jsonl"]
