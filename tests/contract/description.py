"""docs/openapi.yaml for tests: what replies are held against, and requests that several tests send."""

import base64
import io
import json
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import yaml

from tests.deploy import proxies
from tests.made import videos
from tests.made.torchserve import Reply

SPEC = yaml.safe_load((Path(__file__).parents[2] / "docs" / "openapi.yaml").read_text())
PREDICT, EXPLAIN = "/predictions/motions", "/explanations/motions"


def check(reply: Any, schema: str) -> None:
    """Hold a decoded reply against a schema of the description."""
    jsonschema.validate(reply, {"$ref": f"#/components/schemas/{schema}", "components": SPEC["components"]})


def follows(reply: Reply | proxies.Reply, path: str) -> None:
    """Hold the status, the type and the body of a reply against what the description says of a path."""
    responses = SPEC["paths"][path]["post"]["responses"]
    described = responses.get(str(reply.status), responses["default"])
    if "$ref" in described:
        described = SPEC["components"]["responses"][described["$ref"].rpartition("/")[2]]
    kind = reply.headers["content-type"]
    assert kind in described["content"], (path, reply.status, kind)
    if kind == "application/json":
        schema = described["content"][kind]["schema"]
        jsonschema.validate(json.loads(reply.body), {**schema, "components": SPEC["components"]})


def code(reply: Reply) -> str:
    """Return the code of an error in the contract's form; fail where the reply is none."""
    body = json.loads(reply.body)
    check(body, "Error")
    assert reply.headers["content-type"] == "application/json"
    assert len(body["error"]["message"]) > 20
    return str(body["error"]["code"])


@cache
def video(shift: int = 0) -> bytes:
    """Return a clip of 40 frames at 25 frames a second, 128 x 96, another one for every shift."""
    frames = [np.roll(frame, shift * 9, axis=1) for frame in videos.images(40, 96, 128)]
    return videos.encode(frames, rate=25)


def tensor(*films: str, **more: Any) -> dict[str, Any]:
    """Return the tensor of videos of KServe's version 2."""
    return {"name": "video", "shape": [len(films)], "datatype": "BYTES", "data": list(films), **more}


def arrays(reply: Reply) -> dict[str, np.ndarray]:
    """Return the maps of a reply, in whatever encoding."""
    if reply.headers["content-type"] == "application/x-npz":
        with np.load(io.BytesIO(reply.body)) as archive:
            return {name: archive[name] for name in archive.files if name != "reply"}
    found = json.loads(reply.body)["explanation"]
    maps = {}
    for name in {"temporal", "spatial", "joint", "signed"} & set(found):
        one = found[name]
        if isinstance(one, dict):
            one = np.frombuffer(base64.b64decode(one["data"]), one["dtype"]).reshape(one["shape"])
        maps[name] = np.asarray(one, np.float32)
    return maps
