"""Answers in a file of JSON lines, one a source, written as they come; a run that was interrupted goes on from it."""

import hashlib
import json
import os
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from staa_client import _wire
from staa_client._errors import StaaError
from staa_client._frames import Frames
from staa_client._result import Result
from staa_client._source import Video, name_of, source_of
from staa_client._types import Explanation

Failure = StaaError | OSError | ValueError | TypeError
"""What a single source can meet."""
FAILURES = (StaaError, OSError, ValueError, TypeError)


def keyed(video: Video) -> tuple[str, Video]:
    """What a source is called in a file - its path or URL as given, else a digest of its bytes - and the source.

    A file object or an iterable is read to its end for it, and what was read stands in its place.

    Raises:
        OSError, ValueError, TypeError: as `source_of`.
    """
    if isinstance(video, str | Path):
        return str(video), video
    source = source_of(video)
    if isinstance(source, Frames):
        return "sha256:" + hashlib.sha256(source.images.tobytes() + source.seconds.tobytes()).hexdigest(), source
    if isinstance(source, bytes):
        return "sha256:" + hashlib.sha256(source).hexdigest(), source
    return name_of(source), video


def line_of(key: str, request: str, answer: Result | Explanation | Failure) -> dict[str, Any]:
    """An answer as JSON data."""
    head = {"source": key, "request": request}
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


class Journal:
    """A file of answers, open for more.

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
        self._places: dict[str, int] = {}
        self._settle()
        self._file: BinaryIO = path.open("ab+")

    def _settle(self) -> None:
        """Find what is answered; drop what failed, what came twice, and a line that was cut off."""
        if not self._path.exists():
            return
        place = 0
        dropped = False
        with self._path.open("rb") as file:
            for text in file:
                line = self._line(text) if text.endswith(b"\n") else None
                if line is None or "error" in line or line["source"] in self._places:
                    dropped = True
                else:
                    self._places[line["source"]] = place
                place += len(text)
        if dropped:
            self._rewrite()

    def _rewrite(self) -> None:
        """Keep the lines that count, whole or not at all."""
        new = self._path.with_name(self._path.name + ".new")
        with self._path.open("rb") as old, new.open("wb") as file:
            for key, place in self._places.items():
                old.seek(place)
                self._places[key] = file.tell()
                file.write(old.readline())
        os.replace(new, self._path)  # noqa: PTH105  # pathlib's own name hides that it replaces

    def _line(self, text: bytes) -> dict[str, Any]:
        try:
            line: dict[str, Any] = json.loads(text)
            known = line["source"], line["request"]
        except (ValueError, KeyError, TypeError) as reason:
            msg = f"{self._path} holds lines that are no answers: name another file"
            raise ValueError(msg) from reason
        if known[1] != self._request:
            msg = (
                f"{self._path} holds answers to another request, {known[1]}, not to {self._request}: name another file"
            )
            raise ValueError(msg)
        return line

    def __contains__(self, key: str) -> bool:
        return key in self._places

    def __len__(self) -> int:
        return len(self._places)

    def read(self, key: str) -> Result | Explanation:
        """The answer for a source, from the file."""
        with self._lock:
            self._file.seek(self._places[key])
            return answer_of(json.loads(self._file.readline()))

    def add(self, key: str, answer: Result | Explanation | Failure) -> None:
        """Write an answer, whole, before this returns; threads may."""
        text = json.dumps(line_of(key, self._request, answer), ensure_ascii=False, separators=(",", ":")) + "\n"
        with self._lock:
            place = self._file.seek(0, os.SEEK_END)
            self._file.write(text.encode())
            self._file.flush()
            if isinstance(answer, Result | Explanation):
                self._places[key] = place

    def close(self) -> None:
        """Close the file."""
        self._file.close()

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
