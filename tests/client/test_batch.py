"""Many videos: bounded, in order, each once, and a run that was interrupted goes on."""

import asyncio
import io
import json
import threading
import time
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pyarrow.parquet as pq
import pytest

from staa_client import AsyncClient, BatchItem, Client, Explanation, NotVideoError, StaaError
from tests.client.conftest import server

REFUSED = {"error": {"code": "not_a_video", "message": "noise came"}}


class Counting:
    """A server that counts what is under way and what was asked, is slow with some, and refuses noise."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.now = self.most = 0
        self.asked: list[bytes] = []
        self.fail_after = 10**9

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        """Answer one request."""
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
            self.asked.append(request.content)
            broken = len(self.asked) > self.fail_after
        time.sleep(0.03 if b"slow" in request.content else 0.002)
        with self.lock:
            self.now -= 1
        if broken:
            return httpx2.Response(500)
        if b"noise" in request.content:
            return httpx2.Response(415, json=REFUSED)
        return server()(request)


def files(folder: Path, count: int) -> list[Path]:
    """Small files, every third of which is slow to answer."""
    folder.mkdir(exist_ok=True)
    paths = [folder / f"{number}.mp4" for number in range(count)]
    for number, path in enumerate(paths):
        path.write_bytes(b"slow %d" % number if number % 3 == 0 else b"fast %d" % number)
    return paths


def client(counting: Counting) -> Client:
    """A client of that server."""
    return Client(max_retries=0, transport=httpx2.MockTransport(counting))


def test_order_is_kept_and_concurrency_bounded(tmp_path: Path) -> None:
    """Answers come in the order of the sources though some are slow, never more than `concurrency` under way."""
    counting, told = Counting(), list[tuple[int, int | None]]()
    paths = files(tmp_path / "in", 20)
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

    with client(Counting()) as staa:
        items = staa.batch(endless(), concurrency=2, explain=False)
        for _ in range(5):
            next(items)
        items.close()  # type: ignore[attr-defined]  # a generator, which an iterator need not be
    assert taken <= 5 + 2 * 2 + 1


def test_an_error_is_raised_or_collected(tmp_path: Path) -> None:
    """By default the first error ends the batch; collected, it stands in its place and the others have answers."""
    paths = files(tmp_path / "in", 6)
    paths[2].write_bytes(b"noise")
    paths[4] = tmp_path / "missing.mp4"
    with client(Counting()) as staa:
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


@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
def test_what_was_answered_is_not_asked_again(ending: str, tmp_path: Path) -> None:
    """Interrupted half way and started again, every source is asked once in all, and has one answer in the file."""
    paths, counting = files(tmp_path / "in", 12), Counting()
    output = tmp_path / f"out.{ending}"
    with client(counting) as staa:
        items = staa.batch(paths, concurrency=2, output=output)
        for _ in range(4):
            next(items)
        items.close()  # type: ignore[attr-defined]  # a generator, which an iterator need not be
        before = len(counting.asked)
        assert 4 <= before < 12
        again = list(staa.batch(paths, concurrency=2, output=output))
    assert len(counting.asked) == len(set(counting.asked)) == 12
    assert sum(item.resumed for item in again) == before
    with Client(transport=httpx2.MockTransport(server())) as staa:
        plain = staa.explain(paths[0])
    assert all(np.array_equal(item.explanation.joint, plain.joint) for item in again)
    assert again[0].explanation.to_dict() == plain.to_dict()
    if ending == "jsonl":
        lines = [json.loads(line) for line in output.read_text().splitlines()]
        assert sorted(line["source"] for line in lines) == sorted(map(str, paths))
    else:
        table = pq.read_table(output)
        assert sorted(map(str, table["source"].to_pylist())) == sorted(map(str, paths))
        assert list(tmp_path.glob("out*")) == [output]
        np.testing.assert_array_equal(table["joint"][0].as_py(), plain.joint.ravel())
        with client(counting) as staa:
            more = list(staa.batch([*paths, b"one more"], output=output))
        assert (len(counting.asked), len(more), pq.read_table(output).num_rows) == (13, 13, 13)


def test_a_line_that_was_cut_off_is_asked_again(tmp_path: Path) -> None:
    """A run that was killed while it wrote leaves half a line: the rest counts, and that source is asked again."""
    paths, counting, output = files(tmp_path / "in", 3), Counting(), tmp_path / "out.jsonl"
    with client(counting) as staa:
        list(staa.batch(paths, output=output))
        whole = output.read_bytes()
        output.write_bytes(whole[:-100])
        list(staa.batch(paths, output=output))
    assert len(counting.asked) == 4
    assert sorted(output.read_bytes().splitlines()) == sorted(whole.splitlines())


def test_what_failed_is_asked_again(tmp_path: Path) -> None:
    """Errors are in the file, and in the next run their sources are asked again: one line a source at the end."""
    paths, counting, output = files(tmp_path / "in", 8), Counting(), tmp_path / "out.jsonl"
    counting.fail_after = 5
    with client(counting) as staa:
        first = list(staa.batch(paths, concurrency=1, output=output, on_error="collect"))
        assert sum(item.error is not None for item in first) == 3
        assert output.read_text().count('"error"') == 3
        counting.fail_after = 10**9
        second = list(staa.batch(paths, concurrency=1, output=output, on_error="collect"))
    assert len(counting.asked) == 8 + 3
    assert all(item.error is None for item in second)
    assert len(output.read_text().splitlines()) == 8


def test_a_file_of_another_request_is_refused(tmp_path: Path) -> None:
    """Answers of another model, of labels only, or of other options are not mixed, nor is a file of something else."""
    paths, output = files(tmp_path / "in", 2), tmp_path / "out.jsonl"
    with client(Counting()) as staa:
        list(staa.batch(paths, output=output))
        for other in ({"model": "other"}, {"explain": False}, {"mass": 0.5}):
            with pytest.raises(ValueError, match="another request"):
                list(staa.batch(paths, output=output, **other))
        output.write_text("no answers\n")
        with pytest.raises(ValueError, match="no answers"):
            list(staa.batch(paths, output=output))
        assert output.read_text() == "no answers\n"
        with pytest.raises(ValueError, match=r"\.jsonl or \.parquet"):
            staa.batch(paths, output=tmp_path / "out.csv")
        with pytest.raises(ValueError, match="about maps"):
            staa.batch(paths, explain=False, mass=0.3)
        with pytest.raises(TypeError, match="unknown options masss"):
            staa.batch(paths, masss=0.3)  # type: ignore[call-arg]  # what is tested
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out.jsonl"]


def test_the_async_twin_does_the_same(tmp_path: Path) -> None:
    """AsyncClient gives the same items in the same order, bounded, and goes on from the same file."""
    paths, counting, output = files(tmp_path / "in", 10), Counting(), tmp_path / "out.jsonl"
    paths[3].write_bytes(b"noise")

    async def all_of(**options: Any) -> list[BatchItem]:
        async with AsyncClient(max_retries=0, transport=httpx2.MockTransport(counting)) as staa:
            return [item async for item in staa.batch(paths, concurrency=2, output=output, **options)]

    with pytest.raises(StaaError):
        asyncio.run(all_of())
    before = len(counting.asked)
    items = asyncio.run(all_of(on_error="collect"))
    assert [item.source for item in items] == [str(path) for path in paths]
    assert [item.index for item in items if item.error] == [3]
    assert isinstance(items[4].result, Explanation)
    assert len(counting.asked) < before + 10
    assert counting.most <= 2


def test_every_kind_of_source_may_be_kept(tmp_path: Path) -> None:
    """File objects, generators of frames and bytes are read once, answered, and known again by what is in them."""
    counting, output = Counting(), tmp_path / "out.jsonl"
    frame = np.zeros((24, 32, 3), np.uint8)

    def sources() -> list[Any]:
        return [io.BytesIO(b"fast"), (frame for _ in range(16)), b"bytes", 3]

    with client(counting) as staa:
        first = list(staa.batch(sources(), output=output, on_error="collect"))
        asked = len(counting.asked)
        again = list(staa.batch(sources(), output=output, on_error="collect"))
    assert [item.error is None for item in first] == [True, True, True, False]
    assert isinstance(first[3].error, TypeError)
    assert [item.resumed for item in again] == [True, True, True, False]
    assert len(counting.asked) == asked
