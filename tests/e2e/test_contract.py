"""The HTTP contract on a real TorchServe."""

import base64
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from tests.e2e.contract import EXPLAIN, PREDICT, check, maps, video
from tests.e2e.recorded.bodies import png, sound
from tests.made import videos
from tests.made.torchserve import Server
from training import movie

EXACT = 1e-5


@pytest.fixture(scope="module")
def clip() -> bytes:
    """One good clip."""
    return video()


def test_labels(server: Server, clip: bytes) -> None:
    """POST /predictions answers labels that follow the description, best first."""
    reply = server.call(PREDICT, clip)
    assert reply.status == 200, reply.body
    body = json.loads(reply.body)
    check(body, "Labels")
    scores = [one["score"] for one in body["predictions"]]
    assert scores == sorted(scores, reverse=True)
    assert len(scores) == 5
    assert (body["clip"]["width"], body["clip"]["height"]) == (128, 96)
    assert body["clip"]["box"] == [16, 0, 112, 96]
    assert body["clip"]["duration"] == pytest.approx(1.6, abs=0.01)


@pytest.mark.parametrize("encoding", ["json", "base64", "npz"])
def test_labels_and_maps(server: Server, clip: bytes, encoding: str) -> None:
    """POST /explanations answers the labels of /predictions plus maps that follow the description and sum to 1."""
    labels = json.loads(server.call(PREDICT, clip).body)
    reply = server.call(EXPLAIN, clip, {"X-Staa-Maps": encoding})
    assert reply.status == 200, reply.body
    arrays = maps(reply)
    for array in arrays.values():
        assert array.sum(dtype=np.float64) == pytest.approx(1, abs=1e-2 if encoding == "base64" else 1e-4)
    assert np.allclose(arrays["joint"].sum((1, 2)), arrays["temporal"], atol=2e-4)
    if encoding != "npz":
        body = json.loads(reply.body)
        check(body, "Explained")
        assert list(arrays["joint"].shape) == body["explanation"]["shape"]
        assert len(body["explanation"]["steps"]) == len(arrays["temporal"])
        assert {key: body[key] for key in ("model", "clip")} == {key: labels[key] for key in ("model", "clip")}
        for one, other in zip(body["predictions"], labels["predictions"], strict=True):
            assert one["class_id"] == other["class_id"]
            assert one["score"] == pytest.approx(other["score"], rel=1e-3)


def test_every_form_of_request(server: Server, clip: bytes) -> None:
    """Raw body, multipart and JSON base64 give the same reply, options from fields included."""
    boundary = "frontier"
    parts = [
        b'--frontier\r\nContent-Disposition: form-data; name="video"; filename="clip.mp4"\r\n'
        b"Content-Type: video/mp4\r\n\r\n" + clip + b"\r\n",
        b'--frontier\r\nContent-Disposition: form-data; name="top_k"\r\n\r\n3\r\n',
        b"--frontier--\r\n",
    ]
    multipart = server.call(EXPLAIN, b"".join(parts), {"Content-Type": f"multipart/form-data; boundary={boundary}"})
    text = json.dumps({"video": base64.b64encode(clip).decode(), "top_k": 3}).encode()
    replies = [
        server.call(EXPLAIN, clip, {"X-Staa-Top-K": "3"}),
        server.call(EXPLAIN, clip, {"x-staa-top-k": "3", "Content-Type": "video/mp4"}),
        multipart,
        server.call(EXPLAIN, text, {"Content-Type": "application/json"}),
    ]
    assert [reply.status for reply in replies] == [200] * 4, [reply.body[:300] for reply in replies]
    first = json.loads(replies[0].body)
    assert len(first["predictions"]) == 3
    for reply in replies[1:]:
        assert json.loads(reply.body)["clip"] == first["clip"]
        assert np.abs(maps(reply)["joint"] - maps(replies[0])["joint"]).max() < EXACT


def test_a_segment(server: Server, clip: bytes) -> None:
    """With start and end, the sampled frames and the steps lie in that part of the source."""
    body = json.loads(server.call(EXPLAIN, clip, {"X-Staa-Start": "0.4", "X-Staa-End": "1.2"}).body)
    assert min(body["clip"]["times"]) >= 0.4 - 0.04
    assert max(body["clip"]["times"]) < 1.2
    assert body["clip"]["frames"][0] == 10
    assert body["explanation"]["steps"][0][0] == pytest.approx(0.4, abs=0.041)
    assert body["explanation"]["steps"][-1][1] == pytest.approx(1.2, abs=0.041)


def test_a_mixed_batch(server: Server) -> None:
    """Rows that want labels, maps, other options, or are garbage, fired together: each gets its own right answer."""
    clips = [video(shift) for shift in range(4)]
    wanted = [(server.call(PREDICT, clip), server.call(EXPLAIN, clip)) for clip in clips]
    jobs: list[tuple[str, bytes, dict[str, str], int]] = []
    for number in range(24):
        kind, which = number % 6, number // 6
        headers = {2: {"X-Staa-Maps": "npz"}, 3: {"X-Staa-Top-K": "1"}, 4: {"X-Staa-Mass": "7"}}.get(kind, {})
        if kind == 1 and which > 1:
            headers = {"X-Staa-Method": "rollout" if which == 2 else "staa_class"}
        jobs.append((PREDICT if kind in {0, 3} else EXPLAIN, b"noise" if kind == 5 else clips[which], headers, which))
    before, rows = server.metric("staa_forwards_total"), server.metric("staa_rows_total")
    with ThreadPoolExecutor(len(jobs)) as pool:
        replies = list(pool.map(lambda job: server.call(job[0], job[1], job[2]), jobs))
    forwards = server.metric("staa_forwards_total") - before
    assert server.metric("staa_rows_total") - rows == 24
    assert 1 <= forwards < 16, "16 good rows shared their forward passes"
    for number, (reply, job) in enumerate(zip(replies, jobs, strict=True)):
        kind, (labels, maps_alone) = number % 6, wanted[job[3]]
        if kind in {4, 5}:
            expected = (400, "option_invalid") if kind == 4 else (415, "not_a_video")
            assert (reply.status, json.loads(reply.body)["error"]["code"]) == expected
            continue
        assert reply.status == 200, reply.body
        if kind in {0, 3}:
            body, alone = json.loads(reply.body), json.loads(labels.body)
            assert "explanation" not in body
            assert len(body["predictions"]) == (1 if kind == 3 else 5)
            assert body["predictions"][0]["class_id"] == alone["predictions"][0]["class_id"]
            assert body["predictions"][0]["score"] == pytest.approx(alone["predictions"][0]["score"], rel=1e-3)
        elif "X-Staa-Method" in job[2]:
            alone = server.call(EXPLAIN, job[1], job[2])
            assert np.abs(maps(reply)["joint"] - maps(alone)["joint"]).max() < EXACT
            assert np.abs(maps(reply)["joint"] - maps(maps_alone)["joint"]).max() > EXACT
        else:
            assert np.abs(maps(reply)["joint"] - maps(maps_alone)["joint"]).max() < EXACT


@pytest.mark.parametrize("named", [{"X-Staa-Target": "moves up", "X-Staa-Contrast": "3"}, {"X-Staa-Target": "2"}])
def test_a_class_map(server: Server, clip: bytes, named: dict[str, str]) -> None:
    """A class by label or number comes back by name, with what speaks against it, as the description has it."""
    reply = server.call(EXPLAIN, clip, {"X-Staa-Method": "staa_class", **named})
    assert reply.status == 200, reply.body
    body = json.loads(reply.body)
    check(body, "Explained")
    explanation = body["explanation"]
    assert explanation["target"] == {"class_id": 2, "label": "moves up"}
    best = {name: body["predictions"][0][name] for name in ("class_id", "label")}
    contrast = {"class_id": 3, "label": "moves down"} if "X-Staa-Contrast" in named else best
    assert explanation["contrast"] == contrast
    assert 0 <= explanation["shared_evidence"] <= 1
    assert np.shape(explanation["signed"]) == tuple(explanation["shape"])
    assert np.min(explanation["signed"]) < 0 < np.max(explanation["signed"])


def test_a_map_is_verified_where_that_is_asked_for(server: Server, tmp_path: Path) -> None:
    """A clip of the kind that the model knows: its map is faithful, and the reply says what that took."""
    movie.write(tmp_path / "known.mp4", 37, None, (160, 120), 4.0, 16)
    known = (tmp_path / "known.mp4").read_bytes()
    reply = server.call(EXPLAIN, known, {"X-Staa-Verify": "4", "X-Staa-Maps": "base64"})
    assert reply.status == 200, reply.body
    body = json.loads(reply.body)
    check(body, "Explained")
    found = body["explanation"]["faithfulness"]
    assert found["verdict"] == "faithful"
    assert found["target"]["class_id"] == body["predictions"][0]["class_id"]
    assert found["deletion"]["map"] < found["deletion"]["random"]
    assert found["cost"]["clips"] == 34
    assert "verify;dur=" in reply.headers["server-timing"]
    assert "faithfulness" not in json.loads(server.call(EXPLAIN, known).body)["explanation"]
    assert "explanation" not in json.loads(server.call(PREDICT, known, {"X-Staa-Verify": "4"}).body)


def test_a_map_is_chosen_where_that_is_asked_for(server: Server, clip: bytes) -> None:
    """The reply names the chosen map and what that took, beside the check of it; another method is refused."""
    asked = {"X-Staa-Method": "staa_class", "X-Staa-Refine": "8"}
    stages = ("refine", "verify")
    before = [server.metric(f"staa_{stage}_seconds_count") for stage in stages]
    reply = server.call(EXPLAIN, clip, asked | {"X-Staa-Verify": "2"})
    assert reply.status == 200, reply.body
    body = json.loads(reply.body)
    check(body, "Explained")
    choice = body["explanation"]["refinement"]
    assert choice["chosen"] != choice["runner_up"]
    assert choice["cost"]["clips"] == 8
    assert choice["cost"]["seconds"] > 0
    assert body["explanation"]["faithfulness"]["cost"]["clips"] == 18
    assert all(f"{stage};dur=" in reply.headers["server-timing"] for stage in stages)
    assert [server.metric(f"staa_{stage}_seconds_count") for stage in stages] == [count + 1 for count in before]
    assert (
        "refinement" not in json.loads(server.call(EXPLAIN, clip, {"X-Staa-Method": "staa_class"}).body)["explanation"]
    )
    refused = server.call(EXPLAIN, clip, {"X-Staa-Refine": "8"})
    assert (refused.status, json.loads(refused.body)["error"]["code"]) == (400, "option_invalid")


BAD: dict[str, tuple[Callable[[], bytes], int, str]] = {
    "noise": (lambda: np.random.default_rng(0).bytes(20_000), 415, "not_a_video"),
    "empty": (lambda: b"", 400, "request_invalid"),
    "picture": (png, 415, "not_a_video"),
    "text": (lambda: b"this is no video at all\n" * 99, 415, "not_a_video"),
    "audio": (sound, 415, "not_a_video"),
    "audio in mp4": (videos.music, 415, "not_a_video"),
    "truncated": (lambda: video()[:2000], 422, "video_undecodable"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input(server: Server, clip: bytes, name: str) -> None:
    """What is no good video gets its 4xx with a stable code, and the next good request is answered."""
    make, status, code = BAD[name]
    reply = server.call(EXPLAIN, make())
    body = json.loads(reply.body)
    check(body, "Error")
    assert (reply.status, body["error"]["code"]) == (status, code), body
    assert len(body["error"]["message"]) > 20
    assert server.call(PREDICT, clip).status == 200


@pytest.mark.parametrize("name", ["text", "json"])
def test_a_body_that_is_not_what_its_type_says(server: Server, clip: bytes, name: str) -> None:
    """Bytes under text/plain are a video all the same; broken JSON is 400."""
    if name == "text":
        assert server.call(PREDICT, clip, {"Content-Type": "text/plain"}).status == 200
    else:
        reply = server.call(PREDICT, b"{", {"Content-Type": "application/json"})
        assert (reply.status, json.loads(reply.body)["error"]["code"]) == (400, "request_invalid")


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("X-Staa-Top-K", "99"),
        ("X-Staa-Method", "magic"),
        ("X-Staa-Wut", "1"),
        ("X-Staa-Target", "moves up"),
        ("X-Staa-Contrast", "1"),
    ],
)
def test_bad_options(server: Server, clip: bytes, header: str, value: str) -> None:
    """A bad option is 400 and names itself."""
    reply = server.call(EXPLAIN, clip, {header: value})
    body = json.loads(reply.body)
    check(body, "Error")
    assert (reply.status, body["error"]["code"]) == (400, "option_invalid")
    assert header.removeprefix("X-Staa-").lower().replace("-", "_") in body["error"]["message"]


def test_a_corrupted_file(server: Server) -> None:
    """A real file of which little is damaged is answered with a note; one of which nothing can be decoded is 422."""
    source = videos.real("corrupted.mp4").read_bytes()
    reply = server.call(EXPLAIN, source)
    assert reply.status == 200
    assert json.loads(reply.body)["clip"]["notes"] == ["2 of 50 frames damaged, 19 depend on them"]
    reply = server.call(EXPLAIN, source[:400])
    assert (reply.status, json.loads(reply.body)["error"]["code"]) == (422, "video_undecodable")


def test_times_are_told(server: Server, clip: bytes) -> None:
    """Every stage is in the header Server-Timing, in milliseconds, and in a histogram, in seconds."""
    stages = ("decode", "prepare", "forward", "encode")
    before = {stage: server.metric(f"staa_{stage}_seconds_count") for stage in stages}
    sums = {stage: server.metric(f"staa_{stage}_seconds_sum") for stage in stages}
    reply = server.call(EXPLAIN, clip)
    told = dict(part.split(";dur=") for part in reply.headers["server-timing"].split(", "))
    assert tuple(told) == stages
    for stage in stages:
        assert server.metric(f"staa_{stage}_seconds_count") - before[stage] == 1
        seconds = server.metric(f"staa_{stage}_seconds_sum") - sums[stage]
        assert seconds == pytest.approx(float(told[stage]) / 1000, abs=0.002)
