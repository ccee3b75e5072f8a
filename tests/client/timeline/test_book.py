"""What a file of spans holds, and that an interrupted run goes on."""

import asyncio
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pyarrow.parquet as pq
import pytest

from staa_client import AsyncClient, ServerError, Timeline
from staa_client.batch.key import Key
from staa_client.timeline.book import open_book
from tests.client.timeline.conftest import ByBrightness, bright, client_of, timeline


def alike(one: Timeline, other: Timeline) -> None:
    """Hold that two timelines say the same."""
    assert one.to_dict() == other.to_dict()
    assert (one.track, one.delay) == (other.track, other.delay)
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


def test_a_refused_parquet_file_leaves_nothing_beside_it(video: Path, tmp_path: Path) -> None:
    """A run with other thresholds is refused by the name of the file, which later runs go on from as before."""
    output = tmp_path / "spans.parquet"
    with client_of(ByBrightness()) as client:
        list(client.timelines([video], output=output, explain=False))
        with pytest.raises(ValueError, match=r"spans\.parquet holds answers to another request"):
            list(client.timelines([video], output=output, explain=False, high=0.7))
        assert {path.name for path in tmp_path.iterdir()} == {"long.mp4", "spans.parquet"}
        (item,) = client.timelines([video], output=output, explain=False)
    assert item.resumed


@pytest.mark.parametrize("options", [{"high": 0.7, "low": 0.2, "smooth": 1}, {"shortest": 3, "track": "spins"}])
def test_other_thresholds_go_on_from_the_same_windows(video: Path, tmp_path: Path, options: dict[str, Any]) -> None:
    """After an interruption a run for other spans asks only for the windows that are missing."""
    output = tmp_path / "spans.jsonl"
    broken, whole = ByBrightness(fail_after=8), ByBrightness()
    with client_of(broken) as client, pytest.raises(ServerError):
        list(client.timelines([video], output=output))
    with client_of(whole) as client:
        (item,) = client.timelines([video], output=output, **options)
    assert item.timeline is not None
    assert len(whole.times["predictions"]) == (24 - 3) - len(broken.times["predictions"])


def test_another_window_or_map_is_asked_anew(tmp_path: Path) -> None:
    """What is kept of windows serves no window of another length, and no map by another method."""
    video, output = bright(tmp_path / "two.mp4", 40, [(8, 16)]), tmp_path / "spans.jsonl"
    broken, other, longer = ByBrightness(fail_after=30), ByBrightness(), ByBrightness()
    with client_of(broken) as client:
        list(client.timelines([video], output=output, on_error="collect", concurrency=1))
        assert len(broken.times["explanations"]) == 1
    shutil.copy(f"{output}.windows.jsonl", tmp_path / "kept")
    with client_of(other) as client:
        list(client.timelines([video], output=output, method="staa_class"))
    assert len(other.times["explanations"]) == 1
    assert len(other.times["predictions"]) == (40 - 3) - 30
    shutil.copy(tmp_path / "kept", f"{tmp_path / 'b.jsonl'}.windows.jsonl")
    with client_of(longer) as client:
        list(client.timelines([video], output=tmp_path / "b.jsonl", window=5, stride=1))
    assert len(longer.times["predictions"]) == 40 - 4


@pytest.mark.parametrize("in_loop", [False, True])
@pytest.mark.parametrize("rule", ["score_below=0.01", "always"])
def test_no_map_is_asked_for_twice(tmp_path: Path, rule: str, in_loop: bool) -> None:
    """After an interruption neither a map, nor what rules leave out, is asked again."""
    video, output = bright(tmp_path / "two.mp4", 40, [(4, 12), (22, 30)]), tmp_path / "spans.jsonl"
    broken, whole = ByBrightness(fail_after=28), ByBrightness()

    async def make(server: ByBrightness) -> None:
        async with AsyncClient(max_retries=0, transport=httpx2.MockTransport(server)) as client:
            async for _ in client.timelines(
                [video], output=output, on_error="collect", concurrency=1, explain_when=rule
            ):
                pass

    for server in (broken, whole):
        if in_loop:
            asyncio.run(make(server))
            continue
        with client_of(server) as client:
            list(client.timelines([video], output=output, on_error="collect", concurrency=1, explain_when=rule))
    assert (len(broken.times["explanations"]), len(whole.times["explanations"])) == (1, 1)
    made = [json.loads(line) for line in output.read_text().splitlines()]
    assert [line["not_explained"] is None for line in made if line["class_id"] == 4] == [rule == "always"] * 2


@pytest.mark.parametrize("ending", [".jsonl", ".parquet"])
def test_why_there_is_no_map_is_kept(video: Path, tmp_path: Path, ending: str) -> None:
    """A file of spans says why one has no map, which labels were asked for, and what players count."""
    output = tmp_path / f"spans{ending}"
    with client_of(ByBrightness()) as client:
        for _ in range(2):
            (item,) = client.timelines([video], output=output, explain_when="score_below=0.5", track="spins")
    assert item.resumed
    assert item.timeline is not None
    assert item.timeline.track == (4,)
    assert item.timeline.known[0].not_explained == "the best label has 1, the rule explains below 0.5"


def test_a_video_that_is_named_twice_is_not_of_an_earlier_run(video: Path, tmp_path: Path) -> None:
    """The second time it is taken from the file, which this run has written."""
    server = ByBrightness()
    with client_of(server) as client:
        items = list(client.timelines([video, video], output=tmp_path / "spans.jsonl", explain=False))
    assert [item.resumed for item in items] == [False, False]
    assert len(server.times["predictions"]) == 24 - 3
