"""Appends records to a file, a line each, and finds one of them again; several processes may write one file."""

import os
import re
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Final

from staa_client.batch.lock import Lock
from staa_client.contract.document import MOST_JSON_BYTES
from staa_client.errors import StoreError
from staa_client.evidence.record import Record
from staa_client.results.explanation import Answer
from staa_client.transport.steps import Exchange
from staa_client.video.frames import Frames

PATIENCE: Final = 30.0
"""Seconds to wait for another process that is writing."""
_PAUSE: Final = 0.005
_MOST_LINE_BYTES: Final = 2 * MOST_JSON_BYTES
"""The most bytes of a line, which is read whole."""


class Store:
    """Appends to a file; threads may share it.

    Args:
        path: The file, which is created if it does not exist.
        patience: Seconds to wait for another process that is writing.

    Raises:
        OSError: it cannot be written.
    """

    def __init__(self, path: str | Path, patience: float = PATIENCE) -> None:
        self._path, self._patience = Path(path).absolute(), patience
        self._turn = threading.Lock()
        self._path.open("ab").close()  # what cannot be written is told before anything is asked
        with suppress(BlockingIOError):  # another process is writing: then it can be locked
            Lock(self._path).release()

    def add(self, exchanged: Exchange[Answer]) -> None:
        """Write an answer completely before this returns.

        Raises:
            StoreError: it cannot be written; the error has the answer.
        """
        try:
            if isinstance(exchanged.source, Frames) and (origin := exchanged.source.origin) is not None:
                with self._turn:  # threads that ask for the maps of one timeline read its video once
                    origin.sha256()
            line = Record.of(exchanged).to_line()
            with self._turn:
                self._append(line)
        except (OSError, ValueError, TypeError) as reason:
            why = reason.strerror if isinstance(reason, OSError) and reason.strerror else str(reason)
            msg = f"the answer came, and cannot be kept in {self._path}: {why}; make room, or name another file"
            raise StoreError(msg, answer=exchanged.answer, request_id=exchanged.request_id) from reason

    def _append(self, line: bytes) -> None:
        lock = self._wait_for_lock()
        try:
            with self._path.open("ab+", buffering=0) as file:
                end = file.seek(0, os.SEEK_END)
                # a line that was cut off, by a crash of the machine say, does not take the next one along
                begin = b"" if end == 0 or _last_byte(file, end) == b"\n" else b"\n"
                try:
                    _write(file, begin + line)
                    os.fsync(file.fileno())
                except OSError:
                    file.truncate(end)
                    raise
        finally:
            lock.release()

    def _wait_for_lock(self) -> Lock:
        until = time.monotonic() + self._patience
        while True:
            try:
                return Lock(self._path)
            except BlockingIOError:
                if time.monotonic() >= until:
                    raise
            time.sleep(_PAUSE)


def _last_byte(file: BinaryIO, end: int) -> bytes:
    file.seek(end - 1)
    return file.read(1)


def _write(file: BinaryIO, data: bytes) -> None:
    """Write all bytes at the end of an unbuffered file, of which one write may take a part only."""
    left = memoryview(data)
    while left:
        left = left[file.write(left) :]


def _is_of_request(line: bytes, request_id: str) -> bool:
    """Return whether a line is that of a request; a damaged one may be, so that its error is told."""
    if f'"request_id":"{request_id}"'.encode() not in line:
        return False
    try:
        return Record.of_line(line).request_id == request_id
    except ValueError:
        return True  # what is wrong with it is told when it is read


def find(line: str) -> Record:
    """Return the record that "FILE:NUMBER" (of a line, from 1) or "FILE:REQUEST_ID" names.

    Raises:
        ValueError: there is no such line, or it cannot be read.
        OSError: the file cannot be read.
    """
    name, colon, which = line.rpartition(":")
    if not (name and colon and which):
        raise ValueError(f"a line is FILE:NUMBER or FILE:REQUEST_ID, got {line!r:.200}")
    is_number = re.fullmatch("[0-9]{1,9}", which) is not None
    found: dict[int, bytes] = {}
    count = 0
    with Path(name).open("rb") as file:
        while text := file.readline(_MOST_LINE_BYTES):
            count += 1
            if count == int(which) if is_number else _is_of_request(text, which):
                found[count] = text
    if not found:
        what = f"no line {which}, its last one is {count}" if is_number else f"no line of the request {which}"
        raise ValueError(f"{name} has {what}")
    if len(found) > 1:
        raise ValueError(f"{name} has several lines of the request {which}: name one of {', '.join(map(str, found))}")
    ((number, text),) = found.items()
    try:
        return Record.of_line(text)
    except ValueError as reason:
        raise ValueError(f"line {number} of {name} cannot be replayed: {reason}") from reason
