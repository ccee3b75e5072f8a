"""Runs the subcommands after their arguments are read; each function returns the exit code."""

import itertools
import json as js
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from staa_client import _late
from staa_client.batch.key import key_of
from staa_client.batch.plan import BatchItem, answer_of
from staa_client.cli.connection import told_warnings
from staa_client.cli.named_files import INPUT, OutputFiles
from staa_client.cli.output import terminal
from staa_client.cli.output.complaints import Complaints, complain
from staa_client.cli.output.report_folder import ReportFolder
from staa_client.client import Client
from staa_client.errors import StoreError, TimedOutError
from staa_client.results.explanation import Answer, Explanation
from staa_client.transport.ask import DEFAULT_MODEL
from staa_client.transport.options import CLASS_OPTIONS, RuledOptions
from staa_client.video.source import Video

if TYPE_CHECKING:
    from staa_client.watch.iterators import Watch


def answer(
    client: Client,
    videos: Sequence[str],
    model: str | None,
    options: RuledOptions,
    *,
    explain: bool,
    json: bool,
    concurrency: int,
    outputs: OutputFiles | None = None,
    methods: Sequence[str] = (),
    targets: Sequence[str] = (),
) -> int:
    """Print the answer to each video, by each method for each target, and write its files; return 1 if one has none.

    It is 3 if no video could be asked about. Of one video alone the error is raised.
    """
    outputs = outputs or OutputFiles()
    paths_of_videos = outputs.paths_of(videos, max(len(methods), 1) * max(len(targets), 1))
    asked = _options_by_call(client, model, options, methods, targets)
    if len(videos) == 1:
        _answer_one(client, videos[0], model, asked, outputs, paths_of_videos[0], explain=explain, json=json)
        return 0
    failed, complaints = 0, Complaints()
    abouts: dict[str, None] = {}
    with _batches(client, videos, model, asked, explain=explain, concurrency=concurrency) as rows:
        for items in rows:
            answers = [answer for item in items if (answer := answer_of(item)) is not None]
            abouts |= {answer.model.about: None for answer in answers}
            for item in items:
                _print_item(item, complaints, json=json, with_method=len(asked) > 1)
            is_wrong = any(item.error is not None for item in items)
            if answers:
                for path, reason in outputs.write(answers, paths_of_videos[items[0].index]):
                    complain(f"{items[0].source}: {path}", reason)
                    is_wrong = True
            failed += is_wrong
    for about in () if json else filter(None, abouts):
        sys.stderr.write(terminal.printable_line(about) + "\n")
    return complaints.finish(failed)


def _options_by_call(
    client: Client, model: str | None, options: RuledOptions, methods: Sequence[str], targets: Sequence[str]
) -> Sequence[RuledOptions]:
    """Return the options of each call: one for each target of each method, or one alone.

    Of several methods, those that are not about a class are not told one, if others are.
    """
    by_target: list[RuledOptions] = [{**options, "target": target} for target in targets] or [options]
    if not methods:
        return by_target
    classless: RuledOptions = {name: value for name, value in options.items() if name not in CLASS_OPTIONS}  # type: ignore[assignment]
    about_class = list(methods)
    if len(methods) > 1 and (targets or options != classless):
        known = client.card(model).methods
        # if none is about a class, the server says what is wrong
        about_class = [method for method in methods if method not in known or known[method].classes] or about_class
    return [
        {**each, "method": method}
        for method in methods
        for each in (by_target if method in about_class else [classless])
    ]


def _call_words(options: Mapping[str, Any], asked: Sequence[Mapping[str, Any]]) -> str:
    """Return by what a call differs from the others: its method, its target, or both."""
    names = [name for name in ("method", "target") if len({each[name] for each in asked if name in each}) > 1]
    return ", ".join(f"{name} {options[name]}" for name in names if name in options)


def _answer_one(
    client: Client,
    name: str,
    model: str | None,
    asked: Sequence[RuledOptions],
    outputs: OutputFiles,
    paths: Sequence[Path],
    *,
    explain: bool,
    json: bool,
) -> None:
    """Print the answers to one video, and write its files; draw its maps on a terminal if no file is asked for.

    Raises:
        OSError, ValueError, ImportError: the error of the first file that cannot be written, after all others were
            written or reported.
        StoreError: the store cannot take an answer; all answers were printed.
    """
    console = Console()
    video: Video = sys.stdin.buffer if name == INPUT else name
    if name == INPUT and len(asked) > 1:
        video = sys.stdin.buffer.read()  # each call asks about it
    answers: list[Answer] = []
    raised: Exception | None = None
    for number, options in enumerate(asked):
        reply, unkept = _ask(client, video, model, options, explain=explain)
        raised = raised or unkept
        answers.append(reply)
        if json:
            _print(js.dumps(reply.to_dict()))
            continue
        if len(asked) > 1:
            _print(("\n" if number else "") + _call_words(options, asked))
        if isinstance(reply, Explanation) and console.is_terminal and not paths:
            console.print(_late.load("draw_on_terminal")(reply, console))
        else:
            _print(terminal.describe(reply))
    failures = outputs.write(answers, paths)
    raised = raised or next((reason for _, reason in failures), None)
    for path, reason in failures:
        if reason is not raised:
            complain(str(path), reason)
    if raised is not None:
        raise raised


def _ask(
    client: Client, video: Video, model: str | None, options: RuledOptions, *, explain: bool
) -> tuple[Answer, StoreError | None]:
    """Return the answer to a video, and the error if the store cannot take it."""
    given: dict[str, Any] = {**options}
    try:
        return client.explain(video, model, **given) if explain else client.predict(video, model, **given), None
    except StoreError as error:
        return error.answer, error


def collect(
    client: Client,
    videos: Sequence[str],
    model: str | None,
    options: RuledOptions,
    output: Path,
    *,
    explain: bool,
    concurrency: int,
    gallery: ReportFolder | None = None,
) -> int:
    """Write the answer to each video into one file, and a report of it into a folder; return 1 if one has no answer.

    It is 3 if no video could be asked about.
    """
    # a video that is named twice, as by two patterns, has one answer in the file
    by_identity: dict[str, str] = {}
    for video in videos:
        by_identity.setdefault(key_of(video)[0].identity, video)
    videos = list(by_identity.values())
    failed, asked, complaints = 0, 0, Complaints()
    request = js.dumps({"model": model, "explain": explain, **options}, sort_keys=True)
    shared: dict[str, Any] = {"explain": explain, "output": output}
    with _batches(client, videos, model, [options], concurrency=concurrency, **shared) as rows:
        for (item,) in rows:
            asked += not item.resumed
            is_wrong = item.error is not None
            complaints.add(item.source, item.error, resumed=item.resumed)
            for name, reason in gallery.add(item, videos[item.index], request) if gallery else ():
                complain(name, reason)
                is_wrong = True
            failed += is_wrong
    there = len(videos) - asked
    counts = f"{max(asked - failed, 0)} new, {there} there before, {failed} failed"
    sys.stderr.write(terminal.printable_line(f"wrote {output}: {counts}") + "\n")
    if gallery is not None:
        sys.stderr.write(terminal.printable_line(f"wrote {gallery.finish()}") + "\n")
    return complaints.finish(failed)


def follow(sights: "Watch", count: int | None, *, json: bool) -> int:
    """Print each window of a watched source, at most `count` of them; return 1 if the last one failed."""
    failed = False
    with told_warnings() as told:
        first = list(itertools.islice(sights, 1))
    said = {"", *map(terminal.note_line, told)}
    if first:
        sys.stderr.write(f"windows of {sights.window:g} s, one every {sights.stride:g} s{_clips_in_words(sights)}\n")
    for number, sight in enumerate(itertools.chain(first, sights), 1):
        failed = sight.error is not None
        if not json and sight.answer is not None:
            for text in (sight.answer.model.about, *terminal.note_lines(sight.answer)):
                if text not in said:  # once, and not of every window
                    sys.stderr.write(terminal.printable_line(text) + "\n")
                    said.add(text)
        _print(js.dumps(terminal.sight_document(sight)) if json else terminal.describe_sight(sight))
        if number == count:
            break
    return int(failed)


def _clips_in_words(sights: "Watch") -> str:
    """Return on which clips the model was trained, or nothing if its card does not say it."""
    if sights.clip_seconds is None:
        return ""
    shortest, longest = sights.clip_seconds
    return f"; the model was trained on clips of {shortest:g} to {longest:g} s"


def list_models(client: Client, *, json: bool) -> int:
    """Print the models that are served."""
    models = client.models()
    if json:
        _print(js.dumps([asdict(model) for model in models]))
        return 0
    for model in models:
        workers = f"{model.ready} of {model.workers} workers ready"
        name = f"{model.name}/{model.version}" if model.version else model.name
        _print(f"{name}  {workers}, {model.waiting} requests waiting")
    return 0


def show_card(client: Client, model: str | None, *, json: bool) -> int:
    """Print the card of a model."""
    card = client.card(model)
    _print(js.dumps(card.to_dict()) if json else terminal.describe_card(card))
    return 0


def check_ready(client: Client, model: str | None, wait: float) -> int:
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
            name = model or DEFAULT_MODEL
            sys.stderr.write(f"staa: {name} is not ready; wait for it with --wait SECONDS, or see the server's log\n")
            return 3
    _print(f"{model or client.card().model.name} is ready")
    return 0


def _print_item(item: BatchItem, complaints: Complaints, *, json: bool, with_method: bool) -> None:
    """Print one answer of several, or tell why there is none."""
    result = answer_of(item)
    if result is not None and json:
        _print(js.dumps({"source": item.source} | result.to_dict()))
    elif result is not None:
        _print(terminal.describe_on_a_line(item.source, result, with_method=with_method))
    complaints.add(item.source, item.error)


def _print(text: str) -> None:
    """Print a text from outside without control characters, so that a label cannot control the terminal."""
    sys.stdout.write(terminal.printable(text) + "\n")
    sys.stdout.flush()


@contextmanager
def _batches(
    client: Client,
    videos: Sequence[str],
    model: str | None,
    asked: Sequence[RuledOptions],
    *,
    concurrency: int,
    **further: Any,
) -> Iterator[Iterator[tuple[BatchItem, ...]]]:
    """Ask for many videos with each of these options, and give the items of each video; errors are collected.

    On a terminal, show a bar with rate and remaining time.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"))
    console = Console(stderr=True)
    silent = not console.is_terminal  # rich would end each bar with an empty line
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True, disable=silent) as progress:
        task = progress.add_task("videos", total=len(videos) * len(asked), rate="")

        def show(_done: int, _total: int | None) -> None:
            speed = progress.tasks[0].speed
            progress.update(task, advance=1, rate="" if speed is None else f"{speed:.1f}/s")

        at_a_time = concurrency if len(asked) == 1 else max(concurrency // len(asked), 1)
        shared: dict[str, Any] = {"concurrency": at_a_time, "on_error": "collect", "progress": show, **further}
        yield zip(*(client.batch(videos, model, **shared, **options) for options in asked), strict=True)
