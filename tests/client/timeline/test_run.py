"""What a timeline asks of a server, and what it makes of the answers."""

import asyncio
from pathlib import Path

import httpx2
import numpy as np
import pytest

from staa_client import AsyncClient, Frames, ServerError, Timeline
from staa_client.timeline.result import NOTHING
from staa_client.video.pictures_of import sampled
from tests.client.timeline.conftest import BRIGHT, SECONDS, ByBrightness, client_of


def spans_of(made: Timeline) -> list[tuple[str, float, float]]:
    """Return labels and times of the spans."""
    return [(span.label, round(span.start, 3), round(span.end, 3)) for span in made.spans]


def test_every_window_gets_labels_and_every_span_a_map(video: Path) -> None:
    """Each window of the model's own length is asked about once, with all labels; only the span's best gets a map."""
    server = ByBrightness()
    with client_of(server) as client:
        made = client.timeline(video)
    assert (made.window, made.stride, made.clip_seconds) == (4.0, 1.0, (3.0, 5.0))
    assert made.starts.tolist() == [float(second) for second in range(SECONDS - 3)]
    assert len(server.times["predictions"]) == SECONDS - 3
    assert len(server.times["explanations"]) == 1
    assert [headers.get("x-staa-top-k") for headers in server.headers].count("8") == SECONDS - 3
    np.testing.assert_allclose(made.scores.sum(1), 1, atol=1e-6)
    (span,) = made.known
    assert span.label == "spins"
    assert abs(span.start - BRIGHT[0]) <= made.stride
    assert abs(span.end - BRIGHT[1]) <= made.stride
    assert span.start <= span.peak <= span.end
    assert span.explanation is not None
    assert span.explanation.source == video
    times = span.explanation.clip.times
    assert span.start <= times[0] <= times[-1] <= span.end


def test_frames_are_those_that_the_server_would_take(video: Path) -> None:
    """The frames of a window are the very ones of a request with its start and end."""
    server = ByBrightness()
    with client_of(server) as client:
        made = client.timeline(video, explain=False, concurrency=1)
    for start, times in zip(made.starts, server.times["predictions"], strict=True):
        alone = sampled(video, 16, lambda height, width: (height, width), float(start), float(start) + 4)
        np.testing.assert_allclose(times, alone.seconds)


def test_spans_cover_the_whole_video(video: Path) -> None:
    """What no label is sure of is "nothing known", and no second is missing."""
    with client_of(ByBrightness()) as client:
        made = client.timeline(video)
    assert [label for label, _, _ in spans_of(made)] == [NOTHING, "spins", NOTHING]
    assert made.spans[0].start == 0
    assert made.spans[-1].end == made.duration == SECONDS
    for before, after in zip(made.spans[:-1], made.spans[1:], strict=True):
        assert before.end == after.start


def test_sources_of_all_kinds_have_one_timeline(video: Path) -> None:
    """A path, its bytes and its frames in memory give the same spans."""
    whole = sampled(video, SECONDS * 5, lambda height, width: (height, width))
    with client_of(ByBrightness()) as client:
        made = [client.timeline(source) for source in (video, video.read_bytes(), whole)]
    assert isinstance(whole, Frames)
    assert spans_of(made[0]) == spans_of(made[1])
    assert spans_of(made[0]) == spans_of(made[2])


def test_a_video_shorter_than_a_window_has_one_window(video: Path) -> None:
    """A video that is shorter than the model's clips is one window."""
    with client_of(ByBrightness(clips=(30.0, 40.0))) as client:
        made = client.timeline(video, high=0.3, low=0.3, explain=False)
    assert made.starts.tolist() == [0.0]
    assert [span.label for span in made.spans] == ["spins"]


def test_options_choose_windows_and_labels(video: Path) -> None:
    """Window, stride, track and thresholds are those that were given; a label that is none is refused."""
    server = ByBrightness()
    with client_of(server) as client:
        made = client.timeline(video, window=3, stride=2, track="spins", explain=False)
        none = client.timeline(video, track=["grows", 0], explain=False)
        unsure = client.timeline(video, high=1.0, low=1.0, smooth=21, explain=False)
        with pytest.raises(ValueError, match="motions has no label 'dances': it has moves down, "):
            client.timeline(video, track="dances")
    assert (made.window, made.stride) == (3, 2)
    assert [span.label for span in made.known] == ["spins"]
    assert none.known == unsure.known == ()
    assert not server.times["explanations"]


@pytest.mark.parametrize(
    ("wrong", "error", "said"),
    [
        ({"window": 0}, ValueError, "window is a positive number"),
        ({"smooth": 2}, ValueError, "1, 3, 5, ... windows, got 2"),
        ({"low": 0.8}, ValueError, "0 <= low <= high <= 1"),
        ({"concurrency": 0}, ValueError, "at least one request"),
        ({"top_k": 3}, TypeError, "leave out top_k"),
        ({"strid": 3}, TypeError, "unknown options strid"),
        ({"explain": False, "method": "staa"}, ValueError, "method are about maps"),
    ],
)
def test_options_are_checked_before_anything_is_asked(
    video: Path, wrong: dict[str, object], error: type[Exception], said: str
) -> None:
    """An option that is none, or out of its range, is refused in words, and the server hears nothing."""
    server = ByBrightness()
    with client_of(server) as client:
        with pytest.raises(error, match=said):
            client.timeline(video, **wrong)  # type: ignore[arg-type]
        with pytest.raises(error, match=said):
            client.timelines([video], **wrong)  # type: ignore[arg-type]
    assert not server.headers


def test_another_window_than_the_models_is_warned_about_once(video: Path) -> None:
    """The warning names the model and both lengths, once for all videos."""
    with (
        client_of(ByBrightness()) as client,
        pytest.warns(UserWarning, match=r"window is 8 s long, and motions was trained on clips of 3 to 5 s") as told,
    ):
        items = list(client.timelines([video, video], window=8, stride=4, explain=False))
    assert len(items) == 2
    assert len(told) == 1
    assert told[0].filename == __file__


def test_a_class_map_is_for_the_class_of_its_span(video: Path) -> None:
    """With a method for classes, the target of a span's map is its label, unless another is given."""
    server = ByBrightness()
    with client_of(server) as client:
        client.timeline(video, method="staa_class")
        client.timeline(video, method="staa_class", target=1)
    asked = [headers["x-staa-target"] for headers in server.headers if "x-staa-target" in headers]
    assert asked == ["4", "1"]


def test_progress_goes_up_to_the_end(video: Path) -> None:
    """Progress tells ascending seconds of the video, the last of them its length."""
    told: list[tuple[float, float]] = []
    with client_of(ByBrightness()) as client:
        client.timeline(video, explain=False, progress=lambda done, seconds: told.append((done, seconds)))
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert told[-1] == (SECONDS, SECONDS)


def test_an_event_loop_gives_the_same(video: Path) -> None:
    """AsyncClient.timeline gives the spans and scores of Client.timeline, and sends as much."""
    plain, looped = ByBrightness(), ByBrightness()
    with client_of(plain) as client:
        expected = client.timeline(video)

    async def make() -> tuple[Timeline, list[str]]:
        async with AsyncClient(max_retries=0, transport=httpx2.MockTransport(looped)) as client:
            made = await client.timeline(video)
            return made, [item.source async for item in client.timelines([video], explain=False)]

    made, sources = asyncio.run(make())
    assert spans_of(made) == spans_of(expected)
    np.testing.assert_array_equal(made.scores, expected.scores)
    assert sources == [str(video)]
    assert len(looped.times["explanations"]) == 1


@pytest.mark.parametrize(("rule", "is_explained"), [("score_below=0.01", False), ("always", True)])
def test_rules_say_which_spans_have_a_map(video: Path, rule: str, is_explained: bool) -> None:
    """A span whose best window no rule names is there without a map, in a plain program and in an event loop."""
    with client_of(ByBrightness()) as client:
        made = [client.timeline(video, explain_when=rule)]

    async def make() -> Timeline:
        async with AsyncClient(max_retries=0, transport=httpx2.MockTransport(ByBrightness())) as client:
            return await client.timeline(video, explain_when=[rule])

    for timeline in [*made, asyncio.run(make())]:
        (span,) = timeline.known
        assert (span.explanation is not None) == is_explained


def test_an_error_of_the_server_ends_it(video: Path) -> None:
    """An error of one window is raised, in a plain program and in an event loop; no thread is left."""

    async def make() -> None:
        async with AsyncClient(max_retries=0, transport=httpx2.MockTransport(ByBrightness(5))) as client:
            await client.timeline(video)

    with client_of(ByBrightness(5)) as client, pytest.raises(ServerError, match="it fell over"):
        client.timeline(video)
    with pytest.raises(ServerError, match="it fell over"):
        asyncio.run(make())


def test_errors_of_some_videos_are_collected(video: Path, tmp_path: Path) -> None:
    """One video that is none does not keep the others from having a timeline, unless errors are raised."""
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(b"no video at all")
    with client_of(ByBrightness()) as client:
        items = list(client.timelines([bad, "nowhere.mp4", video], on_error="collect", explain=False))
        with pytest.raises(ValueError, match=r"bad.mp4 cannot be read as a video"):
            list(client.timelines([bad, video], explain=False))
    assert [item.timeline is None for item in items] == [True, True, False]
    assert isinstance(items[1].error, OSError)
