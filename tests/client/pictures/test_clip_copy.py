"""The copy of a clip that a report plays: what a player shows, at the times of the source, small, with its sound."""

import io
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from staa_client import Frames
from staa_client.pictures.viewer.clip_copy import ClipCopy, copy_of
from staa_client.results.result import ClipInfo
from staa_client.video import frames_at
from staa_video import UNLIMITED, decode
from tests.made.videos import beeping, displayed, encode, images, moving_disc


def info(video: bytes, count: int = 8, start: float | None = None, end: float | None = None) -> ClipInfo:
    """What a server says of a video of which its model sees `count` frames."""
    clip = decode(video, count, start, end, UNLIMITED)
    width, height = clip.source
    return ClipInfo(width, height, clip.fps, clip.duration, clip.indices, clip.seconds, (0, 0, width, height))


def read(copy: ClipCopy) -> tuple[NDArray[Any], list[float], str]:
    """Return the pictures of a copy (N, H, W, 3), their times, and its codec."""
    with av.open(io.BytesIO(copy.mp4), "r") as container:
        stream = container.streams.video[0]
        frames = list(container.decode(stream))
        times = [float((frame.pts or 0) * (frame.time_base or Fraction(1))) for frame in frames]
        return np.stack([frame.to_ndarray(format="rgb24") for frame in frames]), times, stream.codec_context.name


def copied(video: bytes, **options: Any) -> ClipCopy:
    """Return the copy of a video, which has one."""
    copy, note = copy_of(info(video, **options), video)
    assert note == ""
    assert copy is not None
    return copy


def test_it_shows_each_frame_at_its_time() -> None:
    """All frames from the first to the last that the model saw are in it, with the numbers and times of the source."""
    video = encode(images(40), ticks=[i * i for i in range(40)])
    copy = copied(video, start=1.0, end=30.0)
    pictures, times, codec = read(copy)
    assert codec == "h264"
    assert copy.numbers == list(range(copy.numbers[0], copy.numbers[0] + len(times)))
    assert copy.numbers[0] == 5
    np.testing.assert_allclose(np.array(copy.seconds), np.square(copy.numbers) / 30, atol=1e-3)
    np.testing.assert_allclose(times, np.array(copy.seconds) - copy.seconds[0], atol=1e-4)
    truth = np.stack(frames_at(video, copy.numbers))
    assert np.abs(pictures.astype(int) - truth).mean() < 4


def test_it_stands_as_a_player_shows_it() -> None:
    """A rotated video is upright in its copy."""
    video = displayed(encode(images(30)), (0, 1, -1, 0))
    copy = copied(video)
    pictures, _, _ = read(copy)
    (truth,) = frames_at(video, [copy.numbers[3]])
    assert pictures.shape[1:] == truth.shape == (64, 48, 3)
    assert np.abs(pictures[3].astype(int) - truth).mean() < 4


@pytest.mark.parametrize("in_memory", [False, True])
@pytest.mark.parametrize("fps", [31, 50, 60, 120])
@pytest.mark.parametrize("stretch", [(None, None), (0.21, 0.83)])
def test_it_has_every_frame_that_the_model_saw(
    fps: int, stretch: tuple[float | None, float | None], *, in_memory: bool
) -> None:
    """Of a source with over 30 frames a second some are left out, and never one that the model saw."""
    pictures = np.stack(list(images(fps)))
    video = encode(pictures, rate=fps)
    clip = info(video, 9, *stretch)
    copy, _ = copy_of(clip, Frames.of(pictures, fps=fps) if in_memory else video)
    assert copy is not None
    assert len(copy.numbers) < 0.8 * (clip.frames[-1] - clip.frames[0]) or fps == 31
    at = [copy.numbers.index(number) for number in clip.frames.tolist()]
    np.testing.assert_allclose(np.array(copy.seconds)[at], clip.times, atol=1e-4)
    assert np.abs(read(copy)[0][at].astype(int) - pictures[clip.frames]).mean() < 4


def test_it_has_480_lines_at_most() -> None:
    """A large video is scaled down, a small one is left as it is; all edges are even."""
    pictures, _, _ = read(copied(encode(images(4, 720, 1280), options={"preset": "ultrafast"}), count=4))
    assert pictures.shape[1:3] == (480, 854)
    pictures, _, _ = read(copied(moving_disc(frames=4), count=4))
    assert pictures.shape[1:3] == (240, 320)


def test_its_size_is_capped() -> None:
    """Noise is made smaller until it fits; what cannot fit is left out, and the reason is said."""
    rng = np.random.default_rng(0)
    noise = Frames.of(rng.integers(0, 255, (60, 480, 640, 3)).astype(np.uint8), fps=30)
    seen = np.arange(0, 60, 8)
    clip = ClipInfo(640, 480, 30.0, 2.0, seen, seen / 30, (0, 0, 640, 480))
    large, _ = copy_of(clip, noise)
    small, _ = copy_of(clip, noise, 500_000)
    assert large is not None
    assert small is not None
    assert len(small.mp4) <= 500_000 < len(large.mp4)
    none, note = copy_of(clip, noise, 2000)
    assert none is None
    assert note.startswith("plays only the frames that the model saw: a copy of 2 s would have over")


@pytest.mark.parametrize(("height", "width"), [(48, 64), (480, 640)])
def test_a_long_quiet_clip_is_copied(height: int, width: int) -> None:
    """Twenty minutes in which nothing is seen or heard are far below the cap, and no room is left for a sound."""
    black = np.zeros((height, width, 3), np.uint8)
    copy = copied(encode((black for _ in range(240)), ticks=range(0, 1200, 5), rate=1, options={"preset": "ultrafast"}))
    assert read(copy)[0].shape == (len(copy.seconds), min(height, 240), 64 * min(height, 240) // 48, 3)
    assert copy.seconds[-1] - copy.seconds[0] > 1000
    assert len(copy.mp4) < 1_000_000


def test_it_has_the_sound_of_the_source() -> None:
    """A beep at 1.0 s of the source is in the copy at the same moment, for a clip that begins at 0.5 s, too."""
    for start in (None, 0.5):
        copy = copied(beeping(at=1.0), start=start)
        assert copy.has_sound
        with av.open(io.BytesIO(copy.mp4), "r") as container:
            assert container.streams.audio[0].codec_context.name == "aac"
            frames = list(container.decode(container.streams.audio[0]))
        loud = [frame.time for frame in frames if np.abs(frame.to_ndarray()).max() > 0.2]
        assert loud[0] == pytest.approx(1.0 - copy.seconds[0], abs=0.06)
        assert loud[-1] == pytest.approx(1.2 - copy.seconds[0], abs=0.06)


def test_frames_in_memory_are_copied() -> None:
    """An array of all frames is played; one of only those that the model saw needs no copy."""
    pictures = np.stack(list(images(40)))
    frames = Frames.of(pictures, fps=10)
    seen = np.arange(2, 40, 5)
    clip = ClipInfo(64, 48, 10.0, 4.0, seen, seen / 10, (0, 0, 64, 48))
    copy, _ = copy_of(clip, frames)
    assert copy is not None
    assert copy.numbers == list(range(2, 38))
    assert not copy.has_sound
    assert np.abs(read(copy)[0].astype(int) - pictures[2:38]).mean() < 4
    sampled = Frames(pictures[seen], seen / 10, seen, 10.0, 4.0, (64, 48))
    assert copy_of(clip, sampled) == (None, "")


def test_one_frame_needs_no_copy() -> None:
    """Where the model saw one frame again and again, or no video is at hand, there is no copy and nothing to say."""
    video = encode(images(1))
    assert copy_of(info(video), video) == (None, "")
    assert copy_of(info(video), None) == (None, "")


def test_another_video_is_refused(tmp_path: Path) -> None:
    """A video of another size is not copied."""
    other = tmp_path / "other.mp4"
    other.write_bytes(encode(images(40, 96, 96)))
    copy, note = copy_of(info(encode(images(40))), other)
    assert copy is None
    assert "is it the same file?" in note
