"""The store of a client: a line for each explanation that can be verified later, also of many writers at once."""

import asyncio
import hashlib
import json
import pickle
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest

from staa_client import AsyncClient, Client, Explanation, Result, StoreError
from staa_client.batch.lock import Lock
from staa_client.evidence.record import Record, map_sha256
from staa_client.evidence.store import Store, find
from staa_client.results import Answer
from staa_client.transport.steps import Exchange
from staa_client.video.source import Upload
from tests.client.conftest import checked, document, server
from tests.client.evidence.conftest import Made


def lines(store: Path) -> list[dict[str, Any]]:
    """The lines of a store as JSON data."""
    return [json.loads(line) for line in store.read_bytes().splitlines()]


def test_a_line_says_what_was_asked_of_which_video_and_what_was_answered(
    client: Made, store: Path, video: Path
) -> None:
    """Id, time, model, options, the hash of the bytes that were sent, labels, map and verdict."""
    staa = client(store, checked(document()))
    explanation = staa.explain(video, "motions/1.0", top_k=5, verify=4)
    (line,) = lines(store)
    assert line["request_id"] == "request-1"
    assert line["time"].endswith("Z")
    assert line["model"] == "motions/1.0"
    assert line["options"] == {"top_k": 5, "verify": 4, "maps": "base64"}
    sha256 = hashlib.sha256(video.read_bytes()).hexdigest()
    sent = {"name": "clip.mp4", "size": video.stat().st_size, "sha256": sha256, "source_sha256": sha256}
    assert line["video"] == sent | {"as_frames": False, "kind": "video", "longest": None}
    assert line["verdict"] == "faithful"
    assert line["reply"]["model"]["version"] == "1.0"
    assert line["reply"]["explanation"]["method_version"] == "1"
    assert line["map_sha256"] == map_sha256(explanation)
    record = find(f"{store}:1")
    assert record.is_intact
    assert isinstance(record.answer, Explanation)
    np.testing.assert_array_equal(record.answer.joint, explanation.joint)


def test_labels_are_not_kept_and_a_video_that_is_left_out_is(client: Made, store: Path, video: Path) -> None:
    """The store has explanations and the reasons for none, not what /predictions answers."""
    staa = client(store)
    staa.predict(video)
    left_out = staa.explain(video, explain_when=["score_below=0.5", "score_below=0.6"])
    assert isinstance(left_out, Result)
    (line,) = lines(store)
    assert line["reply"]["not_explained"]["message"] == "the best label has 0.931, the rule explains below 0.6"
    assert (line["map_sha256"], line["verdict"]) == (None, None)
    assert line["options"]["explain_when"] == "score_below=0.5;score_below=0.6"
    assert find(f"{store}:request-2").is_intact


def test_frames_have_the_hash_of_their_video_too(client: Made, store: Path, video: Path) -> None:
    """What was sent is an archive of frames; the file that they are from is hashed whole, unlike frames in memory."""
    staa = client(store)
    staa.explain(video, sample="client")
    staa.explain(np.zeros((16, 240, 320, 3), np.uint8))
    of_file, of_memory = (line["video"] for line in lines(store))
    assert of_file["as_frames"]
    assert of_file["source_sha256"] == hashlib.sha256(video.read_bytes()).hexdigest() != of_file["sha256"]
    assert of_memory["as_frames"]
    assert of_memory["source_sha256"] is None
    assert [of_file["kind"], of_memory["kind"]] == ["video", "memory"]


def test_the_hash_is_of_the_bytes_that_were_sent(store: Path, video: Path) -> None:
    """A file that changes once it was sent has the hash of what the server got."""
    sent = video.read_bytes()

    def change(request: httpx2.Request) -> httpx2.Response:
        assert request.read() == sent
        video.write_bytes(sent[::-1])
        return server()(request)

    with Client(store=store, transport=httpx2.MockTransport(change)) as staa:
        staa.explain(video)
    assert lines(store)[0]["video"]["sha256"] == hashlib.sha256(sent).hexdigest()


def test_many_threads_and_tasks_write_whole_lines(client: Made, store: Path, video: Path) -> None:
    """Every answer of threads, of a batch and of an event loop is one intact line."""
    staa = client(store)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: staa.explain(video), range(16)))
    assert len(list(staa.batch([video] * 8, concurrency=4))) == 8

    async def many() -> None:
        async with AsyncClient(store=store, transport=httpx2.MockTransport(server())) as staa:
            await asyncio.gather(*(staa.explain(video) for _ in range(8)))

    asyncio.run(many())
    assert len(lines(store)) == 32
    assert all(Record.of_line(line).is_intact for line in store.read_bytes().splitlines())
    assert not [path for path in store.parent.iterdir() if path.suffix == ".lock"]


WRITER = """
import sys
from pathlib import Path
import httpx2
from staa_client import Client
from tests.client.conftest import server
with Client(store=sys.argv[1], transport=httpx2.MockTransport(server())) as staa:
    for _ in range(10):
        staa.explain(Path(sys.argv[2]))
"""


def test_many_processes_write_whole_lines(store: Path, video: Path) -> None:
    """Processes that write one file at once wait for each other, and no line is lost or torn."""
    command = [sys.executable, "-c", WRITER, str(store), str(video)]
    running = [subprocess.Popen(command, stderr=subprocess.PIPE) for _ in range(3)]
    for process in running:
        _, said = process.communicate(timeout=120)
        assert process.returncode == 0, said.decode()
    assert [Record.of_line(line).is_intact for line in store.read_bytes().splitlines()] == [True] * 30


def test_a_line_that_was_cut_off_takes_no_other_along(client: Made, store: Path, video: Path) -> None:
    """What a crash left without its end stays as it is, and the next answer has a line of its own."""
    store.write_bytes(b'{"version":1,"ti')
    client(store).explain(video)
    assert find(f"{store}:2").is_intact
    with pytest.raises(ValueError, match=r"line 1 of .* cannot be replayed"):
        find(f"{store}:1")


def test_a_store_that_cannot_be_written_is_told_before_anything_is_asked(tmp_path: Path) -> None:
    """A client with a folder in its place, or in a folder that is none, is not made."""
    with pytest.raises(IsADirectoryError):
        Client(store=tmp_path)
    with pytest.raises(FileNotFoundError):
        Client(store=tmp_path / "none" / "evidence.jsonl")


def test_an_answer_that_cannot_be_kept_is_not_lost(client: Made, store: Path, video: Path) -> None:
    """The error says why, and has the answer and the request's id; a batch collects it as any other."""
    staa = client(store)
    store.unlink()
    store.mkdir()
    with pytest.raises(StoreError, match=r"cannot be kept in .*evidence\.jsonl: Is a directory") as raised:
        staa.explain(video)
    assert raised.value.code == "store_failed"
    assert raised.value.request_id == "request-1"
    assert isinstance(raised.value.answer, Explanation)
    copy = pickle.loads(pickle.dumps(raised.value))  # noqa: S301  # our own bytes
    assert (str(copy), copy.answer.method) == (str(raised.value), "staa")
    output = store.with_name("answers.jsonl")
    (item,) = staa.batch([video], on_error="collect", output=output)
    assert isinstance(item.error, StoreError)
    (again,) = staa.batch([video], output=output)
    assert again.resumed, "the file of the batch has the answer"
    assert isinstance(again.result, Explanation)


def test_a_writer_that_holds_the_file_is_waited_for(client: Made, store: Path, video: Path) -> None:
    """Another process' lock delays the line; one that stays is an error in words."""
    staa = client(store)
    lock = Lock(store)
    threading.Timer(0.2, lock.release).start()
    explanation = staa.explain(video)
    assert len(lines(store)) == 1
    exchanged: Exchange[Answer] = Exchange("motions", {}, "clip.mp4", video, Upload(video), None, explanation)
    lock = Lock(store)
    try:
        with pytest.raises(StoreError, match="another run is writing"):
            Store(store, patience=0).add(exchanged)
    finally:
        lock.release()
    Store(store, patience=0).add(exchanged)
    assert find(f"{store}:2").video == find(f"{store}:1").video


def test_lines_are_found_by_number_and_by_request(client: Made, store: Path, video: Path) -> None:
    """What names no line, or several, is told with what there is."""
    for _ in range(2):
        client(store).explain(video)
    assert find(f"{store}:2").request_id == "request-1"
    for which, said in (
        ("3", "has no line 3, its last one is 2"),
        ("0", "has no line 0"),
        ("request-7", "has no line of the request request-7"),
        ("request-1", "several lines of the request request-1: name one of 1, 2"),
    ):
        with pytest.raises(ValueError, match=said):
            find(f"{store}:{which}")
    other = store.with_name("other.jsonl")
    line = json.loads(store.read_bytes().splitlines()[0])
    line["reply"]["explanation"]["request_id"] = "request-9"  # a field that this client does not know
    other.write_bytes(json.dumps(line, separators=(",", ":")).encode() + b"\n")
    with pytest.raises(ValueError, match="has no line of the request request-9"):
        find(f"{other}:request-9")
    for name in ("evidence.jsonl", ":3", f"{store}:"):
        with pytest.raises(ValueError, match="FILE:NUMBER or FILE:REQUEST_ID"):
            find(name)
