"""Frames that a client sampled, in place of a file."""

import json

import numpy as np
from PIL import Image

from staa import decode
from tests.contract.description import EXPLAIN, PREDICT, arrays, check, code
from tests.contract.recorded.bodies import document, form, text
from tests.contract.recorded.requests import FORM, FRAMES, JSON
from tests.made import archives
from tests.made.torchserve import Server


def test_an_archive_of_frames(home: Server, clip: bytes) -> None:
    """Frames that were scaled as the card says are answered like their file, in every form of request."""
    card = json.loads(home.call(PREDICT, b"", {"X-Staa-Describe": "true"}).body)
    decoded = decode(clip, card["input"]["frames"])
    short, (width, height) = card["input"]["resize"], decoded.source
    size = (short * width // height, short)
    images = [Image.fromarray(frame).resize(size, Image.Resampling.BILINEAR) for frame in decoded.frames]
    archive = archives.pack(archives.about(decoded), [archives.encode(np.asarray(image)) for image in images])
    replies = [
        home.call(EXPLAIN, clip),
        home.call(EXPLAIN, archive, FRAMES),
        home.call(EXPLAIN, archive, FRAMES, "PUT"),
        home.call(EXPLAIN, archive),
        home.call(EXPLAIN, archive, {"Content-Type": "application/zip"}),
        home.call(EXPLAIN, form(archive)(), FORM),
        home.call(EXPLAIN, document({"video": text(archive)})(), JSON),
    ]
    assert [reply.status for reply in replies] == [200] * len(replies), [reply.body[:300] for reply in replies]
    first = json.loads(replies[0].body)
    assert "decode;dur=" in replies[1].headers["server-timing"]
    for reply in replies[1:]:
        body = json.loads(reply.body)
        check(body, "Explained")
        assert body["clip"] == first["clip"]
        assert body["explanation"]["steps"] == first["explanation"]["steps"]
        assert body["predictions"][0]["class_id"] == first["predictions"][0]["class_id"]
        assert np.abs(arrays(reply)["joint"] - arrays(replies[0])["joint"]).max() < 1e-3
    part = json.loads(home.call(PREDICT, archive, {**FRAMES, "X-Staa-Start": "0.4", "X-Staa-End": "1.2"}).body)
    assert set(part["clip"]["frames"]) < set(first["clip"]["frames"])
    for body, status, told in (
        (archive[: len(archive) // 2], 422, "video_undecodable"),
        (archive.replace(b"clip.json", b"menu.json"), 415, "not_a_video"),
        (archives.pack({}, []), 400, "request_invalid"),
    ):
        refused = home.call(PREDICT, body, FRAMES)
        assert (refused.status, code(refused)) == (status, told)


def test_notes_are_repeated(home: Server) -> None:
    """What the client says was done to the source stands in the reply."""
    notes = ["2 of 250 frames damaged", "the gap was closed"]
    images = [archives.encode(image) for image in archives.greys(16)]
    facts = {"width": 320, "height": 240, "fps": 25.0, "duration": 10.0, "frames": list(range(16))}
    packed = archives.pack({**facts, "times": [number / 25 for number in range(16)], "notes": notes}, images)
    assert json.loads(home.call(PREDICT, packed, FRAMES).body)["clip"]["notes"] == notes
