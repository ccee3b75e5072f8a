"""A user's program that says every public name with its type: `mypy --strict` reads it with the rest of the tests."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import staa
from staa_client import (
    Areas,
    AsyncClient,
    AsyncWatch,
    AuthError,
    BatchItem,
    Card,
    ClassName,
    Client,
    ClipInfo,
    DecodeError,
    Explanation,
    Faithfulness,
    Frames,
    InsecureWarning,
    MethodCard,
    Model,
    Moment,
    NotExplained,
    NotFoundError,
    NotVideoError,
    Options,
    Prediction,
    Refinement,
    Replay,
    ReplayCheck,
    ReplyError,
    RequestError,
    Result,
    RuledOptions,
    Served,
    ServerError,
    Sight,
    SourceError,
    Span,
    StaaError,
    StatusError,
    StoreError,
    StreamError,
    TimedOutError,
    Timeline,
    TimelineItem,
    Timeout,
    TooLargeError,
    UnavailableError,
    UnreachableError,
    Watch,
    __version__,
    load,
    of_result,
    save,
)
from staa_client.cli import entry, main
from staa_client.video import Frame, frames_at, sampled
from staa_client.watch import Latency, LiveSource, OnError, watch, watch_async

OF_STATUS: list[type[StatusError]] = [AuthError, DecodeError, NotFoundError, NotVideoError, RequestError]
OF_STATUS += [ServerError, TooLargeError, UnavailableError]
WARNING: type[UserWarning] = InsecureWarning
OTHERS: list[type[StaaError]] = [ReplyError, SourceError, StreamError, TimedOutError, UnreachableError]


def ask(path: Path) -> Iterator[str]:
    """Yield words about one video, by every way to ask for it."""
    wanted: Options = {"top_k": 3, "method": "staa_class", "target": "moves up", "contrast": 3, "sample": "auto"}
    wanted["refine"] = 16
    with Client("http://127.0.0.1:8080", token=lambda: "secret", timeout=Timeout(total=30), verify=True) as client:
        result: Result = client.predict(path, top_k=3, start=0.5, end=2.0, timeout=None)
        explanation: Explanation = client.explain(path, **wanted)
        items: Iterator[BatchItem] = client.batch([path, b"bytes"], on_error="collect", output="out.jsonl", **wanted)
        served: tuple[Served, ...] = client.models()
        client.wait_until_ready("motions", timeout=10.0)
        yield from about(client.card(), result, explanation)
        yield from (item.explanation.save("x.png").name for item in items if item.error is None)
        yield from (f"{one.name} {one.ready}" for one in served if client.ready(one.name))


def ask_by_rules(path: Path) -> Iterator[str]:
    """Yield words about a video that may be left out, keep what came, and ask for it again."""
    wanted: RuledOptions = {"top_k": 3, "explain_when": ["score_below=0.6", "label_in=moves up|3"]}
    with Client(store=path.with_name("evidence.jsonl")) as client:
        answer: Explanation | Result = client.explain(path, **wanted)
        why_not: NotExplained | None = answer.not_explained if isinstance(answer, Result) else None
        replay: Replay = client.replay("evidence.jsonl:1", path, tolerance=0.001)
        checks: tuple[ReplayCheck, ...] = replay.checks
        items: Iterator[BatchItem] = client.batch([path], **wanted)
        try:
            yield from (item.source for item in items)
        except StoreError as error:
            yield f"{error.answer} {why_not} {replay.same} {[check.name for check in checks]}"


def about(card: Card, result: Result, explanation: Explanation) -> Iterator[str]:
    """Yield words about what came back."""
    method: MethodCard = card.methods["staa"]
    model: Model = result.model
    best: Prediction = result.predictions[0]
    clip: ClipInfo = result.clip
    target: ClassName | None = explanation.target
    moments: tuple[Moment, ...] = explanation.top(2)
    check: Faithfulness | None = explanation.faithfulness
    choice: Refinement | None = explanation.refinement
    areas: Areas | None = check.deletion if check else None
    heat: NDArray[np.float32] = explanation.heatmap(second=1.5)
    yield f"{__version__} {method.version} {model.family} {best.label} {clip.fps}"
    yield f"{target} {moments} {choice} {areas} {heat.shape}"
    yield str(save("both.html", [explanation, load("one.json")], alpha=0.5, focus=True))


def in_process(result: staa.Result, clip: staa.Clip, explainer: staa.Explainer) -> Path:
    """Return the report of a result that no server gave."""
    return of_result(result, clip, labels=explainer.labels, name="clip.mp4").save("clip.html")


def pictures(path: Path) -> Iterator[Frame]:
    """Yield pictures of a video by number, and of frames that were picked here."""
    picked: Frames = sampled(path, 16, lambda height, width: (height // 2, width // 2), interpolation="bicubic")
    yield from frames_at(path, [0, 3])
    yield from frames_at(Frames.of(picked.images, fps=10), [1])


def long(path: Path) -> Iterator[str]:
    """Yield words about the spans of long videos."""
    with Client() as client:
        made: Timeline = client.timeline(path, stride=1.0, track=["spins"], progress=lambda _done, _of: None)
        span: Span
        for span in made.known:
            yield f"{span.label} {span.start} {span.end} {span.score} {span.peak} {span.explanation}"
        items: Iterator[TimelineItem] = client.timelines([path], output="spans.parquet", on_error="collect")
        yield from (f"{item.source} {item.timeline} {item.error} {item.resumed}" for item in items)
        yield f"{made.save('long.html', tracks=3)} {made.tracks(3)} {made.curves.shape} {made.parts.shape}"


def see(source: LiveSource, latency: Latency = "keep", on_error: OnError = "raise") -> Iterator[str]:
    """Yield words about windows of a live source."""
    with Client() as client, client.watch(source, latency=latency, on_error=on_error, method="staa") as seen:
        watched: Watch = seen
        sight: Sight
        for sight in watched:
            yield f"{sight.start} {sight.predictions} {sight.dropped}"
        yield from (str(sight.changed) for sight in watch(client, source, frames=16, explain=False))


async def see_in_a_loop(source: LiveSource) -> AsyncIterator[str]:
    """Yield the same in an event loop."""
    async with AsyncClient(token=Path("key_file.json")) as client:
        try:
            watched: AsyncWatch = client.watch(source, window=1.0)
            async for sight in watched:
                yield str(sight.explanation)
            async for sight in watch_async(client, source, frames=16):
                yield str(sight.error)
            async for item in client.batch(["a.mp4"], explain=False):
                yield item.source
            async for one in client.timelines(["a.mp4"], explain=False):
                yield one.source
            yield (await client.timeline("a.mp4")).name
        except StaaError as error:
            yield f"{error.status} {error.code} {error.message} {error.request_id}"


def command(arguments: list[str]) -> int:
    """Run the command with these arguments, or, without any, as it is installed."""
    return main(arguments) if arguments else int(bool(entry()))  # type: ignore[func-returns-value]  # it exits
