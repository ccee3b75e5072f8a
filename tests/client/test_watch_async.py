"""The twin for event loops: the same windows, and the same ends."""

import asyncio
import time

import numpy as np
import pytest

from staa_client import AsyncClient, Client, NotFoundError, StaaError
from staa_client.watch import Asks, AsksAsync, Sight, watch, watch_async
from tests.client.live import AsyncModel, Live, Model, busy, grabbed, nothing_is_left

__all__ = ["nothing_is_left"]


def test_the_async_twin_gives_the_same() -> None:
    """In an event loop, a watch gives the same windows, frames and labels; `frames` may be asked for; it ends alike."""

    async def twin() -> list[Sight]:
        async def card() -> int:
            return 4

        async with watch_async(AsyncModel(0, busy()), grabbed(6), frames=card, latency="keep") as sights:
            found = [sight async for sight in sights]
            assert (sights.failed, sights.dropped, sights.reconnects) == (1, 0, 0)
            return found

    with watch(Model(0, busy()), grabbed(6), frames=lambda: 4, latency="keep") as sights:
        plain = list(sights)
    for one, other in zip(plain, asyncio.run(twin()), strict=True):
        assert (one.number, one.start, one.end, one.smoothed) == (other.number, other.start, other.end, other.smoothed)
        assert (one.error is None) == (other.error is None)
        np.testing.assert_array_equal(one.frames.images, other.frames.images)


def test_the_async_twin_stops_and_fails_alike() -> None:
    """`stop` from another task ends a watch of a silent server, whose wait holds up no loop; an error ends one too."""

    async def silent() -> None:
        with Live(0) as live:
            sights = watch_async(AsyncModel(), live.url, frames=4)
            asyncio.get_running_loop().call_later(0.5, lambda: asyncio.ensure_future(sights.stop()))
            begun = time.monotonic()
            assert [sight async for sight in sights] == []
            assert time.monotonic() - begun < 2
            await sights.aclose()

    async def failing() -> None:
        error = NotFoundError("no such model", code="model_not_found", status=404)
        sights = watch_async(AsyncModel(0, error), grabbed(4), frames=4, latency="keep")
        with pytest.raises(StaaError) as caught:
            await anext(sights)
        assert caught.value is error
        assert [sight async for sight in sights] == []

    asyncio.run(silent())
    asyncio.run(failing())


def test_the_clients_can_be_asked() -> None:
    """Both clients have what a watch asks; the type checker holds the rest."""
    plain: type[Asks] = Client
    other: type[AsksAsync] = AsyncClient
    assert all(callable(getattr(kind, name)) for kind in (plain, other) for name in ("explain", "predict"))
