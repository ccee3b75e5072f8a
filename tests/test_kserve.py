"""KServe's forms: several videos in a request, their options, and answers in the form of the request."""

import base64
import json
from typing import Any

import numpy as np
import pytest

from staa import wire
from staa.errors import OptionError, RequestError
from tests import families, videos
from tests.families import VARIANTS
from tests.test_handler import Context

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
"""TorchServe leaves files open, when it is imported too."""
B64 = [base64.b64encode(text).decode() for text in (b"one", b"two")]


def tensor(*data: Any, **more: Any) -> dict[str, Any]:
    """A request of version 2."""
    return {"inputs": [{"name": "video", "shape": [len(data)], "datatype": "BYTES", "data": list(data)}]} | more


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
    call = wire.read({"body": body}, {}, explain=False)
    assert call.form == form
    assert [request.video for request in call.requests] == [b"one", b"two"]


def test_options_of_all_and_of_one() -> None:
    """Version 1: beside an instance, beside all of them, or in headers; version 2: in parameters of either place."""
    body: dict[str, Any] = {"top_k": 3, "instances": [{"b64": B64[0], "mass": 0.5}, {"b64": B64[1], "top_k": 2}]}
    first, second = wire.read({"body": body}, {"x-staa-start": "1"}, explain=True).requests
    assert (first.options.top_k, first.options.mass, first.options.start) == (3, 0.5, 1.0)
    assert (second.options.top_k, second.options.explain) == (2, True)
    body = tensor(B64[0], parameters={"method": "rollout"})
    body["inputs"][0]["parameters"] = {"content_type": "base64", "top_k": 1}
    (request,) = wire.read({"body": body}, {}, explain=True).requests
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
    assert wire.read({"body": b"raw"}, {}, explain=False).requests[0].video == b"raw"


@pytest.fixture(scope="module")
def handler(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A handler of a tiny model that takes two rows at a time."""
    from staa_handler import StaaHandler

    folder = tmp_path_factory.mktemp("tiny")
    families.save(VARIANTS["vivit"].make(), folder)
    made = StaaHandler()
    context = Context(str(folder), [])
    context.system_properties["batch_size"] = "2"
    made.initialize(context)
    return made


def ask(handler: Any, bodies: list[Any], *, explain: bool = True) -> tuple[list[Any], dict[int, int], Context]:
    """Replies as JSON, statuses, and the context of a batch."""
    context = Context("", [{"explain": str(explain)} for _ in bodies])
    replies = handler.handle([{"body": body} for body in bodies], context)
    return [json.loads(reply) for reply in replies], context.statuses, context


def film(seed: int) -> str:
    """A video in base64, another one for each seed."""
    rng = np.random.default_rng(seed)
    frames = [rng.integers(0, 256, (48, 64, 3), np.uint8) for _ in range(6)]
    return base64.b64encode(videos.encode(frames)).decode()


def test_each_video_has_the_answer_that_it_has_alone(handler: Any) -> None:
    """A batch of all three forms: every video is answered as by itself, in its request's form, in passes of two."""
    films = [film(seed) for seed in range(5)]
    alone = [ask(handler, [{"video": one}])[0][0] for one in films]
    bodies = [{"instances": [{"b64": films[0]}, {"b64": films[1]}]}, {"video": films[2]}, tensor(*films[3:], id="a7")]
    (first, own, second), statuses, context = ask(handler, bodies)
    assert statuses == {0: 200, 1: 200, 2: 200}
    assert set(context.timings) == {0, 1, 2}
    for number in (0, 1):
        labels, shown = first["predictions"][number], first["explanations"][number]
        assert [one["label"] for one in labels["predictions"]] == [one["label"] for one in alone[number]["predictions"]]
        np.testing.assert_allclose(shown["joint"], alone[number]["explanation"]["joint"], atol=1e-6)
        assert labels["clip"] == alone[number]["clip"]
    np.testing.assert_allclose(own["explanation"]["joint"], alone[2]["explanation"]["joint"], atol=1e-6)
    outputs = {one["name"]: one for one in second["outputs"]}
    assert (second["id"], second["model_name"], second["model_version"]) == ("a7", "tiny", "1.0")
    joint = np.reshape(outputs["joint"]["data"], outputs["joint"]["shape"])
    for place, number in enumerate((3, 4)):
        np.testing.assert_allclose(joint[place], alone[number]["explanation"]["joint"], atol=1e-6)
        assert json.loads(outputs["reply"]["data"][place])["clip"] == alone[number]["clip"]
    count = len(alone[3]["predictions"])
    assert outputs["label"]["data"][:count] == [one["label"] for one in alone[3]["predictions"]]
    assert outputs["score"]["shape"] == [2, count]


def test_labels_alone_have_no_maps(handler: Any) -> None:
    """On the routes of predictions the answers are labels: no explanations, no map tensors."""
    (first, second), statuses, _ = ask(handler, [{"instances": [film(1)]}, tensor(film(1))], explain=False)
    assert statuses == {0: 200, 1: 200}
    assert set(first) == {"predictions"}
    assert "explanation" not in first["predictions"][0]
    assert [one["name"] for one in second["outputs"]] == ["label", "class_id", "score", "reply"]


def test_one_bad_video_fails_its_request_alone(handler: Any) -> None:
    """The error names the video; the other requests of the batch are answered."""
    noise = base64.b64encode(b"noise").decode()
    bodies = [{"instances": [film(1), noise]}, {"instances": [film(2)]}, tensor(noise)]
    (first, second, third), statuses, _ = ask(handler, bodies)
    assert statuses == {0: 415, 1: 200, 2: 415}
    assert first["error"]["code"] == "not_a_video"
    assert first["error"]["message"].startswith("instances[1]: ")
    assert len(second["explanations"]) == 1
    assert third["error"]["message"].startswith("data[0]: ")
