"""A batch in an event loop: it does what the other does, and holds up nothing."""

import asyncio
import sys
import threading
from pathlib import Path
from typing import Any

import httpx2
import pytest

from staa_client import AsyncClient, BatchItem, Explanation, StaaError
from tests.client.batch.conftest import CountingServer, client, small_files, told_of_files
from tests.client.conftest import server


def test_the_async_twin_does_the_same(tmp_path: Path) -> None:
    """AsyncClient gives the same items in the same order, bounded, and goes on from the same file."""
    paths, counting, output = small_files(tmp_path / "in", 10), CountingServer(), tmp_path / "out.jsonl"
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


def test_the_async_twin_asks_once_for_what_is_named_often(tmp_path: Path) -> None:
    """In an event loop, too, one path many times is one request, and `resumed` tells of an earlier run alone."""
    (path,), counting, output = small_files(tmp_path / "in", 1), CountingServer(), tmp_path / "out.jsonl"

    async def all_of(count: int) -> list[bool]:
        async with AsyncClient(max_retries=0, transport=httpx2.MockTransport(counting)) as staa:
            return [item.resumed async for item in staa.batch([path] * count, output=output)]

    assert asyncio.run(all_of(12)) == [False] * 12
    assert asyncio.run(all_of(2)) == [True] * 2
    assert len(counting.asked) == 1


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

    def call(_frame: Any, event: str, function: Any) -> None:
        if event == "c_call" and str(getattr(getattr(function, "__self__", None), "name", "")).startswith(str(output)):
            touched.append((function.__name__, threading.get_ident()))

    async def watched() -> list[BatchItem]:
        sys.setprofile(call)  # of this thread alone, which is the loop's
        try:
            return await all_of()
        finally:
            sys.setprofile(None)

    with told_of_files(note):
        first, again = asyncio.run(watched()), asyncio.run(watched())
    assert [item.resumed for item in first + again] == [False, True]
    names = {name for name, _ in touched}
    assert {"source", "out.parquet.lock", "out.parquet.jsonl", "out.parquet.new"} <= names
    assert threading.get_ident() not in {thread for _, thread in touched}


def test_a_batch_that_is_cancelled_unlocks_its_file(tmp_path: Path) -> None:
    """Cancelled while its file is being opened, a batch ends as cancelled, and the next run has the file."""
    paths, output = small_files(tmp_path / "in", 4), tmp_path / "out.jsonl"
    opening, asked = threading.Event(), threading.Event()

    def slow(event: str, path: str) -> None:
        if event == "open" and path.endswith(".lock"):
            opening.set()
            assert asked.wait(60)

    async def cancelled() -> None:
        async def every() -> None:
            async with AsyncClient(transport=httpx2.MockTransport(server())) as staa:
                async for _ in staa.batch(paths, output=output):
                    pass

        task = asyncio.create_task(every())
        assert await asyncio.to_thread(opening.wait, 60)
        task.cancel()
        asked.set()
        with pytest.raises(asyncio.CancelledError):
            await task

    with told_of_files(slow):
        asyncio.run(cancelled())
    with client(CountingServer()) as staa:
        assert len(list(staa.batch(paths, output=output))) == 4


def test_a_batch_that_is_cancelled_twice_unlocks_its_file(tmp_path: Path) -> None:
    """Cancelled again while it waits for what is under way, a batch still waits for that, and the next run goes on."""
    paths, output = small_files(tmp_path / "in", 2), tmp_path / "out.jsonl"
    events: list[str] = []

    async def cancelled() -> None:
        asked, ending = asyncio.Event(), asyncio.Event()

        async def slow_to_end(request: httpx2.Request) -> httpx2.Response:
            if b"fast" not in request.content:
                await asyncio.sleep(60)
            asked.set()
            try:
                await asyncio.sleep(60)
            finally:
                ending.set()
                await asyncio.sleep(0.2)
                events.append("the second request ended")
            raise AssertionError

        async def every() -> None:
            async with AsyncClient(transport=httpx2.MockTransport(slow_to_end)) as staa:
                async for _ in staa.batch(paths, output=output):
                    pass

        task = asyncio.create_task(every())
        for moment in (asked, ending):
            await moment.wait()
            task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        events.append("the batch ended")
        with client(CountingServer()) as staa:
            assert len(list(staa.batch(paths, output=output))) == 2

    asyncio.run(cancelled())
    assert events == ["the second request ended", "the batch ended"]
