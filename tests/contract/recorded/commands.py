"""Every command that is recorded: what `staa` prints, writes and returns, each by a name."""

import contextlib
import functools
import io
import json
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

from staa_client.cli import main
from tests.contract.recorded import digest
from tests.contract.recorded.bodies import archive, clip, other

ENVIRON = {"COLUMNS": "100", "NO_COLOR": "1", "TERM": "dumb", "TZ": "UTC"}
"""What a terminal says of itself, and the layout of help depends on."""
COMMANDS = ("predict", "explain", "batch", "watch", "timeline", "models", "ready", "card", "replay")
SILENT = "127.0.0.1:9"
"""Nobody listens there."""


@dataclass(frozen=True)
class Command:
    """One call of the command; {server} and {management} in it are addresses."""

    arguments: tuple[str, ...]
    stdin: bytes = b""
    environ: Mapping[str, str] = field(default_factory=dict)
    times: int = 1
    """How often it is called, one after the other; the last one counts."""

    def names(self, address: str) -> bool:
        """Return whether it is told this address, "server" or "management"."""
        return any(f"{{{address}}}" in told for told in (*self.arguments, *self.environ.values()))


def run(command: Command, addresses: Mapping[str, str], folder: Path) -> dict[str, Any]:
    """Run a command in a folder with videos in it, and return what is kept of it."""
    before = _furnish(folder)
    kept: dict[str, Any] = {}
    for _ in range(command.times):
        streams = io.StringIO(), io.StringIO()
        environ = {name: text for name, text in os.environ.items() if not name.startswith("STAA_")}
        environ |= ENVIRON | {"HOME": str(folder), "XDG_CONFIG_HOME": str(folder / "settings")}
        environ |= {name: text.format(**addresses) for name, text in command.environ.items()}
        with (
            contextlib.chdir(folder),
            mock.patch.dict(os.environ, environ, clear=True),
            mock.patch.object(sys, "stdin", io.TextIOWrapper(io.BytesIO(command.stdin))),
            contextlib.redirect_stdout(streams[0]),
            contextlib.redirect_stderr(streams[1]),
        ):
            code = main([part.format(name="{name}", **addresses) for part in command.arguments])
        kept = {"code": code}
        for name, stream in zip(("out", "err"), streams, strict=True):
            if lines := [_line(line, folder) for line in stream.getvalue().splitlines()]:
                kept[name] = lines
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path not in before)
    if files:
        kept["files"] = {str(path.relative_to(folder)): _content(path, folder) for path in files}
    return kept


@functools.cache
def _videos() -> Mapping[str, bytes]:
    """Return the videos that the commands are told of, by their paths."""
    return {"clip.mp4": clip(), "clips/a.mp4": other(), "clips/b.mp4": other(degrees=90), "noise.mp4": b"noise"}


def _furnish(folder: Path) -> set[Path]:
    """Put videos and settings into an empty folder, and return their paths."""
    (folder / "clips").mkdir()
    contents = dict(_videos())
    contents |= {"empty.mp4": b"", "frames.zip": archive(), "sink.toml": b'sink = "x"', "broken.toml": b"="}
    contents |= {"silent.toml": f'server = "{SILENT}"\ntimeout = 2'.encode()}
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return {folder / name for name in contents}


def _line(line: str, folder: Path) -> Any:
    line = line.replace(str(folder), "FOLDER")
    return digest.value(json.loads(line)) if line.startswith(("{", "[{")) else digest.text(line).rstrip()


def _content(path: Path, folder: Path) -> Any:
    """Return the lines of a journal or the data of a JSON file; of another one whether anything is in it."""
    if path.suffix == ".jsonl":
        return [_line(line, folder) for line in path.read_text().splitlines()]
    if path.suffix == ".json":
        return _line(path.read_text(), folder)
    return "empty" if path.stat().st_size == 0 else "written"


def commands() -> dict[str, Command]:
    """Return every command by its name."""
    kinds = (_helps, _answers, _pictures, _batches, _watches, _states, _wrong)
    return {name: command for kind in kinds for name, command in kind()}


def _staa(*arguments: str, **how: Any) -> Command:
    return Command(arguments, **how)


def _helps() -> Iterator[tuple[str, Command]]:
    yield "no argument", _staa()
    yield "--help", _staa("--help")
    yield "--version", _staa("--version")
    for name in COMMANDS:
        yield f"{name} --help", _staa(name, "--help")
        yield f"{name}: an unknown option", _staa(name, "x", "--wut")
    yield "an unknown command", _staa("explaim", "clip.mp4")


def _answers() -> Iterator[tuple[str, Command]]:
    server = ("--server", "{server}")
    yield "predict", _staa("predict", "clip.mp4", *server)
    yield "predict --json", _staa("predict", "clip.mp4", "--json", "--top-k", "2", *server)
    yield "predict a segment", _staa("predict", "clip.mp4", "--start", "0.4", "--end", "1.2", *server)
    yield "predict the input", _staa("predict", "-", *server, stdin=clip())
    yield "predict, address from the environment", _staa("predict", "clip.mp4", environ={"STAA_SERVER": "{server}"})
    yield "predict several", _staa("predict", "clip.mp4", "noise.mp4", "clips/*.mp4", "--concurrency", "1", *server)
    yield (
        "predict several --json",
        _staa("predict", "clips/a.mp4", "clips/b.mp4", "--json", "--concurrency", "1", *server),
    )
    yield "predict, sampled here", _staa("predict", "clip.mp4", "--sample", "client", *server)
    yield "explain", _staa("explain", "clip.mp4", *server)
    yield "explain --json", _staa("explain", "clip.mp4", "--json", *server)
    options = ("--method", "staa_class", "--target", "moves up", "--contrast", "3", "--mass", "0.5", "--verify", "2")
    yield "explain a class, verified", _staa("explain", "clip.mp4", *options, *server)
    yield "explain a class", _staa("explain", "clip.mp4", "--target", "moves up", *server)
    methods = ("--method", "staa", "--method", "staa_class", "--target", "3")
    yield "explain by two methods", _staa("explain", "clip.mp4", *methods, *server)
    yield "explain several by two methods", _staa("explain", "clips", *methods, "--concurrency", "1", *server)
    yield "predict a folder and those below", _staa("predict", ".", "--recursive", "--concurrency", "1", *server)
    choice = ("--method", "staa_class", "--target", "5", "--refine", "16")
    yield "explain a class, chosen", _staa("explain", "clip.mp4", *choice, *server)
    yield "explain, sampled here", _staa("explain", "clip.mp4", "--sample", "auto", *server)
    yield "explain several", _staa("explain", "clips/b.mp4", "empty.mp4", "clip.mp4", "--concurrency", "1", *server)
    rules = ("--explain-when", "score_below=0.01", "--explain-when", "label_in=spins")
    yield "explain by rules", _staa("explain", "clip.mp4", *rules, *server)
    yield "explain several by rules", _staa("explain", "clip.mp4", "clips/a.mp4", "--concurrency", "1", *rules, *server)
    yield "explain noise", _staa("explain", "noise.mp4", *server)
    yield "explain behind the end", _staa("explain", "clip.mp4", "--start", "100", *server)
    listed = {"STAA_MANAGEMENT": "{management}"}
    yield "explain, another model", _staa("explain", "clip.mp4", "--model", "nobody", *server, environ=listed)
    yield "explain, another method", _staa("explain", "clip.mp4", "--method", "magic", *server)


def _pictures() -> Iterator[tuple[str, Command]]:
    server = ("--server", "{server}")
    every = [part for kind in ("html", "png", "gif", "mp4", "json", "npz", "parquet") for part in ("-o", f"x.{kind}")]
    yield "explain into files", _staa("explain", "clip.mp4", *every, "--alpha", "0.5", "--focus", *server)
    several = ("clips/a.mp4", "clips/b.mp4", "-o", "{name}.png", "--colormap", "viridis", "--concurrency", "1")
    yield "explain several into files", _staa("explain", *several, *server)
    yield "explain: an unknown ending", _staa("explain", "clip.mp4", "-o", "x.tiff", *server)
    yield "explain: an unknown colormap", _staa("explain", "clip.mp4", "-o", "x.png", "--colormap", "mud", *server)
    yield "explain: a field that there is not", _staa("explain", "clip.mp4", "-o", "{{nom}}.png", *server)
    yield "explain: one file of two", _staa("explain", "clips/a.mp4", "clips/b.mp4", "-o", "x.png", *server)
    yield "explain: a file twice", _staa("explain", "clip.mp4", "-o", "x.png", "-o", "x.png", *server)
    yield "explain: over the video", _staa("explain", "clip.mp4", "-o", "clip.mp4", *server)
    yield "explain: into no folder", _staa("explain", "clip.mp4", "-o", "nowhere/x.png", *server)


def _batches() -> Iterator[tuple[str, Command]]:
    ways = ("clips/*.mp4", "noise.mp4", "clip.mp4", "--concurrency", "1", "--server", "{server}")
    yield "batch", _staa("batch", *ways, "-o", "out.jsonl")
    yield "batch --labels", _staa("batch", *ways, "-o", "out.jsonl", "--labels", "--top-k", "1")
    yield "batch, again", _staa("batch", *ways, "-o", "out.jsonl", "--labels", times=2)
    yield "batch into Parquet", _staa("batch", *ways, "-o", "out.parquet")
    yield "batch without output", _staa("batch", *ways)
    yield "batch: an unknown ending", _staa("batch", *ways, "-o", "out.csv")
    yield "batch: labels with a method", _staa("batch", *ways, "-o", "out.jsonl", "--labels", "--method", "staa")
    yield "batch: the input", _staa("batch", "-", "-o", "out.jsonl", "--server", "{server}")


def _watches() -> Iterator[tuple[str, Command]]:
    ways = ("clip.mp4", "--window", "1", "--stride", "0.5", "--latency", "keep", "--server", "{server}")
    yield "watch a file", _staa("watch", *ways)
    yield "watch a file: labels", _staa("watch", *ways, "--labels", "--smooth", "1")
    yield "watch a file --json", _staa("watch", *ways, "--json", "--count", "1")
    yield "watch a file: a class", _staa("watch", *ways, "--count", "1", "--method", "staa_class", "--target", "2")
    yield "watch: no file", _staa("watch", "none.mp4", "--server", "{server}")
    yield "watch: no window", _staa("watch", "clip.mp4", "--window", "0", "--server", "{server}")
    yield "watch: another latency", _staa("watch", "clip.mp4", "--latency", "soon", "--server", "{server}")


def _states() -> Iterator[tuple[str, Command]]:
    both = ("--server", "{server}", "--management", "{management}")
    yield "models", _staa("models", *both)
    yield "models --json", _staa("models", "--json", *both)
    yield "card", _staa("card", "--server", "{server}")
    yield "card --json", _staa("card", "motions", "--json", "--server", "{server}")
    yield "ready", _staa("ready", "--server", "{server}")
    yield "ready --wait", _staa("ready", "motions", "--wait", "5", "--server", "{server}")
    listed = {"STAA_MANAGEMENT": "{management}"}
    yield "ready: another model", _staa("ready", "nobody", "--server", "{server}", environ=listed)
    for name, arguments in {
        "predict": ("clip.mp4",),
        "explain": ("clip.mp4",),
        "batch": ("clip.mp4", "-o", "out.jsonl"),
        "watch": ("clip.mp4",),
        "models": (),
        "ready": (),
        "card": (),
    }.items():
        yield f"{name}: nobody listens", _staa(name, *arguments, "--server", SILENT)


def _wrong() -> Iterator[tuple[str, Command]]:
    server = ("--server", "{server}")
    yield "explain nothing", _staa("explain", *server)
    yield "explain no file", _staa("explain", "none.mp4", *server)
    yield "explain an empty file", _staa("explain", "empty.mp4", *server)
    yield "explain a folder", _staa("explain", "clips", *server)
    yield "predict: no match", _staa("predict", "*.avi", *server)
    yield "predict: the input and a file", _staa("predict", "-", "clip.mp4", *server)
    yield "predict: a URL that nobody answers", _staa("predict", f"http://{SILENT}/clip.mp4", *server)
    yield "predict: no number", _staa("predict", "clip.mp4", "--top-k", "many", *server)
    yield "predict: too many labels", _staa("predict", "clip.mp4", "--top-k", "99", *server)
    yield "predict: nobody samples", _staa("predict", "clip.mp4", "--sample", "nobody", *server)
    yield "predict: no concurrency", _staa("predict", "clip.mp4", "--concurrency", "0", *server)
    yield "predict: no time", _staa("predict", "clip.mp4", "--timeout", "0", *server)
    yield "explain: too much alpha", _staa("explain", "clip.mp4", "--alpha", "2", *server)
    yield "explain: another scheme", _staa("explain", "clip.mp4", "--server", "ftp://nowhere")
    yield "explain: two tokens", _staa("explain", "clip.mp4", "--token", "a", "--token-file", "clip.mp4", *server)
    yield "explain: a store in no folder", _staa("explain", "clip.mp4", "--store", "none/kept.jsonl", *server)
    yield "replay: no line", _staa("replay", "clips/a.mp4:99999", "clip.mp4", *server)
    yield "replay: no number", _staa("replay", "clip.mp4", "clip.mp4", *server)
    yield "explain: no token file", _staa("explain", "clip.mp4", "--token-file", "none", *server)
    yield "explain: no authority", _staa("explain", "clip.mp4", "--cacert", "none.pem", *server)
    yield "settings", _staa("--config", "silent.toml", "ready")
    yield "settings from the environment", _staa("ready", environ={"STAA_CONFIG": "silent.toml"})
    for name in ("sink", "broken", "none"):
        yield f"settings: {name}", _staa("--config", f"{name}.toml", "ready", *server)
