"""What is printed of a run, and what of TorchServe's log files is told of it."""

import json
from pathlib import Path

import pytest

from staa_serve.log import FORMAT, Log, print_line

TRACE = """\
2026-01-01T00:00:00,000 W-9000-m_1.0-stdout Traceback (most recent call last):
2026-01-01T00:00:00,000 W-9000-m_1.0-stdout   File "handler.py", line 1, in initialize
2026-01-01T00:00:00,000 W-9000-m_1.0-stdout     raise ValueError("the weights are of another model")
2026-01-01T00:00:00,000 W-9000-m_1.0-stdout ValueError: the weights are of another model
2026-01-01T00:00:01,000 W-9000-m_1.0-stdout Traceback (most recent call last):
2026-01-01T00:00:01,000 W-9000-m_1.0-stdout ValueError: the weights are of another model
"""


def test_a_log_begins_where_the_run_does(tmp_path: Path) -> None:
    """What an earlier run wrote into the same file is not told; a file that is not there says nothing."""
    path = tmp_path / "ts_log.log"
    assert Log.at(path).text() == ""
    path.write_text("old\n")
    log = Log.at(path)
    with path.open("a") as end:
        end.write("".join(f"new {number}\n" for number in range(30)))
    assert log.text().startswith("new 0\n")
    assert log.tail(2) == "  | new 28\n  | new 29"


def test_exceptions_are_told_once_and_without_their_frames(tmp_path: Path) -> None:
    """Of tracebacks the lines that say why are left, each once."""
    path = tmp_path / "model_log.log"
    path.write_text(f"2026-01-01T00:00:00,000 W-9000-m_1.0-stdout loading\n{TRACE}")
    assert Log(path, 0).exceptions() == "  | ValueError: the weights are of another model"
    path.write_text("2026-01-01T00:00:00,000 W-9000-m_1.0-stdout loading\n")
    assert Log(path, 0).exceptions() == ""


def test_lines_are_plain_or_json(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    """A line says who speaks; as JSON it is an object with its level, on one line whatever it says."""
    monkeypatch.setenv(FORMAT, "plain")
    print_line("ready")
    monkeypatch.setenv(FORMAT, "json")
    print_line('error: "a"\nb', failed=True)
    said = capfd.readouterr()
    assert said.out == "serve: ready\n"
    (line,) = said.err.splitlines()
    assert {key: value for key, value in json.loads(line).items() if key != "time"} == {
        "level": "ERROR",
        "logger": "serve",
        "request": "",
        "message": 'error: "a"\nb',
    }


def test_what_does_not_print_is_not_printed(capfd: pytest.CaptureFixture[str]) -> None:
    """A terminal's controls in what is quoted of other logs arrive as "?"; lines stay lines."""
    print_line("a\x1b[2K\x9b\u202eb\nc\td")
    assert capfd.readouterr().out == "serve: a?[2K??b\nc\td\n"
