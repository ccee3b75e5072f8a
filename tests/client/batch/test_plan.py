"""Many videos: bounded, in order, each once, and a run that was interrupted goes on."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from staa_client import AsyncClient, Client, Frames, NotVideoError
from tests.client.batch.conftest import CountingServer, client, small_files


def test_order_is_kept_and_concurrency_bounded(tmp_path: Path) -> None:
    """Answers come in the order of the sources though some are slow, never more than `concurrency` under way."""
    counting, told = CountingServer(), list[tuple[int, int | None]]()
    paths = small_files(tmp_path / "in", 20)
    with client(counting) as staa:
        items = list(staa.batch(paths, concurrency=3, progress=lambda done, total: told.append((done, total))))
    assert [item.source for item in items] == [str(path) for path in paths]
    assert [item.index for item in items] == list(range(20))
    assert counting.most == 3
    assert sorted(told) == [(done, 20) for done in range(1, 21)]
    assert items[0].explanation.joint.shape == (16, 12, 12)


def test_sources_are_taken_as_they_are_needed() -> None:
    """An endless stream of sources is asked in steps: memory stays bounded."""
    taken = 0

    def endless() -> Any:
        nonlocal taken
        while True:
            taken += 1
            yield b"fast %d" % taken

    with client(CountingServer()) as staa:
        items = staa.batch(endless(), concurrency=2, explain=False)
        for _ in range(5):
            next(items)
        items.close()  # type: ignore[attr-defined]  # a generator, which an iterator need not be
    assert taken <= 5 + 2 * 2 + 1


def test_an_error_is_raised_or_collected(tmp_path: Path) -> None:
    """By default the first error ends the batch; collected, it stands in its place and the others have answers."""
    paths = small_files(tmp_path / "in", 6)
    paths[2].write_bytes(b"noise")
    paths[4] = tmp_path / "missing.mp4"
    with client(CountingServer()) as staa:
        with pytest.raises(NotVideoError):
            list(staa.batch(paths))
        items = list(staa.batch(paths, on_error="collect"))
    assert [type(item.error).__name__ for item in items] == [
        "NoneType",
        "NoneType",
        "NotVideoError",
        "NoneType",
        "FileNotFoundError",
        "NoneType",
    ]
    with pytest.raises(NotVideoError):
        _ = items[2].explanation


def test_progress_counts_up_one_call_at_a_time(tmp_path: Path) -> None:
    """With many workers, and an output with some answers, the caller is told 1, 2, 3, ... and never twice at once."""
    paths, output = small_files(tmp_path / "in", 40), tmp_path / "out.jsonl"
    told: list[int] = []
    inside = most = 0

    def progress(done: int, _total: int | None) -> None:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        time.sleep(0.002)
        told.append(done)
        inside -= 1

    with client(CountingServer()) as staa:
        list(staa.batch(paths[:10], output=output))
        list(staa.batch(paths, concurrency=8, output=output, progress=progress))
    assert told == list(range(1, 41))
    assert most == 1


def test_one_video_is_no_list_of_videos(clip: bytes, tmp_path: Path) -> None:
    """A name, a path, bytes, an open file or frames instead of a list of them are refused, with what to do."""
    path = tmp_path / "clip.mp4"
    path.write_bytes(clip)
    frames = np.zeros((8, 24, 32, 3), np.uint8)
    with client(CountingServer()) as staa, path.open("rb") as file:
        for video in (str(path), path, clip, bytearray(clip), file, frames, Frames.of(frames)):
            with pytest.raises(TypeError, match="put it into a list"):
                staa.batch(video)  # type: ignore[arg-type]  # what is tested
            with pytest.raises(TypeError, match="put it into a list"):
                AsyncClient().batch(video)  # type: ignore[arg-type]  # what is tested
        for nothing in (None, 5):
            for kind in (Client(), AsyncClient()):
                with pytest.raises(TypeError, match="many videos are given as a list, got "):
                    kind.batch(nothing)  # type: ignore[arg-type]  # what is tested
