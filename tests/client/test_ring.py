"""Windows over the seconds of a stream: which frames they hold, when they come, and how little is kept."""

import math

import numpy as np
import pytest

from staa_client._clock import Clock
from staa_client._labels import Prediction
from staa_client._pending import EndError, Pending
from staa_client._result import Model
from staa_client._ring import EPSILON, Ring, Shot, Window, nearest
from staa_client._smooth import Smooth

TRIALS = range(25)


def shot(seconds: float, index: int, *, cut: bool = False, width: int = 4) -> Shot:
    """A frame whose pixels are its number."""
    image = np.full((2, width, 3), index % 256, np.uint8)
    return Shot(image, seconds, index, (width, 2), 1e9 + seconds, seconds, cut)


def windows(ring: Ring, shots: list[Shot]) -> list[Window]:
    """All windows of these frames, while the ring's promise of memory is held against it."""
    found = []
    for each in shots:
        found += ring.push(each)
        assert len(ring) <= ring.bound + 1
    return found + ring.finish()


def stream(rng: np.random.Generator) -> tuple[Ring, list[Shot]]:
    """A ring of random windows, and 12 s of frames at a random, wavering rate."""
    window, stride = rng.uniform(0.3, 3), rng.uniform(0.1, 4)
    fps = rng.uniform(2, 60)
    steps = rng.uniform(0.4, 1.6, int(12 * fps)) / fps
    times = np.concatenate([[0.0], np.cumsum(steps)])
    return Ring(window, stride, int(rng.integers(1, 17))), [shot(t, i) for i, t in enumerate(times.tolist())]


@pytest.mark.parametrize("seed", TRIALS)
def test_a_window_holds_what_all_frames_would_have_given(seed: int) -> None:
    """From the few frames that are kept, a window gets those that it would choose among all frames of its seconds."""
    ring, shots = stream(np.random.default_rng(seed))
    times = [each.seconds for each in shots]
    found = windows(ring, shots)
    assert found
    for each in found:
        inside = [i for i, t in enumerate(times) if each.start - EPSILON <= t < each.end - EPSILON]
        chosen = nearest([times[i] for i in inside], each.start, ring.window, ring.frames)
        assert [s.index for s in each.shots] == [inside[place] for place in chosen]
        assert each.last.index == inside[-1]
        np.testing.assert_array_equal(each.frames().images[:, 0, 0, 0], np.array([s.index % 256 for s in each.shots]))


@pytest.mark.parametrize("seed", TRIALS)
def test_windows_come_every_stride_and_none_is_missing(seed: int) -> None:
    """Where every window has a frame, number k starts at k strides and lasts exactly its seconds, up to the end."""
    ring, shots = stream(np.random.default_rng(seed))
    found = windows(ring, shots)
    assert [each.number for each in found] == list(range(len(found)))
    if ring.window > 1.7:  # longer than any gap between frames: no window is empty
        assert [each.start for each in found] == pytest.approx([k * ring.stride for k in range(len(found))])
        assert len(found) * ring.stride + ring.window > shots[-1].seconds
    assert all(each.end - each.start == pytest.approx(ring.window) for each in found)
    assert all(len(each.shots) <= ring.frames for each in found)


def test_a_steady_rate_gives_evenly_spread_frames() -> None:
    """At 25 frames a second, 8 frames of 2 s are those at the centres of its eighths."""
    found = windows(Ring(2.0, 0.5, 8), [shot(i / 25, i) for i in range(101)])
    assert found[0].frames().indices.tolist() == [3, 9, 16, 22, 28, 34, 41, 47]
    assert [(each.start, each.end) for each in found] == [(0, 2), (0.5, 2.5), (1, 3), (1.5, 3.5), (2, 4)]
    frames = found[-1].frames()
    assert (frames.duration, frames.size) == (4.0, (4, 2))
    assert frames.fps == pytest.approx(25)
    np.testing.assert_allclose(frames.seconds, frames.indices / 25)


def test_memory_does_not_grow_with_the_rate_or_with_time() -> None:
    """A minute at 240 frames a second keeps no more than what its windows need, far below one window of frames."""
    ring, most = Ring(4.0, 1.0, 8), 0
    for index in range(60 * 240):
        ring.push(shot(index / 240, index))
        most = max(most, len(ring))
    assert most <= ring.bound == 50
    assert most < 4 * 240 / 10


@pytest.mark.parametrize("seed", TRIALS)
def test_no_window_lies_over_a_cut(seed: int) -> None:
    """Every window's frames come from one side of every cut; after one, windows start at its first frame."""
    rng = np.random.default_rng(seed)
    ring, shots = stream(rng)
    cuts = sorted(int(place) for place in rng.choice(np.arange(1, len(shots)), 3, replace=False))
    marked = [shot(each.seconds, each.index, cut=each.index in cuts) for each in shots]
    found = windows(ring, marked)
    sides = [{sum(s.index >= cut for cut in cuts) for s in (*each.shots, each.last)} for each in found]
    assert all(side == {each.segment} for side, each in zip(sides, found, strict=True))
    for segment, first in enumerate([0, *cuts]):
        starts = [each.start for each in found if each.segment == segment]
        strides = [(start - shots[first].seconds) / ring.stride for start in starts]
        assert strides == pytest.approx([round(each) for each in strides])


def test_another_size_is_a_cut() -> None:
    """Frames of two sizes are never in one window."""
    found = windows(Ring(1.0, 0.5, 4), [shot(i / 10, i, width=4 if i < 17 else 6) for i in range(40)])
    assert {each.segment for each in found} == {0, 1}
    assert all(len({s.image.shape for s in each.shots}) == 1 for each in found)


def test_seconds_without_frames_give_no_window() -> None:
    """A still hour in a recording costs nothing, and windows go on at their strides after it."""
    found = windows(Ring(1.0, 0.25, 4), [shot(t, i) for i, t in enumerate([0, 0.5, 1.0, 3600.1, 3600.6, 3601.2])])
    assert all(each.shots for each in found)
    assert len(found) < 20
    assert found[-1].start == pytest.approx(round(found[-1].start / 0.25) * 0.25)
    assert found[-1].shots[-1].seconds > 3600


def test_a_short_stream_is_one_window() -> None:
    """A stream shorter than a window gives one window with all its seconds; one without a frame gives none."""
    (only,) = windows(Ring(2.0, 0.5, 8), [shot(i / 10, i) for i in range(10)])
    assert (only.start, only.shots[0].index, only.last.index) == (0, 1, 9)
    assert only.end == pytest.approx(1)
    (single,) = windows(Ring(2.0, 0.5, 8), [shot(0, 0)])
    assert [s.index for s in single.shots] == [0]
    assert Ring(2.0, 0.5, 8).finish() == []


def test_stream_time_goes_on_over_every_jump() -> None:
    """Times that run back, leap, or start anew are a cut, over which the time of arrival counts; others are kept."""
    clock = Clock(2.0)
    came = [(100.0, 5.0, False), (100.5, 5.1, False), (90.0, 5.6, False), (95.0, 5.7, False), (95.1, 15.7, True)]
    found = [clock.at(own, arrival, fresh=fresh) for own, arrival, fresh in [*came, (95.2, 15.7, False)]]
    assert [seconds for seconds, _ in found] == pytest.approx([0, 0.5, 1.0, 1.1, 11.1, 11.2])
    assert [cut for _, cut in found] == [False, False, True, True, True, False]


def test_a_full_queue_drops_the_oldest_and_says_how_many() -> None:
    """With room for 2, five put leave the last two, and the first taken says that 3 were dropped before it."""
    pending: Pending[int] = Pending(2)
    for item in range(5):
        pending.put(item, wait=False)
    assert [pending.take(), pending.take(), pending.poll()] == [(3, 3), (4, 0), None]
    assert pending.dropped == 3
    pending.end(ValueError("why"))
    with pytest.raises(ValueError, match="why"):
        pending.take()
    with pytest.raises(EndError):
        pending.take()


def test_the_mean_of_scores_is_a_distribution_over_all_classes() -> None:
    """A class that a window did not list counts with an even share of what was left: all classes sum to 1."""
    model, smooth = Model("m", "1", "f", 4), Smooth(2)
    smooth.add(model, [Prediction(3, "gone", 1.0)])
    smooth.add(model, [Prediction(0, "a", 0.7), Prediction(1, "b", 0.2)])
    mean = {each.label: each.score for each in smooth.add(model, [Prediction(1, "b", 0.6), Prediction(2, "c", 0.3)])}
    assert mean == pytest.approx({"b": 0.4, "a": (0.7 + 0.05) / 2, "c": (0.05 + 0.3) / 2})
    assert sum(mean.values()) + 0.05 == pytest.approx(1)
    assert list(mean) == sorted(mean, key=lambda label: -mean[label])
    assert smooth.add(Model("m", "2", "f", 2), [Prediction(0, "other", 0.9)]) == (Prediction(0, "other", 0.9),)
    assert math.isclose(sum(each.score for each in smooth.add(Model("m", "2", "f", 2), [Prediction(1, "x", 1.0)])), 1)
