"""What the command does, once its arguments are read."""

import glob
import json as js
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from staa_client import _save, _terminal
from staa_client._batch import BatchItem
from staa_client._client import Client
from staa_client._options import Options
from staa_client._source import Video
from staa_client._types import Explanation
from staa_client.watch import Watch


@dataclass(frozen=True, slots=True)
class Pictures:
    """Files that are made of an explanation."""

    names: tuple[str, ...] = ()
    """With {name} for the video's name."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Of `Explanation.save`."""

    def check(self, many: bool) -> None:
        """ValueError where a name cannot be written to, before anything is asked."""
        for name in self.names:
            _save.check(Path(name.replace("{name}", "name")))
            if many and "{name}" not in name:
                msg = (
                    f"{name} would be written by each of the videos: put {{name}} in, as in {{name}}{Path(name).suffix}"
                )
                raise ValueError(msg)

    def make(self, explanation: Explanation) -> None:
        """Write them."""
        for name in self.names:
            path = Path(name.replace("{name}", Path(explanation.name).stem))
            explanation.save(path, **self.options)
            sys.stderr.write(f"wrote {path}\n")


def videos_of(given: Sequence[str]) -> list[str]:
    """The arguments with their patterns filled in; one that is the name of a file is no pattern."""
    found: list[str] = []
    for one in given:
        is_pattern = any(sign in one for sign in "*?[") and not one.startswith(("http://", "https://"))
        if not is_pattern or Path(one).exists():
            found.append(one)
            continue
        matches = sorted(glob.glob(one, recursive=True))  # noqa: PTH207  # patterns may be absolute
        if not matches:
            msg = f"no file matches {one}"
            raise ValueError(msg)
        found += matches
    return found


def answer(
    client: Client,
    given: Sequence[str],
    model: str,
    options: Options,
    *,
    explain: bool,
    json: bool,
    concurrency: int,
    pictures: Pictures | None = None,
) -> int:
    """Print the answer to each video; 1 where one of many has none."""
    videos = videos_of(given)
    made = pictures or Pictures()
    made.check(many=len(videos) > 1)
    console = Console()
    if len(videos) == 1:
        video: Video = sys.stdin.buffer if videos[0] == "-" else videos[0]
        found = client.explain(video, model, **options) if explain else client.predict(video, model, **options)  # type: ignore[misc]
        if json:
            _say(js.dumps(found.to_dict()))
        elif isinstance(found, Explanation) and console.is_terminal and not made.names:
            console.print(_terminal.picture(found, console))
        else:
            _say(_terminal.words(found))
        if isinstance(found, Explanation):
            made.make(found)
        return 0
    failed = 0
    with _progress(len(videos)) as tell:
        items = client.batch(
            videos,
            model,
            explain=explain,
            concurrency=concurrency,
            on_error="collect",
            progress=lambda done, _: tell(done),
            **options,
        )
        for item in items:
            failed += _told(item, json=json)
            if isinstance(item.result, Explanation):
                made.make(item.result)
    return int(failed > 0)


def collect(
    client: Client,
    given: Sequence[str],
    model: str,
    options: Options,
    output: Path,
    *,
    explain: bool,
    concurrency: int,
) -> int:
    """Write the answer to each video into one file; 1 where one has none."""
    videos = videos_of(given)
    failed = asked = 0
    with _progress(len(videos)) as tell:
        items = client.batch(
            videos,
            model,
            explain=explain,
            concurrency=concurrency,
            on_error="collect",
            output=output,
            progress=lambda done, _: tell(done),
            **options,
        )
        for item in items:
            asked += not item.resumed
            failed += item.error is not None
            if item.error is not None:
                _complain(item)
    there = len(videos) - asked
    sys.stderr.write(f"wrote {output}: {asked - failed} new, {there} there before, {failed} failed\n")
    return int(failed > 0)


def follow(seen: Watch, count: int | None, *, json: bool) -> int:
    """Print each window of what is watched; 1 where the last one failed."""
    failed = False
    for number, sight in enumerate(seen, 1):
        failed = sight.error is not None
        _say(js.dumps(_terminal.facts(sight)) if json else _terminal.sight(sight))
        if number == count:
            break
    return int(failed)


def served(client: Client, *, json: bool) -> int:
    """Print what is served."""
    found = client.models()
    if json:
        _say(js.dumps([asdict(one) for one in found]))
        return 0
    for one in found:
        _say(f"{one.name}/{one.version}  {one.ready} of {one.workers} workers ready, {one.waiting} requests waiting")
    return 0


def is_ready(client: Client, model: str, wait: float) -> int:
    """Say whether a model answers."""
    if wait:
        client.wait_until_ready(model, timeout=wait)
    elif not client.ready(model):
        sys.stderr.write(f"staa: {model} is not ready; wait for it with --wait SECONDS, or see the server's log\n")
        return 3
    _say(f"{model} is ready")
    return 0


def _told(item: BatchItem, *, json: bool) -> int:
    """Print one answer of many; 1 where there is none."""
    if item.result is None:
        _complain(item)
        return 1
    _say(
        js.dumps({"source": item.source} | item.result.to_dict()) if json else _terminal.line(item.source, item.result)
    )
    return 0


def _complain(item: BatchItem) -> None:
    sys.stderr.write(_terminal.harmless(f"staa: {item.source}: " + " ".join(str(item.error).split())) + "\n")


def _say(text: str) -> None:
    """Print what came from outside: a label must not steer the terminal."""
    sys.stdout.write(_terminal.harmless(text) + "\n")
    sys.stdout.flush()


@contextmanager
def _progress(total: int) -> Iterator[Any]:
    """A bar with rate and remaining time, on a terminal only."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"))
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("videos", total=total, rate="")

        def tell(done: int) -> None:
            speed = progress.tasks[0].speed
            progress.update(task, completed=done, rate="" if speed is None else f"{speed:.1f}/s")

        yield tell
