"""Sampling is uniform in source time, and token steps say which seconds they stand for."""

import math
from fractions import Fraction

import numpy as np
import pytest
from numpy.typing import NDArray

from staa.errors import NoFramesError, OptionError
from staa_video.sampling import Jump, before_gap, choose, closed, runs, slowed, steps, thinned, timeline


def clock(count: int, fps: float = 30.0) -> tuple[NDArray[np.float64], float]:
    """Give the times and the duration of frames at a steady rate."""
    return np.arange(count) / fps, count / fps


def irregular(count: int, seed: int) -> tuple[NDArray[np.float64], float]:
    """Give the times and the duration of frames at random."""
    gaps = np.random.default_rng(seed).exponential(0.1, count)
    return np.concatenate([[0.0], np.cumsum(gaps)[:-1]]), float(gaps.sum())


def test_eight_of_three_hundred_frames() -> None:
    """Eight of 300 frames reach from the first to the last, evenly."""
    assert choose(*clock(300), 8).tolist() == [0, 42, 85, 128, 170, 213, 256, 299]


@pytest.mark.parametrize("fps", [24.0, 25.0, 30000 / 1001, 60.0])
@pytest.mark.parametrize("count", [1, 2, 7, 8, 9, 100])
def test_all_frames_when_as_many_are_wanted(count: int, fps: float) -> None:
    """Wanting as many frames as there are gives each of them once, whatever the rounding of the rate."""
    assert choose(*clock(count, fps), count).tolist() == list(range(count))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("wanted", "span"), [(8, (None, None)), (16, (1.0, 3.0)), (32, (0.5, None)), (4, (None, 0.2))])
def test_irregular_times(seed: int, wanted: int, span: tuple[float | None, float | None]) -> None:
    """With irregular times the choice ascends inside the segment, each frame on display at its requested time."""
    seconds, duration = irregular(80, seed)
    chosen = choose(seconds, duration, wanted, *span)
    start, end = span[0] or 0.0, span[1] or duration
    inside = [i for i in range(80) if seconds[i] < end and (i == 79 or seconds[i + 1] > start)]
    assert chosen.shape == (wanted,)
    assert chosen.dtype == np.int64
    assert set(chosen.tolist()) <= set(inside)
    assert np.all(np.diff(chosen) >= 0)
    if len(inside) >= wanted:
        times = np.linspace(seconds[inside[0]], seconds[inside[-1]], wanted)
        assert [max(i for i in inside if seconds[i] <= time + 1e-6) for time in times] == chosen.tolist()


@pytest.mark.parametrize("count", [1, 2, 3, 5, 7])
def test_too_few_frames_repeat_evenly(count: int) -> None:
    """Fewer frames than wanted all appear, and none more than once oftener than another."""
    _, times = np.unique(choose(*clock(count), 8), return_counts=True)
    assert len(times) == count
    assert np.ptp(times) <= 1


def test_the_edges_of_a_segment() -> None:
    """The frame on display at the start belongs to the segment, the frame that appears at its end does not."""
    seconds, duration = clock(10, 10.0)
    assert choose(seconds, duration, 3, 0.25, 0.5).tolist() == [2, 3, 4]
    assert choose(seconds, duration, 2, 0.3, 0.4).tolist() == [3, 3]
    assert choose(seconds, duration, 2, 0.41, 0.42).tolist() == [4, 4]


def test_a_time_rounded_to_microseconds_names_its_frame() -> None:
    """A frame's own time, rounded as a client may send it, starts the segment at that frame and not the one before."""
    seconds, duration = clock(300)
    assert [choose(seconds, duration, 4, round(float(s), 6))[0] for s in seconds[:290]] == list(range(290))


def test_an_end_beyond_the_video_is_its_end() -> None:
    """An end beyond the duration is clamped to it."""
    assert choose(*clock(50), 8, 0.5, 1e9).tolist() == choose(*clock(50), 8, 0.5).tolist()


@pytest.mark.parametrize(
    ("start", "end"),
    [(1.0, 1.0), (1.0, 0.5), (-0.1, None), (None, -1.0), (math.nan, None), (None, math.inf), (None, 0.0)],
)
def test_a_segment_that_is_none(start: float | None, end: float | None) -> None:
    """A segment that is empty, negative or not finite is an error of the option."""
    with pytest.raises(OptionError):
        choose(*clock(60), 8, start, end)


@pytest.mark.parametrize("start", [2.0, 100.0])
def test_a_segment_after_the_end(start: float) -> None:
    """A segment that starts when the video is over holds no frame."""
    with pytest.raises(NoFramesError, match=r"2\.000 s"):
        choose(*clock(60), 8, start)


@pytest.mark.parametrize(
    ("count", "wanted", "t"), [(300, 8, 8), (300, 32, 16), (33, 32, 32), (10, 8, 4), (3, 8, 8), (16, 16, 8)]
)
def test_a_frame_is_on_display_during_its_step(count: int, wanted: int, t: int) -> None:
    """Steps are equal and touch, over all that the clip covers; each frame is on display during its own step."""
    seconds, duration = clock(count)
    clip = seconds[choose(seconds, duration, wanted)]
    cells = steps(clip, 30.0, duration, t)
    assert cells.shape == (t, 2)
    np.testing.assert_allclose(cells[1:, 0], cells[:-1, 1])
    np.testing.assert_allclose(np.ptp(cells, axis=1), duration / t)
    own = cells[np.arange(wanted) * t // wanted]
    assert np.all(clip < own[:, 1])
    assert np.all(clip + 1 / 30.0 > own[:, 0] - 1e-9)


def test_steps_end_with_the_video() -> None:
    """The last step does not reach beyond the source."""
    assert steps(np.array([0.0, 1.0]), 1.0, 1.5, 3).tolist() == [[0.0, 0.5], [0.5, 1.0], [1.0, 1.5]]


def test_times_start_at_the_first_frame() -> None:
    """Times count from the first frame, and a stated rate that agrees with rounded times is the rate."""
    seconds, fps, duration = timeline([1000, 1033, 1067, 1100], 0.001, 33, Fraction(30), None)
    np.testing.assert_allclose(seconds, [0, 0.033, 0.067, 0.1])
    assert fps == 30
    assert duration == pytest.approx(0.133)


def test_the_rate_of_irregular_times_is_their_mean() -> None:
    """A stated rate that the times contradict is not believed."""
    _, fps, duration = timeline([0, 1, 9, 10], 0.1, 0, Fraction(25), None)
    assert fps == pytest.approx(3)
    assert duration == pytest.approx(4 / 3)


@pytest.mark.parametrize("ticks", [[None, None, None], [0, None, 2], [0, 2, 1]])
def test_missing_or_disordered_times(ticks: list[int | None]) -> None:
    """Without usable times frames follow each other at the rate that they state themselves."""
    seconds, fps, duration = timeline(ticks, 0.001, 7, Fraction(25), Fraction(10))
    np.testing.assert_allclose(seconds, [0, 0.1, 0.2])
    assert fps == pytest.approx(10)
    assert duration == pytest.approx(0.3)


def test_runs_reach_from_a_key_frame_to_the_wanted_frame() -> None:
    """Nothing else is in a run; a frame shown before its key frame needs the one before; runs that touch join."""
    ticks = [0, 2, 1, 5, 3, 4, 6, 9, 7, 8]
    keys = [tick in {0, 5, 9} for tick in ticks]
    assert runs(ticks, keys, {1}) == [slice(0, 3)]
    assert runs(ticks, keys, {6}) == [slice(3, 7)]
    assert runs(ticks, keys, {3}) == [slice(0, 5)]
    assert runs(ticks, keys, {2, 9}) == [slice(0, 2), slice(7, 8)]
    assert runs(ticks, keys, {1, 5}) == [slice(0, 4)]
    assert runs(ticks, keys, {4, 5}) == [slice(0, 6)]
    assert runs(ticks, keys, {2, 4, 5}) == [slice(0, 6)]


@pytest.mark.parametrize("rate", [1.0, 4.0, 10.0, 24.0, np.inf])
def test_thinned_frames_are_no_closer_than_their_rate(rate: float) -> None:
    """Of frames at 24 a second some are left out, evenly; those at the same time as one before always are."""
    seconds = np.repeat(np.arange(240) / 24, 2)
    places = thinned(seconds, rate)
    assert places[0] == 0
    assert np.diff(seconds[places]).min() > max(0.45 / rate, 0)
    assert len(places) == pytest.approx(10 * min(rate, 24), abs=1)
    assert thinned(seconds[:0], rate).tolist() == []


def jumps(ticks: list[int], *, resets: bool = True) -> tuple[list[int], list[Jump]]:
    """Close the jumps of times in ticks of 0.04 s that are decoded in their order."""
    found, jumps = closed(np.array(ticks), np.array(ticks), 0.04, resets=resets)
    return found.tolist(), [Jump(round(jump.after, 6), round(jump.gap, 6)) for jump in jumps]


def test_jumps_of_a_clock_are_closed() -> None:
    """Forward and backward, more than once, and for a single frame, what comes after follows what came before."""
    assert jumps([0, 1, 2, 900, 901]) == ([0, 1, 2, 3, 4], [Jump(0.12, 35.88)])
    assert jumps([500, 501, 502, 0, 1, 2]) == ([500, 501, 502, 503, 504, 505], [Jump(0.12, -20.12)])
    assert jumps([0, 1, 2, 9000, 9001, 9002, 400, 401])[0] == [*range(8)]
    assert jumps([0, 1, 2, 9000, 3, 4, 5])[0] == [*range(7)]


def test_gaps_that_are_meant_are_left() -> None:
    """Slides, few frames, short gaps, and gaps of a container whose clock is not set anew stay as they are."""
    for ticks in ([0, 2500, 5000, 7500], [0, 900], [5], [0, 1, 2, 120, 121], [0, 2, 1, 3, 5, 4]):
        assert jumps(ticks) == (ticks, [])
    assert jumps([0, 1, 2, 9000, 9001], resets=False) == ([0, 1, 2, 9000, 9001], [])
    assert jumps([5, 6, 7, 0, 1], resets=False) == ([5, 6, 7, 0, 1], [])
    assert jumps([0, 1, 2, 300_000, 300_001], resets=False)[0] == [0, 1, 2, 3, 4]


def test_frames_around_a_jump_keep_their_order() -> None:
    """Where frames are displayed in another order than they are decoded, and the two clocks jump at other frames."""
    ticks = np.array([0, 3, 1, 2, 906, 4, 905, 909, 907, 908])
    coded = np.array([-2, -1, 0, 1, 2, 3, 4, 905, 906, 907])
    found, (jump,) = closed(ticks, coded, 0.04, resets=True)
    assert found.tolist() == [0, 3, 1, 2, 6, 4, 5, 9, 7, 8]
    assert jump == pytest.approx((0.2, 36.0))


def test_a_jump_back_that_ffmpeg_takes_for_a_turn_of_the_clock_is_told_as_one() -> None:
    """A clock of 33 bits that is set back by a minute and more seems to have gone on for a day."""
    ticks = np.array([0, 3600, 7200, 2**33 - 900_000, 2**33 - 896_400])
    _, (jump,) = closed(ticks, ticks, 1 / 90_000, resets=True)
    assert jump.gap == pytest.approx(-10.12)
    _, (jump,) = closed(ticks, ticks, 1 / 1000, resets=True)
    assert jump.gap > 0


def test_frames_after_a_gap_at_a_cut_are_found() -> None:
    """What is displayed behind the last decoded frame counts up to the first gap; earlier gaps are meant."""
    assert before_gap([0, 1, 2, 3, 5], 2, 1.0) == (4, 2.0)
    assert before_gap([0, 4], 0, 1.0) == (1, 4.0)
    assert before_gap([0, 1, 2, 3, 4], 2, 1.0) == (5, 0.0)
    assert before_gap([0, 9, 10, 11, 12], 12, 1.0) == (5, 0.0)
    assert before_gap([0, 2, 5, 7, 10], 2, 2.5) == (5, 0.0)
    assert before_gap([7], 7, 1.0) == (1, 0.0)


def test_pictures_that_are_too_short_are_slowed() -> None:
    """Below 20 ms a picture stays for 100 ms, also the last one; from 20 ms on as long as it says."""
    seconds, duration = slowed(np.array([0.0, 0.01, 0.03, 0.07]), 0.08)
    np.testing.assert_allclose(seconds, [0, 0.1, 0.12, 0.16])
    assert duration == pytest.approx(0.26)
