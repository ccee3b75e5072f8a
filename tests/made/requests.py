"""Requests, their bodies and the videos in them."""

import base64
from typing import Any

import numpy as np

from staa.serving import Incoming
from tests.made import videos

B64 = [base64.b64encode(text).decode() for text in (b"one", b"two")]
"""What stands where a video would, in base64, and is none."""
NOISE = base64.b64encode(b"noise").decode()
"""Of no video, in base64."""


def tensor(*data: Any, **more: Any) -> dict[str, Any]:
    """Return a request of KServe's version 2."""
    return {"inputs": [{"name": "video", "shape": [len(data)], "datatype": "BYTES", "data": list(data)}]} | more


def film(seed: int) -> str:
    """Return a video in base64, another one for each seed."""
    rng = np.random.default_rng(seed)
    frames = [rng.integers(0, 256, (48, 64, 3), np.uint8) for _ in range(6)]
    return base64.b64encode(videos.encode(frames)).decode()


def mixed_batch() -> list[Incoming]:
    """Return labels, maps, a multipart form, garbage of three kinds, and KServe's two versions."""
    return [
        Incoming({"body": {"video": film(1)}}, id="labels"),
        Incoming({"body": {"video": film(2)}}, {"X-Staa-Maps": "npz"}, explain=True, id="npz"),
        Incoming({"video": videos.encode(videos.images(12)), "top_k": b"2"}, explain=True, id="form"),
        Incoming({"body": b"noise"}, explain=True, id="noise"),
        Incoming({"body": None}, id="nothing"),
        Incoming({"body": {"video": film(1), "colour": [1]}}, id="option"),
        Incoming({"body": {"instances": [{"b64": film(3)}, {"b64": film(4)}]}}, explain=True, id="v1"),
        Incoming({"body": tensor(film(5), id="a7")}, explain=True, id="v2"),
        Incoming({"body": {"instances": [film(6), NOISE]}}, id="one bad"),
        Incoming({"body": {"inputs": 7}}, id="broken"),
    ]
