"""KServe's routes on a real TorchServe."""

import base64
import json

import numpy as np
import pytest

from tests.e2e.contract import check
from tests.made import videos
from tests.made.torchserve import Server


@pytest.fixture(scope="module")
def film() -> str:
    """A video in base64."""
    rng = np.random.default_rng(3)
    return base64.b64encode(videos.encode([rng.integers(0, 256, (96, 128, 3), np.uint8) for _ in range(20)])).decode()


@pytest.mark.parametrize("explain", [False, True])
def test_version_1(server: Server, film: str, *, explain: bool) -> None:
    """`:predict` answers labels, `:explain` maps too, a list entry an instance."""
    verb = "explain" if explain else "predict"
    body = json.dumps({"instances": [{"b64": film}, {"b64": film, "top_k": 1}]}).encode()
    reply = server.call(f"/v1/models/motions:{verb}", body, {"Content-Type": "application/json"})
    assert reply.status == 200, reply.body
    told = json.loads(reply.body)
    check(told, "KServeV1Reply")
    assert [len(one["predictions"]) for one in told["predictions"]] == [5, 1]
    assert ("explanations" in told) == explain
    if explain:
        assert [one["shape"] for one in told["explanations"]] == [[16, 12, 12]] * 2


@pytest.mark.parametrize("explain", [False, True])
def test_version_2(server: Server, film: str, *, explain: bool) -> None:
    """`infer` answers tensors of labels, `explain` of maps too."""
    verb = "explain" if explain else "infer"
    tensor = {"name": "video", "shape": [1], "datatype": "BYTES", "data": [film]}
    body = json.dumps({"id": "x1", "inputs": [tensor], "parameters": {"top_k": 2}}).encode()
    reply = server.call(f"/v2/models/motions/{verb}", body, {"Content-Type": "application/json"})
    assert reply.status == 200, reply.body
    told = json.loads(reply.body)
    check(told, "KServeV2Reply")
    shapes = {one["name"]: one["shape"] for one in told["outputs"]}
    assert told["id"] == "x1"
    assert shapes["label"] == [1, 2]
    assert shapes.get("joint") == ([1, 16, 12, 12] if explain else None)


def test_a_bad_video(server: Server) -> None:
    """It is refused in the contract's form, with its place."""
    noise = base64.b64encode(b"noise").decode()
    body = json.dumps({"instances": [{"b64": noise}]}).encode()
    reply = server.call("/v1/models/motions:explain", body, {"Content-Type": "application/json"})
    assert reply.status == 415
    error = json.loads(reply.body)["error"]
    assert error["code"] == "not_a_video"
    assert error["message"].startswith("instances[0]: ")
