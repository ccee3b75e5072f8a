"""Answers that are kept, in JSON lines and in Parquet alike: each once, each found again, none lost."""

import io
import json
import os
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pyarrow.parquet as pq
import pytest

from staa_client import Client, ReplyError
from tests.client.batch.conftest import CountingServer, client, small_files, sources, told_of_files
from tests.client.conftest import document, server


@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
def test_what_was_answered_is_not_asked_again(ending: str, tmp_path: Path) -> None:
    """Interrupted half way and started again, every source is asked once in all, and has one answer in the file."""
    paths, counting = small_files(tmp_path / "in", 12), CountingServer()
    output = tmp_path / f"out.{ending}"
    with client(counting) as staa:
        items = staa.batch(paths, concurrency=2, output=output)
        for _ in range(4):
            next(items)
        items.close()  # type: ignore[attr-defined]  # a generator, which an iterator need not be
        before = len(counting.asked)
        assert 4 <= before < 12
        again = list(staa.batch(paths, concurrency=2, output=output))
    assert len(counting.asked) == len(set(counting.asked)) == 12
    assert sum(item.resumed for item in again) == before
    with Client(transport=httpx2.MockTransport(server())) as staa:
        plain = staa.explain(paths[0])
    assert all(np.array_equal(item.explanation.joint, plain.joint) for item in again)
    assert again[0].explanation.to_dict() == plain.to_dict()
    if ending == "jsonl":
        lines = [json.loads(line) for line in output.read_text().splitlines()]
        assert sorted(line["source"] for line in lines) == sorted(map(str, paths))
    else:
        table = pq.read_table(output)
        assert sorted(map(str, table["source"].to_pylist())) == sorted(map(str, paths))
        assert list(tmp_path.glob("out*")) == [output]
        np.testing.assert_array_equal(table["joint"][0].as_py(), plain.joint.ravel())
        with client(counting) as staa:
            more = list(staa.batch([*paths, b"one more"], output=output))
        assert (len(counting.asked), len(more), pq.read_table(output).num_rows) == (13, 13, 13)


def test_every_kind_of_source_may_be_kept(tmp_path: Path) -> None:
    """File objects, generators of frames and bytes are read once, answered, and known again by what is in them."""
    counting, output = CountingServer(), tmp_path / "out.jsonl"
    frame = np.zeros((24, 32, 3), np.uint8)

    def sources() -> list[Any]:
        return [io.BytesIO(b"fast"), (frame for _ in range(16)), b"bytes", 3]

    with client(counting) as staa:
        first = list(staa.batch(sources(), output=output, on_error="collect"))
        asked = len(counting.asked)
        again = list(staa.batch(sources(), output=output, on_error="collect"))
    assert [item.error is None for item in first] == [True, True, True, False]
    assert isinstance(first[3].error, TypeError)
    assert [item.resumed for item in again] == [True, True, True, False]
    assert len(counting.asked) == asked


@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
def test_a_path_is_known_wherever_it_is_named_from(
    ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same relative path in another folder is another video; another name of the same file is the same."""
    counting, output = CountingServer(), tmp_path / f"out.{ending}"
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "clip.mp4").write_bytes(name.encode())
    with client(counting) as staa:
        for name in ("a", "b"):
            monkeypatch.chdir(tmp_path / name)
            (item,) = staa.batch(["clip.mp4"], output=output)
            assert (item.source, item.resumed) == ("clip.mp4", False)
        (item,) = staa.batch([tmp_path / "b" / "clip.mp4"], output=output)
    assert item.resumed
    assert counting.asked == [b"a", b"b"]
    assert sources(output) == ["clip.mp4", "clip.mp4"]


@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
def test_a_file_that_changed_is_asked_again(ending: str, tmp_path: Path) -> None:
    """Another video under the same name gets an answer of its own, which takes the place of the old one."""
    counting, output = CountingServer(), tmp_path / f"out.{ending}"
    paths = small_files(tmp_path / "in", 2)
    with client(counting) as staa:
        list(staa.batch(paths, output=output))
        paths[1].write_bytes(b"fast and new")
        items = list(staa.batch(paths, output=output))
        assert [item.resumed for item in items] == [True, False]
        assert sorted(sources(output)) == sorted(map(str, paths))
        before = paths[0].stat()
        paths[0].write_bytes(paths[0].read_bytes()[::-1])  # of the same size
        os.utime(paths[0], ns=(before.st_atime_ns, before.st_mtime_ns + 1))
        items = list(staa.batch(paths, output=output))
        assert [item.resumed for item in items] == [False, True]
        paths[1].write_bytes(b"noise, which is refused")
        list(staa.batch(paths, output=output, on_error="collect"))
    assert sorted(sources(output)) == sorted(map(str, paths))
    assert len(counting.asked) == 2 + 1 + 1 + 1


@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
def test_a_source_that_is_named_often_is_asked_for_once(ending: str, tmp_path: Path) -> None:
    """Where answers are kept, one path many times is one request; `resumed` tells only of answers of an earlier run."""
    (path,), counting, output = small_files(tmp_path / "in", 1), CountingServer(), tmp_path / f"out.{ending}"
    with client(counting) as staa:
        items = list(staa.batch([path] * 12, output=output))
        assert [item.resumed for item in items] == [False] * 12
        assert len(counting.asked) == 1
        again = list(staa.batch([path, b"fast", b"fast"], output=output))
    assert [item.resumed for item in again] == [True, False, False]
    assert len(counting.asked) == 2


@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
def test_answers_to_another_request_stay_as_they_are(ending: str, tmp_path: Path) -> None:
    """A file that is refused is the one that is named; it keeps its bytes, and no other file appears beside it."""
    output = tmp_path / f"out.{ending}"
    with client(CountingServer()) as staa:
        list(staa.batch([b"x"], output=output))
        before = output.read_bytes()
        with pytest.raises(ValueError, match=rf"out\.{ending} holds answers to another request"):
            list(staa.batch([b"x"], output=output, top_k=3))
        assert output.read_bytes() == before
        if ending == "parquet":
            output.write_bytes(before[:-9])
            with pytest.raises(ValueError, match=r"out\.parquet is no Parquet file of answers"):
                list(staa.batch([b"x"], output=output))
    assert [path.name for path in tmp_path.iterdir()] == [output.name]


@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
def test_a_name_that_is_no_utf_8_is_kept(ending: str, tmp_path: Path) -> None:
    """A file named in another encoding has its answer in the output, and is known again; so is an error about it."""
    counting, output = CountingServer(), tmp_path / f"out.{ending}"
    paths = [tmp_path / os.fsdecode(name) for name in (b"b\xe9.mp4", b"c\xe9.mp4")]
    paths[0].write_bytes(b"fast")
    with client(counting) as staa:
        first = list(staa.batch(paths, output=output, on_error="collect"))
        again = list(staa.batch(paths[:1], output=output))
        with pytest.raises(FileNotFoundError):
            list(staa.batch(paths, output=output))
    assert [item.source for item in first] == [str(path) for path in paths]
    assert [item.error is None for item in first] == [True, False]
    assert [(item.source, item.resumed) for item in again] == [(str(paths[0]), True)]
    assert len(counting.asked) == 1
    assert output.read_bytes().count(b"mp4") > 0


@pytest.mark.parametrize("label", ["half \udc80", "two\nlines", "\u202eback", "x" * 2000])
@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
def test_a_label_that_no_line_can_show_ends_no_batch(ending: str, label: str, tmp_path: Path) -> None:
    """One answer of a strange server is an error of its own; the others are kept."""
    output = tmp_path / f"out.{ending}"

    def strange(request: httpx2.Request) -> httpx2.Response:
        return server(document(label=label if request.content == b"x" else "spins"))(request)

    with Client(transport=httpx2.MockTransport(strange)) as staa:
        items = list(staa.batch([b"w", b"x", b"y"], output=output, on_error="collect"))
        again = list(staa.batch([b"w", b"x", b"y"], output=output, on_error="collect"))
    for each in (items, again):
        assert [type(item.error) for item in each] == [type(None), ReplyError, type(None)]
    assert [item.resumed for item in again] == [True, False, True]


@pytest.mark.parametrize("reply", [None, 5, [], {}, {"explanation": {}}, "map"])
@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
def test_a_damaged_answer_is_asked_for_again(ending: str, reply: Any, tmp_path: Path) -> None:
    """A line whose reply is none is dropped, and its source asked for once more; nobody blames the server."""
    paths, counting, output = small_files(tmp_path / "in", 3), CountingServer(), tmp_path / f"out.{ending}"
    kept = output if ending == "jsonl" else tmp_path / "out.parquet.jsonl"
    with client(counting) as staa:
        items = staa.batch(paths, concurrency=1, output=output)
        for _ in paths:
            next(items)
        items.close()  # type: ignore[attr-defined]  # a generator, which an iterator need not be
        lines = [json.loads(line) for line in kept.read_text().splitlines()]
        for line in lines[:2]:
            if line["reply"] is not None:
                line["reply"] = reply if reply != "map" else line["reply"] | {"clip": {}}
        kept.write_text("".join(json.dumps(line) + "\n" for line in lines))
        again = list(staa.batch(paths[1:], output=output))
        assert [item.resumed for item in again] == [False, True]
        last = list(staa.batch(paths[1:], output=output))
    assert [item.resumed for item in last] == [True, True]
    assert len(counting.asked) == 4


@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
def test_a_disk_that_is_full_leaves_no_draft(ending: str, tmp_path: Path) -> None:
    """Where the file cannot be put in its place, its draft goes too, and what was answered is still there."""
    paths, counting, output = small_files(tmp_path / "in", 2), CountingServer(), tmp_path / f"out.{ending}"

    def full(event: str, path: str) -> None:
        if event == "os.rename" and path.endswith(".new"):
            raise OSError(28, "No space left on device")

    with client(counting) as staa:
        if ending == "jsonl":
            list(staa.batch(paths, output=output))
            paths[1].write_bytes(b"fast and new")  # so that a line is replaced
        with told_of_files(full), pytest.raises(OSError, match="No space left"):
            list(staa.batch(paths, output=output))
        kept = output if ending == "jsonl" else tmp_path / "out.parquet.jsonl"
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["in", kept.name])
        asked = len(counting.asked)
        assert all(item.resumed for item in staa.batch(paths, output=output))
    assert len(counting.asked) == asked
