"""Writes answers as a Parquet file, one row for each source; needs the extra `parquet`."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from staa_client import contract
from staa_client.batch.journal import DAMAGED, Journal, draft_of, json_line, line_or_raise
from staa_client.contract.document import read_json
from staa_client.results.explanation import MAPS, Explanation, maps_of
from staa_client.results.maps import pack
from staa_client.results.save_job import SaveJob

try:
    import pyarrow as pa
    import pyarrow.parquet as pq
except ImportError as reason:
    _MESSAGE = 'Parquet needs the package pyarrow: pip install "./client[parquet]" from a checkout'
    raise ImportError(_MESSAGE) from reason


_HEAD = ("source", "key", "stamp", "request")
_ROWS_AT_A_TIME = 256
"""How many rows are in memory at a time as they are written."""
_ROWS_READ = 16
"""The same as they are read: one text of a file may stand in many of its rows."""
_FLOATS = pa.list_(pa.float32())
_FIELDS: list[tuple[str, pa.DataType]] = [
    *((name, pa.string()) for name in (*_HEAD, "label")),
    ("class_id", pa.int32()),
    ("score", pa.float64()),
    ("error_code", pa.string()),
    ("error_message", pa.string()),
    ("error_status", pa.int32()),
    ("shape", pa.list_(pa.int32())),
    *((name, _FLOATS) for name in MAPS),
    ("reply", pa.string()),
]
SCHEMA = pa.schema(_FIELDS)
"""`key` is the absolute path, else as `source`; `stamp` is size and time of change of a file. The maps are flat, in the
order of `shape` (t, h, w); `reply` is the rest of the reply as JSON."""


def row_of(line: Mapping[str, Any]) -> dict[str, Any]:
    """Return the JSON data of a line as a row."""
    row: dict[str, Any] = dict.fromkeys(SCHEMA.names) | {name: encodable(line[name]) for name in _HEAD}
    row["key"] = key_text(line["key"])
    if "error" in line:
        error = line["error"]
        texts = {f"error_{name}": encodable(error[name]) for name in ("code", "message")}
        status = error["status"]
        return row | texts | {"error_status": status if isinstance(status, int) and 0 <= status < 1000 else None}
    answer = contract.of_document(line["reply"])
    if answer.predictions:
        best = answer.predictions[0]
        row |= {"label": encodable(best.label), "class_id": best.class_id, "score": best.score}
    if isinstance(answer, Explanation):
        row |= {name: values.ravel() for name, values in maps_of(answer).items()}
        return row | {"shape": list(answer.joint.shape), "reply": json.dumps(answer.without_maps())}
    return row | {"reply": json.dumps(answer.to_dict())}


def line_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row as the JSON data of a line."""
    head = {name: row[name] for name in _HEAD} | {"key": key_of_text(row["key"])}
    if row["error_code"] is not None:
        return head | {"error": {name: row[f"error_{name}"] for name in ("code", "message", "status")}}
    reply = read_json(row["reply"].encode())
    if row["joint"] is not None:
        t, h, w = row["shape"]
        shapes = {"temporal": (t,), "spatial": (h, w), "joint": (t, h, w), "signed": (t, h, w)}
        for name, shape in shapes.items():
            if row[name] is not None:
                reply["explanation"][name] = pack(np.asarray(row[name], np.float32).reshape(shape))
    return head | {"reply": reply}


def encodable(text: str) -> str:
    """Return a text with lone surrogates (from file names that are not UTF-8) escaped, since Arrow cannot hold them."""
    return text.encode("utf-8", "backslashreplace").decode()


def key_text(key: str) -> str:
    """Return a key as the text of a row; a key that is not UTF-8 becomes JSON text, which begins with a quote."""
    return key if encodable(key) == key else json.dumps(key)


def key_of_text(text: str) -> str:
    """Return the key for a text of `key_text`."""
    return str(json.loads(text)) if text.startswith('"') else text


def write_lines(path: Path, answers: Iterable[Mapping[str, Any]]) -> None:
    """Write answers as a Parquet file without damaged ones; after an error there is no file."""
    left = _rows(answers)
    # Arrow is handed open files, as a path that is no UTF-8 is none to it.
    with draft_of(path) as draft, draft.open("wb") as file, pq.ParquetWriter(file, SCHEMA, compression="zstd") as table:
        while rows := list(islice(left, _ROWS_AT_A_TIME)):
            table.write_table(pa.Table.from_pylist(rows, SCHEMA))


def _rows(answers: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield the rows of answers, without damaged ones."""
    for line in answers:
        try:
            row = row_of(line)
        except DAMAGED:
            continue  # the next run that has its source asks for it again
        yield row


def write_one(job: SaveJob) -> None:
    """Write the explanation of a job as a Parquet file."""
    write_explanation(job.explanation, job.target)


def write_explanation(explanation: Explanation, path: Path) -> Path:
    """Write one explanation as a Parquet file of one row, and return its path; after an error there is no file."""
    source = str(explanation.source) if isinstance(explanation.source, Path) else explanation.name
    head = {"source": source, "key": source, "stamp": "", "request": ""}
    write_lines(path, [head | {"reply": explanation.to_dict("base64")}])
    return path


def read_file(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the lines of answers in a Parquet file.

    Raises:
        ValueError: this client did not write it.
    """
    return read_lines(path, SCHEMA, "answers", line_of, _ROWS_READ)


def read_lines(
    path: Path, schema: pa.Schema, what: str, line_of_row: Callable[[dict[str, Any]], dict[str, Any]], rows: int
) -> Iterator[dict[str, Any]]:
    """Yield the lines in a Parquet file of these columns; `rows` of them are read at a time.

    Raises:
        ValueError: this client did not write it; the error says what the file should hold.
    """
    try:
        with path.open("rb") as file, pq.ParquetFile(file) as table:
            if table.schema_arrow.remove_metadata() != schema:
                raise ValueError("its columns are others")
            for group in table.iter_batches(rows):
                for row in group.to_pylist():
                    yield line_of_row(row)
    except (pa.ArrowException, *DAMAGED) as reason:
        raise ValueError(f"{path} is no Parquet file of {what} ({reason}): name another") from reason


def parquet_journal(path: Path, request: str) -> Journal:
    """Return a journal in NAME.jsonl next to a Parquet file, and convert it to that file once all answers are there.

    If a run is interrupted, the journal stays, and the next run goes on from it.

    Args:
        path: The Parquet file, which is created if it does not exist.
        request: What the batch asks about every source, as text.

    Raises:
        ValueError: the file has other contents, or answers to another request; then the journal is deleted.
        OSError: it cannot be read or written.
    """
    journal_path = path.with_name(path.name + ".jsonl")
    if path.exists() and not journal_path.exists():
        with draft_of(journal_path) as draft, draft.open("wb") as file:
            for line in read_file(path):
                file.write(json_line(line_or_raise(line, request, path)))

    def finish() -> None:
        with journal_path.open("rb") as file:
            write_lines(path, map(read_json, file))
        journal_path.unlink()

    return Journal(journal_path, request, finish)
