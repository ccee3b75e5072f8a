"""Videos that the rules of `explain_when` leave out: labels that say why, by every way to ask for a map."""

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest

from staa_client import AsyncClient, Client, Explanation, NotExplained, ReplyError, Result, contract
from tests.client.conftest import document, server
from tests.client.servers import Recorder, client, pictures

WHY = NotExplained("score_below=0.6", "the best label has 0.931, the rule explains below 0.6")


def test_a_rule_gives_a_result_that_says_why_not() -> None:
    """It has the labels of the explanation that there would have been; `always` gives an explanation."""
    with client(Recorder()) as staa:
        whole = staa.explain(b"video")
        left_out = staa.explain(b"video", explain_when="score_below=0.6")
        shown = staa.explain(b"video", explain_when="always")
    assert isinstance(left_out, Result)
    assert left_out.not_explained == WHY
    assert str(left_out.not_explained) == WHY.message
    assert left_out.predictions == whole.predictions
    assert isinstance(shown, Explanation)
    assert np.array_equal(shown.joint, whole.joint)


def test_rules_travel_joined() -> None:
    """A list of rules is one header, and no rule is none."""
    recorder = Recorder()
    with client(recorder) as staa:
        staa.explain(b"video", explain_when=["score_below=0.6", "always"])
        staa.explain(b"video")
        with pytest.raises(ValueError, match="explain_when"):
            staa.explain(b"video", explain_when=[])
    assert [request.headers.get("x-staa-explain-when") for request in recorder.requests] == [
        "score_below=0.6;always",
        None,
    ]


def test_a_long_rule_is_read_back() -> None:
    """One of as many characters as a server takes is the reason's rule."""
    rule = f"label_in={'a' * 1991}"
    reply: dict[str, Any] = {name: value for name, value in document().items() if name != "explanation"}
    reply["not_explained"] = {"rule": rule, "message": WHY.message}
    with client(Recorder(httpx2.Response(200, json=reply))) as staa:
        left_out = staa.explain(b"video", explain_when=rule)
    assert isinstance(left_out, Result)
    assert left_out.not_explained == NotExplained(rule, WHY.message)


def test_a_server_that_leaves_out_what_nobody_allowed_breaks_the_contract() -> None:
    """Without rules a reply without a map is no explanation, so that the type of the answer holds."""
    reply: dict[str, Any] = {name: value for name, value in document().items() if name != "explanation"}
    reply["not_explained"] = {"rule": WHY.rule, "message": WHY.message}
    with client(Recorder(httpx2.Response(200, json=reply))) as staa, pytest.raises(ReplyError, match="explanation"):
        staa.explain(b"video")


@pytest.mark.parametrize(
    "broken", [None, [], {"rule": "x"}, {"rule": "x", "message": 7}, {"rule": "x", "message": "\n"}]
)
def test_a_reason_that_is_none_is_told(broken: object) -> None:
    """A field of another form is a reply that is not the contract's."""
    labels = {name: value for name, value in document().items() if name != "explanation"}
    with pytest.raises(ReplyError):
        contract.answer(200, {}, json.dumps(labels | {"not_explained": broken}).encode())


@pytest.mark.parametrize("name", ["answers.jsonl", "answers.parquet"])
def test_a_batch_keeps_the_reason(tmp_path: Path, name: str) -> None:
    """An item that is left out has its labels, no explanation, and the same when the batch goes on."""
    for resumed in (False, True):
        with client(Recorder()) as staa:
            (item,) = staa.batch([b"video"], output=tmp_path / name, explain_when="score_below=0.6")
        assert item.resumed is resumed
        assert isinstance(item.result, Result)
        assert item.result.not_explained == WHY
        with pytest.raises(TypeError, match=r"is not explained: the best label has 0\.931"):
            _ = item.explanation


def test_an_event_loop_and_a_watch_say_it_too() -> None:
    """Windows that are left out are sights with labels and the reason; they count for the smoothed labels."""

    async def main() -> Result | Explanation:
        async with AsyncClient(transport=httpx2.MockTransport(server())) as staa:
            return await staa.explain(b"video", explain_when="score_below=0.6")

    answer = asyncio.run(main())
    assert isinstance(answer, Result)
    assert answer.not_explained == WHY
    frames = [(number / 8, image) for number, image in enumerate(pictures(40))]
    with (
        Client(transport=httpx2.MockTransport(server())) as staa,
        staa.watch(frames, window=2, stride=1, latency="keep", explain_when="score_below=0.6") as seen,
    ):
        sights = list(seen)
    assert len(sights) >= 2
    assert all(isinstance(sight.answer, Result) and sight.answer.not_explained == WHY for sight in sights)
    assert sights[0].explanation is None
    assert sights[0].smoothed[0].label == "moves down"


def test_labels_alone_take_no_rules() -> None:
    """Where labels are all that is asked for, a rule about maps is a mistake."""
    with client(Recorder()) as staa, pytest.raises(ValueError, match="explain_when are about maps"):
        staa.batch([b"video"], explain=False, explain_when="always")


def test_a_card_says_which_rules_there_are() -> None:
    """The card of a server that does not know the option has none."""
    with client(Recorder()) as staa:
        assert staa.card().explain_when == ("always", "score_below")
