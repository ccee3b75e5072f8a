"""`staa replay`, and the options `--store` and `--explain-when` of the command."""

import json
from pathlib import Path

import pytest

from staa_client.cli import main


def test_an_explanation_is_kept_and_replayed(url: str, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--store` keeps a line by which the same is found again: exit code 0 and a table, or JSON."""
    store = path.parent / "evidence.jsonl"
    assert main(["explain", str(path), "--server", url, "--store", str(store), "--json"]) == 0
    capsys.readouterr()
    assert main(["replay", f"{store}:1", str(path), "--server", url]) == 0
    told = capsys.readouterr().out
    assert told.startswith("explained 2")
    assert "DIFFERS" not in told
    assert "\nvideo " in told
    assert main(["replay", f"{store}:1", str(path), "--server", url, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["same"] is True
    assert found["checks"]["map"]["same"] is True


def test_what_differs_is_exit_code_1(url: str, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Another video, or a line that was changed; a line that is not there is wrong usage."""
    store, other = path.parent / "evidence.jsonl", path.parent / "other.mp4"
    other.write_bytes(path.read_bytes() + b"\0")
    assert main(["explain", str(path), "--server", url, "--store", str(store)]) == 0
    capsys.readouterr()
    assert main(["replay", f"{store}:1", str(other), "--server", url]) == 1
    assert "DIFFERS" in capsys.readouterr().out
    store.write_text(store.read_text().replace('"name":"clip.mp4"', '"name":"other.mp4"'))
    assert main(["replay", f"{store}:1", str(path), "--server", url]) == 1
    assert "changed since it was written" in capsys.readouterr().out
    assert main(["replay", f"{store}:2", str(path), "--server", url]) == 2
    assert "has no line 2, its last one is 1" in capsys.readouterr().err


def test_the_store_may_be_a_setting(
    url: str, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the environment or in the file of settings, as the other options of a connection."""
    settings, kept, named = (tmp_path / name for name in ("config.toml", "kept.jsonl", "named.jsonl"))
    settings.write_text(f'store = "{kept}"\n')
    command = ["explain", str(path), "--server", url]
    assert main(["--config", str(settings), *command]) == 0
    monkeypatch.setenv("STAA_STORE", str(named))
    assert main(["--config", str(settings), *command]) == 0
    assert main(["predict", str(path), "--server", url]) == 0
    assert [len(file.read_bytes().splitlines()) for file in (kept, named)] == [1, 1]
    assert main([*command, "--store", str(tmp_path / "none" / "x.jsonl")]) == 2
    assert "No such file or directory" in capsys.readouterr().err


def test_a_video_that_is_left_out_says_why(url: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--explain-when`, also given twice: the line about the map says why there is none; a file of one is not made."""
    rules = ["--explain-when", "score_below=0.5", "--explain-when", "score_below=0.6"]
    why = "not explained: the best label has 0.931, the rule explains below 0.6"
    picture = folder / "map.png"
    assert main(["explain", str(folder / "a.mp4"), "--server", url, *rules, "-o", str(picture)]) == 0
    printed = capsys.readouterr()
    assert why in printed.out.splitlines()
    assert printed.err == f"not written, as there is no map: {picture}\n"
    assert not picture.exists()
    several = ["explain", str(folder / "[ab].mp4"), "--server", url, *rules]
    assert main([*several, "--json", "-o", str(folder / "{name}.png")]) == 0
    assert capsys.readouterr().err.count("not written, as there is no map: ") == 2
    assert main(several) == 0
    assert capsys.readouterr().out.count(f"  {why}\n") == 2
    answers = folder / "answers.jsonl"
    assert main(["batch", str(folder / "a.mp4"), "--server", url, *rules, "-o", str(answers)]) == 0
    assert json.loads(answers.read_text())["reply"]["not_explained"]["rule"] == "score_below=0.5;score_below=0.6"
    watched = ["watch", str(folder / "a.mp4"), "--latency", "keep", "--stride", "2", "--count", "1"]
    capsys.readouterr()
    assert main([*watched, "--server", url, *rules]) == 0
    assert why in capsys.readouterr().out


def test_an_answer_that_cannot_be_kept_has_its_files_all_the_same(
    url: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A store that is full fails each video; what was answered is drawn, for one video and for several."""
    for pattern in ("a.mp4", "[ab].mp4"):
        asked = ["explain", str(folder / pattern), "--server", url, "--store", "/dev/full"]
        assert main([*asked, "-o", str(folder / "{name}.png")]) == 1
        assert "cannot be kept" in capsys.readouterr().err
    assert (folder / "b.png").exists()
