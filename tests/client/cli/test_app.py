"""The command's line: its help, its exit codes, and its errors on one line."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from staa_client import __version__
from staa_client.cli import main
from staa_client.cli.examples import EXAMPLES


def test_the_address_may_lack_its_scheme(url: str, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--server localhost:8080` is enough."""
    assert main(["predict", str(path), "--server", url.removeprefix("http://")]) == 0
    assert "93.1%" in capsys.readouterr().out


def one_line(text: str) -> bool:
    """Whether it is one line that starts with the command's name."""
    return text.startswith("staa: ") and text.count("\n") == 1


def test_a_no_of_the_server_is_exit_1(url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The server's code and message are on one line."""
    noise = tmp_path / "noise.mp4"
    noise.write_bytes(b"noise")
    assert main(["explain", str(noise), "--server", url]) == 1
    error = capsys.readouterr().err
    assert one_line(error)
    assert "415 not_a_video: noise came, send a video" in error


def test_wrong_usage_is_exit_2(url: str, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A missing or empty file, an unknown ending and a bad address are told before anything is sent."""
    empty = path.with_name("empty.mp4")
    empty.touch()
    for arguments in (
        ["predict", str(path) + ".none", "--server", url],
        ["predict", str(empty), "--server", url],
        ["explain", str(path), "--server", url, "-o", "x.tiff"],
        ["explain", str(path), "--server", "ftp://nowhere"],
        ["explain"],
        ["explain", str(path), "--mass", "much"],
        ["explaim", str(path)],
        ["predict", str(path), "--sample", "nobody", "--server", url],
        ["predict", str(path.parent / "*.avi"), "--server", url],
    ):
        assert main(arguments) == 2
        error = capsys.readouterr().err
        assert one_line(error)
        assert "Errno" not in error


def test_no_server_is_exit_3(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody at the address: one line with what to do."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        assert main(["predict", str(path), "--server", url]) == 3
    error = capsys.readouterr().err
    assert one_line(error)
    assert "./serve.sh" in error


def test_the_trace_is_shown_on_request(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`-v` shows where an error came from; without it there is one line."""
    missing = str(folder / "missing.mp4")
    assert main(["predict", missing]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert main(["predict", missing, "-v"]) == 2
    assert "Traceback" in capsys.readouterr().err


def test_no_command_shows_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    """`staa` alone prints its help where answers go; the exit code tells a script that nothing was asked."""
    assert main([]) == 2
    printed = capsys.readouterr()
    assert printed.out.startswith("Usage: staa")
    assert all(command in printed.out for command in EXAMPLES)
    assert printed.err == ""


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """`staa --version` is that of the package."""
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"staa {__version__}\n"


@pytest.mark.parametrize("command", sorted(EXAMPLES))
def test_every_command_has_examples_in_its_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each example stands on a line of its own at the end of the help, as it is typed."""
    assert main([command, "--help"]) == 0
    lines = capsys.readouterr().out.partition("Examples:")[2].splitlines()
    for _, line in EXAMPLES[command]:
        assert any(text.split("  #")[0].strip() == line for text in lines), line


def test_the_examples_work(
    url: str, clip: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the help shows can be typed as it is, in a folder with a video and a folder of videos; but for a camera."""
    (tmp_path / "clips").mkdir()
    for name in ("clip.mp4", "clips/a.mp4"):
        (tmp_path / name).write_bytes(clip)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STAA_SERVER", url)
    monkeypatch.setenv("STAA_MANAGEMENT", url)
    for line in (line for examples in EXAMPLES.values() for _, line in examples if line != "staa watch 0"):
        assert main(line.split()[1:]) == 0, (line, capsys.readouterr().err)


def test_completion_is_offered() -> None:
    """`staa --show-completion bash` prints a script for the shell."""
    environment = os.environ | {"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    command = [sys.executable, "-m", "staa_client.cli", "--show-completion", "bash"]
    done = subprocess.run(command, capture_output=True, check=True, env=environment)
    assert b"complete" in done.stdout


def test_the_help_loads_what_it_needs() -> None:
    """`staa --help` is quick: nothing of pictures, video, Parquet or live sources is loaded for it."""
    heavy = ("PIL", "av", "pyarrow", "staa_video", "staa_client.watch")
    script = f"import sys\nfrom staa_client.cli import main\nmain(['--help'])\nprint(set({heavy}) & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True, text=True)
    assert done.stdout.splitlines()[-1] == "set()"
