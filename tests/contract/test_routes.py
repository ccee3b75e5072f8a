"""Every route, with each method that it takes; and what is no route."""

import json

import pytest

from tests.contract.description import EXPLAIN, PREDICT, SPEC, code, follows, tensor
from tests.contract.differences import at
from tests.contract.recorded.bodies import document, text
from tests.contract.recorded.requests import JSON
from tests.made.torchserve import Reply, Server, call


@pytest.fixture(scope="module")
def version(home: Server) -> str:
    """Return the version of the model."""
    card = json.loads(home.call(PREDICT, b"", {"X-Staa-Describe": "true"}).body)
    return str(card["model"]["version"])


def filled(path: str, model: str = "motions", version: str = "") -> str:
    """Return a path of the description for a model and a version."""
    return path.replace("{model}", model).replace("{version}", version)


def request(path: str, clip: bytes) -> tuple[bytes, dict[str, str]]:
    """Return body and headers of a good request to a path of the description."""
    if path.startswith("/v1/"):
        return document({"instances": [text(clip)]})(), JSON
    return (document({"inputs": [tensor(text(clip))]})(), JSON) if path.startswith("/v2/") else (clip, {})


def refused(home: Server, reply: Reply, status: int, ray: str, torchserve: str) -> None:
    """Hold a refusal against its status and code, which each home tells in its way."""
    assert reply.status == status, reply.body
    told = json.loads(reply.body)
    assert at(home, "errors_of_the_frontend", torchserve=told.get("type"), ray=told.get("error", {}).get("code")) == at(
        home, "errors_of_the_frontend", torchserve=torchserve, ray=ray
    )
    if home.home == "ray":
        assert code(reply)


@pytest.mark.parametrize("path", SPEC["paths"])
def test_a_route(home: Server, clip: bytes, version: str, path: str) -> None:
    """A good request to it is answered as the description says, and so is a bad one."""
    body, headers = request(path, clip)
    reply = home.call(filled(path, version=version), body, headers)
    assert reply.status == 200, reply.body
    follows(reply, path)
    explained = b'"explanation' in reply.body or b'"joint"' in reply.body
    assert explained == ("expla" in path)
    bad = home.call(filled(path, version=version), b"noise", headers)
    assert bad.status == (400 if headers else 415)
    follows(bad, path)


@pytest.mark.parametrize("path", [path for path in SPEC["paths"] if not path.startswith("/v")])
def test_put(home: Server, clip: bytes, version: str, path: str) -> None:
    """PUT, which curl -T sends, is taken as POST."""
    address = filled(path, version=version)
    put, post = (home.call(address, clip, method=method) for method in ("PUT", "POST"))
    assert put.status == post.status == 200
    assert json.loads(put.body)["clip"] == json.loads(post.body)["clip"]
    assert home.call(address, b"noise", method="PUT").status == 415


@pytest.mark.parametrize("path", SPEC["paths"])
def test_another_model(home: Server, clip: bytes, version: str, path: str) -> None:
    """A model and a version that there are not are 404, as described."""
    body, headers = request(path, clip)
    reply = home.call(filled(path, "nobody", version), body, headers)
    refused(home, reply, 404, "model_not_found", "ModelNotFoundException")
    follows(reply, path)
    if "{version}" in path:
        reply = home.call(filled(path, "motions", "9.9"), body, headers)
        refused(home, reply, 404, "model_version_not_found", "ModelVersionNotFoundException")
        follows(reply, path)


@pytest.mark.parametrize(
    "path",
    [
        "/predictions", "/explanations", "/nothing/motions", "/v1/models/motions:dance", "/v2/models/motions/dance",
        "/predictions/motions/1/2", "/v3/models/motions/infer", "/",
    ],
)  # fmt: skip
def test_another_path(home: Server, clip: bytes, path: str) -> None:
    """What is no path of the description is 404, or at the root of TorchServe no request that it takes."""
    reply = home.call(path, clip)
    assert reply.status in at(home, "errors_of_the_frontend", torchserve={404, 405}, ray={404}), reply.body
    if home.home == "ray":
        assert code(reply) == "route_unknown"


@pytest.mark.parametrize("method", ["GET", "DELETE", "HEAD", "PATCH", "OPTIONS"])
def test_another_method(home: Server, method: str) -> None:
    """It is no good request: TorchServe takes it for one without a video, the other home names those that it takes."""
    for path in (PREDICT, EXPLAIN):
        reply = home.call(path, method=method)
        assert reply.status in at(home, "other_methods", torchserve={200, 400, 405}, ray={405}), reply.body
        assert home.home != "ray" or "POST" in reply.headers["allow"]


def test_probes(home: Server) -> None:
    """/ready says which models have how many workers, /live that the server lives, /ping is 200."""
    ready = call(f"{home.health}/ready", method="GET")
    assert (ready.status, json.loads(ready.body)) == (
        200,
        {"ready": True, "models": {"motions": {"ready": 1, "workers": 1}}},
    )
    live = call(f"{home.health}/live", method="GET")
    assert (live.status, json.loads(live.body)) == (200, {"live": True})
    assert call(f"{home.inference}/ping", method="GET").status == 200
    for path in ("/ready", "/live"):
        assert call(f"{home.health}{path}", method="HEAD").status == 200


def test_models(home: Server, version: str) -> None:
    """/models beside the probes lists name, version, workers, ready ones, batch and queue of each model."""
    (listed,) = json.loads(call(f"{home.health}/models", method="GET").body)["models"]
    assert (listed["name"], listed["version"]) == ("motions", version)
    assert (listed["workers"], listed["ready"], listed["batch"]) == (1, 1, 4)
