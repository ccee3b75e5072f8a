"""The command with many videos, its files, its settings, and what it draws."""

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from rich.console import Console

from staa_client import Client, Explanation
from staa_client._settings import settings
from staa_client._terminal import picture
from staa_client.cli import main
from tests.client.doors import Door, door
from tests.client.test_status import management


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """The address of a server on loopback."""
    with door() as address:
        yield address


@pytest.fixture
def folder(clip: bytes, tmp_path: Path) -> Path:
    """Three videos, and a file that is none."""
    for name in ("a.mp4", "b.mp4", "c.mp4"):
        (tmp_path / name).write_bytes(clip)
    (tmp_path / "noise.mp4").write_bytes(b"noise")
    return tmp_path


def test_many_videos_are_a_line_each(url: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A pattern stands for its files; what failed is said by name, and makes exit code 1; the others are there."""
    assert main(["explain", str(folder / "*.mp4"), "--server", url]) == 1
    printed = capsys.readouterr()
    assert [line.split()[0].rpartition("/")[2] for line in printed.out.splitlines()] == ["a.mp4", "b.mp4", "c.mp4"]
    assert "4.50 - 5.00 s" in printed.out
    assert re.search(r"staa: .*noise\.mp4: 415 not_a_video", printed.err)


def test_pictures_of_many_have_names_of_their_own(url: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`{name}` in -o stands for the video's name; without it many videos are refused before anything is asked."""
    videos = [str(folder / name) for name in ("a.mp4", "b.mp4")]
    before = len(Door.seen)
    assert main(["explain", *videos, "--server", url, "-o", str(folder / "out.png")]) == 2
    assert "put {name} in" in capsys.readouterr().err
    assert len(Door.seen) == before
    assert main(["explain", *videos, "--server", url, "-o", str(folder / "{name}-map.png")]) == 0
    assert sorted(path.name for path in folder.glob("*.png")) == ["a-map.png", "b-map.png"]


def test_no_picture_is_written_twice(url: str, clip: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Files that two videos would write, or that are a video themselves, are refused by name before any is asked."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "clip.mp4").write_bytes(clip)
    one, other = (str(tmp_path / name / "clip.mp4") for name in ("a", "b"))
    drawn, before = str(tmp_path / "{name}.png"), len(Door.seen)
    for arguments, said in (
        ([one, other, "-o", drawn], f"clip.png would be written by both {one} and {other}"),
        ([one, one, "-o", drawn], f"clip.png would be written by both {one} and {one}"),
        ([one, "http://127.0.0.1:9/b/clip.webm?x=1", "-o", drawn], "by both"),
        ([one, "-o", drawn, "-o", str(tmp_path / "a" / ".." / "clip.png")], "named twice"),
        ([one, "-o", str(tmp_path / "a" / "{name}.mp4")], f"is the video {one} itself"),
    ):
        assert main(["explain", *arguments, "--server", url]) == 2
        assert said in capsys.readouterr().err
    assert len(Door.seen) == before
    assert sorted(path.name for path in tmp_path.rglob("*.*")) == ["clip.mp4", "clip.mp4"]
    (tmp_path / "clip").mkdir()
    assert main(["explain", one, "-o", str(tmp_path / "{name}" / "map.png"), "--server", url]) == 0
    assert (tmp_path / "clip" / "map.png").exists()


def test_the_input_is_one_video_alone(url: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A dash among several videos, or in a batch, is refused as the input, not looked for; the help says so."""
    video, before = str(folder / "a.mp4"), len(Door.seen)
    for arguments in (["batch", "-", "-o", str(folder / "x.jsonl")], ["predict", video, "-"], ["explain", "-", "-"]):
        assert main([*arguments, "--server", url]) == 2
        assert 'the input, "-", is one video' in capsys.readouterr().err
    assert len(Door.seen) == before
    assert not (folder / "x.jsonl").exists()
    for command, said in (("predict", '"-" alone for the input'), ("explain", '"-" alone'), ("batch", 'Not "-"')):
        assert main([command, "--help"]) == 0
        assert said in " ".join(capsys.readouterr().out.split())


def test_json_of_many_is_a_line_each(url: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--json` prints one object a video, with its name."""
    assert main(["predict", str(folder / "a.mp4"), str(folder / "b.mp4"), "--json", "--server", url]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["source"] for line in lines] == [str(folder / "a.mp4"), str(folder / "b.mp4")]


@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
def test_a_batch_goes_on(ending: str, url: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Called again with more videos, only those that are missing or failed are asked."""
    output = folder / f"out.{ending}"
    arguments = ["--server", url, "-o", str(output)]
    assert main(["batch", str(folder / "a.mp4"), str(folder / "b.mp4"), *arguments]) == 0
    assert "2 new, 0 there before, 0 failed" in capsys.readouterr().err
    before = len(Door.seen)
    assert main(["batch", str(folder / "*.mp4"), *arguments]) == 1
    assert "1 new, 2 there before, 1 failed" in capsys.readouterr().err
    assert len(Door.seen) == before + 2


def test_a_video_is_asked_for_once(
    url: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two names of one file in a batch are one video, and so is a way round to it in the next run."""
    monkeypatch.chdir(folder)
    before = len(Door.seen)
    arguments = ["-o", "y.jsonl", "--server", url]
    assert main(["batch", "./a.mp4", "b.mp4", "a.mp4", "[a]*.mp4", *arguments]) == 0
    assert "2 new, 0 there before, 0 failed" in capsys.readouterr().err
    assert {json.loads(line)["source"] for line in Path("y.jsonl").read_text().splitlines()} == {"./a.mp4", "b.mp4"}
    assert main(["batch", f"../{folder.name}/b.mp4", "a.mp4", *arguments]) == 0
    assert "0 new, 2 there before, 0 failed" in capsys.readouterr().err
    assert len(Door.seen) == before + 2


def test_an_interrupt_ends_a_batch_and_the_next_run_goes_on(url: str, clip: bytes, tmp_path: Path) -> None:
    """Ctrl-C in the middle: exit code 130, what was answered is in the file, and no source is asked twice."""
    for number in range(200):
        (tmp_path / f"{number}.mp4").write_bytes(clip + number.to_bytes(4, "big") * 20_000)
    output = tmp_path / "out.jsonl"
    # What a shell starts in the background inherits that interrupts are ignored; a terminal's command does not.
    code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    code += "from staa_client.cli import entry; entry()"
    command = [sys.executable, "-c", code, "batch", str(tmp_path / "*.mp4"), "-o", str(output)]
    before = len(Door.seen)
    with subprocess.Popen([*command, "--server", url, "--concurrency", "2"], stderr=subprocess.PIPE) as process:
        until = time.monotonic() + 30
        while len(Door.seen) < before + 10 and time.monotonic() < until:
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert said.decode().strip().endswith("staa: interrupted; call it again to go on")
    done = len(output.read_text().splitlines())
    assert 0 < done == len(Door.seen) - before < 200


def test_models_and_readiness(url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """`staa ready` is exit code 0 or 3, or 1 at once for what is not served; `staa models` a line a model."""
    assert main(["ready", "motions", "--server", url]) == 0
    assert main(["ready", "--wait", "1", "--server", url]) == 0
    assert main(["ready", "motions", "--server", "127.0.0.1:9"]) == 3
    assert "--wait SECONDS" in capsys.readouterr().err
    for wait in ([], ["--wait", "60"]):
        assert main(["ready", "nosuch", "--server", url, *wait]) == 1
        assert capsys.readouterr().err.startswith("staa: 404 model_not_found: Model not found: nosuch; is it served?")
    monkeypatch.setattr(
        "staa_client.cli.connection", lambda *_: Client("127.0.0.1:9", transport=httpx2.MockTransport(management))
    )
    assert main(["models"]) == 0
    assert "a/1.0  2 of 2 workers ready, 3 requests waiting" in capsys.readouterr().out


def test_settings_come_in_order(
    url: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An option wins over the environment, that over the file, that over the default."""
    config = tmp_path / "config.toml"
    config.write_text(f'server = "{url}"\nmodel = "from-file"\ntoken = "file"\n')
    monkeypatch.setenv("STAA_CONFIG", str(config))
    monkeypatch.setenv("STAA_TOKEN", "environment")
    video = str(folder / "a.mp4")
    assert main(["predict", video]) == 0
    assert main(["predict", video, "--model", "from-option", "--token", "option"]) == 0
    first, second = Door.seen[-2:]
    assert (first[0], first[1]["authorization"]) == ("/predictions/from-file", "Bearer environment")
    assert (second[0], second[1]["authorization"]) == ("/predictions/from-option", "Bearer option")
    monkeypatch.delenv("STAA_CONFIG")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (tmp_path / "staa").mkdir()
    (tmp_path / "staa" / "config.toml").write_text(f'server = "{url}"\n')
    assert main(["predict", video]) == 0
    assert main(["--config", str(config), "predict", video]) == 0
    assert Door.seen[-1][0] == "/predictions/from-file"
    capsys.readouterr()


def test_the_nearest_token_counts(
    url: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A token and a file with one are one setting: option, environment, settings; both at one place are refused."""
    config, key = folder / "config.toml", folder / "key"
    key.write_text("from-file")
    monkeypatch.setenv("STAA_CONFIG", str(config))
    ask = ["predict", str(folder / "a.mp4"), "--server", url]
    file, both = f'token_file = "{key}"\n', f'token = "settings"\ntoken_file = "{key}"\n'

    def sent(settings: str, environment: dict[str, str], *options: str) -> str:
        config.write_text(settings)
        with monkeypatch.context() as inside:
            for name, value in environment.items():
                inside.setenv(name, value)
            code = main([*ask, *options])
        said = capsys.readouterr().err
        return said if code else Door.seen[-1][1]["authorization"].removeprefix("Bearer ")

    assert sent('token = "settings"', {"STAA_TOKEN": "environment"}, "--token-file", str(key)) == "from-file"
    assert sent('token = "settings"', {"STAA_TOKEN_FILE": str(key)}) == "from-file"
    assert sent(file, {"STAA_TOKEN": "environment"}) == "environment"
    assert sent(both, {"STAA_TOKEN": "environment", "STAA_TOKEN_FILE": str(key)}, "--token", "option") == "option"
    assert sent(both, {"STAA_TOKEN": "environment"}) == "environment"
    assert sent(file, {}) == "from-file"
    assert "--token and --token-file give both" in sent("", {}, "--token", "a", "--token-file", str(key))
    assert "STAA_TOKEN and STAA_TOKEN_FILE give" in sent("", {"STAA_TOKEN": "a", "STAA_TOKEN_FILE": str(key)})
    assert "in the settings give both" in sent(both, {})


@pytest.mark.parametrize("text", ["server", 'sever = "x"', "timeout = true", 'timeout = "long"', "server = 3", "\xff"])
def test_a_wrong_file_of_settings_is_said(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No TOML, an unknown key or a wrong value: exit code 2 and one line with the file's name."""
    config = tmp_path / "config.toml"
    config.write_bytes(text.encode("latin-1"))
    assert main(["--config", str(config), "ready"]) == 2
    said = capsys.readouterr().err
    assert str(config) in said
    assert said.count("\n") == 1
    with pytest.raises(ValueError, match=str(config)):
        settings(config)


@pytest.mark.parametrize("value", ["123456", "[123456]", "1979-05-27"])
def test_a_token_in_a_file_is_never_printed(value: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A token without quotes is refused by its kind, not by its value, with the trace too."""
    config = tmp_path / "config.toml"
    config.write_text(f"token = {value}\n")
    for more in ([], ["-v"]):
        assert main(["--config", str(config), "ready", *more]) == 2
        said = capsys.readouterr().err
        assert "token in " in said
        assert "expected text in quotes" in said
        assert not any(part in said.replace(str(config), "") for part in ("123456", "1979"))


def test_the_terminal_shows_map_and_curve(explanation: Explanation) -> None:
    """On a terminal: coloured half blocks where the model looked, bars for when, and the same words as elsewhere."""
    text = io.StringIO()
    console = Console(file=text, force_terminal=True, color_system="truecolor", width=100)
    console.print(picture(explanation, console))
    drawn = text.getvalue()
    colours = re.findall(r"38;2;(\d+);(\d+);(\d+);48", drawn)
    assert len(set(colours)) > 50
    assert "▀" in drawn
    assert "█" in drawn
    assert "when   4.50 - 5.00 s" in drawn
    plain = re.sub(r"\x1b\[[0-9;]*m", "", drawn)
    assert max(map(len, plain.splitlines())) <= 100


def test_the_trace_is_shown_on_request(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`-v` shows where an error came from; without it there is one line."""
    missing = str(folder / "missing.mp4")
    assert main(["predict", missing]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert main(["predict", missing, "-v"]) == 2
    assert "Traceback" in capsys.readouterr().err


def test_completion_is_offered() -> None:
    """`staa --show-completion bash` prints a script for the shell."""
    environment = os.environ | {"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    command = [sys.executable, "-m", "staa_client.cli", "--show-completion", "bash"]
    done = subprocess.run(command, capture_output=True, check=True, env=environment)
    assert b"complete" in done.stdout


def test_a_file_is_watched_a_line_a_window(url: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`staa watch` prints a line a window, or JSON, for as many as are asked for; wrong words are refused."""
    film = str(folder / "a.mp4")
    arguments = ["watch", film, "--server", url, "--latency", "keep", "--stride", "2"]
    assert main(arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["0.00", "2.00", "4.00", "6.00"]
    assert "(smoothed: moves" in lines[0]
    assert main([*arguments, "--json", "--count", "2"]) == 0
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["start"] for one in told] == [0.0, 2.0]
    assert told[1]["answer"]["explanation"]["shape"] == [16, 12, 12]
    assert main([*arguments, "--latency", "soon"]) == 2
    assert main(["watch", "http://127.0.0.1:9/live", "--server", url]) == 2
    assert "stream_unreachable" in capsys.readouterr().err
