"""KServe's routes, version 1 and 2."""

import json
from typing import Any

import pytest

from tests.contract.description import check, code, follows, tensor, video
from tests.contract.recorded.bodies import archive, document, text
from tests.contract.recorded.requests import JSON
from tests.made.torchserve import Server

V1, V2 = "/v1/models/motions:", "/v2/models/motions/"


def ask(home: Server, path: str, content: dict[str, Any]) -> Any:
    """Send JSON, and return that of the reply, which is good and as described."""
    reply = home.call(path, document(content)(), JSON)
    assert reply.status == 200, reply.body
    follows(reply, path.replace("motions", "{model}"))
    return json.loads(reply.body)


@pytest.mark.parametrize("explain", [False, True])
def test_version_1(home: Server, *, explain: bool) -> None:
    """`:predict` answers labels, `:explain` maps too, a list entry an instance, in each way to write one."""
    film = text(video())
    ways = [{"b64": film}, {"b64": film, "top_k": 1}, film, {"video": film}, {"video": {"b64": text(archive())}}]
    told = ask(home, f"{V1}{'explain' if explain else 'predict'}", {"instances": ways})
    assert [len(one["predictions"]) for one in told["predictions"]] == [5, 1, 5, 5, 5]
    assert ("explanations" in told) == explain
    if explain:
        assert [one["shape"] for one in told["explanations"]] == [[16, 12, 12]] * 5


@pytest.mark.parametrize("explain", [False, True])
def test_version_2(home: Server, *, explain: bool) -> None:
    """`infer` answers tensors of labels, `explain` of maps too, and says the id of the request."""
    content = {"id": "x1", "inputs": [tensor(text(video()))], "parameters": {"top_k": 2}}
    told = ask(home, f"{V2}{'explain' if explain else 'infer'}", content)
    shapes = {one["name"]: one["shape"] for one in told["outputs"]}
    assert told["id"] == "x1"
    assert shapes["label"] == [1, 2]
    assert shapes.get("joint") == ([1, 16, 12, 12] if explain else None)


def test_options_of_all_and_of_one(home: Server) -> None:
    """Options stand beside an instance or a tensor, or beside all; the nearer one counts, and a header counts too."""
    film = text(video())
    asked = {"top_k": 3, "method": "staa_class", "instances": [{"b64": film, "top_k": 2, "target": 1}, film]}
    told = ask(home, f"{V1}explain", asked)
    assert [len(one["predictions"]) for one in told["predictions"]] == [2, 3]
    assert told["explanations"][0]["target"]["class_id"] == 1
    one = tensor(film, parameters={"top_k": 2, "content_type": "base64"})
    outputs = ask(home, f"{V2}infer", {"inputs": [one], "parameters": {"top_k": 4}})["outputs"]
    assert {each["name"]: each["shape"] for each in outputs}["label"] == [1, 2]
    reply = home.call(f"{V1}predict", document({"instances": [film]})(), {**JSON, "X-Staa-Top-K": "1"})
    assert len(json.loads(reply.body)["predictions"][0]["predictions"]) == 1


def test_rules(home: Server) -> None:
    """A video that rules leave out has the reason in version 1, and no map in version 2."""
    film = text(video())
    content = {"instances": [{"b64": film, "explain_when": "always"}, film], "explain_when": "score_below=0"}
    made, left_out = ask(home, f"{V1}explain", content)["explanations"]
    assert made["shape"] == [16, 12, 12]
    assert left_out["not_explained"]["rule"] == "score_below=0"
    asked = {"inputs": [tensor(film)], "parameters": {"explain_when": "score_below=0"}}
    outputs = {each["name"]: each for each in ask(home, f"{V2}explain", asked)["outputs"]}
    assert outputs["explained"]["data"] == [False]
    assert "joint" not in outputs


def test_sixteen_videos(home: Server) -> None:
    """So many are answered in a request, and one more is refused."""
    film = text(video())
    assert len(ask(home, f"{V1}predict", {"instances": [film] * 16})["predictions"]) == 16
    for path, content in (
        (f"{V1}predict", {"instances": [film] * 17}),
        (f"{V2}infer", {"inputs": [tensor(*[film] * 17)]}),
    ):
        refused = home.call(path, document(content)(), JSON)
        assert (refused.status, code(refused)) == (400, "request_invalid")


def test_a_bad_video(home: Server) -> None:
    """It is refused in the contract's form, with its place, and the good ones beside it with it."""
    good, noise = text(video()), text(b"noise")
    for path, content, place in (
        (f"{V1}explain", {"instances": [{"b64": good}, {"b64": noise}]}, "instances[1]: "),
        (f"{V2}infer", {"inputs": [tensor(noise, good)]}, "data[0]: "),
    ):
        reply = home.call(path, document(content)(), JSON)
        assert (reply.status, code(reply)) == (415, "not_a_video")
        assert json.loads(reply.body)["error"]["message"].startswith(place)


def test_the_own_form_on_kserves_routes(home: Server) -> None:
    """What is no request of KServe's is answered as on this project's own routes."""
    reply = home.call(f"{V1}explain", document({"video": text(video())})(), JSON)
    check(json.loads(reply.body), "Explained")
    check(json.loads(home.call(f"{V2}infer", video()).body), "Labels")
