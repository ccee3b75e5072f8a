"""Writes spans as a Parquet file, one row for each span; needs the extra `parquet`."""

import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from staa_client import contract
from staa_client.batch.journal import draft_of
from staa_client.batch.parquet import encodable, key_of_text, key_text, read_lines
from staa_client.contract.document import MOST_LINE_BYTES, read_json
from staa_client.results.explanation import MAPS, Explanation, maps_of
from staa_client.results.maps import pack

try:
    import pyarrow as pa
    import pyarrow.parquet as pq
except ImportError as reason:
    _MESSAGE = 'Parquet needs the package pyarrow: pip install "./client[parquet]" from a checkout'
    raise ImportError(_MESSAGE) from reason

_ROWS_AT_A_TIME = 64
"""How many rows are in memory at a time."""
_TEXTS = ("source", "key", "stamp", "request")
_PLACES = ("number", "spans")
_NUMBERS = ("start", "end", "score", "peak")
_FIELDS: list[tuple[str, pa.DataType]] = [
    *((name, pa.string()) for name in _TEXTS),
    *((name, pa.int32()) for name in _PLACES),
    ("label", pa.string()),
    ("class_id", pa.int32()),
    *((name, pa.float64()) for name in _NUMBERS),
    ("not_explained", pa.string()),
    ("shape", pa.list_(pa.int32())),
    *((name, pa.list_(pa.float32())) for name in MAPS),
    ("reply", pa.string()),
    ("about", pa.string()),
]
SCHEMA = pa.schema(_FIELDS)
"""Times are seconds. The maps of the best window are flat, in the order of `shape` (t, h, w); `reply` holds the rest of
the server's reply as JSON. `about` is what all spans of a video share as JSON, in the row of its span number 0."""


def row_of(line: Mapping[str, Any]) -> dict[str, Any]:
    """Return the JSON data of a span's line as a row."""
    row: dict[str, Any] = dict.fromkeys(SCHEMA.names)
    row |= {name: encodable(line[name]) for name in (*_TEXTS, "label")} | {"key": key_text(line["key"])}
    row |= {name: line[name] for name in (*_PLACES, "class_id", *_NUMBERS, "not_explained")}
    row["about"] = None if line["about"] is None else json.dumps(line["about"])
    answer = None if line["reply"] is None else contract.of_document(line["reply"])
    if isinstance(answer, Explanation):
        row |= {name: values.ravel() for name, values in maps_of(answer).items()}
        row |= {"shape": list(answer.joint.shape), "reply": json.dumps(answer.without_maps())}
    return row


def line_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row as the JSON data of a span's line."""
    line = {name: row[name] for name in (*_TEXTS, *_PLACES, "label", "class_id", *_NUMBERS, "not_explained")}
    line["key"] = key_of_text(row["key"])
    line["about"] = None if row["about"] is None else read_json(row["about"].encode(), MOST_LINE_BYTES)
    line["reply"] = None
    if row["reply"] is not None:
        reply = read_json(row["reply"].encode(), MOST_LINE_BYTES)
        t, h, w = row["shape"]
        shapes = {"temporal": (t,), "spatial": (h, w), "joint": (t, h, w), "signed": (t, h, w)}
        for name, shape in shapes.items():
            if row[name] is not None:
                reply["explanation"][name] = pack(np.asarray(row[name], np.float32).reshape(shape))
        line["reply"] = reply
    return line


def write_spans(path: Path, lines: Iterable[Mapping[str, Any]]) -> None:
    """Write spans as a Parquet file; after an error there is no file, or the old one is unchanged."""
    left = iter(lines)
    with draft_of(path) as draft, draft.open("wb") as file, pq.ParquetWriter(file, SCHEMA, compression="zstd") as table:
        while rows := [row_of(line) for line in islice(left, _ROWS_AT_A_TIME)]:
            table.write_table(pa.Table.from_pylist(rows, SCHEMA))


def read_spans(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the lines of spans in a Parquet file.

    Raises:
        ValueError: this client did not write it.
    """
    return read_lines(path, SCHEMA, "spans", line_of, _ROWS_AT_A_TIME)
