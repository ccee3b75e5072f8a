"""Answers in a file of JSON lines, one a source, written as they come; a run that was interrupted goes on from it."""

import json
import os
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from staa_client import _wire
from staa_client._errors import StaaError
from staa_client._key import Key
from staa_client._result import Result
from staa_client._types import Explanation

Failure = StaaError | OSError | ValueError | TypeError
"""What a single source can meet."""
FAILURES = (StaaError, OSError, ValueError, TypeError)


def line_of(key: Key, request: str, answer: Result | Explanation | Failure) -> dict[str, Any]:
    """An answer as JSON data."""
    head = {"source": key.name, "key": key.place, "stamp": key.stamp, "request": request}
    if isinstance(answer, Explanation):
        return head | {"reply": answer.to_dict("base64")}
    if isinstance(answer, Result):
        return head | {"reply": answer.to_dict()}
    code = answer.code if isinstance(answer, StaaError) else type(answer).__name__
    status = answer.status if isinstance(answer, StaaError) else None
    message = answer.message if isinstance(answer, StaaError) else str(answer)
    return head | {"error": {"code": code, "message": message, "status": status}}


def answer_of(line: Mapping[str, Any]) -> Result | Explanation:
    """The answer in a line without an error."""
    return _wire.of_document(line["reply"])


@dataclass(frozen=True, slots=True)
class Entry:
    """An answer in the file."""

    at: int
    """Where its line begins, bytes."""
    stamp: str
    """Of the source that was answered."""


def checked(line: Any, request: str, path: Path) -> dict[str, Any]:  # whatever JSON holds
    """A line of the file, which must be an answer to this request.

    Raises:
        ValueError: it is none.
    """
    try:
        known = line["source"], line["key"], line["stamp"], line["request"]
    except (KeyError, TypeError) as reason:
        raise _foreign(path) from reason
    if not (all(isinstance(one, str) for one in known) and ("reply" in line or "error" in line)):
        raise _foreign(path)
    if known[3] != request:
        msg = f"{path} holds answers to another request, {known[3]}, not to {request}: name another file"
        raise ValueError(msg)
    found: dict[str, Any] = line
    return found


def _foreign(path: Path) -> ValueError:
    return ValueError(f"{path} holds lines that are no answers: name another file")


class Journal:
    """A file of answers, open for more; it is for one run at a time, which whoever opens it sees to.

    Args:
        path: The file; made where there is none.
        request: What was asked of every source.

    Raises:
        ValueError: the file holds something else, or answers to another request.
        OSError: it cannot be read or written.
    """

    def __init__(self, path: Path, request: str) -> None:
        self._path, self._request = path, request
        self._lock = threading.Lock()
        self._entries: dict[str, Entry] = {}
        self._dropped: set[int] = set()
        """Where lines begin that no longer count."""
        self._settle()
        self._file: BinaryIO = path.open("ab+")

    def _settle(self) -> None:
        """Find what is answered; drop what failed, what has a later answer, and a line that was cut off."""
        if not self._path.exists():
            return
        place = 0
        with self._path.open("rb") as file:
            for text in file:
                line = self._line(text) if text.endswith(b"\n") else None
                if line is None or "error" in line:
                    self._dropped.add(place)
                else:
                    self._enter(line["key"], Entry(place, line["stamp"]))
                place += len(text)
        self._rewrite()

    def _enter(self, place: str, entry: Entry) -> None:
        """From now on this is the answer."""
        if (old := self._entries.get(place)) is not None:
            self._dropped.add(old.at)
        self._entries[place] = entry

    def _rewrite(self) -> None:
        """Keep the lines that count, whole or not at all."""
        if not self._dropped:
            return
        new = self._path.with_name(self._path.name + ".new")
        moved: dict[int, int] = {}
        with self._path.open("rb") as old, new.open("wb") as file:
            place = 0
            for text in old:
                if place not in self._dropped:
                    moved[place] = file.tell()
                    file.write(text)
                place += len(text)
        os.replace(new, self._path)  # noqa: PTH105  # pathlib's own name hides that it replaces
        self._entries = {key: replace(entry, at=moved[entry.at]) for key, entry in self._entries.items()}
        self._dropped.clear()

    def _line(self, text: bytes) -> dict[str, Any]:
        try:
            line = json.loads(text)
        except (ValueError, RecursionError) as reason:
            raise _foreign(self._path) from reason
        return checked(line, self._request, self._path)

    def __len__(self) -> int:
        return len(self._entries)

    def read(self, key: Key) -> Result | Explanation | None:
        """The answer for a source, from the file; None where there is none, or the source is no longer the same."""
        with self._lock:
            entry = self._entries.get(key.place)
            if entry is None or entry.stamp != key.stamp:
                return None
            self._file.seek(entry.at)
            text = self._file.readline()
        return answer_of(json.loads(text))

    def add(self, key: Key, answer: Result | Explanation | Failure) -> None:
        """Write an answer, whole, before this returns; threads may."""
        text = json.dumps(line_of(key, self._request, answer), ensure_ascii=False, separators=(",", ":")) + "\n"
        with self._lock:
            place = self._file.seek(0, os.SEEK_END)
            self._file.write(text.encode())
            self._file.flush()
            old = self._entries.get(key.place)
            if isinstance(answer, Result | Explanation):
                self._enter(key.place, Entry(place, key.stamp))
            elif old is not None and old.stamp != key.stamp:  # what was answered then is no longer there
                self._dropped.add(self._entries.pop(key.place).at)

    def close(self) -> None:
        """Close the file, less the answers that others have replaced."""
        if not self._file.closed:
            self._file.close()
            self._rewrite()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def lines(path: Path) -> Iterator[dict[str, Any]]:
    """Every line of a file of answers."""
    with path.open("rb") as file:
        for text in file:
            yield json.loads(text)
