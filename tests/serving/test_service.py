"""The service without a server: a batch of all kinds of requests, each with its own answer."""

import base64
import json
import logging
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from staa import Options, decode
from staa.refine import CANDIDATES
from staa.serving import Incoming, Settings, Telemetry
from tests.made import archives, videos
from tests.made.requests import NOISE, film
from tests.made.services import Scripted, ask, scripted, service


@pytest.fixture
def explainer() -> Scripted:
    """Return an explainer of a tiny model."""
    return scripted()


def test_cards_and_frames_in_a_mixed_batch(explainer: Scripted) -> None:
    """A card, a file, its frames, a zip that is none, and a bad archive: each its own answer, none disturbs another."""
    file = videos.encode(videos.images(12))
    clip = decode(file, explainer.grid.frames)
    images = [archives.encode(image) for image in clip.frames]
    archive = archives.pack(archives.about(clip), images)
    other = archive.replace(b"clip.json", b"menu.json")
    broken = archives.pack(archives.about(clip, fps=-1), images)
    bodies: list[Any] = [b"", file, archive, other, broken, {"describe": True}]
    served = service(explainer)
    replies, statuses = ask(served, bodies, {"X-Staa-Describe": "true"}, *[{}] * 5)
    assert statuses == [200, 200, 200, 415, 400, 200]
    assert replies[0] == replies[5]
    assert replies[0]["input"]["frames"] == explainer.grid.frames
    assert replies[0]["labels"] == list(explainer.labels)
    assert replies[1] == replies[2]
    assert [reply["error"]["code"] for reply in replies[3:5]] == ["not_a_video", "request_invalid"]


def test_the_times_of_a_request_are_in_its_reply(explainer: Scripted) -> None:
    """A video's stages are told in milliseconds; a card has none."""
    video, card = service(explainer).answer([Incoming({"body": {"video": film(1)}}), Incoming({"describe": b"true"})])
    timing = {part.partition(";dur=")[0]: float(part.partition(";dur=")[2]) for part in
              video.headers["Server-Timing"].split(", ")}  # fmt: skip
    assert list(timing) == ["decode", "prepare", "forward", "encode"]
    assert card.headers == {}


def test_a_map_is_chosen_for_who_asks_for_it(explainer: Scripted) -> None:
    """In a mixed batch one request gets the chosen map and what that took, others what they get by themselves."""
    settings = Settings("tiny", decoders=1, refine=16)
    served = service(explainer, settings=settings, batch_size=8)
    asked = {"video": film(1), "method": "staa_class"}
    bodies: list[Any] = [
        asked | {"refine": 16},
        asked,
        asked | {"refine": 17},
        {"video": film(1), "refine": 8},
        asked | {"target": 1, "contrast": 2, "refine": 8},
    ]
    came = [Incoming({"body": body}, {}, explain=True) for body in bodies]
    replies = served.answer([*came, Incoming({"body": bodies[0]})])
    assert [reply.status for reply in replies] == [200, 200, 400, 400, 200, 200]
    chosen, plain, many, other, contrasted, labels = (json.loads(reply.body) for reply in replies)
    choice = chosen["explanation"]["refinement"]
    assert choice["message"].endswith(CANDIDATES[choice["chosen"]])
    assert {choice["chosen"], choice["runner_up"]} < set(CANDIDATES)
    assert choice["lead"] >= 0
    assert (choice["cost"]["clips"], contrasted["explanation"]["refinement"]["cost"]["clips"]) == (16, 6)
    assert contrasted["explanation"]["refinement"]["chosen"] != "probability"
    assert "refinement" not in plain["explanation"]
    clip = decode(base64.b64decode(film(1)), explainer.grid.frames)
    (alone,) = explainer([clip], Options(method="staa_class", refine=16))
    assert alone.attribution is not None
    np.testing.assert_allclose(chosen["explanation"]["joint"], alone.attribution.joint, atol=1e-4)
    assert chosen["explanation"]["threshold"] == pytest.approx(alone.threshold, abs=1e-4)
    assert len({reply["predictions"][0]["label"] for reply in (chosen, plain, labels)}) == 1
    assert "at most 16" in many["error"]["message"]
    assert "ask for staa_class" in other["error"]["message"]
    assert [reply.headers["Server-Timing"].count("refine;dur=") for reply in (*replies[:2], *replies[4:])] == [
        1,
        0,
        1,
        0,
    ]


def test_cards_alone_cost_no_forward_pass(explainer: Scripted) -> None:
    """A batch of cards runs no model, whatever comes along; they are the same on both paths."""
    explainer.on_forward = lambda *_: pytest.fail("forwarded")
    served = service(explainer, settings=Settings("tiny", methods=("staa",)))
    card = {"X-Staa-Describe": "true"}
    came = [
        Incoming({}, card),
        Incoming({"body": b"noise"}, card, explain=True),
        Incoming({"body": b""}, {**card, "X-Staa-Method": "rollout"}),
    ]
    replies = served.answer(came)
    assert [int(reply.status) for reply in replies] == [200, 200, 200]
    assert len({reply.body for reply in replies}) == 1
    assert list(json.loads(replies[0].body)["methods"]) == ["staa"]


def test_stages_count_the_videos_that_came_through_them(explainer: Scripted) -> None:
    """As many are encoded as were decoded, of several videos too; a bad one beside them is no fault of the server."""
    observed: list[str] = []
    counted: dict[str, int] = {}
    telemetry = Telemetry(
        lambda name, _value, _labels: observed.append(name), lambda name, value, _: counted.__setitem__(name, value)
    )
    bodies = [{"instances": [film(1), film(2)]}, {"instances": [film(3), NOISE]}, {"video": film(4)}]
    _, statuses = ask(service(explainer, telemetry=telemetry), bodies)
    assert statuses == [200, 415, 200]
    assert observed.count("decode") == observed.count("forward") == observed.count("encode") == 3
    assert counted == {"answers": 3, "rows": 4, "forwards": 3}


@pytest.mark.parametrize(
    ("given", "told"), [("shop-7", True), ("two words", False), ("x" * 129, False), ("a\nb", False)]
)
def test_the_log_names_the_request_as_its_caller_does(
    explainer: Scripted, caplog: pytest.LogCaptureFixture, given: str, told: bool
) -> None:
    """The caller's own id is taken into the log where it can be printed."""
    with caplog.at_level(logging.INFO):
        ask(service(explainer), [{"video": NOISE}], {"X-Request-Id": given})
    (line,) = [record.getMessage() for record in caplog.records if "refused" in record.getMessage()]
    assert line.startswith("request request-0 ")
    assert (given in line) == told


def test_a_span_holds_no_method_that_there_is_none_of(explainer: Scripted) -> None:
    """What a caller writes as method is an attribute of the span only where it is one."""
    facts: list[Any] = []
    telemetry = Telemetry(send=lambda span: facts.append(span.facts))
    bodies = [{"video": film(1), "method": "rollout"}, {"video": film(1), "method": "colour"}]
    ask(service(explainer, telemetry=telemetry), bodies)
    assert [fact.get("staa.method") for fact in facts] == ["rollout", None]


def test_telemetry_that_fails_takes_no_reply(explainer: Scripted) -> None:
    """What is measured, and what is made of a caller's trace, comes after the replies."""

    def fail(*_: Any, **_named: Any) -> None:
        raise ValueError("a trace")

    for telemetry in (Telemetry(send=fail), Telemetry(observe=fail), Telemetry(count=fail)):
        (reply,), statuses = ask(service(explainer, telemetry=telemetry), [{"video": film(1)}])
        assert statuses == [200]
        assert "explanation" in reply


@pytest.mark.parametrize(
    ("setting", "patience", "seconds"),
    [(90.0, 120, 90), (90.0, 60, 45), (20.0, 60, 20), (100.0, 200, 100), (200.0, 200, 150)],
)
def test_the_time_of_a_batch_is_less_than_its_home_waits(
    explainer: Scripted, setting: float, patience: float, seconds: float
) -> None:
    """Whatever is set: three quarters of the home's patience at most."""
    served = service(explainer, settings=Settings("tiny", batch_seconds=setting), patience=patience)
    assert served.batch_seconds == seconds


WITHOUT_TORCHSERVE = """
import json, sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "ts":
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Absent())
from tests.made.requests import mixed_batch
from tests.made.services import service
came = mixed_batch()
replies = service(batch_size=4).answer(came)
told = {one.id: (reply.status, reply.content_type, reply.body.decode("latin-1")) for one, reply in zip(came, replies)}
print(json.dumps(told))
"""


def test_a_mixed_batch_is_answered_without_torchserve() -> None:
    """Where `ts` cannot be imported the service answers every kind of request, each by itself and in its form."""
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCHSERVE], capture_output=True, text=True, check=True, timeout=300
    )
    replies: dict[str, tuple[int, str, str]] = json.loads(done.stdout)
    assert {name: status for name, (status, _, _) in replies.items()} == {
        "labels": 200, "npz": 200, "form": 200, "noise": 415, "nothing": 400, "option": 400, "v1": 200, "v2": 200,
        "one bad": 415, "broken": 400,
    }  # fmt: skip
    assert replies["npz"][1] == "application/x-npz"
    bodies = {name: json.loads(body) for name, (_, kind, body) in replies.items() if kind == "application/json"}
    assert "explanation" not in bodies["labels"]
    assert len(bodies["form"]["predictions"]) == 2
    assert len(bodies["v1"]["explanations"]) == 2
    assert bodies["v2"]["id"] == "a7"
    assert bodies["one bad"]["error"]["message"].startswith("instances[1]: ")
