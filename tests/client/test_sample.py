"""Frames sampled on this side are those that the server would take, and are all that travels."""

import io
import json
import zipfile
from pathlib import Path

import av
import httpx2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from staa import decode
from staa.prepare import _resized
from staa.sampling import choose as servers_choose
from staa_client import Client, Frames, _wire
from staa_client._sampling import choose
from staa_client.video import sampled
from tests.client.conftest import card, server, video
from tests.client.test_client import Recorder, client


def archive(request: httpx2.Request) -> tuple[dict[str, object], list[Image.Image]]:
    """What a request's body holds: clip.json, and the images."""
    with zipfile.ZipFile(io.BytesIO(request.content)) as found:
        about = json.loads(found.read("clip.json"))
        count = len(found.namelist()) - 1
        return about, [Image.open(io.BytesIO(found.read(f"{number}.jpg"))) for number in range(count)]


def test_the_rule_is_the_servers() -> None:
    """On random times and segments the same frames are chosen as by the server."""
    rng = np.random.default_rng(0)
    compared = 0
    for _ in range(500):
        seconds = np.cumsum(rng.exponential(0.05, rng.integers(1, 60)))
        seconds -= seconds[0]
        duration = float(seconds[-1]) + 0.04
        segment = sorted(rng.uniform(0, duration, 2).tolist())
        start, end = (segment[0] if rng.random() < 0.5 else None), (segment[1] if rng.random() < 0.5 else None)
        wanted = int(rng.integers(1, 40))
        np.testing.assert_array_equal(
            choose(seconds, duration, wanted, start, end), servers_choose(seconds, duration, wanted, start, end)
        )
        compared += 1
    assert compared == 500


@pytest.mark.parametrize(("start", "end"), [(-1.0, None), (9.0, None), (1.0, 1.0), (2.0, 1.0)])
def test_a_segment_without_a_frame_is_said(start: float, end: float | None) -> None:
    """A segment that is empty or outside of the video is a ValueError with the video's length."""
    with pytest.raises(ValueError, match=r"of a video of 8\.000 s"):
        choose(np.arange(64) / 8, 8.0, 16, start, end)


@pytest.mark.parametrize("resize", [96, [96, 128], None])
def test_frames_are_scaled_by_the_servers_rule(resize: int | list[int] | None) -> None:
    """A card says of any frame the rows and columns that the server's own preparation makes of it."""
    told = card()
    told["input"]["resize"] = resize
    found = _wire.card(200, {}, json.dumps(told).encode())
    rule = (resize[0], resize[1]) if isinstance(resize, list) else resize
    for height, width in ((240, 320), (321, 240), (96, 96), (1080, 1919), (50, 40)):
        assert found.scaled(height, width) == _resized(rule, height, width)


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


def pictures(count: int, height: int = 120, width: int = 160) -> NDArray[np.uint8]:
    """Frames of different greys."""
    greys = np.linspace(20, 230, count).astype(np.uint8)
    return np.broadcast_to(greys[:, None, None, None], (count, height, width, 3)).copy()


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
    assert about["frames"] == servers_choose(np.arange(40) / 25, 1.6, 16).tolist()
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
    explanation.save(plain, video=video())
    assert (tmp_path / "x.png").read_bytes() != plain.read_bytes()


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((4, 8, 8), np.uint8),
        np.zeros((4, 8, 8, 3), np.float32),
        np.zeros((0, 8, 8, 3), np.uint8),
        [np.zeros((8, 8, 3), np.uint8), np.zeros((8, 9, 3), np.uint8)],
        [],
    ],
)
def test_frames_of_a_wrong_form_are_refused(wrong: NDArray[np.uint8]) -> None:
    """What is not (T, H, W, 3) uint8 is refused before anything is sent."""
    recorder = Recorder()
    with client(recorder) as staa, pytest.raises(ValueError, match=r"frame"):
        staa.predict(wrong)
    assert not recorder.requests


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
    assert str(caught.value).startswith(
        f"{name} cannot be read as a video (Invalid data found when processing input); "
    )
    assert not any(word in str(caught.value) for word in ("Errno", "explained"))
    assert asked == ["/predictions/motions"]
