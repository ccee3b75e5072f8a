"""What a timeline asks of a server, and what it makes of the answers."""

import asyncio
from dataclasses import replace
from pathlib import Path

import httpx2
import numpy as np
import pytest

from staa_client import AsyncClient, Frames, ServerError, Timeline
from staa_client.cli.output.timeline_chart import describe_timeline
from staa_client.timeline.result import NOT_TRACKED, NOTHING
from staa_client.video.pictures_of import sampled
from tests.client.timeline.conftest import BRIGHT, FPS, SECONDS, ByBrightness, bright, client_of
from tests.made.videos import encode

PICTURE = np.ones((1, 48, 64, 3), np.uint8)
"""A picture whose values are all 1."""


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
    with client_of(ByBrightness(clips=(20.0, 40.0))) as client:
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
    assert [span.label for span in none.spans] == [NOT_TRACKED]
    assert not server.times["explanations"]


@pytest.mark.parametrize(
    ("wrong", "error", "said"),
    [
        ({"window": 0}, ValueError, "window is a positive number"),
        ({"smooth": 2}, ValueError, "1, 3, 5, ... windows, got 2"),
        ({"smooth": 3.0}, ValueError, "1, 3, 5, ... windows, got 3.0"),
        ({"low": 0.8}, ValueError, r"0 <= low <= high <= 1, got low=0.8 and high=0.6$"),
        ({"concurrency": 0}, ValueError, "at least one request is under way at a time, got concurrency=0$"),
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


def test_a_video_that_is_too_short_for_the_model_is_warned_about_once(tmp_path: Path) -> None:
    """The window is as long as the model's clips, and the video is not: a warning and each timeline's notes say so."""
    videos = [bright(tmp_path / name, 2) for name in ("a.mp4", "b.mp4")]
    said = "the video lasts 2 s, and motions was trained on clips of 3 to 5 s: do not trust its labels"

    async def again() -> tuple[str, ...]:
        async with AsyncClient(transport=httpx2.MockTransport(ByBrightness())) as client:
            return (await client.timeline(videos[0], explain=False)).notes

    with client_of(ByBrightness()) as client:
        with pytest.warns(UserWarning, match=said) as told:
            items = list(client.timelines(videos, explain=False))
        with pytest.warns(UserWarning, match="the window is 6 s long"):
            chosen = client.timeline(videos[0], window=6, explain=False)
    assert [(each.filename, str(each.message)) for each in told] == [(__file__, said)]
    assert [item.timeline.notes for item in items if item.timeline is not None] == [(said,), (said,)]
    assert chosen.notes == (said.replace("the video lasts 2 s", "the window is 6 s long"),)
    with pytest.warns(UserWarning, match=said):
        assert asyncio.run(again()) == (said,)


def test_the_map_of_an_untrained_window_says_so(video: Path, tmp_path: Path) -> None:
    """Who saves the picture of a span alone has the timeline's warning in it, before the notes of the reply."""
    server = ByBrightness(clips=(9.0, 12.0))
    with client_of(server) as client, pytest.warns(UserWarning, match="the window is 4 s long") as told:
        made = client.timeline(video, window=4)
    (span,) = made.known
    assert span.explanation is not None
    assert span.explanation.clip.notes == made.notes == (str(told[0].message),)
    assert made.notes[0] in span.explanation.save(tmp_path / "span.html").read_text()


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
        assert span.not_explained == (None if is_explained else "the best label has 1, the rule explains below 0.01")
        assert span.to_dict()["not_explained"] == span.not_explained


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


@pytest.mark.parametrize("seconds", [0.2, 2.0, 4.0, 5.0])
def test_a_short_video_of_which_the_model_is_sure_is_one_span(seconds: float, tmp_path: Path) -> None:
    """Where the label is sure in all windows, no map makes its span shorter: nothing else is known of the rest."""
    light = np.full((round(seconds * FPS), 48, 64, 3), 220, np.uint8)
    path = tmp_path / "short.mp4"
    path.write_bytes(encode([*light], rate=FPS))
    with client_of(ByBrightness(clips=(0.2, 7.8))) as client:
        for source in (path, Frames.of(light, FPS)):
            made = client.timeline(source)
            assert spans_of(made) == [("spins", 0.0, seconds)]
            assert made.known[0].explanation is not None


@pytest.mark.parametrize("times", [(0, 3), (21, 24), (10, 13)])
def test_a_short_span_has_the_times_of_its_map(times: tuple[float, float], tmp_path: Path) -> None:
    """That is so at the ends of a video, too: its first and last window are as long as any other."""
    video = bright(tmp_path / "edge.mp4", SECONDS, [times])
    with client_of(ByBrightness()) as client:
        (span,) = client.timeline(video, smooth=1, high=0.7).known
    assert span.explanation is not None
    looked = [span.explanation.seconds[step] for step in np.flatnonzero(span.explanation.temporal > 1 / 16)]
    assert (span.start, span.end) == (looked[0][0], looked[-1][1])


def test_a_map_of_repeated_frames_does_not_say_when() -> None:
    """Where a window has too few frames for the model, a short span keeps the times of its scores."""
    frames = Frames.of(np.repeat(np.array([20, 220, 20], np.uint8), [16, 6, 18])[:, None, None, None] * PICTURE, 2)
    with client_of(ByBrightness()) as client:
        made, coarse = (client.timeline(frames, smooth=1, explain=explain) for explain in (True, False))
    assert made.known[0].explanation is not None
    assert made.known[0].explanation.clip.repeats
    assert spans_of(made) == spans_of(coarse)


def test_a_span_lasts_as_long_as_it_must(tmp_path: Path) -> None:
    """`shortest` is compared with the seconds of the span, also after a map has made it shorter."""
    early, brief = bright(tmp_path / "early.mp4", 20, [(0, 7)]), bright(tmp_path / "brief.mp4", 20, [(8, 10)])
    unsure = {"high": 0.45, "low": 0.3}
    with client_of(ByBrightness()) as client:
        assert spans_of(client.timeline(early, explain=False, shortest=7.5))[0] == ("spins", 0, 7.5)
        assert not client.timeline(early, explain=False, shortest=7.6).known
        (span,) = client.timeline(brief, **unsure).known  # type: ignore[arg-type]
        length = span.end - span.start
        assert length < 2
        assert client.timeline(brief, shortest=length, **unsure).known  # type: ignore[arg-type]
        none = client.timeline(brief, shortest=length + 0.1, **unsure)  # type: ignore[arg-type]
    assert spans_of(none) == [(NOTHING, 0, 20)]


def test_only_the_labels_that_were_asked_for_have_tracks(video: Path) -> None:
    """All labels of `track` are shown, in their order, and no other, whatever is strongest."""
    with client_of(ByBrightness()) as client:
        made = client.timeline(video, track=["blinks", 1, "blinks"], explain=False)
        many = client.timeline(video, track=[*range(7)], explain=False)
    assert made.tracks() == [7, 1]
    assert made.to_dict()["track"] == ["blinks", "moves right"]
    assert many.tracks() == [*range(7)]


def test_frames_that_begin_late_say_nothing_of_the_time_before() -> None:
    """Frames in memory from 5 to 15 s of a source of 30 s have spans, windows and curves there only."""
    lights = np.repeat(np.array([20, 220, 20], np.uint8), [30, 40, 30])[:, None, None, None] * PICTURE
    frames = Frames(lights, np.arange(100) / 10 + 5, np.arange(100) + 50, 10.0, 30.0, (64, 48))
    with client_of(ByBrightness()) as client:
        made = client.timeline(frames, explain=False)
        end = client.timeline(replace(frames, duration=15.0), explain=False)
    assert spans_of(made) == [(NOTHING, 5.0, 7.5), ("spins", 7.5, 12.5), (NOTHING, 12.5, 15.0)]
    assert made.starts.tolist() == [5, 6, 7, 8, 9, 10, 11]
    assert made.parts[[0, -1], [0, 1]].tolist() == pytest.approx([5, 15])
    assert made.middles.tolist() == [7, 8, 9, 10, 11, 12, 13]
    assert spans_of(end) == spans_of(made)
    assert describe_timeline(made, 70, 1)[0].split("|")[1][:8].isspace()


def test_the_lower_threshold_is_never_above_the_upper_one(video: Path) -> None:
    """With a low `high` alone, `low` is the same."""
    with client_of(ByBrightness()) as client:
        made, told = (client.timeline(video, explain=False, high=0.3, **low) for low in ({}, {"low": 0.3}))  # type: ignore[arg-type]
    assert spans_of(made) == spans_of(told)


def test_players_count_from_where_the_sound_begins(tmp_path: Path) -> None:
    """Where the first frame comes 10 s after the sound, spans count from the frame, and the timeline says it."""
    path, light = tmp_path / "late.mp4", np.full((48, 64, 3), 220, np.uint8)
    path.write_bytes(encode([light] * 30, rate=FPS, sound="aac", ticks=[50 + number for number in range(30)]))
    with client_of(ByBrightness()) as client:
        made = client.timeline(path, explain=False)
    assert spans_of(made) == [("spins", 0, 6)]
    assert made.delay == pytest.approx(10, abs=0.05)
    assert "players count 10.00 s more, as the file begins before its first frame" in made.notes
