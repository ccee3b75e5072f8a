"""What a file of answers knows again, and what two runs may do to it at a time."""

import asyncio
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pyarrow.parquet as pq
import pytest

from staa_client import AsyncClient, BatchItem, Client, Frames
from staa_client._key import keyed
from staa_client._lock import Lock
from tests.client.conftest import server
from tests.client.test_batch import Counting, client, files

LISTENERS: list[Callable[[str, str], None]] = []


@cache
def ears() -> None:
    """Have the interpreter tell what is opened, renamed and locked; that cannot be taken back."""

    def hear(event: str, arguments: tuple[Any, ...]) -> None:
        if LISTENERS and event in {"open", "os.rename", "fcntl.flock"}:
            LISTENERS[-1](event, str(arguments[0]))

    sys.addaudithook(hear)


@contextmanager
def heard(listener: Callable[[str, str], None]) -> Iterator[None]:
    """Tell (event, path) of what happens to files meanwhile, in the thread where it does and before it does."""
    ears()
    LISTENERS.append(listener)
    try:
        yield
    finally:
        LISTENERS.pop()


def sources(output: Path) -> list[str]:
    """Those in a file of answers, in its order."""
    if output.suffix == ".parquet":
        return [str(one) for one in pq.read_table(output)["source"].to_pylist()]
    return [json.loads(line)["source"] for line in output.read_text().splitlines()]


def test_frames_are_known_by_all_that_they_are() -> None:
    """The same bytes in another shape, size, rate, length or place are other frames; the same again are the same."""
    black = Frames.of(np.zeros((8, 120, 160, 3), np.uint8))
    others = [
        replace(black, images=np.zeros((8, 160, 120, 3), np.uint8)),
        replace(black, size=(320, 240)),
        replace(black, fps=24.0),
        replace(black, duration=9.0),
        replace(black, indices=black.indices + 1),
        replace(black, seconds=black.seconds + 1),
        replace(black, images=black.images + np.uint8(1)),
    ]
    names = [keyed(one)[0].name for one in (black, *others)]
    assert len(set(names)) == len(names)
    assert keyed(Frames.of(np.zeros((8, 120, 160, 3), np.uint8)))[0].name == names[0]


def test_frames_of_another_shape_are_asked_for(tmp_path: Path) -> None:
    """Upright black frames do not get the answer of black frames that lie."""
    output = tmp_path / "out.jsonl"
    with Client(transport=httpx2.MockTransport(server())) as staa:
        for shape in ((8, 120, 160, 3), (8, 160, 120, 3)):
            (item,) = staa.batch([np.zeros(shape, np.uint8)], output=output)
            assert not item.resumed
    assert len(sources(output)) == 2


@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
def test_a_path_is_known_wherever_it_is_named_from(
    ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same relative path in another folder is another video; another name of the same file is the same."""
    counting, output = Counting(), tmp_path / f"out.{ending}"
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "clip.mp4").write_bytes(name.encode())
    with client(counting) as staa:
        for name in ("a", "b"):
            monkeypatch.chdir(tmp_path / name)
            (item,) = staa.batch(["clip.mp4"], output=output)
            assert (item.source, item.resumed) == ("clip.mp4", False)
        (item,) = staa.batch([tmp_path / "b" / "clip.mp4"], output=output)
    assert item.resumed
    assert counting.asked == [b"a", b"b"]
    assert sources(output) == ["clip.mp4", "clip.mp4"]


@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
def test_a_file_that_changed_is_asked_again(ending: str, tmp_path: Path) -> None:
    """Another video under the same name gets an answer of its own, which takes the place of the old one."""
    counting, output = Counting(), tmp_path / f"out.{ending}"
    paths = files(tmp_path / "in", 2)
    with client(counting) as staa:
        list(staa.batch(paths, output=output))
        paths[1].write_bytes(b"fast and new")
        items = list(staa.batch(paths, output=output))
        assert [item.resumed for item in items] == [True, False]
        assert sorted(sources(output)) == sorted(map(str, paths))
        before = paths[0].stat()
        paths[0].write_bytes(paths[0].read_bytes()[::-1])  # of the same size
        os.utime(paths[0], ns=(before.st_atime_ns, before.st_mtime_ns + 1))
        items = list(staa.batch(paths, output=output))
        assert [item.resumed for item in items] == [False, True]
        paths[1].write_bytes(b"noise, which is refused")
        list(staa.batch(paths, output=output, on_error="collect"))
    assert sorted(sources(output)) == sorted(map(str, paths))
    assert len(counting.asked) == 2 + 1 + 1 + 1


@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
def test_two_runs_do_not_share_a_file(ending: str, tmp_path: Path) -> None:
    """While a run writes, another one is refused before it asks; then it goes on, and no answer is lost."""
    counting, output = Counting(), tmp_path / f"out.{ending}"
    paths = files(tmp_path / "in", 6)
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
    code = "import sys, pathlib; from staa_client._lock import Lock\n"
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

    with heard(gone):
        second = Lock(path)
    with pytest.raises(BlockingIOError):
        Lock(path)
    second.release()
    assert not list(tmp_path.iterdir())


def test_an_error_in_the_file_leaves_it_unlocked(tmp_path: Path) -> None:
    """A file that is refused is not locked by the run that was refused."""
    output = tmp_path / "out.jsonl"
    output.write_text("no answers\n")
    with client(Counting()) as staa:
        for _ in range(2):
            with pytest.raises(ValueError, match="no answers"):
                list(staa.batch([b"x"], output=output))
    assert [path.name for path in tmp_path.iterdir()] == ["out.jsonl"]


@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
def test_answers_to_another_request_stay_as_they_are(ending: str, tmp_path: Path) -> None:
    """A file that is refused is the one that is named; it keeps its bytes, and no other file appears beside it."""
    output = tmp_path / f"out.{ending}"
    with client(Counting()) as staa:
        list(staa.batch([b"x"], output=output))
        before = output.read_bytes()
        with pytest.raises(ValueError, match=rf"out\.{ending} holds answers to another request"):
            list(staa.batch([b"x"], output=output, top_k=3))
        assert output.read_bytes() == before
        if ending == "parquet":
            output.write_bytes(before[:-9])
            with pytest.raises(ValueError, match=r"out\.parquet is no Parquet file of answers"):
                list(staa.batch([b"x"], output=output))
    assert [path.name for path in tmp_path.iterdir()] == [output.name]


@pytest.mark.parametrize("line", [b"[" * 100_000, b'{"source": "a", "request": "b"}', b'{"source": 1}', b"[]"])
def test_a_strange_line_is_no_answer(line: bytes, tmp_path: Path) -> None:
    """Whatever a line holds, the file is refused with one and the same words, and stays as it is."""
    output = tmp_path / "out.jsonl"
    output.write_bytes(line + b"\n")
    with client(Counting()) as staa, pytest.raises(ValueError, match="lines that are no answers"):
        list(staa.batch([b"x"], output=output))
    assert output.read_bytes() == line + b"\n"


def test_no_file_is_touched_by_the_loop(tmp_path: Path) -> None:
    """A batch of AsyncClient reads sources and answers, and writes the Parquet file, in threads beside the loop."""
    output = tmp_path / "out.parquet"
    touched: list[tuple[str, int]] = []

    class Slow:
        """A file object that tells who reads it."""

        def read(self) -> bytes:
            touched.append(("source", threading.get_ident()))
            return b"bytes"

    def note(event: str, path: str) -> None:
        if event in {"open", "os.rename"} and path.startswith(str(output)):
            touched.append((Path(path).name, threading.get_ident()))

    async def all_of() -> list[BatchItem]:
        async with AsyncClient(transport=httpx2.MockTransport(server())) as staa:
            return [item async for item in staa.batch([Slow()], output=output)]  # type: ignore[list-item]

    with heard(note):
        assert len(asyncio.run(all_of())) == 1
    names = {name for name, _ in touched}
    assert {"source", "out.parquet.lock", "out.parquet.jsonl", "out.parquet.new"} <= names
    assert threading.get_ident() not in {thread for _, thread in touched}


def test_a_batch_that_is_cancelled_unlocks_its_file(tmp_path: Path) -> None:
    """Cancelled while its file is being opened, a batch ends as cancelled, and the next run has the file."""
    paths, output = files(tmp_path / "in", 4), tmp_path / "out.jsonl"

    def slow(event: str, path: str) -> None:
        if event == "open" and path.endswith(".lock"):
            time.sleep(0.2)

    async def cancelled() -> None:
        async def every() -> None:
            async with AsyncClient(transport=httpx2.MockTransport(server())) as staa:
                async for _ in staa.batch(paths, output=output):
                    pass

        task = asyncio.create_task(every())
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with heard(slow):
        asyncio.run(cancelled())
    with client(Counting()) as staa:
        assert len(list(staa.batch(paths, output=output))) == 4
