"""Runs the subcommands after their arguments are read; each function returns the exit code."""

import itertools
import json as js
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from staa_client import _late
from staa_client.batch.key import key_of
from staa_client.batch.plan import BatchItem
from staa_client.cli import terminal
from staa_client.cli.connection import told_warnings
from staa_client.cli.named_files import INPUT, OutputFiles, videos_of
from staa_client.client import Client
from staa_client.errors import StoreError, TimedOutError
from staa_client.results.explanation import Answer, Explanation
from staa_client.transport.options import RuledOptions
from staa_client.video.source import Video

if TYPE_CHECKING:
    from staa_client.watch.iterators import Watch


def answer(
    client: Client,
    given: Sequence[str],
    model: str,
    options: RuledOptions,
    *,
    explain: bool,
    json: bool,
    concurrency: int,
    outputs: OutputFiles | None = None,
) -> int:
    """Print the answer to each video, and write its files; return 1 if one of several videos has no answer."""
    videos = videos_of(given, alone=True)
    outputs = outputs or OutputFiles()
    paths_of_videos = outputs.paths_of(videos)
    if len(videos) == 1:
        _answer_one(client, videos[0], model, options, outputs, paths_of_videos[0], explain=explain, json=json)
        return 0
    failed = 0
    with _batch(client, videos, model, options, explain=explain, concurrency=concurrency) as items:
        for item in items:
            is_wrong = _print_item(item, json=json) > 0
            if isinstance(item.result, Explanation):
                for path, reason in outputs.write(item.result, paths_of_videos[item.index]):
                    _complain(f"{item.source}: {path}", reason)
                    is_wrong = True
            failed += is_wrong
    return int(failed > 0)


def _answer_one(
    client: Client,
    name: str,
    model: str,
    options: RuledOptions,
    outputs: OutputFiles,
    paths: Sequence[Path],
    *,
    explain: bool,
    json: bool,
) -> None:
    """Print the answer to one video, and write its files; draw its map on a terminal if no file is asked for.

    Raises:
        OSError, ValueError, ImportError: the error of the first file that cannot be written, after all others were
            written or reported.
        StoreError: the store cannot take the answer, which was printed.
    """
    console = Console()
    video: Video = sys.stdin.buffer if name == INPUT else name
    unkept: StoreError | None = None
    reply: Answer
    try:
        reply = client.explain(video, model, **options) if explain else client.predict(video, model, **options)  # type: ignore[misc]
    except StoreError as error:
        unkept, reply = error, error.answer
    if json:
        _print(js.dumps(reply.to_dict()))
    elif isinstance(reply, Explanation) and console.is_terminal and not paths:
        console.print(_late.load("draw_on_terminal")(reply, console))
    else:
        _print(terminal.describe(reply))
    failures = outputs.write(reply, paths) if isinstance(reply, Explanation) else []
    raised: Exception | None = unkept or next((reason for _, reason in failures), None)
    for path, reason in failures:
        if reason is not raised:
            _complain(str(path), reason)
    if raised is not None:
        raise raised


def collect(
    client: Client,
    given: Sequence[str],
    model: str,
    options: RuledOptions,
    output: Path,
    *,
    explain: bool,
    concurrency: int,
) -> int:
    """Write the answer to each video into one file; return 1 if a video has no answer."""
    # a video that is named twice, as by two patterns, has one answer in the file
    by_identity: dict[str, str] = {}
    for video in videos_of(given):
        by_identity.setdefault(key_of(video)[0].identity, video)
    videos = list(by_identity.values())
    failed = asked = 0
    with _batch(client, videos, model, options, explain=explain, concurrency=concurrency, output=output) as items:
        for item in items:
            asked += not item.resumed
            failed += item.error is not None
            if item.error is not None:
                _complain(item.source, item.error)
    there = len(videos) - asked
    counts = f"{asked - failed} new, {there} there before, {failed} failed"
    sys.stderr.write(terminal.printable_line(f"wrote {output}: {counts}") + "\n")
    return int(failed > 0)


def follow(sights: "Watch", count: int | None, *, json: bool) -> int:
    """Print each window of a watched source, at most `count` of them; return 1 if the last one failed."""
    failed = False
    with told_warnings():
        first = list(itertools.islice(sights, 1))
    if sights.clip_seconds is not None and first:
        shortest, longest = sights.clip_seconds
        clips = f"the model was trained on clips of {shortest:g} to {longest:g} s"
        sys.stderr.write(f"windows of {sights.window:g} s, one every {sights.stride:g} s; {clips}\n")
    for number, sight in enumerate(itertools.chain(first, sights), 1):
        failed = sight.error is not None
        _print(js.dumps(terminal.sight_document(sight)) if json else terminal.describe_sight(sight))
        if number == count:
            break
    return int(failed)


def list_models(client: Client, *, json: bool) -> int:
    """Print the models that are served."""
    models = client.models()
    if json:
        _print(js.dumps([asdict(model) for model in models]))
        return 0
    for model in models:
        workers = f"{model.ready} of {model.workers} workers ready"
        _print(f"{model.name}/{model.version}  {workers}, {model.waiting} requests waiting")
    return 0


def check_ready(client: Client, model: str, wait: float) -> int:
    """Print whether a model answers within `wait` seconds; return 3 if it does not.

    Raises:
        NotFoundError: there is no such model.
    """
    if wait:
        client.wait_until_ready(model, timeout=wait)
    else:
        try:
            client.wait_until_ready(model, timeout=5.0, every=5.0)  # once: no time is left for another question
        except TimedOutError:
            sys.stderr.write(f"staa: {model} is not ready; wait for it with --wait SECONDS, or see the server's log\n")
            return 3
    _print(f"{model} is ready")
    return 0


def _print_item(item: BatchItem, *, json: bool) -> int:
    """Print one answer of several; return 1 if there is none."""
    result: Answer | None = item.error.answer if isinstance(item.error, StoreError) else item.result
    if result is not None and json:
        _print(js.dumps({"source": item.source} | result.to_dict()))
    elif result is not None:
        _print(terminal.describe_on_a_line(item.source, result))
    if item.error is not None:
        _complain(item.source, item.error)
    return int(item.error is not None)


def _complain(what: str, why: Exception | None) -> None:
    """Print on one line the error of one of several videos."""
    sys.stderr.write(terminal.printable_line(f"staa: {what}: " + " ".join(str(why).split())) + "\n")


def _print(text: str) -> None:
    """Print a text from outside without control characters, so that a label cannot control the terminal."""
    sys.stdout.write(terminal.printable(text) + "\n")
    sys.stdout.flush()


@contextmanager
def _batch(
    client: Client, videos: Sequence[str], model: str, options: RuledOptions, **further: Any
) -> Iterator[Iterator[BatchItem]]:
    """Ask for many videos, and collect errors; on a terminal, show a bar with rate and remaining time."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"))
    console = Console(stderr=True)
    silent = not console.is_terminal  # rich would end each bar with an empty line
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True, disable=silent) as progress:
        task = progress.add_task("videos", total=len(videos), rate="")

        def show(done: int, _total: int | None) -> None:
            speed = progress.tasks[0].speed
            progress.update(task, completed=done, rate="" if speed is None else f"{speed:.1f}/s")

        yield client.batch(videos, model, on_error="collect", progress=show, **further, **options)
