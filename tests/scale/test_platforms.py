"""The routes by which SageMaker and Vertex ask a container, at a real Ray."""

import base64
import json

import pytest

from tests.made.torchserve import Reply, Server

ATTRIBUTES = "X-Amzn-SageMaker-Custom-Attributes"


def invoke(server: Server, clip: bytes, attributes: str = "") -> Reply:
    """Ask as SageMaker does, which passes one header of its caller on."""
    headers = {"Content-Type": "video/mp4"} | ({ATTRIBUTES: attributes} if attributes else {})
    return server.call("/invocations", clip, headers)


def test_sagemaker_gets_what_the_own_route_answers(ray_server: Server, clip: bytes) -> None:
    """Labels as they are; and a map with options where the caller's attributes ask for them."""
    assert ray_server.call("/ping", method="GET").status == 200
    labels = json.loads(invoke(ray_server, clip).body)
    assert labels == json.loads(ray_server.call("/predictions/motions", clip).body)
    asked = json.loads(invoke(ray_server, clip, "explain=true, top_k=2; method=rollout").body)
    own = ray_server.call("/explanations/motions", clip, {"X-Staa-Top-K": "2", "X-Staa-Method": "rollout"})
    assert asked == json.loads(own.body)
    assert len(asked["predictions"]) == 2
    assert asked["explanation"]["method"] == "rollout"


@pytest.mark.parametrize(
    ("attributes", "said"),
    [
        ("colour=red", "colour"),
        ("top_k=many", "top_k"),
        ("top_k", "top_k"),
        ("explain=true;method=magic", "method"),
    ],
)
def test_attributes_that_are_no_options(ray_server: Server, clip: bytes, attributes: str, said: str) -> None:
    """They are refused in words, as headers are."""
    reply = invoke(ray_server, clip, attributes)
    assert (reply.status, json.loads(reply.body)["error"]["code"]) == (400, "option_invalid")
    assert said in json.loads(reply.body)["error"]["message"]


@pytest.mark.parametrize("attributes", [";,;", "explain=false", "explain=True", " explain = true "])
def test_odd_but_right_attributes(ray_server: Server, clip: bytes, attributes: str) -> None:
    """Nothing between two separators is nothing, and spaces and capitals do not matter."""
    reply = invoke(ray_server, clip, attributes)
    assert reply.status == 200
    assert ("explanation" in json.loads(reply.body)) == ("true" in attributes.lower())


def test_vertex_asks_where_its_environment_says(ray_server: Server, clip: bytes) -> None:
    """Instances in base64 with the options of all in `parameters`, and health."""
    assert ray_server.call("/vertex/health", method="GET").status == 200
    body = {"instances": [{"b64": base64.b64encode(clip).decode()}] * 2, "parameters": {"top_k": 3, "end": 4}}
    reply = ray_server.call("/vertex/predict", json.dumps(body).encode(), {"Content-Type": "application/json"})
    assert reply.status == 200, reply.body
    predictions = json.loads(reply.body)["predictions"]
    assert [len(each["predictions"]) for each in predictions] == [3, 3]
    body["parameters"] = ["top_k"]
    reply = ray_server.call("/vertex/predict", json.dumps(body).encode(), {"Content-Type": "application/json"})
    assert (reply.status, json.loads(reply.body)["error"]["code"]) == (400, "request_invalid")
