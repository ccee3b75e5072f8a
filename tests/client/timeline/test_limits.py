"""What a timeline refuses, and what it lets go of: answers of other models, too many windows, frames of past spans."""

import asyncio
import gc
from pathlib import Path
from typing import Any

import httpx2
import pytest

from staa_client import AsyncClient, Client, Explanation, Frames, ReplyError, SourceError
from tests.client.timeline.conftest import ByBrightness, bright, client_of

OTHER = {"name": "others", "version": "1.0", "family": "timesformer", "classes": 8}
NEWER = {"name": "motions", "version": "2.0", "family": "timesformer", "classes": 8}
STRANGE = [{"class_id": 8, "label": "a ninth", "score": 1.0}]


def both_ways(server: ByBrightness, video: Path, **options: Any) -> None:
    """Ask for a timeline in a plain program; if it raises, an event loop must raise the same."""

    async def make() -> None:
        async with AsyncClient(max_retries=0, transport=httpx2.MockTransport(server)) as client:
            await client.timeline(video, **options)

    with client_of(server) as client:
        try:
            client.timeline(video, **options)
        except (ReplyError, ValueError) as reason:
            with pytest.raises(type(reason)) as raised:
                asyncio.run(make())
            assert str(raised.value) == str(reason)  # noqa: PT017  # both are looked at
            raise
    asyncio.run(make())


@pytest.mark.parametrize(
    ("kind", "reply", "said"),
    [
        ("predictions", {"model": OTHER}, "others, version 1.0, of 8 labels answered, and the card is that of motions"),
        ("predictions", {"model": NEWER}, "motions, version 2.0, .* that of motions, version 1.0"),
        ("predictions", {"predictions": STRANGE}, "label number 8 came, and the card of motions has 8 labels"),
        ("explanations", {"model": NEWER}, "motions, version 2.0, .* that of motions, version 1.0"),
    ],
)
def test_answers_of_another_model_are_refused(video: Path, kind: str, reply: dict[str, Any], said: str) -> None:
    """An answer or a map of another model or version, or with a label that the card has not, is told in words."""
    server = ByBrightness()
    server.replies[kind] = reply
    with pytest.raises(ReplyError, match=said) as raised:
        both_ways(server, video)
    assert raised.value.code == "reply_invalid"


def test_answers_of_another_model_are_not_taken_from_the_file(video: Path, tmp_path: Path) -> None:
    """After a model was replaced, a run that goes on asks anew what the old one had answered."""
    output, old, new = tmp_path / "spans.jsonl", ByBrightness(fail_after=8), ByBrightness()
    with client_of(old) as client:
        list(client.timelines([video], output=output, on_error="collect"))
    new.card["model"] = NEWER
    new.replies = {"predictions": {"model": NEWER}, "explanations": {"model": NEWER}}
    with client_of(new) as client:
        (item,) = client.timelines([video], output=output, on_error="collect")
    assert item.timeline is not None
    assert item.timeline.model.version == "2.0"
    assert len(new.times["predictions"]) == 24 - 3


@pytest.mark.parametrize("options", [{"stride": 1e-6}, {"stride": 5e-324}, {}])
def test_too_many_windows_are_refused(video: Path, options: dict[str, float]) -> None:
    """A tiny stride, or a card with tiny clips, ends in words before any window is asked about or array is made."""
    server = ByBrightness(clips=(3.0, 5.0) if options else (1e-6, 1e-6))
    with pytest.raises(ValueError, match="at most 1000000 windows and 200000000 scores are kept; give a longer stride"):
        both_ways(server, video, **options)
    assert not server.times["predictions"]


def test_frames_of_past_spans_are_let_go(tmp_path: Path) -> None:
    """When the map of a third span is asked for, no earlier map holds the frames of its window any more."""
    video = bright(tmp_path / "three.mp4", 60, [(8, 16), (28, 36), (48, 56)])
    held: list[int] = []

    def count() -> None:
        maps = [each for each in gc.get_objects() if type(each) is Explanation]  # isinstance asks lazy objects, too
        held.append(sum(isinstance(each.source, Frames) for each in maps))

    class Counting(Client):
        def explain(self, *given: Any, **options: Any) -> Any:
            """Count the maps with frames before each map."""
            count()
            return super().explain(*given, **options)

    class CountingInLoop(AsyncClient):
        async def explain(self, *given: Any, **options: Any) -> Any:
            """Count the maps with frames before each map."""
            count()
            return await super().explain(*given, **options)

    async def make() -> None:
        async with CountingInLoop(max_retries=0, transport=httpx2.MockTransport(ByBrightness())) as client:
            await client.timeline(video, concurrency=1)

    with Counting(max_retries=0, transport=httpx2.MockTransport(ByBrightness())) as client:
        client.timeline(video, concurrency=1)
    asyncio.run(make())
    assert held == [0] * 6


def test_a_method_that_the_model_has_not_is_told_first(video: Path) -> None:
    """An unknown method ends in words with the methods of the card before any window is asked about."""
    server = ByBrightness()
    with pytest.raises(ValueError, match="motions has no method 'rollout': it has staa, staa_class"):
        both_ways(server, video, method="rollout")
    assert not server.times["predictions"]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"explain_when": "bogus"}, "explain_when is 'bogus': the server of motions has always, score_below, label_in"),
        ({"explain_when": ["score_below=0.5", "margin_below=0.2"]}, "explain_when is 'margin_below=0.2'"),
        ({"explain_when": "label_in=spins|dances"}, "motions has no label 'dances': it has moves down, "),
        ({"target": "dances"}, "motions has no label 'dances': it has moves down, "),
        ({"contrast": 8}, "motions has no label 8"),
        ({"verify": 17}, "verify is 17: the server of motions allows at most 16"),
        ({"refine": 33}, "refine is 33: the server of motions allows at most 32"),
        ({"stride": 6}, "stride is 6 s, and windows last 4 s"),
    ],
)
def test_what_the_server_does_not_allow_is_told_first(video: Path, wrong: dict[str, Any], said: str) -> None:
    """Options that the card rules out end in words before any window is asked about."""
    server = ByBrightness()
    server.card["explain_when"] = ["always", "score_below", "label_in"]
    with pytest.raises(ValueError, match=said):
        both_ways(server, video, **wrong)
    assert not server.times["predictions"]


def test_what_the_server_allows_is_asked(video: Path) -> None:
    """Rules, labels by name or number, no contrast, and checks up to the most are no error."""
    server = ByBrightness()
    both_ways(server, video, explain_when="score_below=1;always", target="spins", contrast="none", verify=16)
    assert [headers["x-staa-verify"] for headers in server.headers if "x-staa-verify" in headers] == ["16", "16"]


def test_options_of_a_class_map_aim_it_at_the_label_of_its_span(video: Path) -> None:
    """Where `contrast` implies a class map, its target is the label of the span."""
    server = ByBrightness()
    both_ways(server, video, contrast=1)
    assert [headers["x-staa-target"] for headers in server.headers if "x-staa-contrast" in headers] == ["4", "4"]


def test_many_videos_are_a_list(video: Path) -> None:
    """One video alone, or a misspelled way to treat errors, is refused by both clients as they are called."""
    with client_of(ByBrightness()) as client:
        for each in (client, AsyncClient(transport=httpx2.MockTransport(ByBrightness()))):
            with pytest.raises(TypeError, match="got one str: put it into a list"):
                each.timelines(str(video))
            with pytest.raises(ValueError, match=r'on_error is .colect.: expected "raise" or "collect"'):
                each.timelines([video], on_error="colect")  # type: ignore[arg-type]
        with pytest.raises(TypeError, match=r"got several of them, .* give the list to batch or timelines"):
            client.timeline([str(video)])  # type: ignore[list-item]


def test_an_event_loop_goes_on_during_a_download() -> None:
    """While a timeline waits for the download of its video, the loop does other work, which here lets it come."""

    async def make() -> None:
        came = asyncio.Event()

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            came.set()
            writer.write(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            await writer.drain()
            writer.close()

        async with (
            await asyncio.start_server(answer, "127.0.0.1", 0) as listening,
            AsyncClient(max_retries=0, transport=httpx2.MockTransport(ByBrightness())) as client,
        ):
            port = listening.sockets[0].getsockname()[1]
            with pytest.raises(SourceError, match="the address answers 404"):
                await client.timeline(f"http://127.0.0.1:{port}/clip.mp4")
        assert came.is_set()

    asyncio.run(make())


def test_a_map_that_fails_ends_it_before_all_windows_are_asked(tmp_path: Path) -> None:
    """If the first map fails, the error comes then, and not after the labels of the whole video."""
    video, server = bright(tmp_path / "long.mp4", 120), ByBrightness()
    server.replies["explanations"] = {"model": OTHER}
    with pytest.raises(ReplyError, match="others"):
        both_ways(server, video, concurrency=1)
    assert len(server.times["predictions"]) < 2 * (120 - 3) - 60
