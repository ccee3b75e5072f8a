"""Keeps the spans of many videos in a file, so that an interrupted run goes on; a line or a row is one span.

While a video is under way, the answers to its windows are kept beside it, in NAME.windows.jsonl. So also a run that is
interrupted within a long video asks for no window twice.
"""

import importlib
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from staa_client import contract
from staa_client.batch.book import Unkept, open_answers
from staa_client.batch.journal import DAMAGED, Journal, draft_of, json_line
from staa_client.batch.key import Key
from staa_client.batch.lock import Lock
from staa_client.contract.document import MOST_LINE_BYTES, read_json
from staa_client.results.explanation import Explanation
from staa_client.results.maps import pack, unpack
from staa_client.results.result import Model
from staa_client.timeline.result import Span, Timeline

ENDINGS = (".jsonl", ".parquet")
"""The endings of a file that keeps spans."""
_FACTS = ("name", "duration", "delay", "fps", "window", "stride", "smooth", "track")
_WINDOWS = "labels and maps of windows"
"""The request of the journal of windows: whatever an answer depends on is in its key."""


def lines_of(timeline: Timeline, key: Key, request: str) -> list[dict[str, Any]]:
    """Return a timeline as JSON data, a line for each span; the first also says all that the spans share."""
    head = {"source": key.name, "key": key.identity, "stamp": key.stamp, "request": request}
    about: dict[str, Any] = {name: getattr(timeline, name) for name in _FACTS}
    model = timeline.model
    about |= {
        "model": [model.name, model.version, model.family, model.classes, model.about],
        "labels": list(timeline.labels),
        "size": list(timeline.size),
        "clip_seconds": None if timeline.clip_seconds is None else list(timeline.clip_seconds),
        "notes": list(timeline.notes),
        "starts": timeline.starts.tolist(),
        "scores": pack(np.asarray(timeline.scores, np.float32)),
    }
    lines = []
    for number, span in enumerate(timeline.spans):
        place = {"number": number, "spans": len(timeline.spans)}
        reply = None if span.explanation is None else span.explanation.to_dict("base64")
        lines.append(head | place | span.to_dict() | {"reply": reply, "about": None if number else about})
    return lines


def timeline_of(lines: Iterable[Mapping[str, Any]]) -> Timeline:
    """Return the timeline that `lines_of` made the lines of.

    Raises:
        the errors in DAMAGED: they are not whole.
    """
    listed = sorted(lines, key=lambda line: int(line["number"]))
    if [line["number"] for line in listed] != [*range(listed[0]["spans"])]:
        raise ValueError("spans of the video are missing")
    about = listed[0]["about"]
    path = Path(listed[0]["key"])
    source = path if path.is_absolute() else None
    spans = []
    for line in listed:
        answer = None if line["reply"] is None else contract.of_document(line["reply"])
        found = replace(answer, source=source) if isinstance(answer, Explanation) else None
        start, end, score, peak = (float(line[name]) for name in ("start", "end", "score", "peak"))
        about_class = line["class_id"], line["not_explained"]
        spans.append(Span(str(line["label"]), start, end, score, peak, found, *about_class))
    clips, track = about["clip_seconds"], about["track"]
    return Timeline(
        **{name: about[name] for name in _FACTS} | {"track": None if track is None else tuple(track)},
        model=Model(*about["model"]),
        labels=tuple(about["labels"]),
        size=(int(about["size"][0]), int(about["size"][1])),
        clip_seconds=None if clips is None else (float(clips[0]), float(clips[1])),
        starts=np.asarray(about["starts"], np.float64),
        scores=unpack(about["scores"]).astype(np.float64),
        spans=tuple(spans),
        notes=tuple(about["notes"]),
        source=source,
    )


class SpanBook:
    """Keeps timelines as JSON lines in a file. The caller must lock it, so that only one run writes it.

    Args:
        path: The file, which is created if it does not exist; a video whose lines are not whole is dropped.
        request: What is asked about every video, as text.
        output: The file that errors name, if it is made of this one.

    Raises:
        ValueError: the file has other contents, or answers to another request.
        OSError: it cannot be read or written.
    """

    def __init__(self, path: Path, request: str, output: Path | None = None) -> None:
        self.is_whole = True
        """Whether no video of the run failed; whoever runs it says so."""
        self.written: set[str] = set()
        """The identities of the videos that were written in this run."""
        self._path, self._request, self._output = path, request, output or path
        self._lines: dict[str, list[int]] = {}
        """Identity of a video -> offsets of its lines."""
        self._stamps: dict[str, str] = {}
        if path.exists():
            self._read()

    def _read(self) -> None:
        """Note where the lines of each video are."""
        with self._path.open("rb") as file:
            offset = 0
            while text := file.readline():
                if not text.endswith(b"\n"):  # of a run that was killed while it wrote
                    break
                line = _line_or_none(text)
                if line is None:
                    raise ValueError(f"{self._output} holds lines that are no spans: name another file")
                _check_request(line, self._request, self._output)
                if line["number"] == 0:  # a later answer takes the place of an earlier one
                    self._lines[line["key"]] = []
                self._lines.setdefault(line["key"], []).append(offset)
                self._stamps[line["key"]] = line["stamp"]
                offset += len(text)
        os.truncate(self._path, offset)

    def known(self, key: Key) -> Timeline | None:
        """Return the timeline of a video from the file; None if it is not there, or of a video that has changed."""
        if self._stamps.get(key.identity) != key.stamp:
            return None
        try:
            return timeline_of(self._lines_of(key.identity))
        except DAMAGED:
            return None

    def _lines_of(self, identity: str) -> Iterator[dict[str, Any]]:
        with self._path.open("rb") as file:
            for offset in self._lines[identity]:
                file.seek(offset)
                yield read_json(file.readline(), MOST_LINE_BYTES)

    def add(self, key: Key, timeline: Timeline) -> None:
        """Write a timeline completely before this returns."""
        offsets = []
        with self._path.open("ab") as file:
            offset = file.seek(0, os.SEEK_END)
            for line in lines_of(timeline, key, self._request):
                offsets.append(offset)
                offset += file.write(json_line(line))
        self._lines[key.identity], self._stamps[key.identity] = offsets, key.stamp
        self.written.add(key.identity)

    def finish(self) -> None:
        """Write the file anew with the lines of whole videos only."""
        if not self._path.exists():
            return
        with draft_of(self._path) as draft, draft.open("wb") as file:
            for identity in self._lines:
                lines = [*self._lines_of(identity)]
                if lines and len(lines) == lines[0]["spans"]:
                    file.writelines(map(json_line, lines))


def _line_or_none(text: bytes) -> dict[str, Any] | None:
    """Return a line of the file; None if it is none."""
    try:
        line = read_json(text, MOST_LINE_BYTES)
    except (ValueError, RecursionError):
        return None
    match line:
        case {"key": str(), "stamp": str(), "request": str(), "number": int(), "spans": int(), "label": str()}:
            return {**line}
    return None


def _check_request(line: Mapping[str, Any], request: str, output: Path) -> None:
    """Raise ValueError, which names the output, if a line holds an answer to another request."""
    if line["request"] != request:
        asked = f"{line['request']}, not to {request}"
        raise ValueError(f"{output} holds answers to another request, {asked}: name another file")


@contextmanager
def open_book(output: Path | None, request: str) -> Iterator[tuple[SpanBook | None, Journal | Unkept]]:
    """Open the file of spans and the journal of windows beside it, and lock them until the `with` block ends.

    At its end without an error, a .parquet file is written. The journal is deleted, unless a video failed: then the
    next run needs it.

    Raises:
        BlockingIOError: another run is writing the output.
        ImportError: the output is a .parquet file and the package `pyarrow` is missing.
        OSError, ValueError: as `SpanBook` raises them.
    """
    if output is None:
        yield None, Unkept()
        return
    parquet = importlib.import_module("staa_client.timeline.parquet") if output.suffix == ".parquet" else None
    lines = output if parquet is None else output.with_name(output.name + ".jsonl")
    windows = output.with_name(output.name + ".windows.jsonl")
    with ExitStack() as stack:
        lock = Lock(output)
        stack.callback(lock.release)
        if parquet is not None and output.exists() and not lines.exists():
            with draft_of(lines) as draft, draft.open("wb") as file:
                for line in parquet.read_spans(output):
                    _check_request(line, request, output)  # before there is a file that a later run would go on from
                    file.write(json_line(line))
        book = SpanBook(lines, request, output)
        with open_answers(windows, _WINDOWS) as journal:
            yield book, journal
        book.finish()
        if book.is_whole or windows.stat().st_size == 0:
            windows.unlink(missing_ok=True)
        if parquet is not None and lines.exists():
            with lines.open("rb") as file:
                parquet.write_spans(output, (read_json(line, MOST_LINE_BYTES) for line in file))
            lines.unlink()
