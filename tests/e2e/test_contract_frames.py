"""The HTTP contract on a real TorchServe: the card of a model, and frames in place of a file."""

import base64
import json

import numpy as np
import pytest
from PIL import Image

from staa import decode
from tests.e2e.contract import EXPLAIN, PREDICT, check, maps, video
from tests.made import archives
from tests.made.torchserve import Server


@pytest.fixture(scope="module")
def clip() -> bytes:
    """One good clip."""
    return video()


def test_the_card(server: Server, clip: bytes) -> None:
    """In every form, on both paths, with a video or without, the same card comes back and no forward pass is made."""
    names = ("staa_forwards_total", "staa_rows_total", "staa_answers_total")
    before = [server.metric(name) for name in names]
    part = b'--frontier\r\nContent-Disposition: form-data; name="describe"\r\n\r\ntrue\r\n--frontier--\r\n'
    asked = {"X-Staa-Describe": "true"}
    replies = [
        server.call(PREDICT, b"", asked),
        server.call(EXPLAIN, b"", {**asked, "Content-Type": "application/json"}),
        server.call(f"{PREDICT}/{json.loads(server.call(PREDICT, b'', asked).body)['model']['version']}", b"", asked),
        server.call(EXPLAIN, clip, {**asked, "X-Staa-Top-K": "3"}),
        server.call(PREDICT, b'{"describe": true}', {"Content-Type": "application/json"}),
        server.call(EXPLAIN, part, {"Content-Type": "multipart/form-data; boundary=frontier"}),
    ]
    assert [reply.status for reply in replies] == [200] * 6, [reply.body[:300] for reply in replies]
    assert len({reply.body for reply in replies}) == 1
    assert {reply.headers["content-type"] for reply in replies} == {"application/json"}
    assert [server.metric(name) for name in names] == [before[0], before[1], before[2] + 7]
    card = json.loads(replies[0].body)
    check(card, "Card")
    body = json.loads(server.call(EXPLAIN, clip, {"X-Staa-Top-K": "8"}).body)
    assert card["model"] == body["model"]
    assert card["input"]["steps"] == body["explanation"]["shape"]
    assert card["input"]["frames"] == len(body["clip"]["frames"])
    assert {card["labels"][one["class_id"]] for one in body["predictions"]} == set(card["labels"])
    refused = server.call(PREDICT, b"", {"X-Staa-Describe": "perhaps"})
    assert (refused.status, json.loads(refused.body)["error"]["code"]) == (400, "option_invalid")


def test_an_archive_of_frames(server: Server, clip: bytes) -> None:
    """Frames that were scaled as the card says are answered like their file, in every form of request."""
    card = json.loads(server.call(PREDICT, b"", {"X-Staa-Describe": "true"}).body)
    decoded = decode(clip, card["input"]["frames"])
    short, (width, height) = card["input"]["resize"], decoded.source
    size = (short * width // height, short)
    images = [Image.fromarray(frame).resize(size, Image.Resampling.BILINEAR) for frame in decoded.frames]
    archive = archives.pack(archives.about(decoded), [archives.encode(np.asarray(image)) for image in images])
    kind = {"Content-Type": "application/x-staa-frames"}
    form = (
        b'--frontier\r\nContent-Disposition: form-data; name="video"; filename="clip.zip"\r\n'
        b"Content-Type: application/x-staa-frames\r\n\r\n" + archive + b"\r\n--frontier--\r\n"
    )
    text = json.dumps({"video": base64.b64encode(archive).decode()}).encode()
    replies = [
        server.call(EXPLAIN, clip),
        server.call(EXPLAIN, archive, kind),
        server.call(EXPLAIN, archive),
        server.call(EXPLAIN, form, {"Content-Type": "multipart/form-data; boundary=frontier"}),
        server.call(EXPLAIN, text, {"Content-Type": "application/json"}),
    ]
    assert [reply.status for reply in replies] == [200] * 5, [reply.body[:300] for reply in replies]
    first = json.loads(replies[0].body)
    assert "decode;dur=" in replies[1].headers["server-timing"]
    for reply in replies[1:]:
        body = json.loads(reply.body)
        check(body, "Explained")
        assert body["clip"] == first["clip"]
        assert body["explanation"]["steps"] == first["explanation"]["steps"]
        assert body["predictions"][0]["class_id"] == first["predictions"][0]["class_id"]
        assert np.abs(maps(reply)["joint"] - maps(replies[0])["joint"]).max() < 1e-3
    part = json.loads(server.call(PREDICT, archive, {**kind, "X-Staa-Start": "0.4", "X-Staa-End": "1.2"}).body)
    assert set(part["clip"]["frames"]) < set(first["clip"]["frames"])
    for body, status, code in (
        (archive[: len(archive) // 2], 422, "video_undecodable"),
        (archive.replace(b"clip.json", b"menu.json"), 415, "not_a_video"),
        (archives.pack({}, []), 400, "request_invalid"),
    ):
        refused = server.call(PREDICT, body, kind)
        check(json.loads(refused.body), "Error")
        assert (refused.status, json.loads(refused.body)["error"]["code"]) == (status, code)
