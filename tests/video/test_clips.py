"""What several clips of one pass promise."""

import io
from collections.abc import Iterator

import numpy as np
import pytest

from staa_video import decode, errors
from staa_video.clip import UNLIMITED, Clip
from staa_video.decoder import clips
from tests.made.videos import encode, images


def small(frame: np.ndarray, _size: tuple[int, int]) -> np.ndarray:
    """Keep a quarter of the pixels."""
    return frame[::2, ::2]


def windows(data: bytes, length: float, stride: float, count: int = 8) -> Iterator[Clip]:
    """Yield a clip for each window."""

    def segments(duration: float) -> list[tuple[float, float]]:
        return [(start, start + length) for start in np.arange(0, duration - length + 1e-6, stride).tolist()]

    return clips(data, count, segments, small, UNLIMITED)


@pytest.mark.parametrize(
    ("container", "codec", "options"),
    [("mp4", "libx264", {"g": "12", "bf": "2"}), ("matroska", "libx264", {"g": "250"}), ("avi", "mpeg4", {})],
)
@pytest.mark.parametrize(("length", "stride"), [(1.0, 0.25), (0.5, 0.5), (0.4, 1.0)])
def test_each_clip_is_what_decode_gives(
    container: str, codec: str, options: dict[str, str], length: float, stride: float
) -> None:
    """Overlapping, touching and separate windows have the frames, times and numbers of a call of `decode` for each."""
    data = encode(images(90), container, codec, options=options)
    made = list(windows(data, length, stride))
    assert len(made) == len(np.arange(0, 3 - length + 1e-6, stride))
    for number, clip in enumerate(made):
        alone = decode(data, 8, number * stride, number * stride + length, UNLIMITED, small)
        np.testing.assert_array_equal(clip.frames, alone.frames)
        np.testing.assert_array_equal(clip.indices, alone.indices)
        np.testing.assert_array_equal(clip.seconds, alone.seconds)
        assert (clip.fps, clip.duration, clip.source) == (alone.fps, alone.duration, alone.source)


def test_few_frames_are_held() -> None:
    """While clips are taken one by one, the scaled frames of no more than the windows that overlap are alive."""
    alive, most = [0], [0]

    class Counted(np.ndarray):
        def __del__(self) -> None:
            if getattr(self, "counts", False):
                alive[0] -= 1

    def counted(frame: np.ndarray, _size: tuple[int, int]) -> np.ndarray:
        kept = np.array(frame[::8, ::8]).view(Counted)
        kept.counts = True  # type: ignore[attr-defined]
        alive[0] += 1
        most[0] = max(most[0], alive[0])
        return kept

    data = encode(images(300))
    taken = sum(1 for _ in clips(data, 4, lambda _: [(n / 2, n / 2 + 1) for n in range(18)], counted, UNLIMITED))
    assert taken == 18
    assert most[0] <= 3 * 4


def test_a_file_that_is_none_is_an_error() -> None:
    """Bytes that are no video are an error of the tree at the first clip, and no window is no clip."""
    with pytest.raises(errors.NotVideoError):
        next(clips(b"no video" * 100, 4, lambda _: [(0, 1)], small))
    assert list(clips(io.BytesIO(encode(images(9))), 4, lambda _: [], small)) == []
