"""Windows over the seconds of a stream: which frames they hold, when they come, and how little is kept."""

import numpy as np
import pytest

from staa_client.watch.windows import EPSILON, StreamClock, StreamFrame, Window, WindowBuffer, nearest

TRIALS = range(25)


def frame_at(seconds: float, index: int, *, cut: bool = False, width: int = 4) -> StreamFrame:
    """Return a frame whose pixels are its number."""
    image = np.full((2, width, 3), index % 256, np.uint8)
    return StreamFrame(image, seconds, index, (width, 2), 1e9 + seconds, seconds, cut)


def windows(buffer: WindowBuffer, frames: list[StreamFrame]) -> list[Window]:
    """Return all windows of these frames, while the buffer's promise of memory is held against it."""
    found = []
    for frame in frames:
        found += buffer.push(frame)
        assert len(buffer) <= buffer.bound + 1
    return found + buffer.finish()


def stream(rng: np.random.Generator) -> tuple[WindowBuffer, list[StreamFrame]]:
    """Return a buffer of random windows, and 12 s of frames at a random, wavering rate."""
    window, stride = rng.uniform(0.3, 3), rng.uniform(0.1, 4)
    fps = rng.uniform(2, 60)
    steps = rng.uniform(0.4, 1.6, int(12 * fps)) / fps
    times = np.concatenate([[0.0], np.cumsum(steps)])
    return WindowBuffer(window, stride, int(rng.integers(1, 17))), [
        frame_at(t, i) for i, t in enumerate(times.tolist())
    ]


@pytest.mark.parametrize("seed", TRIALS)
def test_a_window_holds_what_all_frames_would_have_given(seed: int) -> None:
    """From the few frames that are kept, a window gets those that it would choose among all frames of its seconds."""
    buffer, frames = stream(np.random.default_rng(seed))
    times = [frame.seconds for frame in frames]
    found = windows(buffer, frames)
    assert found
    for window in found:
        inside = [i for i, t in enumerate(times) if window.start - EPSILON <= t < window.end - EPSILON]
        chosen = nearest([times[i] for i in inside], window.start, buffer.window, buffer.frames)
        assert [frame.index for frame in window.stream_frames] == [inside[position] for position in chosen]
        assert window.last.index == inside[-1]
        np.testing.assert_array_equal(
            window.frames().images[:, 0, 0, 0], np.array([frame.index % 256 for frame in window.stream_frames])
        )


@pytest.mark.parametrize("seed", TRIALS)
def test_windows_come_every_stride_and_none_is_missing(seed: int) -> None:
    """Where every window has a frame, number k starts at k strides and lasts exactly its seconds, up to the end."""
    buffer, frames = stream(np.random.default_rng(seed))
    found = windows(buffer, frames)
    assert [window.number for window in found] == list(range(len(found)))
    if buffer.window > 1.7:  # longer than any gap between frames: no window is empty
        assert [window.start for window in found] == pytest.approx([k * buffer.stride for k in range(len(found))])
        assert len(found) * buffer.stride + buffer.window > frames[-1].seconds
    assert all(window.end - window.start == pytest.approx(buffer.window) for window in found)
    assert all(len(window.stream_frames) <= buffer.frames for window in found)


def test_a_steady_rate_gives_evenly_spread_frames() -> None:
    """At 25 frames a second, 8 frames of 2 s are those at the centres of its eighths."""
    found = windows(WindowBuffer(2.0, 0.5, 8), [frame_at(i / 25, i) for i in range(101)])
    assert found[0].frames().indices.tolist() == [3, 9, 16, 22, 28, 34, 41, 47]
    assert [(window.start, window.end) for window in found] == [(0, 2), (0.5, 2.5), (1, 3), (1.5, 3.5), (2, 4)]
    video = found[-1].frames()
    assert (video.duration, video.size) == (4.0, (4, 2))
    assert video.fps == pytest.approx(25)
    np.testing.assert_allclose(video.seconds, video.indices / 25)


def test_memory_does_not_grow_with_the_rate_or_with_time() -> None:
    """A minute at 240 frames a second keeps no more than what its windows need, far below one window of frames."""
    buffer, most = WindowBuffer(4.0, 1.0, 8), 0
    for index in range(60 * 240):
        buffer.push(frame_at(index / 240, index))
        most = max(most, len(buffer))
    assert most <= buffer.bound == 50
    assert most < 4 * 240 / 10


@pytest.mark.parametrize("seed", TRIALS)
def test_no_window_lies_over_a_cut(seed: int) -> None:
    """Every window's frames come from one side of every cut; after one, windows start at its first frame."""
    rng = np.random.default_rng(seed)
    buffer, frames = stream(rng)
    cuts = sorted(int(place) for place in rng.choice(np.arange(1, len(frames)), 3, replace=False))
    marked = [frame_at(frame.seconds, frame.index, cut=frame.index in cuts) for frame in frames]
    found = windows(buffer, marked)
    sides = [
        {sum(frame.index >= cut for cut in cuts) for frame in (*window.stream_frames, window.last)} for window in found
    ]
    assert all(side == {window.segment} for side, window in zip(sides, found, strict=True))
    for segment, first in enumerate([0, *cuts]):
        starts = [window.start for window in found if window.segment == segment]
        strides = [(start - frames[first].seconds) / buffer.stride for start in starts]
        assert strides == pytest.approx([round(stride) for stride in strides])


def test_another_size_is_a_cut() -> None:
    """Frames of two sizes are never in one window."""
    found = windows(WindowBuffer(1.0, 0.5, 4), [frame_at(i / 10, i, width=4 if i < 17 else 6) for i in range(40)])
    assert {window.segment for window in found} == {0, 1}
    assert all(len({frame.image.shape for frame in window.stream_frames}) == 1 for window in found)


def test_seconds_without_frames_give_no_window() -> None:
    """A still hour in a recording costs nothing, and windows go on at their strides after it."""
    found = windows(
        WindowBuffer(1.0, 0.25, 4), [frame_at(t, i) for i, t in enumerate([0, 0.5, 1.0, 3600.1, 3600.6, 3601.2])]
    )
    assert all(window.stream_frames for window in found)
    assert len(found) < 20
    assert found[-1].start == pytest.approx(round(found[-1].start / 0.25) * 0.25)
    assert found[-1].stream_frames[-1].seconds > 3600


def test_a_short_stream_is_one_window() -> None:
    """A stream shorter than a window gives one window with all its seconds; one without a frame gives none."""
    (only,) = windows(WindowBuffer(2.0, 0.5, 8), [frame_at(i / 10, i) for i in range(10)])
    assert (only.start, only.stream_frames[0].index, only.last.index) == (0, 1, 9)
    assert only.end == pytest.approx(1)
    (single,) = windows(WindowBuffer(2.0, 0.5, 8), [frame_at(0, 0)])
    assert [frame.index for frame in single.stream_frames] == [0]
    assert WindowBuffer(2.0, 0.5, 8).finish() == []


def test_stream_time_goes_on_over_every_jump() -> None:
    """Times that run back, leap, or start anew are a cut, over which the time of arrival counts; others are kept."""
    clock = StreamClock(2.0)
    came = [(100.0, 5.0, False), (100.5, 5.1, False), (90.0, 5.6, False), (95.0, 5.7, False), (95.1, 15.7, True)]
    found = [clock.at(own, arrival, fresh=fresh) for own, arrival, fresh in [*came, (95.2, 15.7, False)]]
    assert [seconds for seconds, _ in found] == pytest.approx([0, 0.5, 1.0, 1.1, 11.1, 11.2])
    assert [cut for _, cut in found] == [False, False, True, True, True, False]
