"""What a file of spans holds, and that an interrupted run goes on."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from staa_client import ServerError, Timeline
from staa_client.batch.key import Key
from staa_client.timeline.book import open_book
from tests.client.timeline.conftest import ByBrightness, bright, client_of, timeline


def alike(one: Timeline, other: Timeline) -> None:
    """Hold that two timelines say the same."""
    assert one.to_dict() == other.to_dict()
    np.testing.assert_allclose(one.scores, other.scores, atol=1e-6)
    for a, b in zip(one.known, other.known, strict=True):
        assert a.explanation is not None
        assert b.explanation is not None
        np.testing.assert_allclose(a.explanation.joint, b.explanation.joint, atol=1e-4)


@pytest.mark.parametrize("ending", [".jsonl", ".parquet"])
def test_a_run_goes_on_where_it_was_interrupted(video: Path, tmp_path: Path, ending: str) -> None:
    """After an error within a video its windows are not asked again; what is done is only read."""
    second = bright(tmp_path / "second.mp4", 12)
    output = tmp_path / f"spans{ending}"
    broken, whole, idle = ByBrightness(fail_after=8), ByBrightness(), ByBrightness()
    with client_of(broken) as client, pytest.raises(ServerError):
        list(client.timelines([video, second], output=output))
    with client_of(whole) as client:
        first = list(client.timelines([video, second], output=output))
    assert len(whole.times["predictions"]) == (24 - 3) + (12 - 3) - len(broken.times["predictions"])
    with client_of(idle) as client:
        again = list(client.timelines([video, second], output=output))
    assert not idle.headers
    assert [item.resumed for item in again] == [True, True]
    for one, other in zip(first, again, strict=True):
        assert one.timeline is not None
        assert other.timeline is not None
        alike(one.timeline, other.timeline)
    assert {path.name for path in tmp_path.iterdir()} == {"long.mp4", "second.mp4", output.name}


def test_a_line_is_a_span(video: Path, tmp_path: Path) -> None:
    """Each line has the label, the times and the map of one span."""
    with client_of(ByBrightness()) as client:
        list(client.timelines([video], output=tmp_path / "spans.jsonl"))
    lines = [json.loads(line) for line in (tmp_path / "spans.jsonl").read_text().splitlines()]
    assert [line["label"] for line in lines] == ["nothing known", "spins", "nothing known"]
    assert lines[1]["reply"]["explanation"]["shape"] == [16, 12, 12]
    assert {line["source"] for line in lines} == {str(video)}


def test_a_row_is_a_span(video: Path, tmp_path: Path) -> None:
    """Each row has the label, the times and the map of one span, in columns of their own."""
    with client_of(ByBrightness()) as client:
        list(client.timelines([video], output=tmp_path / "spans.parquet"))
    rows = pq.read_table(tmp_path / "spans.parquet").to_pylist()
    assert [row["label"] for row in rows] == ["nothing known", "spins", "nothing known"]
    assert np.reshape(rows[1]["joint"], rows[1]["shape"]).shape == (16, 12, 12)
    assert rows[0]["start"] == 0
    assert rows[0]["end"] == rows[1]["start"]


def test_a_changed_video_and_a_torn_line_are_asked_again(video: Path, tmp_path: Path) -> None:
    """A video that changed, or whose lines were cut off by a kill, has no timeline in the file."""
    output, server = tmp_path / "spans.jsonl", ByBrightness()
    with client_of(server) as client:
        list(client.timelines([video], output=output, explain=False))
        data = output.read_bytes()
        output.write_bytes(data[:-20])
        list(client.timelines([video], output=output, explain=False))
        assert len(output.read_bytes().splitlines()) == 3
        bright(video, 12)
        (item,) = client.timelines([video], output=output, explain=False)
    assert item.timeline is not None
    assert (item.resumed, item.timeline.duration) == (False, 12)
    assert len(server.times["predictions"]) == 2 * (24 - 3) + (12 - 3)


def test_a_file_that_was_cut_off_twice_stays_whole(video: Path, tmp_path: Path) -> None:
    """What a run adds after a line that was cut off can be read, also where that run does not come to its end."""
    output, server = tmp_path / "spans.jsonl", ByBrightness()
    with client_of(server) as client:
        list(client.timelines([video], output=output, explain=False))
        output.write_bytes(output.read_bytes()[:-20])
        with pytest.raises(OSError, match="nowhere"):
            list(client.timelines([video, "nowhere.mp4"], output=output, explain=False))
        (item,) = client.timelines([video], output=output, explain=False)
    assert item.resumed


def test_answers_to_another_request_are_refused(video: Path, tmp_path: Path) -> None:
    """A file of spans by other thresholds, or of other contents, is not written."""
    output = tmp_path / "spans.jsonl"
    with client_of(ByBrightness()) as client:
        list(client.timelines([video], output=output, explain=False))
        with pytest.raises(ValueError, match="answers to another request"):
            list(client.timelines([video], output=output, explain=False, high=0.9))
        output.write_text("no span\n")
        with pytest.raises(ValueError, match="holds lines that are no spans"):
            list(client.timelines([video], output=output, explain=False))
        with pytest.raises(ValueError, match=r"name a \.jsonl or \.parquet"):
            client.timelines([video], output=tmp_path / "spans.csv")
    assert output.read_text() == "no span\n"


@pytest.mark.parametrize("ending", [".jsonl", ".parquet"])
def test_scores_of_many_windows_and_labels_are_kept(tmp_path: Path, ending: str) -> None:
    """A video whose scores are more than a reply may hold, and one without spans, leave a file that is read again."""
    made, output = timeline(), tmp_path / f"spans{ending}"
    labels = tuple(str(number) for number in range(200_000))
    scores = np.random.default_rng(0).random((len(made.starts), len(labels)), np.float32)
    large = replace(made, labels=labels, scores=scores.astype(np.float64))
    with open_book(output, "") as (book, _):
        assert book is not None
        book.add(Key("large", "large"), large)
        book.add(Key("none", "none"), replace(made, spans=()))
    with open_book(output, "") as (book, _):
        assert book is not None
        known = book.known(Key("large", "large"))
        assert known is not None
        np.testing.assert_array_equal(known.scores, large.scores)
        assert book.known(Key("none", "none")) is None


def test_windows_of_a_video_that_failed_are_not_asked_again(video: Path, tmp_path: Path) -> None:
    """Where errors are collected, too, the next run asks only for the windows that are missing."""
    output = tmp_path / "spans.jsonl"
    broken, whole = ByBrightness(fail_after=8), ByBrightness()
    with client_of(broken) as client:
        (item,) = client.timelines([video], output=output, on_error="collect")
    assert item.error is not None
    with client_of(whole) as client:
        (item,) = client.timelines([video], output=output, on_error="collect")
    assert item.timeline is not None
    assert len(whole.times["predictions"]) == (24 - 3) - len(broken.times["predictions"])
    assert {path.name for path in tmp_path.iterdir()} == {"long.mp4", "spans.jsonl"}
