"""What a video is answered: labels, maps in each encoding and by each method, checks and choices of them."""

import json

import numpy as np
import pytest

from tests.contract.description import EXPLAIN, PREDICT, arrays, check, code, video
from tests.contract.recorded.bodies import document, form, text
from tests.contract.recorded.requests import FORM, JSON
from tests.made.torchserve import Server
from tests.made.waiting import until
from training import movie

EXACT = 1e-5


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Return a clip of the kind that the model knows."""
    path = tmp_path_factory.mktemp("known") / "known.mp4"
    movie.write(path, 37, None, (160, 120), 4.0, 16)
    return path.read_bytes()


def test_labels(home: Server, clip: bytes) -> None:
    """POST /predictions answers labels that follow the description, best first."""
    reply = home.call(PREDICT, clip)
    assert reply.status == 200, reply.body
    body = json.loads(reply.body)
    check(body, "Labels")
    scores = [one["score"] for one in body["predictions"]]
    assert scores == sorted(scores, reverse=True)
    assert len(scores) == 5
    assert (body["clip"]["width"], body["clip"]["height"]) == (128, 96)
    assert body["clip"]["box"] == [16, 0, 112, 96]
    assert body["clip"]["duration"] == pytest.approx(1.6, abs=0.01)


@pytest.mark.parametrize("encoding", ["json", "base64", "npz"])
def test_labels_and_maps(home: Server, clip: bytes, encoding: str) -> None:
    """POST /explanations answers the labels of /predictions plus maps that follow the description and sum to 1."""
    labels = json.loads(home.call(PREDICT, clip).body)
    reply = home.call(EXPLAIN, clip, {"X-Staa-Maps": encoding})
    assert reply.status == 200, reply.body
    maps = arrays(reply)
    assert set(maps) == {"temporal", "spatial", "joint"}
    for array in maps.values():
        assert array.sum(dtype=np.float64) == pytest.approx(1, abs=1e-2 if encoding == "base64" else 1e-4)
    assert np.allclose(maps["joint"].sum((1, 2)), maps["temporal"], atol=2e-4)
    if encoding != "npz":
        body = json.loads(reply.body)
        check(body, "Explained")
        assert list(maps["joint"].shape) == body["explanation"]["shape"]
        assert len(body["explanation"]["steps"]) == len(maps["temporal"])
        assert {key: body[key] for key in ("model", "clip")} == {key: labels[key] for key in ("model", "clip")}
        for one, other in zip(body["predictions"], labels["predictions"], strict=True):
            assert one["class_id"] == other["class_id"]
            assert one["score"] == pytest.approx(other["score"], rel=1e-3)


def test_every_form_of_request(home: Server, clip: bytes) -> None:
    """A raw body by POST and PUT, a form, and JSON give the same reply, with options in any place."""
    top = {"X-Staa-Top-K": "3"}
    url = f"data:video/mp4;base64,{text(clip)}"
    replies = [
        home.call(EXPLAIN, clip, top),
        home.call(EXPLAIN, clip, top, "PUT"),
        home.call(EXPLAIN, clip, {"x-staa-top-k": "3", "Content-Type": "Video/MP4"}),
        home.call(EXPLAIN, form(clip, top_k="3")(), FORM),
        home.call(EXPLAIN, form(clip)(), FORM | top),
        home.call(EXPLAIN, document({"video": text(clip), "top_k": 3, "mass": None})(), JSON),
        home.call(EXPLAIN, document({"video": text(clip), "top_k": "3"})(), JSON | top),
        home.call(EXPLAIN, document({"video": url})(), top | {"Content-Type": "application/json; charset=UTF-8"}),
    ]
    assert [reply.status for reply in replies] == [200] * len(replies), [reply.body[:300] for reply in replies]
    first = json.loads(replies[0].body)
    assert len(first["predictions"]) == 3
    for reply in replies[1:]:
        assert json.loads(reply.body)["clip"] == first["clip"]
        assert len(json.loads(reply.body)["predictions"]) == 3
        assert np.abs(arrays(reply)["joint"] - arrays(replies[0])["joint"]).max() < EXACT


def test_a_segment(home: Server, clip: bytes) -> None:
    """With start and end, the sampled frames and the steps lie in that part of the source."""
    body = json.loads(home.call(EXPLAIN, clip, {"X-Staa-Start": "0.4", "X-Staa-End": "1.2"}).body)
    assert min(body["clip"]["times"]) >= 0.4 - 0.04
    assert max(body["clip"]["times"]) < 1.2
    assert body["clip"]["frames"][0] == 10
    assert body["explanation"]["steps"][0][0] == pytest.approx(0.4, abs=0.041)
    assert body["explanation"]["steps"][-1][1] == pytest.approx(1.2, abs=0.041)


def test_the_threshold(home: Server, clip: bytes) -> None:
    """The cells that reach the threshold hold at least the mass that was asked for, and no fewer would."""
    for mass in (0.3, 0.9):
        reply = home.call(EXPLAIN, clip, {"X-Staa-Mass": str(mass)})
        joint, threshold = arrays(reply)["joint"], json.loads(reply.body)["explanation"]["threshold"]
        focused = joint[joint >= threshold * 0.9999]
        assert focused.sum() > mass - 1e-3
        assert focused.sum() - focused.min() < mass + 1e-3


@pytest.mark.parametrize("named", [{"X-Staa-Target": "moves up", "X-Staa-Contrast": "3"}, {"X-Staa-Target": "2"}])
def test_a_class_map(home: Server, clip: bytes, named: dict[str, str]) -> None:
    """A class by label or number comes back by name, with what speaks against it, as the description has it."""
    reply = home.call(EXPLAIN, clip, {"X-Staa-Method": "staa_class", **named})
    assert reply.status == 200, reply.body
    body = json.loads(reply.body)
    check(body, "Explained")
    explanation = body["explanation"]
    assert explanation["target"] == {"class_id": 2, "label": "moves up"}
    best = {name: body["predictions"][0][name] for name in ("class_id", "label")}
    contrast = {"class_id": 3, "label": "moves down"} if "X-Staa-Contrast" in named else best
    assert explanation["contrast"] == contrast
    assert 0 <= explanation["shared_evidence"] <= 1
    assert np.shape(explanation["signed"]) == tuple(explanation["shape"])
    assert np.min(explanation["signed"]) < 0 < np.max(explanation["signed"])


def test_no_contrast(home: Server, clip: bytes) -> None:
    """Where the contrast is `none` the target is compared to no class, and no shared evidence is told."""
    asked = {"X-Staa-Method": "staa_class", "X-Staa-Target": "2", "X-Staa-Contrast": "none"}
    explanation = json.loads(home.call(EXPLAIN, clip, asked).body)["explanation"]
    assert explanation["contrast"] is None
    assert "shared_evidence" not in explanation


def test_a_map_is_verified_where_that_is_asked_for(home: Server, known: bytes) -> None:
    """A clip of the kind that the model knows: its map is faithful, and the reply says what that took."""
    reply = home.call(EXPLAIN, known, {"X-Staa-Verify": "4", "X-Staa-Maps": "base64"})
    assert reply.status == 200, reply.body
    body = json.loads(reply.body)
    check(body, "Explained")
    found = body["explanation"]["faithfulness"]
    assert found["verdict"] == "faithful"
    assert found["target"]["class_id"] == body["predictions"][0]["class_id"]
    assert found["deletion"]["map"] < found["deletion"]["random"]
    assert found["cost"]["clips"] == 34
    assert "verify;dur=" in reply.headers["server-timing"]
    assert "faithfulness" not in json.loads(home.call(EXPLAIN, known).body)["explanation"]
    assert "explanation" not in json.loads(home.call(PREDICT, known, {"X-Staa-Verify": "4"}).body)


def test_a_map_is_chosen_where_that_is_asked_for(home: Server, clip: bytes) -> None:
    """The reply names the chosen map and what that took, beside the check of it; another method is refused."""
    asked = {"X-Staa-Method": "staa_class", "X-Staa-Refine": "8"}
    stages = ("refine", "verify")
    before = [home.metric(f"staa_{stage}_seconds_count") for stage in stages]
    reply = home.call(EXPLAIN, clip, asked | {"X-Staa-Verify": "2"})
    assert reply.status == 200, reply.body
    body = json.loads(reply.body)
    check(body, "Explained")
    choice = body["explanation"]["refinement"]
    assert choice["chosen"] != choice["runner_up"]
    assert choice["cost"]["clips"] == 8
    assert choice["cost"]["seconds"] > 0
    assert body["explanation"]["faithfulness"]["cost"]["clips"] == 18
    assert all(f"{stage};dur=" in reply.headers["server-timing"] for stage in stages)
    wanted = [count + 1 for count in before]
    until(lambda: [home.metric(f"staa_{stage}_seconds_count") for stage in stages] == wanted)
    plain = home.call(EXPLAIN, clip, {"X-Staa-Method": "staa_class"})
    assert "refinement" not in json.loads(plain.body)["explanation"]
    refused = home.call(EXPLAIN, clip, {"X-Staa-Refine": "8"})
    assert (refused.status, code(refused)) == (400, "option_invalid")


def test_rules(home: Server, clip: bytes) -> None:
    """A map is made where any rule of explain_when holds; else the reply says which did not, and costs no map."""
    scores = [one["score"] for one in json.loads(home.call(PREDICT, clip).body)["predictions"]]
    best = json.loads(home.call(PREDICT, clip).body)["predictions"][0]
    margin = scores[0] - scores[1]
    rules = {
        "always": True,
        f"score_below={scores[0] + 0.001:.6f}": True,
        f"score_below={scores[0] - 0.001:.6f}": False,
        f"margin_below={margin + 0.001:.6f}": True,
        f"margin_below={max(margin - 0.001, 0):.6f}": False,
        f"label_in={best['label']}": True,
        f"label_in={best['class_id']}": True,
        f"label_in={(best['class_id'] + 1) % 8}": False,
        f"score_below=0;label_in=7|{best['class_id']}": True,
    }
    for rule, holds in rules.items():
        for sent in ((clip, {"X-Staa-Explain-When": rule}), (form(clip, explain_when=rule)(), FORM)):
            reply = home.call(EXPLAIN, *sent)
            body = json.loads(reply.body)
            check(body, "Explained" if holds else "Unexplained")
            assert holds or body["not_explained"]["rule"] == rule
    left_out = home.call(EXPLAIN, clip, {"X-Staa-Explain-When": "score_below=0", "X-Staa-Maps": "npz"})
    assert left_out.headers["content-type"] == "application/json"


def test_the_card(home: Server, clip: bytes) -> None:
    """In every form, on both paths, with a video or without, the same card comes back and no forward pass is made."""
    names = ("staa_forwards_total", "staa_rows_total", "staa_answers_total")
    asked = {"X-Staa-Describe": "true"}
    version = json.loads(home.call(PREDICT, b"", asked).body)["model"]["version"]
    before = [home.metric(name) for name in names]
    replies = [
        home.call(PREDICT, b"", asked),
        home.call(EXPLAIN, b"", {**asked, **JSON}),
        home.call(f"{PREDICT}/{version}", b"", asked),
        home.call(EXPLAIN, clip, {**asked, "X-Staa-Top-K": "3"}),
        home.call(PREDICT, b'{"describe": true}', JSON),
        home.call(EXPLAIN, form(None, describe="true")(), FORM),
    ]
    assert [reply.status for reply in replies] == [200] * 6, [reply.body[:300] for reply in replies]
    assert len({reply.body for reply in replies}) == 1
    assert {reply.headers["content-type"] for reply in replies} == {"application/json"}
    until(lambda: [home.metric(name) for name in names] == [before[0], before[1], before[2] + 6])
    card = json.loads(replies[0].body)
    check(card, "Card")
    body = json.loads(home.call(EXPLAIN, clip, {"X-Staa-Top-K": "8"}).body)
    assert card["model"] == body["model"]
    assert card["input"]["steps"] == body["explanation"]["shape"]
    assert card["input"]["frames"] == len(body["clip"]["frames"])
    assert {card["labels"][one["class_id"]] for one in body["predictions"]} == set(card["labels"])
    refused = home.call(PREDICT, b"", {"X-Staa-Describe": "perhaps"})
    assert (refused.status, code(refused)) == (400, "option_invalid")


def test_every_method_of_the_card(home: Server, clip: bytes) -> None:
    """Each method that the card names is answered in its version, with a class where it says so; no other one is."""
    card = json.loads(home.call(PREDICT, b"", {"X-Staa-Describe": "true"}).body)
    for method, facts in card["methods"].items():
        body = json.loads(home.call(EXPLAIN, clip, {"X-Staa-Method": method}).body)
        check(body, "Explained")
        found = body["explanation"]
        assert (found["method"], found["method_version"]) == (method, facts["version"])
        assert ("signed" in found) == (found["target"] is not None) == facts["classes"]


def test_each_video_has_its_own_answer(home: Server) -> None:
    """Of several videos, one after the other, no two have the same map, and the same one has the same map twice."""
    films = [video(shift) for shift in range(4)]
    maps = [arrays(home.call(EXPLAIN, film))["joint"] for film in films]
    for index, one in enumerate(maps):
        assert np.abs(one - arrays(home.call(EXPLAIN, films[index]))["joint"]).max() < EXACT
        assert all(np.abs(one - other).max() > EXACT for other in maps[:index])
