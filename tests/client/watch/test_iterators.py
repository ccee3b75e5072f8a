"""Watching: sights in order, what is dropped and what fails, and that it ends."""

import asyncio
import gc
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from staa_client import NotFoundError, Sight, StaaError, StreamError, UnreachableError
from staa_client.watch import Watch, watch, watch_async
from tests.client.watch.conftest import Live, SlowAsyncClient, SlowClient, busy, grabbed, threads
from tests.made.waiting import until


@pytest.mark.parametrize(
    ("error", "on_error"),
    [
        (NotFoundError("no such model", code="model_not_found", status=404), "collect"),
        (UnreachableError("nobody there", code="unreachable"), "collect"),
        (busy(), "raise"),
        (ValueError("an argument"), "collect"),
    ],
)
def test_errors_that_stay_end_the_watch(error: Exception, on_error: Any) -> None:
    """No such model, no server from the start, a wrong argument, or any error with "raise" is raised, and the end."""
    sights = watch(SlowClient(0, error), grabbed(4), frames=4, latency="keep", on_error=on_error)
    with pytest.raises(type(error)) as caught:
        next(sights)
    assert caught.value is error
    assert list(sights) == []
    assert not threads()


def test_an_error_of_the_source_reaches_whoever_iterates() -> None:
    """What a caller's own iterator raises comes after the windows before it; a stream that is not there at once."""

    def broken() -> Iterator[tuple[float, Any]]:
        yield from grabbed(2.5)
        raise OSError("cable")

    sights = watch(SlowClient(), broken(), frames=4, latency="keep")
    assert next(sights).number == 0
    with pytest.raises(OSError, match="cable"):
        list(sights)
    with (
        pytest.raises(StreamError, match="check the address"),
        watch(SlowClient(), "tcp://127.0.0.1:1", frames=4) as sights,
    ):
        next(sights)


def test_stop_ends_a_watch_whose_read_blocks() -> None:
    """`stop` from another thread ends an iteration over a server that says nothing; again does nothing."""
    with Live(0) as live:
        sights = watch(SlowClient(), live.url, frames=4, stall=600)

        def stop() -> None:
            until(lambda: live.connections)
            sights.stop()

        stopper = threading.Thread(target=stop)
        stopper.start()
        begun = time.monotonic()
        assert list(sights) == []
        assert time.monotonic() - begun < 120, "long before it counts as lost"
        assert not threads()
        stopper.join()
        sights.stop()
        assert list(sights) == []


def test_a_watch_that_is_never_begun_or_forgotten_leaves_nothing() -> None:
    """One that was not iterated starts no thread; one that is forgotten ends its own."""
    with watch(SlowClient(), grabbed(4), frames=4) as sights:
        assert not threads()
    assert list(sights) == []
    forgotten = watch(SlowClient(), grabbed(400), frames=4, latency="keep")
    next(forgotten)
    assert threads()
    del forgotten
    gc.collect()
    assert not threads()


def test_ctrl_c_ends_it() -> None:
    """A KeyboardInterrupt, while the server works or in the loop, passes through and leaves no thread."""
    with pytest.raises(KeyboardInterrupt):
        list(watch(SlowClient(0, KeyboardInterrupt()), grabbed(40), frames=4, latency="keep"))  # type: ignore[arg-type]
    assert not threads()
    with pytest.raises(KeyboardInterrupt), watch(SlowClient(), grabbed(40), frames=4, latency="keep") as sights:  # noqa: PT012
        next(sights)
        raise KeyboardInterrupt
    assert not threads()


def test_a_watch_is_an_iterator() -> None:
    """Both kinds are their own iterators, so that `next` and `anext` work."""
    sights = watch(SlowClient(), grabbed(1), frames=4)
    assert isinstance(sights, Watch)
    assert iter(sights) is sights


def test_the_async_twin_gives_the_same() -> None:
    """In an event loop, a watch gives the same windows, frames and labels; `frames` may be asked for; it ends alike."""

    async def twin() -> list[Sight]:
        async def card() -> int:
            return 4

        async with watch_async(SlowAsyncClient(0, busy()), grabbed(6), frames=card, latency="keep") as sights:
            found = [sight async for sight in sights]
            assert (sights.failed, sights.dropped, sights.reconnects) == (1, 0, 0)
            return found

    with watch(SlowClient(0, busy()), grabbed(6), frames=lambda: 4, latency="keep") as sights:
        plain = list(sights)
    for one, other in zip(plain, asyncio.run(twin()), strict=True):
        assert (one.number, one.start, one.end, one.smoothed) == (other.number, other.start, other.end, other.smoothed)
        assert (one.error is None) == (other.error is None)
        np.testing.assert_array_equal(one.frames.images, other.frames.images)


def test_the_async_twin_stops_and_fails_alike() -> None:
    """`stop` from another task ends a watch of a silent server, whose wait holds up no loop; an error ends one too."""

    async def silent() -> None:
        with Live(0) as live:
            sights = watch_async(SlowAsyncClient(), live.url, frames=4, stall=600)

            async def stop() -> None:
                await asyncio.to_thread(until, lambda: live.connections)
                await sights.stop()

            stopping = asyncio.create_task(stop())
            begun = time.monotonic()
            assert [sight async for sight in sights] == []
            assert time.monotonic() - begun < 120, "long before it counts as lost"
            await stopping
            await sights.aclose()

    async def failing() -> None:
        error = NotFoundError("no such model", code="model_not_found", status=404)
        sights = watch_async(SlowAsyncClient(0, error), grabbed(4), frames=4, latency="keep")
        with pytest.raises(StaaError) as caught:
            await anext(sights)
        assert caught.value is error
        assert [sight async for sight in sights] == []

    asyncio.run(silent())
    asyncio.run(failing())
