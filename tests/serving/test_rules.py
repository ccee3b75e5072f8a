"""The option `explain_when`: a map, its tests and its bytes where a rule names the video, and the reason elsewhere."""

import dataclasses
import json
import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Self

import jsonschema
import numpy as np
import pytest
import torch
import yaml

from staa.errors import OptionError
from staa.serving import Incoming, Service, Telemetry, wire
from staa.serving.rules import PATTERN, RULES, ExplainWhen
from staa.serving.wire.request import MAX_CHARACTERS, MAX_RULE_CHARACTERS
from staa.types import Attribution, Forward
from staa_client import Explanation, Result, contract
from tests.made.requests import B64, film, tensor
from tests.made.services import Scripted, ask, scripted, service

SPEC = yaml.safe_load((Path(__file__).parents[2] / "docs" / "openapi.yaml").read_text())
LABELS = ("moves up", "moves down", "blinks")
NEVER, EVER = "score_below=0", "score_below=1.0"


def follow(value: Any, schema: str) -> None:
    """Hold a value against a schema of the description."""
    jsonschema.validate(value, {"$ref": f"#/components/schemas/{schema}", "components": SPEC["components"]})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("always", None),
        ("score_below=0.6", "the best label has 0.7, the rule explains below 0.6"),
        ("score_below=0.71", None),
        ("score_below=0.7", "the best label has 0.7, the rule explains below 0.7"),
        ("margin_below=0.2", "the best label is 0.45 ahead of the second, the rule explains below 0.2"),
        ("margin_below=.5", None),
        ("label_in=moves down", None),
        ("label_in=1", None),
        ("label_in=blinks|0", "the best label is moves down, the rule explains blinks, 0"),
        ("label_in= blinks | moves down ", None),
        ("score_below=0.1; label_in=moves down", None),
        ("score_below=0.1;score_below=0.9", None),
        ("score_below=0.1;always", None),
        (
            "score_below=0.1;label_in=2",
            "the best label has 0.7, the rule explains below 0.1; the best label is moves down, the rule explains 2",
        ),
    ],
)
def test_what_a_rule_says(text: str, said: str | None) -> None:
    """Any one rule that names the video is enough; if none does, each of them says why, with its number."""
    rules = ExplainWhen.read(text)
    rules.check(LABELS)
    assert rules.why_not(torch.tensor([0.25, 0.7, 0.05], dtype=torch.float64), [1, 0], LABELS) == said
    assert re.search(PATTERN, text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is no rule: expected some of always, score_below=0.6"),
        ("never", "'never', which is no rule"),
        ("always=1", "no rule"),
        ("score_below", "no rule"),
        ("Always", "no rule"),
        ("score_below=0.5;", "'', which is no rule"),
        ("score_below=1.1", "score_below='1.1': expected a number from 0 to 1"),
        ("score_below=-0.1", "expected a number from 0 to 1"),
        ("margin_below=nan", "expected a number from 0 to 1"),
        ("margin_below=", "expected a number from 0 to 1"),
        ("score_below=1e-1", "expected a number from 0 to 1"),
        ("score_below=0.5,label_in=blinks", "expected a number from 0 to 1"),
        ("label_in=", r"label_in='': expected a number from 0 to 2 or a label \(moves up"),
        ("label_in=Move up", r"label_in='Move up': expected a number from 0 to 2 or a label \(moves up, \.\.\.\)"),
        ("label_in=blinks|moves upp", r"label_in='moves upp': .*several of them with '\|' between"),
        ("label_in=3", "label_in='3'"),
        ("label_in=blinks,moves up", r"several of them with '\|' between"),
    ],
)
def test_a_rule_that_is_none_is_refused_in_words(text: str, said: str) -> None:
    """The message has what came and what was expected, with labels like one that is not known."""
    with pytest.raises(OptionError, match=said):
        ExplainWhen.read(text).check(LABELS)
    assert not re.search(PATTERN, text) or "label_in" in text, "the description takes no text that is refused"


def test_a_margin_needs_two_classes() -> None:
    """A model with one class refuses the rule, and its card does not offer it."""
    with pytest.raises(OptionError, match="this model has one"):
        ExplainWhen.read("margin_below=0.2").check(["only"])
    assert ExplainWhen.read("score_below=0.5").why_not(torch.tensor([0.25]), [0], ["only"]) is None


def test_the_description_has_the_same_rules() -> None:
    """Its pattern is the one that is read, and its card lists every rule."""
    schemas = SPEC["components"]["schemas"]
    assert schemas["ExplainWhen"]["pattern"] == PATTERN
    assert schemas["Card"]["properties"]["explain_when"]["items"]["enum"] == list(RULES)


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        ({"body": b"raw"}, {"X-Staa-Explain-When": "score_below=0.5"}),
        ({"video": b"raw", "explain_when": b"score_below=0.5"}, {}),
        ({"body": {"video": B64[0], "explain_when": "score_below=0.5"}}, {}),
        ({"body": {"instances": [B64[0]], "explain_when": "score_below=0.5"}}, {}),
        ({"body": {"instances": [{"b64": B64[0], "explain_when": "score_below=0.5"}]}}, {}),
        ({"body": tensor(B64[0], parameters={"explain_when": "score_below=0.5"})}, {}),
        ({"body": tensor(B64[0])}, {"x-staa-explain-when": "score_below=0.5"}),
    ],
)
def test_every_form_of_request_takes_it(body: dict[str, Any], headers: dict[str, str]) -> None:
    """It travels as the other options do: header, multipart field, JSON key, beside an instance, as a parameter."""
    assert wire.read(body, headers, explain=True).videos[0].when.score_below == 0.5


def test_many_labels_can_be_named() -> None:
    """Far more characters than another option takes; of more than that no message repeats them all."""
    labels = [f"class number {number:03}" for number in range(90)]
    text = f"label_in={'|'.join(labels)}"
    assert MAX_CHARACTERS < 1500 < len(text) < MAX_RULE_CHARACTERS
    for row, headers in (
        ({"body": {"video": B64[0], "explain_when": text}}, {}),
        ({"body": b"raw"}, {"X-Staa-Explain-When": text}),
    ):
        assert wire.read(row, headers, explain=True).videos[0].when.labels == tuple(labels)
    rules = ExplainWhen.read(f"{text}|{labels[0]}")
    assert rules.labels == tuple(labels), "each once"
    follow(text, "ExplainWhen")
    assert SPEC["components"]["schemas"]["ExplainWhen"]["maxLength"] == MAX_RULE_CHARACTERS
    with pytest.raises(
        OptionError, match=r"explain_when has 2001 characters, over 2000: name classes by their numbers"
    ):
        wire.read({"body": b"raw"}, {"X-Staa-Explain-When": text.ljust(2001)}, explain=True)
    for start in ("\x01", "label_in=\x01", "score_below=\x01", "always;\x01"):
        with pytest.raises(OptionError) as raised:
            ExplainWhen.read(start.ljust(MAX_RULE_CHARACTERS, "\x01")).check(LABELS)
        assert len(str(raised.value)) < 1500
    both = {"body": {"video": B64[0], "explain_when": text}}
    with pytest.raises(OptionError, match="given twice") as raised:
        wire.read(both, {"X-Staa-Explain-When": "x" * 2000}, explain=True)
    assert len(str(raised.value)) < 1000


@pytest.fixture(scope="module")
def served() -> Service:
    """Return a service of a tiny model that takes four videos at a time."""
    return service(batch_size=4)


@pytest.mark.parametrize("rule", ["always", EVER, "label_in=0|1|2|3|4"])
def test_a_rule_that_names_every_video_changes_nothing(served: Service, rule: str) -> None:
    """The reply is the one without the option, to the byte."""
    for more in ({}, {"method": "staa_class"}):
        bodies = [{"video": film(1)} | more, {"video": film(1), "explain_when": rule} | more]
        plain, ruled = (served.answer([Incoming({"body": body}, explain=True)])[0] for body in bodies)
        assert plain.body == ruled.body


@pytest.mark.parametrize("encoding", ["json", "base64", "npz"])
def test_a_video_that_is_left_out_has_labels_and_the_reason(served: Service, encoding: str) -> None:
    """Its reply is JSON of status 200 with no map in it: what /predictions answers, and why there is no more."""
    body = {"video": film(1), "explain_when": NEVER, "maps": encoding}
    (reply,) = served.answer([Incoming({"body": body}, explain=True)])
    assert (reply.status, reply.content_type) == (200, "application/json")
    (labels,), _ = ask(served, [{"video": film(1)}], explain=False)
    found = json.loads(reply.body)
    follow(found, "Unexplained")
    best = f"{labels['predictions'][0]['score']:.3g}"
    why = {"rule": NEVER, "message": f"the best label has {best}, the rule explains below 0"}
    assert found == labels | {"not_explained": why}
    assert len(reply.body) < 1000


def test_labels_alone_have_no_reason(served: Service) -> None:
    """Where no map is asked for, the option is checked and has no effect."""
    (plain, ruled, refused), statuses = ask(
        served,
        [{"video": film(1)}, {"video": film(1), "explain_when": NEVER}, {"video": film(1), "explain_when": "x"}],
        explain=False,
    )
    assert statuses == [200, 200, 400]
    assert plain.keys() == ruled.keys()
    assert refused["error"]["code"] == "option_invalid"


def test_a_batch_of_mixed_rules_is_each_as_alone(served: Service) -> None:
    """Rules, methods, labels and refusals beside each other: every reply is the one that the request has alone."""
    bodies: list[dict[str, Any]] = [
        {"video": film(1), "explain_when": NEVER},
        {"video": film(2), "explain_when": EVER, "method": "staa_class"},
        {"video": film(3), "method": "rollout", "explain_when": NEVER},
        {"video": film(4)},
        {"video": film(5), "explain_when": "label_in=nothing of this model"},
        {"video": film(6), "explain_when": NEVER, "method": "staa_class"},
        {"video": film(7), "method": "rollout", "explain_when": f"{NEVER};always"},
        {"video": film(8), "method": "paper"},
    ]
    together, statuses = ask(served, bodies)
    assert statuses == [200, 200, 200, 200, 400, 200, 200, 200]
    assert ["explanation" in one for one in together] == [False, True, False, True, False, False, True, True]
    for one, body in zip(together, bodies, strict=True):
        (alone,), _ = ask(served, [body])
        if "explanation" not in one:
            assert one.keys() == alone.keys()
            continue
        np.testing.assert_allclose(one["explanation"]["joint"], alone["explanation"]["joint"], rtol=1e-4, atol=1e-6)
        assert one["explanation"]["method"] == alone["explanation"]["method"]


class Counting(Scripted):
    """Explain, and note of which rows maps were made."""

    rows: tuple[tuple[int, ...], ...] = ()

    def attributions(self, forward: Forward, options: Any) -> list[Attribution]:
        """Note the rows."""
        self.rows += (forward.rows,)
        return super().attributions(forward, options)


def test_nothing_is_computed_for_a_video_that_is_left_out() -> None:
    """No map, no candidate, no choice and no check is made of it, and its stages have no time."""
    plain = scripted()
    explainer = Counting(plain.model, plain.recipe)
    told: list[str] = []

    def noted(name: str, true: Any, *arguments: Any) -> Any:
        told.append(name)
        return true(*arguments)

    explainer.on_choose, explainer.on_verify = partial(noted, "choose"), partial(noted, "verify")
    more = {"method": "staa_class", "refine": 8, "verify": 2}
    served = service(explainer, batch_size=4)
    rules = (NEVER, EVER, NEVER)
    replies = served.answer(
        [
            Incoming({"body": {"video": film(seed), "explain_when": rule} | more}, explain=True)
            for seed, rule in enumerate(rules)
        ]
    )
    assert explainer.rows == ((1,),)
    assert told == ["choose", "verify"]
    assert ["verify;dur" in reply.headers["Server-Timing"] for reply in replies] == [False, True, False]
    shown = json.loads(replies[1].body)["explanation"]
    assert shown["faithfulness"]["verdict"]
    assert shown["refinement"]["chosen"]


@pytest.mark.parametrize("logits", [[4.6, -0.9, 5.625, -3.0, 5.625], [18.0, 25.0, 0.0, -3.0, 30.0]])
def test_rules_look_at_the_label_that_the_reply_names_first(logits: list[float]) -> None:
    """Also where the best two logits are the same, and where large ones are all 1 after the sigmoid."""
    explainer = scripted()
    labels = explainer.labels
    problem = "multi_label_classification" if logits[0] > 10 else "single_label_classification"
    explainer.signature = dataclasses.replace(explainer.signature, problem_type=problem)

    def fixed(true: Any, pixels: torch.Tensor, rows: Any) -> Forward:
        made: Forward = true(pixels, rows)
        return dataclasses.replace(made, logits=torch.tensor(logits).expand(len(pixels), -1).to(made.logits))

    explainer.on_forward = fixed
    served = service(explainer)
    (plain,), _ = ask(served, [{"video": film(1)}])
    best = plain["predictions"][0]["label"]
    for label in labels:
        (reply,), _ = ask(served, [{"video": film(1), "explain_when": f"label_in={label}"}])
        assert ("explanation" in reply) == (label == best), reply.get("not_explained")


class Tight(Forward):
    """A pass on a device without memory for a copy of several rows."""

    def only(self, rows: Sequence[int]) -> Self:
        """Return one row; of several there can be no copy."""
        if len(rows) > 1:
            raise torch.OutOfMemoryError("no memory for a copy")
        return super().only(rows)


def test_a_rule_of_one_request_fails_no_other() -> None:
    """Where the rows that are left cannot be copied together, each map is made alone."""
    explainer = scripted()

    def tight(true: Any, pixels: torch.Tensor, rows: Any) -> Forward:
        made = true(pixels, rows)
        return Tight(made.logits, made.rows, made.captured)

    explainer.on_forward = tight
    bodies = [{"video": film(seed), "explain_when": rule} for seed, rule in enumerate((EVER, NEVER, EVER))]
    found, statuses = ask(service(explainer, batch_size=4), bodies)
    assert statuses == [200, 200, 200]
    assert ["explanation" in one for one in found] == [True, False, True]


def test_version_1_says_it_in_the_place_of_the_map(served: Service) -> None:
    """Each instance has its own rules; its labels are those of :predict, whatever its explanation is."""
    body = {"instances": [{"b64": film(1), "explain_when": NEVER}, {"b64": film(2)}], "explain_when": EVER}
    (reply,), statuses = ask(served, [body])
    assert statuses == [200]
    follow(reply, "KServeV1Reply")
    left_out, shown = reply["explanations"]
    assert left_out["not_explained"]["rule"] == NEVER
    assert "joint" in shown
    assert set(reply["predictions"][0]) == {"model", "predictions", "clip"}


def test_version_2_says_it_in_a_tensor(served: Service) -> None:
    """`explained` is false where the maps of a video are 0, and without any map there are no tensors of maps."""
    (plain,), _ = ask(served, [tensor(film(1), film(2))])
    labels = [json.loads(text)["predictions"][0]["label"] for text in plain["outputs"][-1]["data"]]
    scores = [json.loads(text)["predictions"][0]["score"] for text in plain["outputs"][-1]["data"]]
    between = f"score_below={sum(scores) / 2:.9f}"
    (mixed, none), statuses = ask(
        served,
        [tensor(film(1), film(2), parameters={"explain_when": rule}) for rule in (between, NEVER)],
    )
    assert statuses == [200, 200], labels
    for reply in (mixed, none, plain):
        follow(reply, "KServeV2Reply")
    outputs = {one["name"]: one for one in mixed["outputs"]}
    low = int(np.argmin(scores))
    assert outputs["explained"]["data"] == [low == 0, low == 1]
    joint = np.reshape(outputs["joint"]["data"], outputs["joint"]["shape"])
    assert joint[1 - low].max() == 0
    assert joint[low].sum() == pytest.approx(1, abs=1e-3)
    texts = [json.loads(text) for text in outputs["reply"]["data"]]
    assert "explanation" in texts[low]
    assert texts[1 - low]["not_explained"]["rule"] == between
    assert [one["name"] for one in none["outputs"]] == ["label", "class_id", "score", "explained", "reply"]
    assert "explained" not in {one["name"] for one in plain["outputs"]}


def test_the_client_reads_what_the_server_says(served: Service) -> None:
    """A video that is left out is a result of labels that says why, and one that is not an explanation."""
    for rule, kind in ((NEVER, Result), (EVER, Explanation)):
        (reply,) = served.answer([Incoming({"body": {"video": film(1), "explain_when": rule}}, explain=True)])
        answer = contract.answer(reply.status, {}, reply.body)
        assert type(answer) is kind
        assert answer.to_dict().keys() == json.loads(reply.body).keys()


def test_what_is_left_out_is_counted() -> None:
    """Telemetry counts the videos without a map, each once, and their labels as ever."""
    told: list[tuple[str, float]] = []
    telemetry = Telemetry(lambda *one: told.append(one[:2]), lambda *one: told.append(one[:2]))
    served = service(telemetry=telemetry, batch_size=4)
    ask(served, [{"video": film(seed), "explain_when": rule} for seed, rule in enumerate((NEVER, EVER, NEVER))])
    assert [value for name, value in told if name == "unexplained"] == [2]
    assert len([name for name, _ in told if name == "doubt"]) == 3
    assert len([name for name, _ in told if name == "map_concentration"]) == 1
    told.clear()
    ask(served, [{"video": film(1)}])
    assert "unexplained" not in {name for name, _ in told}


@pytest.mark.parametrize("is_ascii", [True, False])
def test_rules_of_json_are_counted_in_characters(*, is_ascii: bool) -> None:
    """JSON may write a character in up to 12 bytes: the longest rules are read, and one character more is too many."""
    rules = "label_in=" + "\U0001d11e" * 1991
    for text, is_read in ((rules, True), (rules + "x", False)):
        body = json.dumps({"video": "AAAA", "explain_when": text}, ensure_ascii=is_ascii).encode()
        headers = {"Content-Type": "application/json"}
        if is_read:
            assert wire.read({"body": body}, headers, explain=True).videos[0].when.labels == (text[9:],)
        else:
            with pytest.raises(OptionError, match="explain_when has 2001 characters"):
                wire.read({"body": body}, headers, explain=True)
