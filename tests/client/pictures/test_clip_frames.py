"""The pictures of a clip: all of them or those that the model saw, and of no other video."""

from pathlib import Path

import numpy as np
import pytest

from staa_client import Explanation
from staa_client.video import frames_at
from staa_client.video.frames import Frames
from tests.client.pictures.conftest import read_picture
from tests.made.videos import moving_disc


def test_another_video_is_refused(explanation: Explanation, tmp_path: Path) -> None:
    """Another size, too few frames, no video: errors, and nothing is left behind."""
    small = Frames.of(np.zeros((64, 120, 160, 3), np.uint8), 8.0)
    for wrong, why in (
        (moving_disc(160, 120), "320x240 pixels, this one 160x120"),
        (small, "320x240 pixels, this one 160x120"),
        (moving_disc(frames=8), "has no frame 8"),
        (b"no video", r"cannot be read \(no video in a known container"),
    ):
        for ending in ("mp4", "gif"):
            with pytest.raises(ValueError, match=why):
                explanation.save(tmp_path / f"x.{ending}", video=wrong)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("ending", [".html", ".png", ".mp4", ".gif"])
def test_frames_in_memory_are_drawn(explanation: Explanation, tmp_path: Path, ending: str) -> None:
    """Pictures take frames in memory, scaled down too, as they take a video."""
    assert isinstance(explanation.source, bytes)
    small = np.stack(frames_at(explanation.source, explanation.clip.frames))[:, ::2, ::2]
    frames = Frames(small, explanation.clip.times, explanation.clip.frames, 8.0, 8.0, (320, 240))
    path = explanation.save(tmp_path / f"x{ending}", video=frames)
    assert path.stat().st_size > 20_000
    if ending == ".png":
        whole = read_picture(explanation.save(tmp_path / "y.png"))
        assert read_picture(path).shape == whole.shape
        assert np.abs(read_picture(path) - whole).mean() < 4


@pytest.mark.parametrize("ending", [".html", ".png", ".mp4", ".gif"])
@pytest.mark.parametrize("first", [3, 100])
def test_frames_of_another_stretch_are_refused(
    explanation: Explanation, tmp_path: Path, ending: str, first: int
) -> None:
    """Frames in memory that lack one of the clip, or all, are an error in every form, and nothing is written."""
    numbers = np.arange(first, first + 80)
    frames = Frames(np.zeros((80, 24, 32, 3), np.uint8), numbers / 8, numbers, 8.0, 60.0, (320, 240))
    with pytest.raises(ValueError, match="there is no frame 2 among those given"):
        explanation.save(tmp_path / f"x{ending}", video=frames)
    assert not list(tmp_path.iterdir())
