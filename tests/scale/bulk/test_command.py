"""What the command of a bulk job says, and refuses before it starts anything."""

from pathlib import Path

import pyarrow as pa
import pytest

from scale.bulk import main
from scale.bulk.progress import Progress


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--method", "none"], "method"),
        (["--top-k", "some"], "top_k is 'some'"),
        (["--top-k", "1000"], "top_k is 1000"),
        (["--verify", "1000"], "verify is 1000"),
        (["--explain-when", "label_in=unknown"], "label_in"),
        (["--labels", "--method", "rollout"], "are about maps"),
        (["--model", "unknown"], "no readable"),
    ],
)
def test_what_no_video_could_be_asked(
    options: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An option that would be an error of every video is one of the command: exit code 2, and no folder is made."""
    assert main([str(tmp_path), str(tmp_path / "out"), *options]) == 2
    error = capsys.readouterr().err
    assert error.startswith("scale: bulk: error: ")
    assert said in error
    assert not (tmp_path / "out").exists()


def test_a_source_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is exit code 2; a folder without videos is no error, and needs no Ray."""
    assert main([str(tmp_path / "gone"), str(tmp_path / "out")]) == 2
    (tmp_path / "clips").mkdir()
    assert main([str(tmp_path / "clips"), str(tmp_path / "out")]) == 0
    assert "0 videos, 0 of them done before" in capsys.readouterr().out


def test_progress(capsys: pytest.CaptureFixture[str]) -> None:
    """It says rate and remaining time, not too often, and in the end counts the errors by their code."""
    now = [0.0]
    progress = Progress(7300, lambda: now[0])
    progress.add(pa.table({"error_code": pa.array([None] * 10, pa.string())}))
    assert capsys.readouterr().out == ""
    now[0] = 20.0
    progress.add(pa.table({"error_code": ["not_a_video", None, "not_a_video", "worker_died"] + [None] * 36}))
    assert capsys.readouterr().out == "scale: bulk: 50 of 7300 videos, 3 errors, 2.00 a second, 1:00:25 left\n"
    assert progress.summary().endswith("3 errors: not_a_video 2, worker_died 1")
