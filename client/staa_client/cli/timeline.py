"""The subcommand `staa timeline`: its options, and what it does."""

import json as js
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from staa_client.cli import arguments as arg
from staa_client.cli.connection import connect, told_warnings
from staa_client.cli.named_files import OutputFiles, videos_of
from staa_client.cli.output.complaints import Complaints, complain
from staa_client.cli.output.terminal import printable, printable_line
from staa_client.cli.output.timeline_chart import describe_timeline
from staa_client.client import Client
from staa_client.results.result import model_data
from staa_client.timeline.book import ENDINGS as BOOKS
from staa_client.timeline.files import ending_of
from staa_client.timeline.result import MOST_TRACKS, Timeline
from staa_client.transport.options import TimelineOptions
from staa_client.transport.server import DEFAULT_URL

_SECONDS = "SECONDS"


def timeline(
    context: typer.Context,
    videos: arg.Files,
    *,
    window: Annotated[
        float | None, typer.Option(metavar=_SECONDS, help="Length of each window (that of the model's clips).")
    ] = None,
    stride: Annotated[
        float | None, typer.Option(metavar=_SECONDS, help="From one window's start to the next (window / 4).")
    ] = None,
    smooth: Annotated[int, typer.Option(metavar="N", min=1, help="Windows that are averaged, an odd number.")] = 3,
    high: Annotated[float, typer.Option(min=0, max=1, help="Smoothed score that a span must reach.")] = 0.6,
    low: Annotated[
        float | None, typer.Option(min=0, max=1, help="Smoothed score below which a span ends (0.4, at most --high).")
    ] = None,
    shortest: Annotated[
        float | None, typer.Option(metavar=_SECONDS, help="Least length of a span (two windows).")
    ] = None,
    track: Annotated[
        list[str] | None, typer.Option(metavar="LABEL", help="Look for this label only, and show it; may be repeated.")
    ] = None,
    tracks: Annotated[int, typer.Option(metavar="N", min=1, help="How many labels are shown.")] = MOST_TRACKS,
    labels: Annotated[bool, typer.Option("--labels", help="Labels only, no maps: spans are coarser.")] = False,
    output: Annotated[
        list[str] | None,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE",
            help="A .jsonl or .parquet for all videos, from which a run goes on; or a .html, .mp4, .vtt, .eaf, "
            ".fiftyone.json or .json of each; {name} stands for the video's name.",
        ),
    ] = None,
    model: arg.Model = None,
    server: arg.Server = DEFAULT_URL,
    token: arg.Token = None,
    token_file: arg.TokenFile = None,
    cacert: arg.Authority = None,
    timeout: arg.Timeout = None,
    method: arg.Method = None,
    verify: arg.Verify = None,
    explain_when: arg.ExplainWhen = None,
    recursive: arg.Recursive = False,
    concurrency: arg.Concurrency = 4,
    store: arg.Store = None,
    json: arg.Json = False,
    verbose: arg.Verbose = False,  # noqa: ARG001  # main looks for it, as an error has no context
) -> int:
    """Find what happens when in a long video: spans of labels, with a map of each."""
    found = videos_of(videos, recursive=recursive)
    books = [name for name in output or () if name.endswith(BOOKS)]
    if len(books) > 1:
        raise ValueError(f"{books[0]} and {books[1]} would both take all spans: name one of them")
    names = tuple(name for name in output or () if name not in books)
    files = OutputFiles(names, check=ending_of).paths_of(found)
    options: TimelineOptions = {"window": window, "stride": stride, "smooth": smooth, "high": high, "low": low}
    options |= {"shortest": shortest, "concurrency": concurrency, "explain": not labels}
    if track:
        options["track"] = track
    if (named := arg.one_method(method)) is not None:
        options["method"] = named
    if verify is not None:
        options["verify"] = verify
    if explain_when:
        options["explain_when"] = explain_when
    with connect(context, server, token, token_file, cacert, timeout, store=store) as client:
        return show(client, found, model, options, books[0] if books else None, files, tracks, json=json)


def show(
    client: Client,
    videos: Sequence[str],
    model: str | None,
    options: TimelineOptions,
    book: str | None,
    files: Sequence[Sequence[Path]],
    tracks: int,
    *,
    json: bool,
) -> int:
    """Print the timeline of each video, and write its files; return 1 if one of several has none, or not all files.

    It is 3 if no video could be asked about. Of one video alone the error is raised.
    """
    is_wrong, said, is_alone, complaints = False, False, len(videos) == 1, Complaints()
    on_error: Any = "raise" if is_alone else "collect"
    with told_warnings(), _bar(videos) as (progress, begin):
        for item in client.timelines(videos, model, output=book, on_error=on_error, progress=progress, **options):
            begin(item.index + 1)
            complaints.add(item.source, item.error, resumed=item.resumed)
            if item.timeline is None:
                is_wrong = True
                continue
            if not said:
                sys.stderr.write(_windows_in_words(item.timeline) + "\n")
                said = True
            _print(item.source, item.timeline, tracks, json=json, is_alone=is_alone)
            failures = _write(item.timeline, files[item.index], tracks)
            for path, reason in failures[is_alone:]:  # that of one video alone is raised
                complain(f"{item.source}: {path}", reason)
            if failures and is_alone:
                raise failures[0][1]
            is_wrong = is_wrong or bool(failures)
    if book is not None and Path(book).exists():
        sys.stderr.write(printable_line(f"wrote {book}") + "\n")
    return complaints.finish(int(is_wrong))


def _write(made: Timeline, paths: Sequence[Path], tracks: int) -> list[tuple[Path, Exception]]:
    """Write the files of a video and print their names; return those that cannot be written, with the errors."""
    failures: list[tuple[Path, Exception]] = []
    for path in paths:
        try:
            made.save(path, tracks=tracks)
        except (OSError, ValueError, ImportError) as reason:
            failures.append((path, reason))
        else:
            sys.stderr.write(printable_line(f"wrote {path}") + "\n")
    return failures


def _windows_in_words(made: Timeline) -> str:
    """Return how long the windows are, and what the model was trained on."""
    said = f"windows of {made.window:g} s, one every {made.stride:g} s"
    if made.clip_seconds is None:
        return said
    shortest, longest = made.clip_seconds
    return printable_line(f"{said}; {made.model.name} was trained on clips of {shortest:g} to {longest:g} s")


def _print(source: str, made: Timeline, tracks: int, *, json: bool, is_alone: bool) -> None:
    """Print the spans of a video as JSON lines, or its chart."""
    if json:
        shared = {"source": source, "model": model_data(made.model)}
        lines = [js.dumps(shared | span.to_dict()) for span in made.spans]
    else:
        head = [] if is_alone else [printable_line(source)]
        lines = head + describe_timeline(made, min(Console().width, 120), tracks)
    sys.stdout.write(printable("\n".join(lines)) + "\n")
    sys.stdout.flush()


@contextmanager
def _bar(videos: Sequence[str]) -> Iterator[tuple[Any, Any]]:
    """Show on a terminal how much of the present video is done, and the remaining time.

    Give a function that takes the seconds done and all of them, and one that takes the number of the next video.
    """
    console = Console(stderr=True)
    silent = not console.is_terminal  # rich would end each bar with an empty line
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TextColumn("{task.percentage:.0f} %"))
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True, disable=silent) as bar:
        task: TaskID = bar.add_task("", total=None)

        def begin(number: int) -> None:
            if number < len(videos):
                name = printable_line(Path(videos[number]).name)
                bar.reset(task, total=None, description=f"{name} ({number + 1} of {len(videos)})")

        def progress(done: float, seconds: float) -> None:
            bar.update(task, completed=done, total=seconds)

        begin(0)
        yield progress, begin
