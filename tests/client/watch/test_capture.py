"""The thread that reads, and the queue behind it: what waits, and what is dropped."""

import itertools
import time
from collections.abc import Iterator
from typing import Any

import pytest

from staa_client.watch import watch
from staa_client.watch.capture import EndError, WindowQueue
from tests.client.watch.conftest import Live, SlowClient, grabbed
from tests.made.waiting import until


def test_a_full_queue_drops_the_oldest_and_says_how_many() -> None:
    """With room for 2, five put leave the last two, and the first taken says that 3 were dropped before it."""
    pending: WindowQueue[int] = WindowQueue(2)
    for item in range(5):
        pending.put(item, wait=False)
    assert [pending.take(), pending.take(), pending.poll()] == [(3, 3), (4, 0), None]
    assert pending.dropped == 3
    pending.end(ValueError("why"))
    with pytest.raises(ValueError, match="why"):
        pending.take()
    with pytest.raises(EndError):
        pending.take()


def test_a_slow_server_sees_the_newest_window() -> None:
    """With "drop", windows that a slow server cannot take are counted, each before the sight that overtook it."""
    model = SlowClient(0.12)

    def live() -> Iterator[tuple[float, Any]]:
        for pair in grabbed(3, fps=50):
            time.sleep(0.01)
            yield pair

    with watch(model, live(), frames=4, window=0.4, stride=0.1) as sights:
        found = list(sights)
        assert sights.dropped == sum(sight.dropped for sight in found) > 3
    numbers = [sight.number for sight in found]
    assert [sight.dropped for sight in found[1:]] == [b - a - 1 for a, b in itertools.pairwise(numbers)]


def test_keep_drops_nothing_and_lets_the_source_wait() -> None:
    """With "keep" every window is answered, and no more of the source is read than may wait."""
    drawn = 0

    def source() -> Iterator[tuple[float, Any]]:
        nonlocal drawn
        for pair in grabbed(20):
            drawn += 1
            yield pair

    with watch(SlowClient(0.002), source(), frames=4, latency="keep", max_pending=2) as sights:
        first = next(sights)
        until(lambda: drawn > 20)
        time.sleep(0.2)  # in which it would draw hundreds
        assert drawn < 45
        found = [first, *sights]
        assert sights.dropped == 0
    assert [sight.number for sight in found] == list(range(37))
    assert drawn == 200


def test_a_live_stream_that_is_kept_drops_the_oldest() -> None:
    """A live source cannot wait: with "keep", beyond `max_pending` the oldest windows go, counted, over cuts too."""
    with (
        Live(20, 1000) as live,
        watch(
            SlowClient(),
            live.url,
            frames=4,
            window=0.2,
            stride=0.1,
            latency="keep",
            max_pending=3,
            av_options={"analyzeduration": "200000"},
        ) as sights,
    ):
        first = next(sights)
        until(lambda: sights.reconnects and sights.dropped >= 4)
        later = next(sights)
        while not later.reconnects:
            later = next(sights)
    assert (first.number, first.dropped, later.reconnects) == (0, 0, 1)
