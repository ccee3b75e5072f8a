"""Answers as rows of a Parquet file: what a row holds, and rows that are none."""

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from staa_client import Explanation, Refinement
from tests.client.batch.conftest import CountingServer, client


def test_parquet_has_labels_and_maps(explanation: Explanation, tmp_path: Path) -> None:
    """One row: label, score, the flat maps with their shape, and the rest as JSON."""
    explanation = replace(explanation, refinement=Refinement("direct", "it was chosen", "class", 0.03125, 16, 0.5))
    table = pq.read_table(explanation.to_parquet(tmp_path / "x.parquet"))
    (row,) = table.to_pylist()
    assert (row["label"], row["shape"], row["error_code"]) == ("moves down", [16, 12, 12], None)
    np.testing.assert_array_equal(np.array(row["joint"], np.float32).reshape(row["shape"]), explanation.joint)
    assert json.loads(row["reply"]) == explanation.without_maps()
    assert json.loads(row["reply"])["explanation"]["refinement"]["chosen"] == "direct"


def test_a_name_that_is_no_utf_8_stands_as_its_escape(tmp_path: Path) -> None:
    """Arrow holds UTF-8 alone: the name is to be read, and the key, by which the file is known again, is exact."""
    path, output = tmp_path / os.fsdecode(b"b\xe9.mp4"), tmp_path / "out.parquet"
    path.write_bytes(b"fast")
    with client(CountingServer()) as staa:
        list(staa.batch([path], output=output))
    (row,) = pq.read_table(output).to_pylist()
    assert row["source"] == str(tmp_path / "b\\udce9.mp4")
    assert json.loads(row["key"]) == str(path)


@pytest.mark.parametrize(
    ("column", "value"), [("reply", "null"), ("reply", "no JSON"), ("shape", [1, 2]), ("key", '"x')]
)
def test_a_row_of_another_form_names_the_file(column: str, value: object, tmp_path: Path) -> None:
    """A file whose rows are no answers is refused by its name, before anything is asked, and stays as it is."""
    output, counting = tmp_path / "out.parquet", CountingServer()
    with client(counting) as staa:
        list(staa.batch([b"fast"], output=output))
        table = pq.read_table(output)
        (row,) = table.to_pylist()
        pq.write_table(pa.Table.from_pylist([row | {column: value}], table.schema), output)
        before = output.read_bytes()
        with pytest.raises(ValueError, match=r"out\.parquet is no Parquet file of answers"):
            list(staa.batch([b"fast"], output=output))
    assert output.read_bytes() == before
    assert len(counting.asked) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["out.parquet"]


def test_a_file_may_stand_in_a_folder_whose_name_is_no_utf_8(explanation: Explanation, tmp_path: Path) -> None:
    """Arrow takes no such path, and need not: the answers are written, and found again."""
    folder = tmp_path / os.fsdecode(b"d\xe9")
    folder.mkdir()
    with client(CountingServer()) as staa:
        for _ in range(2):
            (item,) = staa.batch([b"fast"], output=folder / os.fsdecode(b"\xe9.parquet"))
    assert item.resumed
    assert explanation.to_parquet(folder / "x.parquet").stat().st_size > 1000
