"""KServe's forms: several videos in a request, their options, and answers in the form of the request."""

import json
from typing import Any

import numpy as np
import pytest

from staa.errors import OptionError, RequestError
from staa.serving import Service, wire
from tests.made.requests import B64, NOISE, film, tensor
from tests.made.services import ask, service


@pytest.mark.parametrize(
    ("body", "form"),
    [
        ({"instances": [{"b64": B64[0]}, {"b64": B64[1]}]}, "v1"),
        ({"instances": [{"video": {"b64": B64[0]}}, {"video": B64[1]}]}, "v1"),
        ({"instances": B64}, "v1"),
        (tensor(*B64), "v2"),
        (tensor(*B64, id="7", outputs=[]), "v2"),
    ],
)
def test_every_way_to_write_the_videos(body: dict[str, Any], form: str) -> None:
    """Each form gives the same two videos, in order."""
    request = wire.read({"body": body}, {}, explain=False)
    assert request.form == form
    assert [video.video for video in request.videos] == [b"one", b"two"]


def test_options_of_all_and_of_one() -> None:
    """Version 1: beside an instance, beside all, in parameters, or in headers; version 2: in parameters twice."""
    body: dict[str, Any] = {"top_k": 3, "instances": [{"b64": B64[0], "mass": 0.5}, {"b64": B64[1], "top_k": 2}]}
    first, second = wire.read({"body": body}, {"x-staa-start": "1"}, explain=True).videos
    assert (first.options.top_k, first.options.mass, first.options.start) == (3, 0.5, 1.0)
    assert (second.options.top_k, second.options.explain) == (2, True)
    body = {"top_k": 3, "parameters": {"top_k": 4, "mass": 0.5}, "instances": [B64[0], {"b64": B64[1], "top_k": 2}]}
    first, second = wire.read({"body": body}, {}, explain=True).videos
    assert (first.options.top_k, first.options.mass) == (4, 0.5)
    assert (second.options.top_k, second.options.mass) == (2, 0.5)
    body = tensor(B64[0], parameters={"method": "rollout"})
    body["inputs"][0]["parameters"] = {"content_type": "base64", "top_k": 1}
    (request,) = wire.read({"body": body}, {}, explain=True).videos
    assert (request.options.method, request.options.top_k) == ("rollout", 1)


@pytest.mark.parametrize(
    ("body", "error", "said"),
    [
        ({"instances": []}, RequestError, "at least one"),
        ({"instances": "x"}, RequestError, "must be a list"),
        ({"instances": [{"b64": B64[0]}] * 17}, RequestError, "at most 16"),
        ({"instances": [{"b64": B64[0]}, {"b64": "%"}]}, RequestError, r"instances\[1\]: .*base64"),
        ({"instances": [{"b64": B64[0]}, {}]}, RequestError, r"instances\[1\]"),
        ({"instances": [{"b64": B64[0], "colour": 1}]}, OptionError, r"instances\[0\]: 'colour' is no option"),
        ({"instances": [{"b64": B64[0], "describe": True}]}, OptionError, "describe"),
        ({"instances": [{"b64": B64[0], "maps": "npz"}]}, OptionError, "npz"),
        ({"instances": [{"b64": B64[0]}], "parameters": "top_k"}, RequestError, "object of options"),
        ({"instances": [{"b64": B64[0]}], "parameters": {"colour": 1}}, OptionError, "'colour' is no option"),
        ({"inputs": []}, RequestError, "at least one"),
        ({"inputs": [1]}, RequestError, "one tensor"),
        ({"inputs": tensor(B64[0])["inputs"] * 2}, RequestError, "one tensor"),
        ({"inputs": [{"datatype": "FP32", "data": [1.0]}]}, RequestError, "BYTES"),
        ({"inputs": [{"datatype": "BYTES", "shape": [2], "data": [B64[0]]}]}, RequestError, "shape"),
        (tensor(B64[0], parameters=[1]), RequestError, "object of options"),
        (tensor(B64[0], parameters={"maps": "json"}), OptionError, "version 2"),
        (tensor(B64[0], 3), RequestError, r"data\[1\]"),
    ],
)
def test_what_is_wrong_is_named(body: dict[str, Any], error: type[RequestError], said: str) -> None:
    """Each fault is a 400 that names the video and what was expected."""
    with pytest.raises(error, match=said):
        wire.read({"body": body}, {}, explain=True)


def test_any_other_body_is_the_own_form() -> None:
    """A body without those keys is one video as ever."""
    assert wire.read({"body": {"video": B64[0]}}, {}, explain=False).form == "own"
    assert wire.read({"body": b"raw"}, {}, explain=False).videos[0].video == b"raw"


def test_version_2_repeats_no_long_id_and_multiplies_no_long_shape() -> None:
    """An id of more than 256 characters and a shape of any other form are refused, whatever their length."""
    with pytest.raises(RequestError, match="256"):
        wire.read({"body": tensor(B64[0], id="7" * 257)}, {}, explain=True)
    with pytest.raises(RequestError, match="256"):
        wire.read({"body": tensor(B64[0], id=["7"])}, {}, explain=True)
    for shape in ([9] * 400_000, [1] * 400_000, "1", [], [2], [1, 1, 1], None):
        body = tensor(B64[0])
        body["inputs"][0]["shape"] = shape
        with pytest.raises(RequestError, match="shape") as raised:
            wire.read({"body": body}, {}, explain=True)
        assert len(str(raised.value)) < 200
    for edges in ([2], [2, 1], [1, 2]):
        body = tensor(*B64)
        body["inputs"][0]["shape"] = edges
        assert len(wire.read({"body": body}, {}, explain=True).videos) == 2


def test_version_2_has_no_other_maps_by_header_too() -> None:
    """`X-Staa-Maps: npz` beside a request of version 2 is refused, as under its parameters."""
    with pytest.raises(OptionError, match="version 2"):
        wire.read({"body": tensor(B64[0])}, {"X-Staa-Maps": "npz"}, explain=True)


@pytest.fixture(scope="module")
def served() -> Service:
    """Return a service of a tiny model that takes two videos at a time."""
    return service(batch_size=2)


def test_each_video_has_the_answer_that_it_has_alone(served: Service) -> None:
    """A batch of all three forms: every video is answered as by itself, in its request's form, in passes of two."""
    films = [film(seed) for seed in range(5)]
    alone = [ask(served, [{"video": one}])[0][0] for one in films]
    bodies = [{"instances": [{"b64": films[0]}, {"b64": films[1]}]}, {"video": films[2]}, tensor(*films[3:], id="a7")]
    (first, own, second), statuses = ask(served, bodies)
    assert statuses == [200, 200, 200]
    for number in (0, 1):
        labels, shown = first["predictions"][number], first["explanations"][number]
        assert [one["label"] for one in labels["predictions"]] == [one["label"] for one in alone[number]["predictions"]]
        np.testing.assert_allclose(shown["joint"], alone[number]["explanation"]["joint"], rtol=1e-4, atol=1e-6)
        assert labels["clip"] == alone[number]["clip"]
    np.testing.assert_allclose(own["explanation"]["joint"], alone[2]["explanation"]["joint"], rtol=1e-4, atol=1e-6)
    outputs = {one["name"]: one for one in second["outputs"]}
    assert (second["id"], second["model_name"], second["model_version"]) == ("a7", "tiny", "1.0")
    joint = np.reshape(outputs["joint"]["data"], outputs["joint"]["shape"])
    for place, number in enumerate((3, 4)):
        np.testing.assert_allclose(joint[place], alone[number]["explanation"]["joint"], rtol=1e-4, atol=1e-6)
        assert json.loads(outputs["reply"]["data"][place])["clip"] == alone[number]["clip"]
    count = len(alone[3]["predictions"])
    assert outputs["label"]["data"][:count] == [one["label"] for one in alone[3]["predictions"]]
    assert outputs["score"]["shape"] == [2, count]


def test_labels_alone_have_no_maps(served: Service) -> None:
    """On the routes of predictions the answers are labels: no explanations, no map tensors."""
    (first, second), statuses = ask(served, [{"instances": [film(1)]}, tensor(film(1))], explain=False)
    assert statuses == [200, 200]
    assert set(first) == {"predictions"}
    assert "explanation" not in first["predictions"][0]
    assert [one["name"] for one in second["outputs"]] == ["label", "class_id", "score", "reply"]


def test_one_bad_video_fails_its_request_alone(served: Service) -> None:
    """The error names the video; the other requests of the batch are answered."""
    bodies = [{"instances": [film(1), NOISE]}, {"instances": [film(2)]}, tensor(NOISE)]
    (first, second, third), statuses = ask(served, bodies)
    assert statuses == [415, 200, 415]
    assert first["error"]["code"] == "not_a_video"
    assert first["error"]["message"].startswith("instances[1]: ")
    assert len(second["explanations"]) == 1
    assert third["error"]["message"].startswith("data[0]: ")
