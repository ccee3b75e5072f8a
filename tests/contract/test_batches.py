"""Requests of all kinds at the same time: each gets its own right answer, good ones share forward passes."""

import base64
import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from tests.contract.description import EXPLAIN, PREDICT, arrays, code, tensor, video
from tests.contract.recorded.bodies import document, text
from tests.contract.recorded.requests import JSON
from tests.made.torchserve import Server
from tests.made.waiting import until

EXACT = 1e-5


def test_a_mixed_batch(home: Server) -> None:
    """Rows that want labels, maps, other options, or are garbage, fired together: each gets its own right answer."""
    clips = [video(shift) for shift in range(4)]
    wanted = [(home.call(PREDICT, clip), home.call(EXPLAIN, clip)) for clip in clips]
    jobs: list[tuple[str, bytes, dict[str, str], int]] = []
    for number in range(24):
        kind, which = number % 6, number // 6
        headers = {2: {"X-Staa-Maps": "npz"}, 3: {"X-Staa-Top-K": "1"}, 4: {"X-Staa-Mass": "7"}}.get(kind, {})
        if kind == 1 and which > 1:
            headers = {"X-Staa-Method": "rollout" if which == 2 else "staa_class"}
        jobs.append((PREDICT if kind in {0, 3} else EXPLAIN, b"noise" if kind == 5 else clips[which], headers, which))
    before, rows = home.metric("staa_forwards_total"), home.metric("staa_rows_total")
    with ThreadPoolExecutor(len(jobs)) as pool:
        replies = list(pool.map(lambda job: home.call(job[0], job[1], job[2]), jobs))
    until(lambda: home.metric("staa_rows_total") - rows == 24)
    assert 1 <= home.metric("staa_forwards_total") - before <= 16, "none for what is no good row"
    for number, (reply, job) in enumerate(zip(replies, jobs, strict=True)):
        kind, (labels, maps_alone) = number % 6, wanted[job[3]]
        if kind in {4, 5}:
            expected = (400, "option_invalid") if kind == 4 else (415, "not_a_video")
            assert (reply.status, code(reply)) == expected
            continue
        assert reply.status == 200, reply.body
        if kind in {0, 3}:
            body, alone = json.loads(reply.body), json.loads(labels.body)
            assert "explanation" not in body
            assert len(body["predictions"]) == (1 if kind == 3 else 5)
            assert body["predictions"][0]["class_id"] == alone["predictions"][0]["class_id"]
            assert body["predictions"][0]["score"] == pytest.approx(alone["predictions"][0]["score"], rel=1e-3)
        elif "X-Staa-Method" in job[2]:
            alone = home.call(EXPLAIN, job[1], job[2])
            assert np.abs(arrays(reply)["joint"] - arrays(alone)["joint"]).max() < EXACT
            assert np.abs(arrays(reply)["joint"] - arrays(maps_alone)["joint"]).max() > EXACT
        else:
            assert np.abs(arrays(reply)["joint"] - arrays(maps_alone)["joint"]).max() < EXACT


def test_requests_share_forward_passes(home: Server, clip: bytes) -> None:
    """Of sixteen requests at once some are answered together, and four videos of one request by one pass."""

    def forwards(bodies: list[bytes], path: str, headers: dict[str, str], videos: int) -> float:
        before, rows = home.metric("staa_forwards_total"), home.metric("staa_rows_total")
        with ThreadPoolExecutor(len(bodies)) as pool:
            replies = list(pool.map(lambda body: home.call(path, body, headers), bodies))
        assert {reply.status for reply in replies} == {200}
        until(lambda: home.metric("staa_rows_total") - rows == videos)
        return home.metric("staa_forwards_total") - before

    # where the machine is so busy that decoding takes longer than a pass, each row may find the model idle
    assert any(forwards([clip] * 16, PREDICT, {}, 16) < 16 for _ in range(5))
    several = document({"instances": [text(clip)] * 4})()
    until(lambda: forwards([several], "/v1/models/motions:predict", JSON, 4) == 1)


def test_garbage_alone(home: Server, clip: bytes) -> None:
    """Of many bad requests at once each is told what is wrong with it, and a good one among them is answered."""
    rng = np.random.default_rng(5)
    bad: list[tuple[str, bytes, dict[str, str], int, str]] = []
    for number in range(20):
        bad += [
            (EXPLAIN, rng.bytes(5000 + number), {}, 415, "not_a_video"),
            (PREDICT, video(number % 4)[: 500 + number], {}, 422, "video_undecodable"),
            (PREDICT, b"{" * (1 + number), JSON, 400, "request_invalid"),
        ]
    order = rng.permutation(len(bad))
    with ThreadPoolExecutor(16) as pool:
        replies = pool.map(lambda which: home.call(*bad[which][:3]), order)
        good = pool.submit(home.call, PREDICT, clip)
        for which, reply in zip(order, replies, strict=True):
            assert (reply.status, code(reply)) == bad[which][3:], bad[which][1][:40]
        assert good.result().status == 200


def test_no_answer_is_of_another_request(home: Server) -> None:
    """Of several callers, each with a video of its own, every one gets the maps of that video every time."""
    films = [video(shift) for shift in range(6)]
    alone = [arrays(home.call(EXPLAIN, film, {"X-Staa-Maps": "npz"}))["joint"] for film in films]
    assert all(np.abs(alone[0] - other).max() > 1e-3 for other in alone[1:])

    def ask(which: int) -> float:
        found = [home.call(EXPLAIN, films[which], {"X-Staa-Maps": "npz"}) for _ in range(3)]
        return max(float(np.abs(arrays(reply)["joint"] - alone[which]).max()) for reply in found)

    with ThreadPoolExecutor(len(films)) as pool:
        assert max(pool.map(ask, range(len(films)))) < EXACT


def test_several_videos_in_a_request(home: Server) -> None:
    """Videos of KServe's requests are answered in their order, each as it is alone, whatever else runs beside them."""
    films = [video(shift) for shift in range(5)]
    alone = [arrays(home.call(EXPLAIN, film))["joint"] for film in films]
    first = document({"instances": [{"b64": text(film)} for film in films]})()
    second = document({"inputs": [tensor(*map(text, films))]})()
    with ThreadPoolExecutor(3) as pool:
        one = pool.submit(home.call, "/v1/models/motions:explain", first, JSON)
        two = pool.submit(home.call, "/v2/models/motions/explain", second, JSON)
        noise = pool.submit(home.call, EXPLAIN, base64.b64encode(films[0]))
    maps = [np.asarray(each["joint"]) for each in json.loads(one.result().body)["explanations"]]
    (joint,) = (each for each in json.loads(two.result().body)["outputs"] if each["name"] == "joint")
    assert noise.result().status == 415
    for found in (np.asarray(maps), np.reshape(joint["data"], joint["shape"])):
        assert np.abs(found - np.asarray(alone)).max() < EXACT
