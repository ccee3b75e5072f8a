"""The command `staa timeline`."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx2
import pytest

from staa_client import Explanation, contract
from staa_client.cli import main
from staa_client.cli.output.timeline_chart import clock, describe_timeline
from tests.client.conftest import checked, document
from tests.client.timeline.conftest import ByBrightness, bright, timeline


@pytest.fixture
def address() -> Iterator[str]:
    """Serve the labels of bright videos at an address."""
    server = ByBrightness()

    class Answering(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            """Answer one request."""
            body = self.rfile.read(int(self.headers["content-length"]))
            asked = httpx2.Request("POST", f"http://staa{self.path}", headers=dict(self.headers), content=body)
            reply = server(asked)
            self.send_response(reply.status_code)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(reply.content)))
            self.end_headers()
            self.wfile.write(reply.content)

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answering) as listening:
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{listening.server_address[1]}"
        listening.shutdown()
        thread.join()


def test_it_prints_a_chart_and_spans(address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without options it draws the tracks and lists the spans, and says how long the windows are."""
    video = bright(tmp_path / "long.mp4")
    assert main(["timeline", str(video), "--server", address]) == 0
    printed = capsys.readouterr()
    assert "windows of 4 s, one every 1 s; motions was trained on clips of 3 to 5 s" in printed.err
    lines = printed.out.splitlines()
    assert "█" in next(line for line in lines if line.startswith("spins"))
    assert sum("nothing known" in line for line in lines) == 2


def test_a_folder_is_written_into_one_file_and_goes_on(
    address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The videos of a folder stand in one file; called again, it asks nothing, and writes files of each video."""
    folder = tmp_path / "films"
    folder.mkdir()
    for name in ("b.mp4", "a.mkv"):
        bright(folder / name, 12)
    (folder / "notes.txt").write_text("no video")
    output = tmp_path / "spans.jsonl"
    assert main(["timeline", str(folder), "--server", address, "--labels", "-o", str(output)]) == 0
    sources = [json.loads(line)["source"] for line in output.read_text().splitlines()]
    assert list(dict.fromkeys(sources)) == [str(folder / "a.mkv"), str(folder / "b.mp4")]
    capsys.readouterr()
    again = ["timeline", str(folder), "--server", "http://127.0.0.1:1", "--labels", "--json", "-o", str(output)]
    assert main([*again, "-o", str(tmp_path / "{name}.vtt")]) == 0
    printed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [span["label"] for span in printed].count("spins") == 2
    assert (tmp_path / "a.vtt").read_text().startswith("WEBVTT")


def test_options_reach_the_timeline(address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Window, thresholds and tracks are those of the options; another window is warned about by the model's name."""
    video = bright(tmp_path / "long.mp4")
    asked = ["timeline", str(video), "--server", address, "--window", "8", "--stride", "4", "--labels"]
    assert main([*asked, "--track", "spins", "--tracks", "1", "--high", "0.5", "--low", "0.3"]) == 0
    printed = capsys.readouterr()
    assert "warning: the window is 8 s long, and motions was trained on clips of 3 to 5 s" in printed.err
    assert [line.split(" ")[0] for line in printed.out.splitlines() if "|" in line] == ["spins"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["{video}", "-o", "a.txt"], "a timeline is saved as one of"),
        (["{video}", "-o", "a.jsonl", "-o", "b.parquet"], "would both take all spans"),
        (["{video}", "{video}", "-o", "a.vtt"], "put {name} in"),
        (["{video}", "-o", "{nmae}.vtt"], "has {nmae}, which stands for nothing"),
        (["{video}", "-o", "{video}"], "is the video"),
        (["{folder}"], "has no video: no file whose name ends in"),
        (["{video}", "--low", "0.9"], "a span needs 0 <= low <= high <= 1, got --low 0.9 and --high 0.6"),
        (["{video}", "--explain-when", "bogus"], "--explain-when is 'bogus'"),
        (["{video}", "--stride", "6"], "--stride is 6 s, and windows last 4 s"),
        (["{video}", "--track", "dances"], "motions has no label 'dances'"),
    ],
)
def test_wrong_usage_is_told(
    address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    """A wrong option ends with exit code 2 and says what to do."""
    (tmp_path / "empty").mkdir()
    places = {"{video}": str(bright(tmp_path / "long.mp4", 6)), "{folder}": str(tmp_path / "empty")}
    assert main(["timeline", *(places.get(each, each) for each in arguments), "--server", address]) == 2
    assert said in capsys.readouterr().err


def test_a_file_that_cannot_be_written_ends_no_other_video(
    address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of several videos the other files are written, and the exit code is 1; of one alone the error is raised."""
    videos = [str(bright(tmp_path / name, 6)) for name in ("a.mp4", "b.mp4")]
    (tmp_path / "a.vtt").mkdir()
    asked = ["--server", address, "--labels", "-o", str(tmp_path / "{name}.vtt"), "-o", str(tmp_path / "{name}.eaf")]
    assert main(["timeline", *videos, *asked]) == 1
    printed = capsys.readouterr().err
    assert f"staa: {videos[0]}: {tmp_path / 'a.vtt'}: " in printed
    assert ".part" not in printed
    for name in ("a.eaf", "b.vtt", "b.eaf"):
        assert f"wrote {tmp_path / name}" in printed
    assert main(["timeline", videos[0], *asked]) not in {0, 1}
    assert "wrote " + str(tmp_path / "a.eaf") in capsys.readouterr().err


def test_no_file_is_said_to_be_written_if_there_is_none(
    address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """If no video has a timeline, the file for all of them is not there, and the command does not say so."""
    output = tmp_path / "spans.jsonl"
    gone = [str(tmp_path / name) for name in ("a.mp4", "b.mp4")]
    assert main(["timeline", *gone, "--server", address, "-o", str(output)]) == 1
    assert "wrote" not in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_chart_fits_its_width() -> None:
    """The rows of the tracks and of the axis are as wide as asked for, and a span has at least one block."""
    made = timeline()
    for columns in (40, 80, 120):
        rows = describe_timeline(made, columns, 3)[:4]
        assert {len(row) for row in rows[:3]} == {columns}
        assert len(rows[3]) <= columns + 2
        assert all("█" in row for row in rows[:2])
    assert (
        describe_timeline(made, 80, 3)[-2:]
        == [made.model.about, *made.notes]
        == [
            "Knows eight motions only.",
            "a note",
        ]
    )
    assert (clock(75.5), clock(3675)) == ("1:15.5", "1:01:15.0")


def test_how_far_to_trust_a_map_stands_with_its_span(
    address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The line of a span says whether its map was checked, and in JSON the model says what it is good for."""
    found = contract.of_document(checked(document()))
    assert isinstance(found, Explanation)
    spans = [line for line in describe_timeline(timeline(found=found), 80, 3) if "surest at" in line]
    assert [line.rpartition("; ")[2] for line in spans] == 2 * ["map: checked and faithful"]
    video = str(bright(tmp_path / "long.mp4"))
    assert main(["timeline", video, "--server", address]) == 0
    assert "; map: not checked" in capsys.readouterr().out
    assert main(["timeline", video, "--server", address, "--labels", "--json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {(line["model"]["name"], line["verdict"]) for line in lines} == {("motions", None)}


def test_only_what_was_asked_for_is_shown(address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The chart has the tracks that were asked for, and a span without a map says why."""
    video = str(bright(tmp_path / "long.mp4"))
    asked = ["timeline", video, "--server", address, "--high", "0.3", "--explain-when", "score_below=0.5"]
    assert main([*asked, "--track", "blinks", "--track", "spins"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" ")[0] for line in lines if "|" in line] == ["blinks", "spins"]
    assert sum("none of the labels asked for" in line for line in lines) == 2
    assert sum("; no map: the best label has 1, the rule explains below 0.5" in line for line in lines) == 1
