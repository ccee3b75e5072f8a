"""What tests of timelines share: one that was made by hand, and clients of servers that name a label by brightness."""

import io
import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
from PIL import Image

from staa_client import Client, Explanation, Model, Span, Timeline
from staa_client.timeline.result import NOTHING
from tests.client.conftest import card, document, left_out
from tests.made.videos import encode

LABELS = ("moves down", "moves right", "grows", "moves up", "spins", "shrinks", "stays", "blinks")
FPS = 5
SECONDS = 24
BRIGHT = (8.0, 16.0)
"""From when to when the video of `bright` is bright."""


def timeline(path: Path | None = None, found: Explanation | None = None) -> Timeline:
    """A timeline of 20 s with two labels, as a run gives it."""
    starts = np.arange(0, 17, 1.0)
    scores = np.zeros((len(starts), len(LABELS)))
    scores[2:7, 1] = 0.9
    scores[10:15, 4] = 0.8
    spans = (
        Span(NOTHING, 0.0, 3.25, 0.0, 1.6, None),
        Span("moves right", 3.25, 8.5, 0.9, 6.0, found, 1),
        Span(NOTHING, 8.5, 11.5, 0.0, 10.0, None),
        Span("spins", 11.5, 16.75, 0.8, 14.0, found, 4),
        Span(NOTHING, 16.75, 20.0, 0.0, 18.4, None),
    )
    model = Model("motions", "1.0", "timesformer", 8, "Knows eight motions only.")
    about = ("long.mp4", model, LABELS, 20.0, 25.0, (320, 240), 4.0, 1.0, (3.0, 5.0), 3)
    return Timeline(*about, starts, scores, spans, ("a note",), path)


def bright(path: Path, seconds: int = SECONDS, times: Sequence[tuple[float, float]] = (BRIGHT,)) -> Path:
    """Write a video that is dark, but for these times in seconds."""
    frames = [
        np.full((48, 64, 3), 220 if any(first <= number / FPS < last for first, last in times) else 20, np.uint8)
        for number in range(seconds * FPS)
    ]
    path.write_bytes(encode(frames, rate=FPS))
    return path


class ByBrightness:
    """A server of a model whose label 4 has the share of bright frames as its score; it keeps what was asked."""

    def __init__(self, fail_after: int | None = None, clips: tuple[float, float] = (3.0, 5.0)) -> None:
        self.fail_after = fail_after
        self.times: dict[str, list[list[float]]] = {"predictions": [], "explanations": []}
        self.headers: list[httpx2.Headers] = []
        self.card: dict[str, Any] = {"labels": list(LABELS), "clip_seconds": list(clips)}
        """What its card says otherwise than the common one."""
        self.replies: dict[str, dict[str, Any]] = {"predictions": {}, "explanations": {}}
        """What its replies of each kind say otherwise."""

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        """Answer one request."""
        kind = request.url.path.split("/")[1]
        if request.headers.get("content-type") == "application/json":
            return httpx2.Response(200, json=card() | self.card)
        if self.fail_after is not None and len(self.times["predictions"]) >= self.fail_after:
            error = {"code": 500, "type": "internal", "message": "it fell over"}
            return httpx2.Response(500, json=error)
        with zipfile.ZipFile(io.BytesIO(request.read())) as archive:
            clip = json.loads(archive.read("clip.json"))
            names = sorted(name for name in archive.namelist() if name.endswith(".jpg"))
            lights = [float(np.asarray(Image.open(io.BytesIO(archive.read(name)))).mean() > 120) for name in names]
        self.times[kind].append(clip["times"])
        self.headers.append(request.headers)
        reply = _reply(clip, float(np.mean(lights)), kind) | self.replies[kind]
        why_not = left_out(reply, request.headers.get("x-staa-explain-when", "always"))
        if kind == "explanations" and why_not is not None:
            del reply["explanation"]
            reply["not_explained"] = why_not
        return httpx2.Response(200, json=reply)


def _reply(clip: dict[str, Any], share: float, kind: str) -> dict[str, Any]:
    """Return the reply for a window of which this share is bright."""
    reply = document(clip["width"], clip["height"], (8, 0, 56, 48))
    scores = [(1 - share) / 7 if number != 4 else share for number in range(8)]
    order = sorted(range(8), key=lambda number: -scores[number])
    reply["predictions"] = [{"class_id": number, "label": LABELS[number], "score": scores[number]} for number in order]
    reply["clip"] |= {"frames": clip["frames"], "times": clip["times"], "duration": clip["duration"]}
    if kind == "predictions":
        del reply["explanation"]
        return reply
    edges = np.linspace(clip["times"][0], clip["times"][-1] + 1 / FPS, 17)
    reply["explanation"]["steps"] = np.stack([edges[:-1], edges[1:]], 1).tolist()
    return reply


def client_of(server: ByBrightness) -> Client:
    """Return a client of such a server that does not try again."""
    return Client(max_retries=0, transport=httpx2.MockTransport(server))


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """Return a video of 24 s that is bright from 8 to 16 s."""
    return bright(tmp_path / "long.mp4")
