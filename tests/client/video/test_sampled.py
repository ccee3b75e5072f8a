"""Frames sampled on this side are those that the server would take, and are all that travels."""

import io
import json
from pathlib import Path

import av
import httpx2
import numpy as np
import pytest
from PIL import Image

from staa import decode
from staa_client import Client, Frames
from staa_client.video import sampled
from staa_client.video.pictures_of import frames_for
from staa_video.sampling import choose
from tests.client.conftest import server
from tests.client.servers import Recorder, archive, client, pictures
from tests.made.videos import moving_disc


@pytest.mark.parametrize(
    ("start", "end", "message"),
    [
        (-1.0, None, "start = -1.0 is no time"),
        (9.0, None, r"9.0 s is not before the end of the video, 8\.000 s"),
        (1.0, 1.0, "from 1.0 s to 1.0 s is empty"),
        (2.0, 1.0, "from 2.0 s to 1.0 s is empty"),
    ],
)
def test_a_segment_without_a_frame_is_said(start: float, end: float | None, message: str) -> None:
    """A segment that is empty or outside of the frames is a ValueError in the server's words."""
    frames = Frames.of(pictures(64), fps=8)
    with pytest.raises(ValueError, match=message):
        frames_for(frames, 16, lambda h, w: (h, w), "bilinear", start, end)


@pytest.mark.parametrize(("start", "end"), [(None, None), (1.5, None), (0.5, 2.25)])
@pytest.mark.parametrize("wanted", [3, 16, 90])
def test_the_frames_are_the_servers(wanted: int, start: float | None, end: float | None, clip: bytes) -> None:
    """The same numbers, times and pixels as the server's decoder gives, with few frames and with many."""
    ours, theirs = sampled(clip, wanted, lambda h, w: (h, w), start, end), decode(clip, wanted, start, end)
    np.testing.assert_array_equal(ours.indices, theirs.indices)
    np.testing.assert_array_equal(ours.seconds, theirs.seconds)
    np.testing.assert_array_equal(ours.images, theirs.frames)
    assert (ours.fps, ours.duration, ours.size) == (theirs.fps, theirs.duration, (320, 240))


def interlaced() -> bytes:
    """A video whose packets have no display times: AVI."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="avi") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height = 64, 48
        for number in range(30):
            picture = np.full((48, 64, 3), number * 8, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    return buffer.getvalue()


def test_without_display_times_everything_is_counted() -> None:
    """Where packets do not tell the frames, the numbers are still the server's."""
    film = interlaced()
    ours, theirs = sampled(film, 8, lambda h, w: (h, w)), decode(film, 8)
    np.testing.assert_array_equal(ours.indices, theirs.indices)
    np.testing.assert_array_equal(ours.images, theirs.frames)


def test_only_the_frames_travel(clip: bytes, tmp_path: Path) -> None:
    """`sample="client"` asks for the card once, then sends 16 small JPEGs with their places, and no segment."""
    path = tmp_path / "clip.mp4"
    path.write_bytes(clip)
    recorder = Recorder()
    with client(recorder) as staa:
        explanation = staa.explain(path, sample="client", start=2.0, end=6.0)
        staa.predict(path, sample="client")
    asked, sent, again = recorder.requests
    assert json.loads(asked.content) == {"describe": True}
    assert sent.headers["content-type"] == again.headers["content-type"] == "application/x-staa-frames"
    assert not {"x-staa-start", "x-staa-end"} & set(sent.headers)
    about, images = archive(sent)
    expected = decode(clip, 16, 2.0, 6.0)
    assert (about["width"], about["height"], about["frames"]) == (320, 240, expected.indices.tolist())
    assert about["times"] == expected.seconds.tolist()
    assert [image.size for image in images] == [(128, 96)] * 16
    full = np.asarray(Image.fromarray(expected.frames[3]).resize((128, 96), Image.Resampling.BILINEAR), float)
    assert np.abs(np.asarray(images[3], float) - full).mean() < 4
    assert explanation.source == path


@pytest.mark.parametrize(("size", "sampled_here"), [(100, False), (5_000_000, True)])
def test_auto_samples_large_files_here(size: int, sampled_here: bool, clip: bytes, tmp_path: Path) -> None:
    """`sample="auto"` sends a small file as it is, and of one above 4 MB the frames."""
    path = tmp_path / "clip.mp4"
    free = size.to_bytes(4, "big") + b"free" + bytes(size - 8)  # a box of an mp4 that holds nothing
    path.write_bytes(clip + free)
    recorder = Recorder()
    with client(recorder) as staa:
        staa.predict(path, sample="auto")
    kind = recorder.requests[-1].headers["content-type"]
    assert kind == ("application/x-staa-frames" if sampled_here else "application/octet-stream")


def test_frames_in_memory_need_no_file() -> None:
    """An array, a list and a generator are one request: the 16 frames that the model wants, with their places."""
    frames = pictures(40)
    recorder = Recorder()
    with client(recorder) as staa:
        for source in (frames, list(frames), (frame for frame in frames), Frames.of(frames)):
            staa.explain(source)
    bodies = {request.content for request in recorder.requests[1:]}
    assert len(bodies) == 1
    about, images = archive(recorder.requests[1])
    assert about["frames"] == choose(np.arange(40) / 25, 1.6, 16).tolist()
    assert len(images) == 16


def test_a_window_of_a_longer_source_keeps_its_times() -> None:
    """Frames that begin at 100 s, fewer than are wanted, are spread over their own seconds."""
    window = Frames(pictures(4), 100 + np.arange(4) / 4, np.arange(400, 404), 4.0, 101.0, (160, 120))
    recorder = Recorder()
    with client(recorder) as staa:
        staa.predict(window)
    about, _ = archive(recorder.requests[1])
    assert about["frames"] == sorted([400, 401, 402, 403] * 4)


def test_an_explanation_of_frames_draws_them(tmp_path: Path) -> None:
    """Pictures of an explanation show the frames that were given."""
    frames = pictures(64, 240, 320)
    with Client(transport=httpx2.MockTransport(server())) as staa:
        explanation = staa.explain(Frames.of(frames, 8.0))
    explanation.save(tmp_path / "x.png")
    plain = tmp_path / "plain.png"
    explanation.save(plain, video=moving_disc())
    assert (tmp_path / "x.png").read_bytes() != plain.read_bytes()


@pytest.mark.parametrize("as_file", [True, False])
def test_what_is_no_video_is_said_before_it_is_sent(as_file: bool, tmp_path: Path) -> None:
    """Sampling names the file and the reason in words; nothing was explained yet, and nothing is sent but the card."""
    path = tmp_path / "text.mp4"
    path.write_bytes(b"these are words " * 40)
    asked: list[str] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        asked.append(request.url.path)
        return server()(request)

    with (
        Client(transport=httpx2.MockTransport(answer)) as staa,
        pytest.raises(ValueError, match="as a video") as caught,
    ):
        staa.explain(path if as_file else path.read_bytes(), sample="client")
    name = "text.mp4" if as_file else "what was given"
    assert str(caught.value).startswith(f"{name} cannot be read as a video (no video in a known container: ")
    assert not any(word in str(caught.value) for word in ("Errno", "explained"))
    assert asked == ["/predictions/motions"]
