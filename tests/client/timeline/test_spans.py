"""What spans promise, for scores of any kind."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from staa_client.timeline.spans import RunFinder, find_runs, gaps, looked_at, parts, smoothed
from staa_client.video.lengths import window_starts


@st.composite
def scores(draw: Any) -> NDArray[np.float64]:
    """Scores of 1 to 30 windows and 1 to 4 classes."""
    windows, classes = draw(st.integers(1, 30)), draw(st.integers(1, 4))
    values = st.floats(0, 1).map(lambda value: round(value, 2))
    return np.array(draw(st.lists(values, min_size=windows * classes, max_size=windows * classes))).reshape(
        windows, classes
    )


ODD = st.sampled_from([1, 3, 5, 7])
THRESHOLDS = st.tuples(st.floats(0.05, 1), st.floats(0.05, 1)).map(sorted)


def test_smoothing_is_a_mean_around_each_window() -> None:
    """Smoothing over three windows takes the mean of a window and both beside it, at the ends of fewer."""
    means = smoothed(np.array([[0.0], [0.0], [1.0], [1.0]]), 3)
    np.testing.assert_allclose(means[:, 0], [0, 1 / 3, 2 / 3, 1])


@given(scores(), ODD, THRESHOLDS)
@settings(deadline=None)
def test_runs_hold_what_thresholds_ask(values: NDArray[np.float64], smooth: int, thresholds: list[float]) -> None:
    """A run stays at `low` or more, reaches `high`, cannot be made longer, and holds its best window."""
    low, high = thresholds
    means = smoothed(values, smooth)
    for run in find_runs(values, smooth, high, low):
        inside = means[run.first : run.last + 1, run.class_id]
        assert inside.min() >= low - 1e-9
        assert inside.max() >= high - 1e-9
        beside = [number for number in (run.first - 1, run.last + 1) if 0 <= number < len(means)]
        assert all(means[number, run.class_id] < low + 1e-9 for number in beside)
        both = inside + values[run.first : run.last + 1, run.class_id]
        assert both[run.best - run.first] == pytest.approx(both.max())
        assert run.score == pytest.approx(inside.mean())


@given(scores(), ODD, THRESHOLDS)
@settings(deadline=None)
def test_every_window_that_reaches_the_upper_threshold_is_in_a_run(
    values: NDArray[np.float64], smooth: int, thresholds: list[float]
) -> None:
    """No window whose smoothed score clearly reaches `high` is lost, and no two runs of a class share a window."""
    low, high = thresholds
    runs = find_runs(values, smooth, high, low)
    for window, class_id in np.argwhere(smoothed(values, smooth) >= high + 1e-9).tolist():
        assert sum(run.class_id == class_id and run.first <= window <= run.last for run in runs) == 1


@given(scores(), ODD, THRESHOLDS)
@settings(deadline=None)
def test_frames_of_best_windows_are_still_there(
    values: NDArray[np.float64], smooth: int, thresholds: list[float]
) -> None:
    """The best window of a run that ends was among those kept all the time, and few others are kept."""
    low, high = thresholds
    finder, held = RunFinder(smooth, high, low), set[int]()
    for number, row in enumerate(values):
        held.add(number)
        assert {run.best for run in finder.add(row)} <= held
        held &= finder.kept
        assert len(held) <= values.shape[1] + smooth // 2
    assert {run.best for run in finder.finish()} <= held


def test_hysteresis_bridges_a_dip_and_ignores_a_hum() -> None:
    """A dip above the lower threshold does not end a run; a score that never reaches the upper one is none."""
    values = np.array([[0.1, 0.5], [0.9, 0.5], [0.5, 0.5], [0.9, 0.5], [0.1, 0.5]])
    assert [(run.class_id, run.first, run.last) for run in find_runs(values, 1, 0.7, 0.4)] == [(0, 1, 3)]


def test_only_named_classes_are_looked_for() -> None:
    """A run of another class than those named is not found."""
    assert [run.class_id for run in find_runs(np.ones((4, 3)), 1, 0.5, 0.5, [2])] == [2]


@given(st.floats(0.1, 500), st.floats(0.5, 20), st.floats(0.25, 10))
def test_windows_and_their_parts_cover_the_video(duration: float, window: float, stride: float) -> None:
    """Windows start at 0, end with the video, and the parts that they stand for cut it without gap."""
    starts = window_starts(duration, window, stride)
    assert starts[0] == 0
    assert starts[-1] == pytest.approx(max(0.0, duration - window), abs=1e-5)
    assert (np.diff(starts) > 0).all()
    assert (np.diff(starts) <= stride + 1e-6).all()
    cells = parts(starts, window, duration)
    assert cells[0, 0] == 0
    assert cells[-1, 1] == duration
    np.testing.assert_array_equal(cells[1:, 0], cells[:-1, 1])


def test_a_window_stands_for_the_time_around_its_middle() -> None:
    """Its part reaches half way to the middles of the windows beside it; the first and the last reach to the ends."""
    assert parts(np.array([0.0, 2.0, 4.0]), 4.0, 8.0).tolist() == [[0, 3], [3, 5], [5, 8]]
    assert parts(np.array([3.0, 5.0]), 4.0, 9.0).tolist() == [[3, 6], [6, 9]]
    assert window_starts(9.0, 4.0, 2.0).tolist() == [0, 2, 4, 5]


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0, 100)).map(sorted), max_size=6))
def test_gaps_are_what_no_span_covers(spans: list[list[float]]) -> None:
    """Spans and gaps together cover the video, and a gap overlaps no span."""
    found = gaps([(start, end) for start, end in spans], 0.0, 100.0)
    for start, end in found:
        assert all(end <= other[0] + 1e-6 or other[1] <= start + 1e-6 for other in spans if other[0] < other[1])
    for second in np.linspace(0.05, 99.95, 50):
        assert any(start <= second <= end for start, end in [*map(tuple, spans), *found])


def test_a_map_says_when_in_the_window() -> None:
    """From the first to the last step above the even share around the strongest, over one weaker step between."""
    seconds = np.stack([np.arange(8.0), np.arange(1.0, 9.0)], 1)
    curve = np.array([0.02, 0.02, 0.2, 0.05, 0.35, 0.3, 0.03, 0.03])
    assert looked_at(curve, seconds) == (2.0, 6.0)
    assert looked_at(np.full(8, 1 / 8), seconds) == (0.0, 8.0)
