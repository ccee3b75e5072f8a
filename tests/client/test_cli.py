"""The command, against a server on loopback."""

import dataclasses
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from staa_client import ClassName, Explanation, _wire
from staa_client._terminal import words
from staa_client.cli import main
from staa_client.report import report
from tests.client.conftest import checked, document, encoded
from tests.client.doors import door


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """The address of a server on loopback."""
    with door() as address:
        yield address


@pytest.fixture
def path(clip: bytes, tmp_path: Path) -> Path:
    """The video as a file."""
    file = tmp_path / "clip.mp4"
    file.write_bytes(clip)
    return file


def test_explain_says_what_when_and_where(url: str, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The table has the labels, the strongest seconds and the strongest region, and the files are written."""
    outputs = [path.with_suffix(ending) for ending in (".html", ".png")]
    code = main(["explain", str(path), "--server", url, "-o", str(outputs[0]), "-o", str(outputs[1])])
    printed = capsys.readouterr()
    assert code == 0
    assert "93.1%" in printed.out
    assert "when   4.50 - 5.00 s" in printed.out
    assert "in pixels of 320 x 240" in printed.out
    assert "\x1b" not in printed.out
    assert all(output.stat().st_size > 10_000 for output in outputs)
    assert printed.err.count("wrote ") == 2


def test_a_class_map_says_its_class(explanation: Explanation) -> None:
    """What a map for one class shows is named, and what it was told from."""
    named = dataclasses.replace(explanation, target=ClassName(3, "moves up"), contrast=ClassName(4, "spins"))
    assert "what speaks for moves up (0.7%), against spins (0.4%):" in words(named)
    assert "speaks for" not in words(explanation)


def test_a_check_is_told_with_its_cost() -> None:
    """What the server found when it checked the map, in a line."""
    found = _wire.explanation(200, {}, encoded(checked(document()), "json"))
    assert "check  the label rests on it (faithful; 34 clips, 0.75 s)" in words(found)
    assert "the label rests on it" in report(found, None)


def test_json_is_the_reply(
    url: str, path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--json` prints the contract's JSON and nothing else; the server's address may come from the environment."""
    monkeypatch.setenv("STAA_SERVER", url)
    assert main(["predict", str(path), "--json"]) == 0
    reply = json.loads(capsys.readouterr().out)
    assert reply["predictions"][0]["score"] == 0.9312
    assert "explanation" not in reply


def test_the_address_may_lack_its_scheme(url: str, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--server localhost:8080` is enough."""
    assert main(["predict", str(path), "--server", url.removeprefix("http://")]) == 0
    assert "93.1%" in capsys.readouterr().out


def test_no_method_is_offered_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    """The help leaves methods to the server: none is named."""
    assert main(["explain", "--help"]) == 0
    words = " ".join(capsys.readouterr().out.split())
    assert "How the map is made; the server says which it has" in words
    assert not any(name in words for name in ("staa_class", "rollout", "paper"))


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


def test_standard_input_is_a_video_too(url: str, clip: bytes) -> None:
    """`-` reads the video from a pipe."""
    command = [sys.executable, "-m", "staa_client.cli", "predict", "-", "--server", url]
    done = subprocess.run(command, input=clip, capture_output=True, check=True)
    assert b"93.1%" in done.stdout


def test_the_package_loads_little() -> None:
    """Importing the client loads neither torch nor the server's core nor what only pictures need."""
    script = "import staa_client, sys; print(sorted({'torch', 'staa', 'PIL', 'av'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert done.stdout.strip() == b"[]"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--colormap", "nosuch", "-o", "y.png"], "a colormap is one of heat, viridis, grey, balance, got 'nosuch'"),
        (["--colormap", "nosuch"], "a colormap is one of"),
        (["-o", "{foo}.png"], "{foo}.png has {foo}, which stands for nothing: write {name}"),
        (["-o", "{}-{name}.png"], "{}-{name}.png has {}, which stands for nothing"),
    ],
)
def test_a_picture_that_cannot_be_is_refused_before_asking(
    arguments: list[str], said: str, path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Colours and fields of a name that there are not are wrong usage, though no server is there."""
    monkeypatch.chdir(path.parent)
    assert main(["explain", "clip.mp4", "--server", "http://127.0.0.1:9", *arguments]) == 2
    assert said in capsys.readouterr().err
    assert [one.name for one in path.parent.iterdir()] == ["clip.mp4"]


def test_a_log_has_no_trace_of_the_bar(url: str, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where the standard error is no terminal, it has the lines on files and errors, and nothing else."""
    noise, output = path.with_name("noise.mp4"), path.with_name("out.jsonl")
    noise.write_bytes(b"noise")
    assert main(["batch", str(path), str(noise), "-o", str(output), "--server", url]) == 1
    failed, wrote = capsys.readouterr().err.split("\n", 1)
    assert failed.startswith(f"staa: {noise}: 415 not_a_video")
    assert wrote == f"wrote {output}: 1 new, 0 there before, 1 failed\n"
    drawn = str(path.with_name("{name}.png"))
    assert main(["explain", str(path), str(noise), "-o", drawn, "--server", url]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert (lines[0], len(lines)) == (f"wrote {path.with_suffix('.png')}", 2)
    assert lines[1].startswith("staa: ")


def test_a_folder_that_is_not_there_is_refused_before_asking(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """`-o` into a missing folder is wrong usage, told before anything is sent."""
    assert main(["explain", "clip.mp4", "--server", "http://127.0.0.1:9", "-o", str(tmp_path / "no" / "x.png")]) == 2
    assert "there is no folder" in capsys.readouterr().err


def test_a_file_that_cannot_be_written_is_named(
    url: str, path: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """What the system says, without its number."""
    (tmp_path / "x.png").mkdir()
    assert main(["explain", str(path), "--server", url, "-o", str(tmp_path / "x.png")]) == 2
    assert capsys.readouterr().err.endswith(f"staa: {tmp_path / 'x.png'}: Is a directory\n")
