"""The folder of a bulk job's rows: nothing twice, nothing lost, and nothing of another job."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from scale.bulk.answers import Answers
from scale.bulk.sources import Source
from staa_client.batch.key import Key
from staa_client.batch.parquet import SCHEMA, key_text
from tests.made.stored import REQUEST


def source(name: str, stamp: str = "1 1") -> Source:
    """Return a source that need not be there."""
    return Source("", f"/{name}", Key(name, f"/{name}", stamp))


def rows(*sources: Source, **other: Any) -> pa.Table:
    """Return a row for each source."""
    head = [{"source": s.key.name, "key": key_text(s.key.identity), "stamp": s.key.stamp} for s in sources]
    return pa.Table.from_pylist([each | {"request": REQUEST, "label": "blinks"} | other for each in head], SCHEMA)


def names(folder: Path) -> list[str]:
    """Return the names in all rows of a folder."""
    return sorted(row["source"] for path in folder.glob("*.parquet") for row in pq.read_table(path).to_pylist())


def test_rows_are_kept_in_parts(tmp_path: Path) -> None:
    """A file holds as many rows as are wanted, the last one the rest, also where the job breaks off."""
    out = tmp_path / "new" / "out"
    with pytest.raises(KeyboardInterrupt), Answers(str(out), REQUEST, 2) as answers:  # noqa: PT012
        for name in "abc":
            answers.add(rows(source(name)))
        assert names(out) == ["a", "b"]
        raise KeyboardInterrupt
    assert names(out) == ["a", "b", "c"]
    assert sorted(path.suffix for path in out.iterdir()) == [".parquet", ".parquet"]


def test_what_is_missing(tmp_path: Path) -> None:
    """Done again is what has changed since, or failed by its storage or the server; errors of the video stay."""
    with Answers(str(tmp_path), REQUEST, 9) as answers:
        answers.add(rows(source("good"), source("old"), source("unlisted")))
        answers.add(rows(source("bad"), error_code="not_a_video", error_status=415))
        answers.add(rows(source("unread"), error_code="FileNotFoundError"))
        answers.add(rows(source("fault"), error_code="internal_error", error_status=500))
    (tmp_path / "answers-1.parquet.new").write_bytes(b"half a fi")
    with Answers(str(tmp_path), REQUEST, 9) as answers:
        listed = [source(name) for name in ("good", "bad", "unread", "fault", "new")] + [source("old", "2 2")]
        missing = [each.key.name for each in answers.missing(listed)]
    assert sorted(missing) == ["fault", "new", "old", "unread"]
    assert names(tmp_path) == ["bad", "good", "unlisted"]
    assert not list(tmp_path.glob("*.new"))


def test_a_folder_of_other_work(tmp_path: Path) -> None:
    """Answers to another request, and Parquet of another kind, are left alone."""
    with Answers(str(tmp_path / "a"), REQUEST, 9) as answers:
        answers.add(rows(source("a")))
    with Answers(str(tmp_path / "a"), "other", 9) as answers, pytest.raises(ValueError, match="name another folder"):
        answers.missing([source("a")])
    (tmp_path / "b").mkdir()
    pq.write_table(pa.table({"key": ["a"]}), tmp_path / "b" / "x.parquet")
    with Answers(str(tmp_path / "b"), REQUEST, 9) as answers, pytest.raises(ValueError, match="of answers"):
        answers.missing([source("a")])


def test_one_job_at_a_time(tmp_path: Path) -> None:
    """A second job does not write into the folder of one that runs."""
    with Answers(str(tmp_path), REQUEST, 9), pytest.raises(BlockingIOError):
        Answers(str(tmp_path), REQUEST, 9)
    with Answers(str(tmp_path), REQUEST, 9):
        pass
