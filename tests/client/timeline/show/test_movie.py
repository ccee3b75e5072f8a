"""What the movie of a timeline promises."""

import dataclasses
from pathlib import Path

import av
import numpy as np
import pytest

from staa_client.timeline.show.movie import TrackStrip
from staa_client.video.pictures_of import sampled
from tests.client.timeline.conftest import SECONDS, ByBrightness, client_of, timeline


def test_every_frame_has_the_tracks_below(video: Path, tmp_path: Path) -> None:
    """The movie is as long as the video, has its frames above, and the mark of the present time moves to the right."""
    with client_of(ByBrightness()) as client:
        made = client.timeline(video, explain=False)
    target = made.save(tmp_path / "a.mp4", tracks=2)
    with av.open(str(target)) as container:
        frames = list(container.decode(video=0))
        assert frames[-1].time is not None
        assert abs(frames[-1].time - (SECONDS - 0.2)) < 0.01
    assert len(frames) == SECONDS * 5
    pictures = [frame.to_ndarray(format="rgb24") for frame in frames[:: 5 * 4]]
    width = pictures[0].shape[1]
    assert width == 640, "a small video is enlarged"
    lights = [picture[:40, width // 2 - 20 : width // 2 + 20].mean() > 120 for picture in pictures]
    assert lights == [False, False, True, True, False, False]
    marks = [int(picture[482:522].min(axis=(0, 2)).argmax()) for picture in pictures]
    assert marks == sorted(marks)
    assert marks[-1] > marks[0] + width // 3


def test_frames_in_memory_make_a_movie_too(video: Path, tmp_path: Path) -> None:
    """A timeline of frames in memory has its movie; one without any video is refused in words."""
    frames = sampled(video, 30, lambda height, width: (height, width))
    with client_of(ByBrightness()) as client:
        made = client.timeline(frames, explain=False)
    with av.open(str(made.save(tmp_path / "a.mp4"))) as container:
        assert sum(1 for _ in container.decode(video=0)) == 30
    with pytest.raises(ValueError, match="needs the video itself"):
        dataclasses.replace(made, source=None).save(tmp_path / "b.mp4")
    assert not (tmp_path / "b.mp4").exists()


def test_bars_stand_where_the_spans_are() -> None:
    """The bar of a span reaches from its start to its end in the row of its label."""
    made = timeline()
    strip = TrackStrip(made, made.tracks(2), 600)
    row = np.asarray(strip.picture)[12]
    inside = row[int(strip.x_of(3.5)) : int(strip.x_of(8.2))]
    outside = row[int(strip.x_of(9.0)) : int(strip.x_of(19.0))]
    assert (np.abs(inside.astype(int) - inside[0]).max(1) < 90).mean() > 0.8
    assert outside.max() < 160


def test_the_movie_says_what_the_model_is_good_for() -> None:
    """Below the axis stand the sentence about the model, if it has one, and the notes."""
    made = timeline()
    plain = dataclasses.replace(made, model=dataclasses.replace(made.model, about=""))
    bare = dataclasses.replace(plain, notes=())
    said, silent, nothing = (TrackStrip(each, each.tracks(2), 600).picture for each in (made, plain, bare))
    assert said.height - silent.height == silent.height - nothing.height > 0
    assert np.asarray(silent)[nothing.height :].max() > 200
    assert said.height > silent.height
    assert np.asarray(said)[silent.height :].max() > 200


def test_a_movie_names_its_colours(video: Path, tmp_path: Path) -> None:
    """Matrix, primaries, transfer curve and range are BT.709 in the file, and by them the colours are right."""
    with client_of(ByBrightness()) as client:
        made = client.timeline(video, explain=False)
    with av.open(str(made.save(tmp_path / "a.mp4"))) as container:
        frame = next(container.decode(video=0))
    named = [int(each) for each in (frame.colorspace, frame.color_primaries, frame.color_trc, frame.color_range)]
    assert named == [1, 1, 1, 1]
    assert np.abs(frame.to_ndarray(format="rgb24")[-3, 3].astype(int) - (24, 24, 32)).max() < 5
