"""What the command does, once its arguments are read."""

import glob
import json as js
import math
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from staa_client import _colours, _save, _terminal
from staa_client._batch import BatchItem
from staa_client._client import Client
from staa_client._errors import TimedOutError
from staa_client._key import keyed
from staa_client._options import Options
from staa_client._source import Link, Video, is_url
from staa_client._types import Explanation
from staa_client.watch import Watch

INPUT = "-"
"""The argument that stands for the standard input."""


@dataclass(frozen=True, slots=True)
class Pictures:
    """Files that are made of an explanation."""

    names: tuple[str, ...] = ()
    """With {name} for the video's name."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Of `Explanation.save`."""

    def targets(self, videos: Sequence[str]) -> list[list[Path]]:
        """The files of each video, all of them different.

        Raises:
            ValueError: one cannot be written to, or would be written twice, or is itself a video that is asked for; or
                it has a field in braces that there is not, or there is no such colormap.
        """
        _colours.checked(self.options.get("colormap", _colours.HEAT))
        for name in self.names:
            if unknown := [field for field in re.findall(r"\{\w*\}", name) if field != "{name}"]:
                msg = f"{name} has {unknown[0]}, which stands for nothing: write {{name}}, for the name of the video"
                raise ValueError(msg)
        found = [[Path(name.replace("{name}", _stem(video))) for name in self.names] for video in videos]
        owners = {_same(video): video for video in videos if not is_url(video)}
        taken: dict[str, int] = {}
        for number, (video, paths) in enumerate(zip(videos, found, strict=True)):
            for name, path in zip(self.names, paths, strict=True):
                _save.check(path)
                if (owner := owners.get(_same(path))) is not None:
                    msg = f"{path} is the video {owner} itself: name another file"
                    raise ValueError(msg)
                if (other := taken.get(_same(path))) is not None:
                    raise ValueError(_twice(name, path, videos[other], None if other == number else video))
                taken[_same(path)] = number
        return found

    def make(self, explanation: Explanation, targets: Sequence[Path]) -> None:
        """Write them."""
        for path in targets:
            explanation.save(path, **self.options)
            sys.stderr.write(_terminal.harmless(f"wrote {path}") + "\n")


def _twice(name: str, path: Path, one: str, other: str | None) -> str:
    """What to say of a file that would be written twice, of one video or of two."""
    if other is None:
        return f"{path} is named twice: name each file once"
    if "{name}" not in name:
        return f"{path} would be written by each of the videos: put {{name}} in, as in {{name}}{path.suffix}"
    return f"{path} would be written by both {one} and {other}: ask for them one by one, with names of their own"


def _stem(video: str) -> str:
    """What {name} stands for."""
    if video == INPUT:
        return "video"
    return Path(Link(video).name if is_url(video) else Path(video).absolute().name).stem


def _same(path: str | Path) -> str:
    """What two names of one file have in common."""
    return os.path.normcase(Path(path).resolve())


def videos_of(given: Sequence[str], *, alone: bool = False) -> list[str]:
    """The arguments with their patterns filled in; one that is the name of a file is no pattern.

    Raises:
        ValueError: no file matches a pattern; or the input is among them, other than `alone` where that is allowed.
    """
    if INPUT in given and not (alone and len(given) == 1):
        msg = (
            'the input, "-", is one video for predict or explain alone: leave it out here, or write ./- for a file "-"'
        )
        raise ValueError(msg)
    found: list[str] = []
    for one in given:
        is_pattern = any(sign in one for sign in "*?[") and not is_url(one)
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
    videos = videos_of(given, alone=True)
    made = pictures or Pictures()
    targets = made.targets(videos)
    console = Console()
    if len(videos) == 1:
        video: Video = sys.stdin.buffer if videos[0] == INPUT else videos[0]
        found = client.explain(video, model, **options) if explain else client.predict(video, model, **options)  # type: ignore[misc]
        if json:
            _say(js.dumps(found.to_dict()))
        elif isinstance(found, Explanation) and console.is_terminal and not made.names:
            console.print(_terminal.picture(found, console))
        else:
            _say(_terminal.words(found))
        if isinstance(found, Explanation):
            made.make(found, targets[0])
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
                made.make(item.result, targets[item.index])
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
    # one that is named twice, as by two patterns, has one answer in the file
    different: dict[str, str] = {}
    for video in videos_of(given):
        different.setdefault(keyed(video)[0].place, video)
    videos = list(different.values())
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
    """Say whether a model answers; NotFoundError where there is no such model."""
    if wait:
        client.wait_until_ready(model, timeout=wait)
    else:
        try:
            client.wait_until_ready(model, timeout=5.0, every=math.inf)  # once
        except TimedOutError:
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
    console = Console(stderr=True)
    silent = not console.is_terminal  # rich would end each bar with an empty line
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True, disable=silent) as progress:
        task = progress.add_task("videos", total=total, rate="")

        def tell(done: int) -> None:
            speed = progress.tasks[0].speed
            progress.update(task, completed=done, rate="" if speed is None else f"{speed:.1f}/s")

        yield tell
