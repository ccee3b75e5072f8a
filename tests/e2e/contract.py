"""The contract as several tests ask for it: a video, the paths, and replies held against the description."""

import base64
import io
import json
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import yaml

from tests.made import videos
from tests.made.torchserve import Reply

SPEC = yaml.safe_load((Path(__file__).parents[2] / "docs" / "openapi.yaml").read_text())
PREDICT, EXPLAIN = "/predictions/motions", "/explanations/motions"


def check(reply: Any, schema: str) -> None:
    """Hold a decoded reply against a schema of the description."""
    jsonschema.validate(reply, {"$ref": f"#/components/schemas/{schema}", "components": SPEC["components"]})


def video(shift: int = 0) -> bytes:
    """A clip of 40 frames at 25 frames a second, 128 x 96, another one for every shift."""
    frames = [np.roll(frame, shift * 9, axis=1) for frame in videos.images(40, 96, 128)]
    return videos.encode(frames, rate=25)


def maps(reply: Reply) -> dict[str, np.ndarray]:
    """The arrays of a reply, in whatever encoding."""
    if reply.headers["content-type"] == "application/x-npz":
        with np.load(io.BytesIO(reply.body)) as archive:
            return {name: archive[name] for name in ("temporal", "spatial", "joint")}
    found = json.loads(reply.body)["explanation"]
    arrays = {}
    for name in ("temporal", "spatial", "joint"):
        one = found[name]
        if isinstance(one, dict):
            one = np.frombuffer(base64.b64decode(one["data"]), one["dtype"]).reshape(one["shape"])
        arrays[name] = np.asarray(one, np.float32)
    return arrays
