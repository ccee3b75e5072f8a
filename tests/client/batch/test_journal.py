"""Answers as JSON lines: what was cut off, failed, or is of something else."""

from pathlib import Path

import pytest

from tests.client.batch.conftest import CountingServer, client, small_files


def test_a_line_that_was_cut_off_is_asked_again(tmp_path: Path) -> None:
    """A run that was killed while it wrote leaves half a line: the rest counts, and that source is asked again."""
    paths, counting, output = small_files(tmp_path / "in", 3), CountingServer(), tmp_path / "out.jsonl"
    with client(counting) as staa:
        list(staa.batch(paths, output=output))
        whole = output.read_bytes()
        output.write_bytes(whole[:-100])
        list(staa.batch(paths, output=output))
    assert len(counting.asked) == 4
    assert sorted(output.read_bytes().splitlines()) == sorted(whole.splitlines())


def test_what_failed_is_asked_again(tmp_path: Path) -> None:
    """Errors are in the file, and in the next run their sources are asked again: one line a source at the end."""
    paths, counting, output = small_files(tmp_path / "in", 8), CountingServer(), tmp_path / "out.jsonl"
    counting.fail_after = 5
    with client(counting) as staa:
        first = list(staa.batch(paths, concurrency=1, output=output, on_error="collect"))
        assert sum(item.error is not None for item in first) == 3
        assert output.read_text().count('"error"') == 3
        counting.fail_after = 10**9
        second = list(staa.batch(paths, concurrency=1, output=output, on_error="collect"))
    assert len(counting.asked) == 8 + 3
    assert all(item.error is None for item in second)
    assert len(output.read_text().splitlines()) == 8


def test_a_file_of_another_request_is_refused(tmp_path: Path) -> None:
    """Answers of another model, of labels only, or of other options are not mixed, nor is a file of something else."""
    paths, output = small_files(tmp_path / "in", 2), tmp_path / "out.jsonl"
    with client(CountingServer()) as staa:
        list(staa.batch(paths, output=output))
        for other in ({"model": "other"}, {"explain": False}, {"mass": 0.5}):
            with pytest.raises(ValueError, match="another request"):
                list(staa.batch(paths, output=output, **other))
        output.write_text("no answers\n")
        with pytest.raises(ValueError, match="no answers"):
            list(staa.batch(paths, output=output))
        assert output.read_text() == "no answers\n"
        with pytest.raises(ValueError, match=r"\.jsonl or \.parquet"):
            staa.batch(paths, output=tmp_path / "out.csv")
        with pytest.raises(ValueError, match="about maps"):
            staa.batch(paths, explain=False, mass=0.3)
        with pytest.raises(TypeError, match="unknown options masss"):
            staa.batch(paths, masss=0.3)  # type: ignore[call-arg]  # what is tested
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out.jsonl"]


@pytest.mark.parametrize("line", [b"[" * 100_000, b'{"source": "a", "request": "b"}', b'{"source": 1}', b"[]"])
def test_a_strange_line_is_no_answer(line: bytes, tmp_path: Path) -> None:
    """Whatever a line holds, the file is refused with one and the same words, and stays as it is."""
    output = tmp_path / "out.jsonl"
    output.write_bytes(line + b"\n")
    with client(CountingServer()) as staa, pytest.raises(ValueError, match="lines that are no answers"):
        list(staa.batch([b"x"], output=output))
    assert output.read_bytes() == line + b"\n"
