"""Watching: sights in order, what is dropped and what fails, and that it ends."""

import gc
import itertools
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from staa_client import NotFoundError, UnreachableError
from staa_client.watch import StreamError, Watch, watch
from tests.client.live import Live, Model, busy, grabbed, nothing_is_left, threads

__all__ = ["nothing_is_left"]


def test_a_sight_says_what_when_and_how_late() -> None:
    """A watched stream gives a sight a window, with its stream time, the time of day, the latency and the answer."""
    model = Model(0.01)
    begun = datetime.now(UTC)
    with watch(model, grabbed(4), "motions/2", frames=4, latency="keep", mass=0.5, top_k=3) as sights:
        found = list(sights)
    assert [(s.number, s.start, s.end) for s in found] == [(i, i / 2, 2 + i / 2) for i in range(5)]
    assert model.options == [{"model": "motions/2", "mass": 0.5, "top_k": 3}] * 5
    for sight, sent in zip(found, model.seen, strict=True):
        assert sight.frames is sent
        assert sight.start <= sent.seconds[0] <= sent.seconds[-1] < sight.end == sent.duration
        np.testing.assert_array_equal(sent.images[:, 0, 0, 0], sent.indices)
        assert begun <= sight.captured <= datetime.now(UTC)
        assert 0.01 <= sight.latency < 2
        assert sight.explanation is not None
        assert sight.explanation is sight.answer
        assert (sight.error, sight.dropped, sight.reconnects, sight.changed) == (None, 0, 0, False)
        assert sight.predictions == sight.explanation.predictions
        assert sight.smoothed[0].score == pytest.approx(0.9312)


def test_labels_alone_cost_no_map() -> None:
    """With `explain=False` the answer is a result of `predict`, and there is no explanation."""
    with watch(Model(), grabbed(2), frames=4, explain=False, latency="keep") as sights:
        (sight,) = sights
    assert sight.explanation is None
    assert sight.predictions[0].label == "moves down"


def test_a_slow_server_sees_the_newest_window() -> None:
    """With "drop", windows that a slow server cannot take are counted, each before the sight that overtook it."""
    model = Model(0.12)

    def live() -> Iterator[tuple[float, Any]]:
        for pair in grabbed(3, fps=50):
            time.sleep(0.01)
            yield pair

    with watch(model, live(), frames=4, window=0.4, stride=0.1) as sights:
        found = list(sights)
        assert sights.dropped == sum(sight.dropped for sight in found) > 10
    numbers = [sight.number for sight in found]
    assert [sight.dropped for sight in found[1:]] == [b - a - 1 for a, b in itertools.pairwise(numbers)]
    assert all(sight.latency < 0.5 for sight in found)


def test_keep_drops_nothing_and_lets_the_source_wait() -> None:
    """With "keep" every window is answered, and no more of the source is read than may wait."""
    drawn = 0

    def source() -> Iterator[tuple[float, Any]]:
        nonlocal drawn
        for pair in grabbed(20):
            drawn += 1
            yield pair

    with watch(Model(0.002), source(), frames=4, latency="keep", max_pending=2) as sights:
        first = next(sights)
        time.sleep(0.2)
        assert 20 < drawn < 45
        found = [first, *sights]
        assert sights.dropped == 0
    assert [sight.number for sight in found] == list(range(37))
    assert drawn == 200


def test_a_live_stream_that_is_kept_drops_the_oldest() -> None:
    """A live source cannot wait: with "keep", beyond `max_pending` the oldest windows go, counted, over cuts too."""
    with (
        Live(20, 1000) as live,
        watch(
            Model(),
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
        until = time.monotonic() + 10
        while (not sights.reconnects or sights.dropped < 4) and time.monotonic() < until:
            time.sleep(0.05)
        assert sights.dropped >= 4
        later = next(sights)
        while not later.reconnects:
            later = next(sights)
    assert (first.number, first.dropped, later.reconnects) == (0, 0, 1)


def test_a_label_that_changes_is_marked_once() -> None:
    """`changed` is true for the sight whose smoothed top label is new, which takes a majority, and false after it."""
    model = Model()
    labels = iter(["a", "b", "a", "b", "b", "b"])
    classes = {"a": 0, "b": 1}

    def explain(frames: Any, name: str) -> Any:
        answer = Model.explain(model, frames, name)
        label = next(labels)
        listed = [type(answer.predictions[0])(classes[label], label, 0.9)]
        return type(answer)(**{n: getattr(answer, n) for n in answer.__slots__} | {"predictions": tuple(listed)})

    model.explain = explain  # type: ignore[method-assign, assignment]
    with watch(model, grabbed(4.5), frames=4, latency="keep", smooth=3) as sights:
        found = [(sight.smoothed[0].label, sight.changed) for sight in sights]
    assert found == [("a", False), ("a", False), ("a", False), ("b", True), ("b", False), ("b", False)]


def test_errors_that_pass_are_handed_on() -> None:
    """A busy server makes a sight with an error, the labels before it stay, it is counted, and the watch goes on."""
    away = UnreachableError("away", code="unreachable")
    model = Model(0, busy(), None, away, None)
    with watch(model, grabbed(3.5), frames=4, latency="keep") as sights:
        found = list(sights)
        assert sights.failed == 2
    assert [sight.error and sight.error.code for sight in found] == ["busy", None, "unreachable", None]
    assert [bool(sight.smoothed) for sight in found] == [False, True, True, True]
    assert found[2].smoothed == found[1].smoothed
    assert (found[2].answer, found[2].predictions, found[2].changed) == (None, (), False)


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
    sights = watch(Model(0, error), grabbed(4), frames=4, latency="keep", on_error=on_error)
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

    sights = watch(Model(), broken(), frames=4, latency="keep")
    assert next(sights).number == 0
    with pytest.raises(OSError, match="cable"):
        list(sights)
    with pytest.raises(StreamError, match="check the address"), watch(Model(), "tcp://127.0.0.1:1", frames=4) as sights:
        next(sights)


def test_stop_ends_a_watch_whose_read_blocks() -> None:
    """`stop` from another thread ends an iteration over a server that says nothing in under 2 s; again does nothing."""
    with Live(0) as live:
        sights = watch(Model(), live.url, frames=4)
        stopper = threading.Timer(0.7, sights.stop)
        stopper.start()
        begun = time.monotonic()
        assert list(sights) == []
        assert time.monotonic() - begun < 2
        assert not threads()
        stopper.join()
        sights.stop()
        assert list(sights) == []


def test_a_watch_that_is_never_begun_or_forgotten_leaves_nothing() -> None:
    """One that was not iterated starts no thread; one that is forgotten ends its own."""
    with watch(Model(), grabbed(4), frames=4) as sights:
        assert not threads()
    assert list(sights) == []
    forgotten = watch(Model(), grabbed(400), frames=4, latency="keep")
    next(forgotten)
    assert threads()
    del forgotten
    gc.collect()
    assert not threads()


def test_ctrl_c_ends_it() -> None:
    """A KeyboardInterrupt, while the server works or in the loop, passes through and leaves no thread."""
    with pytest.raises(KeyboardInterrupt):
        list(watch(Model(0, KeyboardInterrupt()), grabbed(40), frames=4, latency="keep"))  # type: ignore[arg-type]
    assert not threads()
    with pytest.raises(KeyboardInterrupt), watch(Model(), grabbed(40), frames=4, latency="keep") as sights:  # noqa: PT012
        next(sights)
        raise KeyboardInterrupt
    assert not threads()


@pytest.mark.parametrize(
    "wrong",
    [
        {"window": 0},
        {"stride": float("nan")},
        {"latency": "fast"},
        {"smooth": 0},
        {"on_error": "ignore"},
        {"max_pending": 0},
        {"stall": 0},
        {"longest": 2},
        {"reconnect_max": -1},
        {"frames": 0},
    ],
)
def test_arguments_are_checked_at_once(wrong: dict[str, Any]) -> None:
    """An argument out of its range is a ValueError that shows it, before anything is opened."""
    with pytest.raises(ValueError, match=str(next(iter(wrong.values())))):
        watch(Model(), grabbed(4), **{"frames": 4, **wrong})


def test_without_av_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A camera needs the package `av`, and the error says how to get it; a caller's own frames do not."""
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(ImportError, match=r"pip install \"\./client\[video\]\" from a checkout"):
        list(watch(Model(), 0, frames=4))
    assert len(list(watch(Model(), grabbed(2), frames=4, latency="keep"))) == 1


def test_importing_it_loads_neither_pillow_nor_av() -> None:
    """`import staa_client.watch` leaves both optional and slow packages alone."""
    code = "import sys, staa_client.watch; sys.exit(bool({'av', 'PIL', 'multiprocessing'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=30).returncode == 0


def test_a_watch_is_an_iterator() -> None:
    """Both kinds are their own iterators, so that `next` and `anext` work."""
    sights = watch(Model(), grabbed(1), frames=4)
    assert isinstance(sights, Watch)
    assert iter(sights) is sights
