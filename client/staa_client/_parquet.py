"""Answers as a Parquet file, one row a source; needs the extra `parquet`."""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from staa_client import _wire
from staa_client._journal import checked, lines
from staa_client._maps import packed
from staa_client._types import Explanation

try:
    import pyarrow as pa
    import pyarrow.parquet as pq
except ImportError as reason:
    _MESSAGE = 'Parquet needs the package pyarrow: pip install "./client[parquet]" from a checkout'
    raise ImportError(_MESSAGE) from reason

_HEAD = ("source", "key", "stamp", "request")
_MAPS = ("temporal", "spatial", "joint", "signed")
_GROUP = 256
"""Rows that are in memory at a time."""
_FLOATS = pa.list_(pa.float32())
_FIELDS: list[tuple[str, pa.DataType]] = [
    ("source", pa.string()),
    ("key", pa.string()),  # the absolute path; else as `source`
    ("stamp", pa.string()),  # size and time of change of a file
    ("request", pa.string()),
    ("label", pa.string()),
    ("class_id", pa.int32()),
    ("score", pa.float64()),
    ("error_code", pa.string()),
    ("error_message", pa.string()),
    ("error_status", pa.int32()),
    ("shape", pa.list_(pa.int32())),
    *((name, _FLOATS) for name in _MAPS),
    ("reply", pa.string()),
]
SCHEMA = pa.schema(_FIELDS)
"""The maps are flat, in the order of `shape` (t, h, w); `reply` is the rest of the reply as JSON."""


def row_of(line: Mapping[str, Any]) -> dict[str, Any]:
    """A line of answers as a row."""
    row: dict[str, Any] = dict.fromkeys(SCHEMA.names) | {name: line[name] for name in _HEAD}
    if "error" in line:
        return row | {f"error_{name}": line["error"][name] for name in ("code", "message", "status")}
    answer = _wire.of_document(line["reply"])
    if answer.predictions:
        best = answer.predictions[0]
        row |= {"label": best.label, "class_id": best.class_id, "score": best.score}
    if isinstance(answer, Explanation):
        found = {name: getattr(answer, name) for name in _MAPS}
        row |= {name: None if value is None else value.ravel() for name, value in found.items()}
        return row | {"shape": list(answer.joint.shape), "reply": json.dumps(answer.without_maps())}
    return row | {"reply": json.dumps(answer.to_dict())}


def line_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row as a line of answers."""
    head = {name: row[name] for name in _HEAD}
    if row["error_code"] is not None:
        return head | {"error": {name: row[f"error_{name}"] for name in ("code", "message", "status")}}
    reply = json.loads(row["reply"])
    if row["joint"] is not None:
        t, h, w = row["shape"]
        shapes = {"temporal": (t,), "spatial": (h, w), "joint": (t, h, w), "signed": (t, h, w)}
        maps = {
            name: packed(np.asarray(row[name], np.float32).reshape(shapes[name]))
            for name in _MAPS
            if row[name] is not None
        }
        reply["explanation"] |= maps
    return head | {"reply": reply}


def write(path: Path, answers: Iterable[Mapping[str, Any]]) -> None:
    """Lines of answers as a Parquet file, whole or not at all."""
    new = path.with_name(path.name + ".new")
    left = iter(answers)
    with pq.ParquetWriter(new, SCHEMA, compression="zstd") as file:
        while rows := [row_of(line) for line in islice(left, _GROUP)]:
            file.write_table(pa.Table.from_pylist(rows, SCHEMA))
    os.replace(new, path)  # noqa: PTH105  # whole or not at all


def read(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of answers in a Parquet file.

    Raises:
        ValueError: it is none of this client's.
    """
    try:
        with pq.ParquetFile(path) as file:
            for group in file.iter_batches(_GROUP):
                for row in group.to_pylist():
                    yield line_of(row)
    except (pa.ArrowException, KeyError) as reason:
        msg = f"{path} is no Parquet file of answers ({reason}): name another"
        raise ValueError(msg) from reason


def journal_of(path: Path, request: str) -> Path:
    """The journal that becomes this file; it starts with the answers that are in the file already.

    Raises:
        ValueError: those are to another request, or the file is none of this client's; then no journal is left.
    """
    journal = path.with_name(path.name + ".jsonl")
    if path.exists() and not journal.exists():
        new = journal.with_name(journal.name + ".new")
        try:
            with new.open("w", encoding="utf-8") as file:
                for line in read(path):
                    known = checked(line, request, path)
                    file.write(json.dumps(known, ensure_ascii=False, separators=(",", ":")) + "\n")
            os.replace(new, journal)  # noqa: PTH105  # whole or not at all
        finally:
            new.unlink(missing_ok=True)
    return journal


def settle(path: Path) -> None:
    """Make the file of its journal, which is then no longer needed."""
    journal = path.with_name(path.name + ".jsonl")
    write(path, lines(journal))
    journal.unlink()
