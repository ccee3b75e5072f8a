"""What the commands do: print answers of one video and of many, write their files, watch, and say what is served."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx2
import pytest

from staa_client import StaaError
from staa_client.cli import main
from staa_client.cli.commands import follow
from tests.client.conftest import card, checked, document, server
from tests.client.servers import Recorder, client
from tests.client.socket_servers import FakeServer, ProxyServer, http_server


def test_many_videos_are_a_line_each(url: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A pattern stands for its files; what failed is said by name, and makes exit code 1; the others are there."""
    assert main(["explain", str(folder / "*.mp4"), "--server", url]) == 1
    printed = capsys.readouterr()
    assert [line.split()[0].rpartition("/")[2] for line in printed.out.splitlines()] == ["a.mp4", "b.mp4", "c.mp4"]
    assert "4.50 - 5.00 s" in printed.out
    assert re.search(r"staa: .*noise\.mp4: 415 not_a_video", printed.err)


def test_a_picture_that_cannot_be_drawn_ends_no_run(url: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What cannot be written for one of many videos is said by name, exit code 1; all other files are written."""
    videos, drawn = [str(folder / name) for name in ("a.mp4", "b.mp4")], str(folder / "{name}-map")
    (folder / "a-map.png").mkdir()
    files = ["-o", f"{drawn}.png", "-o", f"{drawn}.json"]
    assert main(["explain", *videos, "--server", url, "--concurrency", "1", *files]) == 1
    printed = capsys.readouterr()
    assert len(printed.out.splitlines()) == 2
    assert re.search(r"staa: .*a\.mp4: .*a-map\.png", printed.err)
    assert sorted(path.name for path in folder.glob("*-map.*") if path.is_file()) == [
        "a-map.json",
        "b-map.json",
        "b-map.png",
    ]
    (folder / "a-map.json").unlink()
    assert main(["explain", videos[0], "--server", url, *files]) == 2
    assert "a-map.png" in capsys.readouterr().err
    assert (folder / "a-map.json").is_file()


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
    before = len(FakeServer.seen)
    assert main(["batch", str(folder / "*.mp4"), *arguments]) == 1
    assert "1 new, 2 there before, 1 failed" in capsys.readouterr().err
    assert len(FakeServer.seen) == before + 2


def test_a_video_is_asked_for_once(
    url: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two names of one file in a batch are one video, and so is a way round to it in the next run."""
    monkeypatch.chdir(folder)
    before = len(FakeServer.seen)
    arguments = ["-o", "y.jsonl", "--server", url]
    assert main(["batch", "./a.mp4", "b.mp4", "a.mp4", "[a]*.mp4", *arguments]) == 0
    assert "2 new, 0 there before, 0 failed" in capsys.readouterr().err
    assert {json.loads(line)["source"] for line in Path("y.jsonl").read_text().splitlines()} == {"./a.mp4", "b.mp4"}
    assert main(["batch", f"../{folder.name}/b.mp4", "a.mp4", *arguments]) == 0
    assert "0 new, 2 there before, 0 failed" in capsys.readouterr().err
    assert len(FakeServer.seen) == before + 2


def test_an_interrupt_ends_a_batch_and_the_next_run_goes_on(url: str, clip: bytes, tmp_path: Path) -> None:
    """Ctrl-C in the middle: exit code 130, what was answered is in the file, and no source is asked twice."""
    for number in range(200):
        (tmp_path / f"{number}.mp4").write_bytes(clip + number.to_bytes(4, "big") * 20_000)
    output = tmp_path / "out.jsonl"
    # What a shell starts in the background inherits that interrupts are ignored; a terminal's command does not.
    code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    code += "from staa_client.cli import entry; entry()"
    command = [sys.executable, "-c", code, "batch", str(tmp_path / "*.mp4"), "-o", str(output)]
    before = len(FakeServer.seen)
    with subprocess.Popen([*command, "--server", url, "--concurrency", "2"], stderr=subprocess.PIPE) as process:
        until = time.monotonic() + 30
        while len(FakeServer.seen) < before + 10 and time.monotonic() < until:
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert said.decode().strip().endswith("staa: interrupted; call it again to go on")
    done = len(output.read_text().splitlines())
    assert 0 < done == len(FakeServer.seen) - before < 200


def test_models_and_readiness(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """`staa ready` is exit code 0 or 3, or 1 at once for what is not served; `staa models` a line a model."""
    assert main(["ready", "motions", "--server", url]) == 0
    assert main(["ready", "--wait", "1", "--server", url]) == 0
    assert main(["ready", "motions", "--server", "127.0.0.1:9"]) == 3
    assert "--wait SECONDS" in capsys.readouterr().err
    for wait in ([], ["--wait", "60"]):
        assert main(["ready", "nosuch", "--server", url, *wait]) == 1
        assert capsys.readouterr().err.startswith("staa: 404 model_not_found: Model not found: nosuch; is it served?")
    assert main(["models", "--management", url]) == 0
    assert "a/1.0  2 of 2 workers ready, 3 requests waiting" in capsys.readouterr().out


def test_the_only_model_of_a_server_needs_no_name(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Behind a front proxy that lists one model, every command takes it; another name is told what is served."""
    with http_server(ProxyServer) as url:
        assert main(["models", "--server", url]) == 0
        assert capsys.readouterr().out == "actions/2.0  1 of 1 workers ready, 0 requests waiting\n"
        output = str(path.with_name("out.jsonl"))
        for command in (
            ["predict", str(path)],
            ["explain", str(path), "--sample", "client"],
            ["batch", str(path), "-o", output],
            ["watch", str(path), "--count", "1", "--latency", "keep"],
            ["ready"],
            ["card"],
        ):
            assert main([*command, "--server", url]) == 0, capsys.readouterr().err
        capsys.readouterr()
        for name in ("predict", "explain"):
            assert main([name, str(path), "--model", "action", "--server", url]) == 1
            assert capsys.readouterr().err == (
                "staa: 404 model_not_found: no model action is served here; served here: actions/2.0\n"
            )


def test_a_card_is_printed(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """`staa card` says what a model is, in words or as the contract's JSON."""
    assert main(["card", "motions", "--server", url]) == 0
    assert "methods  staa 1, staa_class 2 (for a class)" in capsys.readouterr().out
    assert main(["card", "--json", "--server", url]) == 0
    assert json.loads(capsys.readouterr().out) == card()


def test_a_file_is_watched_a_line_a_window(url: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`staa watch` prints a line a window, or JSON, for as many as are asked for; wrong words are refused."""
    film = str(folder / "a.mp4")
    arguments = ["watch", film, "--server", url, "--latency", "keep", "--stride", "2"]
    assert main(arguments) == 0
    printed = capsys.readouterr()
    lines = printed.out.splitlines()
    assert [line.split()[0] for line in lines] == ["0.00", "2.00", "4.00", "6.00"]
    assert printed.err == "windows of 2 s, one every 2 s; the model was trained on clips of 1.5 to 2.5 s\n"
    assert main([*arguments, "--window", "4", "--count", "1"]) == 0
    said = capsys.readouterr().err
    assert "staa: warning: the window is 4 s long, and motions was trained on clips" in said
    assert said.count("the window is 4 s long") == 1
    assert "(smoothed: moves" in lines[0]
    assert main([*arguments, "--json", "--count", "2"]) == 0
    windows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [window["start"] for window in windows] == [0.0, 2.0]
    assert windows[1]["answer"]["explanation"]["shape"] == [16, 12, 12]
    assert main([*arguments, "--latency", "soon"]) == 2
    assert main([*arguments, "--labels", "--method", "staa", "--verify", "4"]) == 2
    assert "--method, --verify are about maps" in capsys.readouterr().err
    assert main(["watch", "http://127.0.0.1:9/live", "--server", url]) == 2
    assert "stream_unreachable" in capsys.readouterr().err


def test_a_line_of_a_watch_says_how_far_to_trust_its_map(
    url: str, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`staa watch --verify N` asks for N points, and the verdict is printed; a map that nobody checked is told so."""
    assert main(["watch", str(path), "--latency", "keep", "--count", "1", "--verify", "4", "--server", url]) == 0
    assert "  map: not checked  " in capsys.readouterr().out
    assert FakeServer.seen[-1][1]["x-staa-verify"] == "4"
    recorder = Recorder(then=server(checked(document())))
    with client(recorder) as staa, staa.watch(path, latency="keep", verify=4) as sights:
        assert follow(sights, 1, json=False) == 0
    assert "  map: checked and faithful  " in capsys.readouterr().out


def test_what_is_said_of_a_watch_waits_for_no_answer(
    path: Path, capsys: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder
) -> None:
    """The windows, the model and notes are told, each once, although the first window fails; a warning, too."""
    reply, error = document(), {"error": {"code": "internal", "message": "it fell over"}}
    reply["model"]["about"] = "Knows eight motions."
    reply["clip"]["notes"] = ["22 of 250 frames damaged"]
    told = httpx2.Response(200, json=card() | {"clip_seconds": None})
    recorder = Recorder(told, httpx2.Response(500, json=error), then=server(reply))
    with client(recorder) as staa, staa.watch(path, latency="keep", stride=2.0) as sights:
        assert follow(sights, None, json=False) == 0
    printed = capsys.readouterr()
    assert printed.err == "windows of 2 s, one every 2 s\nKnows eight motions.\nnote   22 of 250 frames damaged\n"
    assert "it fell over" in printed.out.splitlines()[0]
    recorder = Recorder(httpx2.Response(200, json=card()), httpx2.Response(400, json=error))
    fails = pytest.raises(StaaError, match="it fell over")
    with client(recorder) as staa, staa.watch(path, latency="keep", window=4.0) as sights, fails:
        follow(sights, None, json=False)
    assert "staa: warning: the window is 4 s long" in capsys.readouterr().err
    assert not recwarn


def test_a_method_that_would_be_lost_is_refused(
    url: str, path: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Commands that take one method refuse a second one in words; the same one twice is one."""
    several = ["--method", "staa", "--method", "rollout", "--server", url]
    for command in (["batch", "-o", str(tmp_path / "x.jsonl")], ["watch"], ["timeline"]):
        assert main([*command, str(path), *several]) == 2
        assert "one --method is taken here, got staa and rollout" in capsys.readouterr().err
    before = len(FakeServer.seen)
    twice = ["--method", "rollout", "--method", "rollout"]
    assert main(["batch", str(path), "-o", str(tmp_path / "x.jsonl"), *twice, "--server", url]) == 0
    assert [headers["x-staa-method"] for _, headers in FakeServer.seen[before:]] == ["rollout"]


def test_an_empty_rule_is_told_as_one(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Not as a header that cannot be sent."""
    for command in ("explain", "timeline", "watch"):
        assert main([command, str(path), "--explain-when", "", "--server", "127.0.0.1:9", "--timeout", "0.2"]) == 2
        assert capsys.readouterr().err.startswith("staa: --explain-when is empty: name a rule")


@pytest.mark.parametrize("command", ["predict", "explain", "batch", "timeline"])
def test_a_server_that_is_not_there_is_told_once(
    command: str, folder: Path, capsys: pytest.CaptureFixture[str], url: str
) -> None:
    """For many videos as for one the exit code is 3; what went wrong with one of them is told, and makes it 1."""
    output = ["-o", str(folder / "out.jsonl")] if command in {"batch", "timeline"} else []
    silent = ["--server", "http://127.0.0.1:9", "--timeout", "0.2", *output]
    videos = [str(folder / name) for name in ("a.mp4", "b.mp4", "c.mp4")]
    assert main([command, *videos, *silent]) == 3
    said = capsys.readouterr().err
    assert said.count("no server answers at http://127.0.0.1:9") == 1
    assert "staa: no server answered for 3 videos in all\n" in said
    assert main([command, *videos[:1], *silent]) == 3
    assert "videos in all" not in capsys.readouterr().err
    if command != "timeline":  # which asks for the card first
        assert main([command, *videos, str(folder / "none.mp4"), *silent]) == 1
    if command == "batch":
        assert main([command, *videos[:1], "--server", url, *output]) == 0
        assert main([command, *videos, *silent]) == 3, "an answer of an earlier run is none of this server"


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


def test_json_is_the_reply(
    url: str, path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--json` prints the contract's JSON and nothing else; the server's address may come from the environment."""
    monkeypatch.setenv("STAA_SERVER", url)
    assert main(["predict", str(path), "--json"]) == 0
    reply = json.loads(capsys.readouterr().out)
    assert reply["predictions"][0]["score"] == 0.9312
    assert "explanation" not in reply


def test_standard_input_is_a_video_too(url: str, clip: bytes) -> None:
    """`-` reads the video from a pipe."""
    command = [sys.executable, "-m", "staa_client.cli", "predict", "-", "--server", url]
    done = subprocess.run(command, input=clip, capture_output=True, check=True)
    assert b"93.1%" in done.stdout


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


def test_a_terminal_shows_the_map(
    url: str, path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where colours can be shown, one video's map is drawn between the words; not where files are asked for."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert main(["explain", str(path), "--server", url]) == 0
    assert "▀" in capsys.readouterr().out
    assert main(["explain", str(path), "--server", url, "-o", str(path.with_suffix(".json"))]) == 0
    assert "▀" not in capsys.readouterr().out
