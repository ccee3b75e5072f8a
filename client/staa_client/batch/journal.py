"""Keeps answers in a file of JSON lines, one for each source, so that an interrupted run can go on from it."""

import json
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

from staa_client import contract
from staa_client.batch.key import Key
from staa_client.contract.document import MOST_JSON_BYTES, read_json
from staa_client.errors import Failure, ReplyError, StaaError, StoreError
from staa_client.results.explanation import Answer, Explanation
from staa_client.results.result import Result

DAMAGED = (ReplyError, TypeError, ValueError, LookupError, AttributeError, RecursionError)
"""The errors for what is in a damaged line."""
_MOST_LINE_BYTES = 2 * MOST_JSON_BYTES
"""The most bytes of a line, which is read whole."""


class OtherRequestError(ValueError):
    """Says that a file holds answers to another request than that of this run."""


def json_line(line: Mapping[str, Any]) -> bytes:
    """Return JSON data as a line of UTF-8.

    A lone surrogate, which Python puts into file names that are not UTF-8, cannot be written as UTF-8. It is written as
    a JSON escape, so that it is the same when the line is read.
    """
    text = json.dumps(line, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "backslashreplace") + b"\n"


@contextmanager
def draft_of(path: Path) -> Iterator[Path]:
    """Give the path of a draft, which replaces the file at the end of the block; an error deletes the draft."""
    draft = path.with_name(path.name + ".new")
    try:
        yield draft
        os.replace(draft, path)  # noqa: PTH105  # pathlib's own name hides that it replaces
    finally:
        draft.unlink(missing_ok=True)


def line_of(key: Key, request: str, answer: Answer | Failure) -> dict[str, Any]:
    """Return the answer to a source as the JSON data of a line."""
    head = {"source": key.name, "key": key.identity, "stamp": key.stamp, "request": request}
    if isinstance(answer, Explanation):
        return head | {"reply": answer.to_dict("base64")}
    if isinstance(answer, Result):
        return head | {"reply": answer.to_dict()}
    if isinstance(answer, StaaError):
        return head | {"error": {"code": answer.code, "message": answer.message, "status": answer.status}}
    return head | {"error": {"code": type(answer).__name__, "message": str(answer), "status": None}}


@dataclass(frozen=True, slots=True)
class KnownAnswer:
    """Holds an answer that is in the file already."""

    answer: Answer
    resumed: bool
    """Whether an earlier run wrote it."""


@dataclass(frozen=True, slots=True)
class Entry:
    """Says where an answer is in the file."""

    offset: int
    """Offset of its line from the start of the file, in bytes."""
    stamp: str
    """The stamp of the source when it was answered, see `Key`."""
    resumed: bool
    """Whether an earlier run wrote it."""


def line_or_raise(line: Any, request: str, path: Path) -> dict[str, Any]:  # whatever JSON holds
    """Return a line of the file, given as bytes or as JSON data, as JSON data.

    Raises:
        ValueError: it is no answer, or one to another request.
    """
    try:
        answer = read_json(line) if isinstance(line, bytes) else line
    except (ValueError, RecursionError):
        answer = None
    match answer:
        case {"source": str(), "key": str(), "stamp": str(), "request": str(asked)} if {"reply", "error"} & set(answer):
            if asked != request:
                msg = f"{path} holds answers to another request, {asked}, not to {request}: name another file"
                raise OtherRequestError(msg)
            return {**answer}
    raise ValueError(f"{path} holds lines that are no answers: name another file")


def _is_whole(text: bytes) -> bool:
    """Return whether a line has its end: the last one was cut off if a run was killed while it wrote."""
    return text.endswith(b"\n") or len(text) == _MOST_LINE_BYTES


class Journal:
    """Keeps answers as JSON lines in an open file. The caller must lock the file, so that only one run writes it.

    Args:
        path: The file, which is created if it does not exist.
        request: What the batch asks about every source, as text.
        finish: Called after the file is closed with an answer for every source, to convert it; None leaves it as it is.

    Raises:
        ValueError: the file has other contents, or answers to another request.
        OSError: it cannot be read or written.
    """

    def __init__(self, path: Path, request: str, finish: Callable[[], None] | None = None) -> None:
        self._path, self._request, self._finish = path, request, finish
        self._lock = threading.Lock()
        self._entries: dict[str, Entry] = {}
        self._dropped: set[int] = set()
        """Offsets of the lines that are to be deleted."""
        self._read_entries()
        self._file: BinaryIO = path.open("ab+")

    def _read_entries(self) -> None:
        """Read the answers in the file; drop failures, answers with a later one, and a line that was cut off."""
        if not self._path.exists():
            return
        offset = 0
        with self._path.open("rb") as file:
            while text := file.readline(_MOST_LINE_BYTES):
                line = line_or_raise(text, self._request, self._path) if _is_whole(text) else None
                if line is None or "error" in line:
                    self._dropped.add(offset)
                else:
                    self._enter(line["key"], Entry(offset, line["stamp"], resumed=True))
                offset += len(text)
        self._rewrite()

    def _enter(self, identity: str, entry: Entry) -> None:
        """Set the entry of a source, and drop the line of its earlier answer."""
        if (old := self._entries.get(identity)) is not None:
            self._dropped.add(old.offset)
        self._entries[identity] = entry

    def _rewrite(self) -> None:
        """Write the file anew without the dropped lines; after an error the old file is unchanged."""
        if not self._dropped:
            return
        moved: dict[int, int] = {}
        with draft_of(self._path) as draft, self._path.open("rb") as old, draft.open("wb") as file:
            offset = 0
            while text := old.readline(_MOST_LINE_BYTES):
                if offset not in self._dropped:
                    moved[offset] = file.tell()
                    file.write(text)
                offset += len(text)
        self._entries = {key: replace(entry, offset=moved[entry.offset]) for key, entry in self._entries.items()}
        self._dropped.clear()

    def known(self, key: Key) -> KnownAnswer | None:
        """Return the answer to a source from the file; threads may call this.

        Return None if there is no answer, if the source has changed since, or if the line is damaged, which drops it.
        """
        with self._lock:
            entry = self._entries.get(key.identity)
            if entry is None or entry.stamp != key.stamp:
                return None
            self._file.seek(entry.offset)
            text = self._file.readline()
        try:
            return KnownAnswer(contract.of_document(read_json(text)["reply"]), entry.resumed)
        except DAMAGED:
            with self._lock:
                if self._entries.get(key.identity) is entry:
                    self._dropped.add(self._entries.pop(key.identity).offset)
            return None

    def add(self, key: Key, answer: Answer | Failure) -> None:
        """Write an answer completely before this returns, also one that the client's store could not take.

        Threads may call this.
        """
        answer = answer.answer if isinstance(answer, StoreError) else answer
        line = json_line(line_of(key, self._request, answer))
        with self._lock:
            offset = self._file.seek(0, os.SEEK_END)
            self._file.write(line)
            self._file.flush()
            old = self._entries.get(key.identity)
            if isinstance(answer, Result | Explanation):
                self._enter(key.identity, Entry(offset, key.stamp, resumed=False))
            elif old is not None and old.stamp != key.stamp:  # what was answered then is no longer there
                self._dropped.add(self._entries.pop(key.identity).offset)

    def finish(self) -> None:
        """Close the file, and convert it to its final form."""
        self.close()
        if self._finish is not None:
            self._finish()

    def close(self) -> None:
        """Close the file, and delete the lines whose answers were replaced by later ones."""
        if not self._file.closed:
            self._file.close()
            self._rewrite()
