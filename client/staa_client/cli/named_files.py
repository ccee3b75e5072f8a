"""Finds the files of a command: its videos, also by patterns, and the output files of each video."""

import glob
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from staa_client import files
from staa_client.cli.output import terminal
from staa_client.pictures import colours
from staa_client.results.explanation import Answer, Explanation
from staa_client.video.source import ENDINGS, Link, is_data_url, is_url

INPUT = "-"
"""The argument that stands for the standard input."""


def videos_of(given: Sequence[str], *, alone: bool = False, recursive: bool = False) -> list[str]:
    """Return the arguments, with each pattern and folder replaced by its files, sorted.

    The name of an existing file is no pattern. Of a folder, also of one that matches a pattern, the videos are taken by
    their endings; `recursive` takes those of the folders below it, too.

    Raises:
        ValueError: no file matches a pattern, or a folder has no video; or the standard input is named, and is not the
            only argument or not allowed (`alone`).
    """
    if INPUT in given and not (alone and len(given) == 1):
        raise ValueError(
            'the input, "-", is one video for predict or explain alone: leave it out here, or write ./- for a file "-"'
        )
    videos: list[str] = []
    for argument in given:
        is_pattern = any(sign in argument for sign in "*?[") and not _is_address(argument)
        if not _is_address(argument) and Path(argument).is_dir():
            videos += _videos_in(argument, recursive)
            continue
        if not is_pattern or Path(argument).exists():
            videos.append(argument)
            continue
        videos += _matches(argument, recursive)
    return videos


def _matches(pattern: str, recursive: bool) -> list[str]:
    """Return the files that match a pattern, sorted, each once; such a folder stands for its videos, if it has any.

    Raises:
        ValueError: there is none.
    """
    found: dict[str, None] = {}
    for match in sorted(glob.glob(pattern, recursive=True)):  # noqa: PTH207  # patterns may be absolute
        if Path(match).is_dir():
            with suppress(ValueError):
                found |= dict.fromkeys(_videos_in(match, recursive))
        elif _is_file(match):
            found[match] = None
    if not found:
        raise ValueError(f"no file matches {pattern}")
    return list(found)


def _is_file(path: str | Path) -> bool:
    """Return whether a path is a file, or leads nowhere, which is told later; a pipe, say, would be waited for."""
    return Path(path).is_file() or not Path(path).exists()


def _videos_in(folder: str, recursive: bool) -> list[str]:
    """Return the videos in a folder, sorted; links to other folders are not followed, so that there is no circle.

    Raises:
        ValueError: there is none.
    """
    found, others = [], 0
    for parent, folders, names in os.walk(folder):
        videos = [name for name in names if not name.startswith(".") and Path(name).suffix.lower() in ENDINGS]
        videos = [name for name in videos if _is_file(Path(parent, name))]
        if recursive or parent == folder:
            found += [str(Path(parent, name)) for name in videos]
        else:
            others += len(videos)
        folders[:] = [name for name in folders if not name.startswith(".")]
        if not recursive and (found or others):
            break
    if found:
        return sorted(found)
    if others:
        raise ValueError(f"the folder {folder} has videos only in the folders below it: say --recursive to take those")
    some = ", ".join(sorted({".mp4", ".mov", ".mkv", ".webm", ".avi", ".gif"}))
    raise ValueError(f"the folder {folder} has no video: no file whose name ends in {some} or the like")


@dataclass(frozen=True, slots=True)
class OutputFiles:
    """Holds the output files that are asked for each explanation."""

    names: tuple[str, ...] = ()
    """The names of the files; {name} stands for the name of the video."""
    look: Mapping[str, Any] = field(default_factory=dict)
    """Options of `Explanation.save`."""
    check: Callable[[Path], object] = files.form_of
    """Raises ValueError if a file has another ending than those that are written, or lies in no folder."""

    def paths_of(self, videos: Sequence[str], maps: int = 1) -> list[list[Path]]:
        """Return the files of each video, all of them different; each file shows so many maps.

        Raises:
            ValueError: a file cannot be written, would be written twice, is one of the videos, or cannot hold so many
                maps; or its name has an unknown field in braces, or the colormap does not exist.
        """
        colours.scale_of(self.look.get("colormap", colours.HEAT))
        for name in self.names:
            if unknown := [braces for braces in re.findall(r"\{\w*\}", name) if braces != "{name}"]:
                msg = f"{name} has {unknown[0]}, which stands for nothing: write {{name}}, for the name of the video"
                raise ValueError(msg)
        paths_of_videos = [[Path(name.replace("{name}", _stem(video))) for name in self.names] for video in videos]
        sources = {_resolved(video): video for video in videos if not _is_address(video)}
        writers: dict[str, int] = {}
        for index, (video, paths) in enumerate(zip(videos, paths_of_videos, strict=True)):
            for name, path in zip(self.names, paths, strict=True):
                self.check(path)
                if maps > 1 and not files.form_of(path).several:
                    several = ", ".join(ending for ending, form in files.FORMS.items() if form.several)
                    msg = f"{path} would hold {maps} maps, and a {path.suffix} holds one: ask for one --method"
                    raise ValueError(f"{msg} and one --target, or for one of {several}")
                file = _resolved(path)
                if (source := sources.get(file)) is not None:
                    raise ValueError(f"{path} is the video {source} itself: name another file")
                if (other := writers.get(file)) is not None:
                    raise ValueError(_written_twice(name, path, videos[other], None if other == index else video))
                writers[file] = index
        return paths_of_videos

    def write(self, answers: Sequence[Answer], paths: Sequence[Path]) -> list[tuple[Path, Exception]]:
        """Write the files and print their names; return those that cannot be written, with the errors.

        Explanations of one video by several methods, or for several targets, stand side by side. Where rules left it
        without a map, nothing is written, and that is printed: a file of an earlier call is still there.
        """
        explanations = [answer for answer in answers if isinstance(answer, Explanation)]
        failures: list[tuple[Path, Exception]] = []
        for path in paths:
            if not explanations:
                sys.stderr.write(terminal.printable_line(f"not written, as there is no map: {path}") + "\n")
                continue
            try:
                files.save(path, explanations, **self.look)
            except (OSError, ValueError, ImportError) as reason:
                failures.append((path, reason))
            else:
                sys.stderr.write(terminal.printable_line(f"wrote {path}") + "\n")
        return failures


def _written_twice(name: str, path: Path, video: str, other: str | None) -> str:
    """Return the message for a file that would be written twice, for one video or for two."""
    if other is None:
        return f"{path} is named twice: name each file once"
    if "{name}" not in name:
        return f"{path} would be written by each of the videos: put {{name}} in, as in {{name}}{path.suffix}"
    return f"{path} would be written by both {video} and {other}: ask for them one by one, with names of their own"


def _stem(video: str) -> str:
    """Return the text for {name}."""
    if video == INPUT or is_data_url(video):
        return "video"
    return Path(Link(video).name if is_url(video) else Path(video).absolute().name).stem


def _is_address(text: str) -> bool:
    """Return whether a text is a URL, also one that holds the video itself, and not a path."""
    return is_url(text) or is_data_url(text)


def _resolved(path: str | Path) -> str:
    """Return the resolved path, which is the same for all names of one file."""
    return os.path.normcase(Path(path).resolve())
