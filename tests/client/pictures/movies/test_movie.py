"""Movies: every frame at its time, the map where it belongs, and files that play."""

import dataclasses
import io
import sys
from fractions import Fraction
from pathlib import Path

import av
import httpx2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from staa_client import Client, Explanation
from staa_client.files import save
from staa_client.pictures.colours import HEAT
from staa_client.pictures.movies import movie
from staa_client.pictures.movies.movie_page import lay_out
from staa_client.results.save_job import SaveJob
from staa_client.video import frames_at
from staa_client.video.frames import Frames
from tests.client.conftest import class_map, document, server
from tests.made.videos import disc_at, displayed

Pictures = list[tuple[float, NDArray[np.uint8]]]
STEPS = [2 + 4 * step for step in range(16)]


def played(path: Path) -> Pictures:
    """The frames of a movie with their seconds."""
    with av.open(str(path)) as container:
        return [
            (float(frame.time or 0), np.asarray(frame.to_ndarray(format="rgb24"), np.uint8))
            for frame in container.decode(video=0)
        ]


def at_source_size(picture: NDArray[np.uint8]) -> NDArray[np.int64]:
    """The frame on a picture of a movie of one map, made as small again as the source: (240, 320, 3), 0 to 255."""
    width = picture.shape[1]
    frame = Image.fromarray(picture[: width * 240 // 320])
    return np.asarray(frame.resize((320, 240), Image.Resampling.BOX), np.int64)


def explained(data: bytes, size: tuple[int, int], box: tuple[int, int, int, int]) -> Explanation:
    """Another video, explained."""
    with Client(transport=httpx2.MockTransport(server(document(*size, box)))) as client:
        return client.explain(data)


def in_memory(explanation: Explanation, every: int = 4) -> Explanation:
    """The same with the frames that the model saw, or more of them, in memory."""
    assert isinstance(explanation.source, bytes)
    numbers = np.arange(2, 63, every)
    images = np.stack(frames_at(explanation.source, numbers))
    frames = Frames(images, numbers / 8, numbers, 8.0, 8.0, (320, 240))
    return dataclasses.replace(explanation, source=frames)


def test_an_mp4_has_every_frame_of_the_clip_at_its_time(explanation: Explanation, tmp_path: Path) -> None:
    """Each source frame from the clip's first to its last is there, shows the object, and keeps its time."""
    calls: list[tuple[int, int]] = []
    path = explanation.save(tmp_path / "x.mp4", progress=lambda done, total: calls.append((done, total)))
    frames = played(path)
    np.testing.assert_allclose([second for second, _ in frames], np.arange(61) / 8, atol=1e-4)
    for number, (_, picture) in enumerate(frames):
        x, y = (round(coordinate) for coordinate in disc_at((number + 2) / 4))
        shown = at_source_size(picture)
        assert shown[y, x, 0] > shown[230, 60, 0] + 50
    assert calls == [*((done, 61) for done in range(1, 62)), (61, 61)]
    assert len(list(tmp_path.iterdir())) == 1


def test_an_mp4_plays_anywhere(explanation: Explanation, tmp_path: Path) -> None:
    """H.264 in yuv420p, tagged BT.709, even sizes, the source's rate, and the index before the pictures."""
    path = explanation.save(tmp_path / "x.mp4")
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264"
        assert stream.codec_context.pix_fmt == "yuv420p"
        assert (stream.width % 2, stream.height % 2) == (0, 0)
        assert stream.average_rate is not None
        assert float(stream.average_rate) == pytest.approx(8, rel=0.03)
        assert int(stream.codec_context.colorspace) == 1
    data = path.read_bytes()
    assert 0 < data.index(b"moov") < data.index(b"mdat")


def test_the_map_moves_between_the_steps(explanation: Explanation, tmp_path: Path) -> None:
    """With one still frame under it, the hottest place follows the object, and no two pictures are alike."""
    still = Frames.of(np.repeat(np.full((1, 240, 320, 3), 60, np.uint8), 63, 0), 8.0)
    frames = played(explanation.save(tmp_path / "x.mp4", video=still))
    assert len(frames) == round(25 * 8.0)
    seen = []
    for second, picture in frames[80:120:8]:
        warm = at_source_size(picture)[:, 44:276, 0]
        rows, columns = np.nonzero(warm > warm.max() - 12)
        x, y = disc_at((second + 0.25) * 2)
        assert abs(columns.mean() + 44 - x) < 14
        assert abs(rows.mean() - y) < 14
        seen.append((columns.mean(), rows.mean()))
    assert len(set(seen)) == len(seen)


def test_outside_the_box_is_dim_and_the_cursor_moves(explanation: Explanation, tmp_path: Path) -> None:
    """The strips beside the box are dark; under the picture a light line goes from left to right."""
    frames = played(explanation.save(tmp_path / "x.mp4"))
    first, last = frames[0][1], frames[-1][1]
    assert np.median(at_source_size(first)[:, :36]) < 75
    assert np.median(at_source_size(first)[:, 44:276]) > 75
    light = [picture[-44:-20].min((0, 2)) for picture in (first, last)]
    cursors = [int(columns.argmax()) for columns in light]
    assert cursors[0] < 60
    assert cursors[1] > 520


def test_a_turned_odd_video_with_gaps_is_drawn_upright(tmp_path: Path) -> None:
    """A rotated source of odd size whose frames come unevenly keeps its times, and stands as the map does."""
    buffer, ticks = io.BytesIO(), np.cumsum([0, *([1, 3, 1, 1, 2, 7] * 11)])[:64]
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=20, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 322, 182, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 20)
        for tick in ticks:
            picture = np.full((182, 322, 3), 40, np.uint8)
            picture[:91, :161] = 220
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = int(tick), Fraction(1, 20)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    explanation = explained(displayed(buffer.getvalue(), (0, 1, -1, 0)), (182, 322), (0, 70, 181, 251))
    clip = dataclasses.replace(explanation.clip, times=ticks[explanation.clip.frames] / 20)
    frames = played(dataclasses.replace(explanation, clip=clip).save(tmp_path / "x.mp4"))
    np.testing.assert_allclose([second for second, _ in frames], (ticks[2:63] - ticks[2]) / 20, atol=1e-3)
    height = lay_out((182, 322), 1, movie.MP4_SIZE).frame[1]
    picture = frames[0][1][:height].astype(int)
    assert frames[0][1].shape[0] % 2 == 0
    assert picture[20, 110:150].mean() < picture[20, 180:220].mean() - 20  # turned clockwise: light at the upper right


@pytest.mark.parametrize("ending", ["mp4", "gif"])
def test_maps_stand_side_by_side(explanation: Explanation, tmp_path: Path, ending: str) -> None:
    """Two maps of one clip are two pictures in one, and are drawn as they are alone."""
    both = save(tmp_path / f"both.{ending}", [explanation, class_map(explanation)])
    alone = explanation.save(tmp_path / f"one.{ending}")
    sizes = []
    for movie_path in (both, alone):
        if ending == "gif":
            with Image.open(movie_path) as picture:
                sizes.append(picture.size)
        else:
            sizes.append(played(movie_path)[0][1].shape[1::-1])
    widths = (1288, 640) if ending == "mp4" else (720, 456)
    assert [size[0] for size in sizes] == list(widths)


def test_too_many_maps_are_refused(explanation: Explanation, tmp_path: Path) -> None:
    """More maps than can be seen beside each other are an error that says what to do."""
    with pytest.raises(ValueError, match=r"at most 6 maps, got 7: save a \.html"):
        save(tmp_path / "x.mp4", [explanation] * 7)
    assert not list(tmp_path.iterdir())


def test_a_long_clip_has_fewer_frames(explanation: Explanation, tmp_path: Path) -> None:
    """Above the most frames every second, third, ... one is drawn, evenly, and the length stays."""
    path = tmp_path / "x.mp4"
    movie.write_mp4(SaveJob([explanation], explanation.source, path, 0.8, HEAT, focus=False), most_frames=25)
    np.testing.assert_allclose([second for second, _ in played(path)], np.arange(0, 61, 3) / 8, atol=1e-3)


def test_a_gif_loops_at_the_clip_s_speed(explanation: Explanation, tmp_path: Path) -> None:
    """A GIF is small, repeats for ever, lasts as long as the clip, and shows the map in its colours."""
    path = explanation.save(tmp_path / "x.gif")
    assert path.stat().st_size < 3_000_000
    with Image.open(path) as gif:
        assert gif.info["loop"] == 0
        assert gif.n_frames == 61  # type: ignore[attr-defined]
        durations = []
        for index in range(61):
            gif.seek(index)
            durations.append(gif.info["duration"])
        assert sum(durations) == pytest.approx(8000, abs=20)
        gif.seek(36)
        shown = at_source_size(np.asarray(gif.convert("RGB")))
    x, y = (round(coordinate) for coordinate in disc_at(9.5))
    assert np.abs(shown[y, x] - [250, 220, 140]).max() < 60
    truth = at_source_size(played(explanation.save(tmp_path / "x.mp4"))[36][1])
    assert np.abs(shown - truth).mean() < 10


def test_a_gif_of_noise_is_not_too_large(explanation: Explanation, tmp_path: Path) -> None:
    """Ten pictures a second of noise over ten seconds stay below 3 MB: colours and pictures give way."""
    rng = np.random.default_rng(0)
    noise = Frames.of(rng.integers(0, 255, (80, 240, 320, 3)).astype(np.uint8), 8.0)
    assert explanation.save(tmp_path / "x.gif", video=noise).stat().st_size < 3_000_000


def test_frames_in_memory_need_no_av_for_a_gif(
    explanation: Explanation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the extra `video` a GIF is made of frames in memory; of a video, or as mp4, the error names the extra."""
    held = in_memory(explanation)
    monkeypatch.setitem(sys.modules, "av", None)
    with Image.open(held.save(tmp_path / "x.gif")) as gif:
        assert gif.n_frames == 96  # type: ignore[attr-defined]
        assert at_source_size(np.asarray(gif.convert("RGB"))).std() > 20
    for ending, refused in (("gif", explanation), ("mp4", explanation), ("mp4", held)):
        with pytest.raises(ImportError, match=r'pip install ./video "\./client\[video\]" from a checkout'):
            refused.save(tmp_path / f"y.{ending}")
    assert len(list(tmp_path.iterdir())) == 1


def test_frames_in_memory_stand_for_their_time(explanation: Explanation, tmp_path: Path) -> None:
    """Each of the clip's frames is shown until the next one's time, and the last as long as the others."""
    frames = played(in_memory(explanation).save(tmp_path / "x.mp4"))
    assert frames[-1][0] == pytest.approx(8.0 - 1 / 25, abs=1e-3)
    for tick in (0, 11, 13, 199):
        number = int(tick / 25 / 0.5)
        x, y = (round(part) for part in disc_at(STEPS[number] / 4))
        shown = at_source_size(frames[tick][1])
        assert shown[y, x, 0] > shown[y - 30, x, 0] + 30


def test_without_frames_the_maps_move_alone(explanation: Explanation, tmp_path: Path) -> None:
    """With no video at all, movies show the maps on a plain ground."""
    bare = dataclasses.replace(explanation, source=None)
    assert len(played(bare.save(tmp_path / "x.mp4"))) == 200
    assert bare.save(tmp_path / "x.gif").stat().st_size > 10_000
