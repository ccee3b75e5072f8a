"""Keeps the rows of a bulk job in a folder of Parquet files, so that a job can go on where an earlier one ended."""

import uuid
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from scale.bulk.sources import Source, located, storage
from staa_client.batch.journal import OtherRequestError
from staa_client.batch.lock import Lock
from staa_client.batch.parquet import SCHEMA, key_text

_DRAFT = ".new"
"""The ending of a file that is being written; what a killed job left of it is deleted."""


class Answers:
    """Hold the rows of a folder, local or remote, with one row at most of each video. One job at a time writes them.

    Args:
        folder: its path or URL; it is created if it does not exist.
        request: what is asked about every video, as text.
        part: how many rows a file has.

    Raises:
        BlockingIOError: another job writes into the folder, which must be a local one for that to be seen.
        OSError: it cannot be read or written.
    """

    def __init__(self, folder: str, request: str, part: int) -> None:
        self._request, self._part = request, part
        root, self._path = located(folder)
        self._files, self._stack = storage(root), ExitStack()
        self._files.create_dir(self._path, recursive=True)
        if not root:
            self._stack.callback(Lock(Path(self._path) / "answers").release)
        self._waiting: list[pa.Table] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._stack:
            self._write_waiting()

    def missing(self, sources: Iterable[Source]) -> list[Source]:
        """Return the sources that have no row, once the rows have been dropped that do not count.

        Those are the rows of videos that have changed since, and the errors of a storage or of a server, which say
        nothing of the video. An error of the video itself is kept.

        Raises:
            OtherRequestError: the folder holds answers to another request.
            ValueError: it holds Parquet files of another kind.
        """
        by_key = {key_text(source.key.identity): source for source in sources}
        listed = self._files.get_file_info(fs.FileSelector(self._path))
        for entry in listed:
            if entry.path.endswith(_DRAFT):
                self._files.delete_file(entry.path)
        paths = sorted(entry.path for entry in listed if entry.extension == "parquet")
        with ThreadPoolExecutor(16) as pool:  # a remote storage takes its time for each
            for path, rows in zip(paths, pool.map(self._read, paths), strict=True):
                counts = [
                    (row["key"] not in by_key or by_key[row["key"]].key.stamp == row["stamp"])
                    and (row["error_code"] is None or 400 <= (row["error_status"] or 0) < 500)
                    for row in rows
                ]
                if not all(counts):
                    self._write(pq.read_table(path, filesystem=self._files).filter(pa.array(counts)), path)
                for row, is_kept in zip(rows, counts, strict=True):
                    if is_kept:
                        by_key.pop(row["key"], None)
        return list(by_key.values())

    def add(self, rows: pa.Table) -> None:
        """Write rows, once there are enough for a file, or at the end."""
        self._waiting.append(rows)
        if sum(map(len, self._waiting)) >= self._part:
            self._write_waiting()

    def _read(self, path: str) -> list[dict[str, Any]]:
        """Return what says of each row in a file whether it counts."""
        with self._files.open_input_file(path) as file, pq.ParquetFile(file) as table:
            if table.schema_arrow.remove_metadata() != SCHEMA:
                raise ValueError(f"{path} is no Parquet file of answers: name another folder")
            rows = table.read(["key", "stamp", "request", "error_code", "error_status"]).to_pylist()
        for row in rows:
            if row["request"] != self._request:
                msg = f"{path} holds answers to another request, {row['request']}, not to {self._request}"
                raise OtherRequestError(f"{msg}: name another folder")
        return rows

    def _write_waiting(self) -> None:
        if self._waiting:
            self._write(pa.concat_tables(self._waiting), f"{self._path}/answers-{uuid.uuid4().hex}.parquet")
            self._waiting.clear()

    def _write(self, rows: pa.Table, path: str) -> None:
        """Write a file as a whole or not at all."""
        with self._files.open_output_stream(path + _DRAFT) as file:
            pq.write_table(rows, file, compression="zstd")
        self._files.move(path + _DRAFT, path)
