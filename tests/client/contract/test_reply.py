"""The HTTP contract, both ways."""

import json
import re
from typing import Any

import numpy as np
import pytest

from staa_client import (
    Areas,
    Refinement,
    ReplyError,
    contract,
)
from tests.client.conftest import card, checked, document, encoded, refined


def test_what_a_check_found_is_read_and_written() -> None:
    """The verdict, its areas and its cost; without a check there is none."""
    reply = checked(document())
    explanation = contract.explanation(200, {}, encoded(reply, "base64"))
    assert explanation.faithfulness is not None
    assert explanation.faithfulness.verdict == "faithful"
    assert explanation.faithfulness.deletion == Areas(0.2, 0.5, 0.4)
    assert (explanation.faithfulness.clips, explanation.faithfulness.seconds) == (34, 0.75)
    assert explanation.to_dict()["explanation"]["faithfulness"] == reply["explanation"]["faithfulness"]
    assert not explanation.extra
    plain = contract.explanation(200, {}, encoded(document(), "json"))
    assert plain.faithfulness is None
    assert "faithfulness" not in plain.to_dict()["explanation"]


@pytest.mark.parametrize("encoding", ["json", "npz", "base64"])
def test_how_a_map_was_chosen_is_read_and_written(encoding: str) -> None:
    """The names, the lead and the cost, in every encoding; without a choice there is none."""
    reply = refined(document())
    explanation = contract.explanation(200, {}, encoded(reply, encoding))
    message = reply["explanation"]["refinement"]["message"]
    assert explanation.refinement == Refinement("direct", message, "class", 0.0312, 16, 0.5)
    assert explanation.to_dict()["explanation"]["refinement"] == reply["explanation"]["refinement"]
    assert not explanation.extra
    plain = contract.explanation(200, {}, encoded(document(), encoding))
    assert plain.refinement is None
    assert "refinement" not in plain.to_dict()["explanation"]


@pytest.mark.parametrize("encoding", ["json", "npz", "base64"])
def test_what_the_model_is_good_for_is_read_and_written(encoding: str) -> None:
    """The sentence of the operator, in every encoding; where there is none, there is no field."""
    reply = document()
    assert "about" not in contract.explanation(200, {}, encoded(reply, encoding)).to_dict()["model"]
    reply["model"]["about"] = "Knows eight motions."
    explanation = contract.explanation(200, {}, encoded(reply, encoding))
    assert explanation.model.about == "Knows eight motions."
    assert explanation.to_dict()["model"] == reply["model"]


def test_the_card_says_what_the_model_was_trained_on() -> None:
    """License and length of clips are read, or None; ends of a range that are none are not the contract's."""
    said = contract.card(200, {}, json.dumps(card()).encode())
    assert (said.license, said.clip_seconds) == ("Apache-2.0", (1.5, 2.5))
    unsaid = contract.card(200, {}, json.dumps(card() | {"license": None, "clip_seconds": None}).encode())
    assert (unsaid.license, unsaid.clip_seconds) == (None, None)
    for ends in ([12, 8], [0, 8], [8], "8", [8, "12"]):
        with pytest.raises(ReplyError):
            contract.card(200, {}, json.dumps(card() | {"clip_seconds": ends}).encode())


@pytest.mark.parametrize(("encoding", "relative"), [("json", 1e-6), ("npz", 1e-6), ("base64", 1e-3)])
def test_all_encodings_say_the_same(encoding: str, relative: float) -> None:
    """json, npz and base64 give the same explanation, within what the encoding costs."""
    reply = document()
    explanation = contract.explanation(200, {}, encoded(reply, encoding))
    fields = reply["explanation"]
    for name in ("temporal", "spatial", "joint"):
        got = getattr(explanation, name)
        assert got.dtype == np.float32
        np.testing.assert_allclose(got, np.asarray(fields[name]), rtol=relative, atol=1e-7)
    assert explanation.to_dict()["predictions"] == reply["predictions"]
    assert explanation.to_dict()["clip"] == reply["clip"]
    assert explanation.to_dict()["model"] == reply["model"]
    assert explanation.seconds.tolist() == fields["steps"]
    assert (explanation.method, explanation.method_version, explanation.target) == ("staa", "1", None)


@pytest.mark.parametrize("encoding", ["json", "npz", "base64"])
def test_no_encoding_moves_a_cell_below_the_threshold(encoding: str) -> None:
    """The cells kept by the threshold before the encoding are kept after it, whatever it rounds."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        joint = rng.random((3, 4, 4)).astype(np.float32)
        joint /= joint.sum()
        reply = document()
        fields = reply["explanation"]
        fields |= {"joint": joint.tolist(), "temporal": joint.sum((1, 2)).tolist(), "spatial": joint.sum(0).tolist()}
        fields |= {
            "shape": [3, 4, 4],
            "steps": [[0, 1], [1, 2], [2, 3]],
            "threshold": float(np.sort(joint, axis=None)[20]),
        }
        if encoding == "json":
            fields["joint"] = [[[float(f"{x:.5g}") for x in row] for row in step] for step in joint.tolist()]
        kept = contract.explanation(200, {}, encoded(reply, encoding)).focused() > 0
        assert np.all(kept[joint >= fields["threshold"]])


def test_what_to_dict_writes_is_the_contract() -> None:
    """`to_dict()` read as a reply gives the same explanation, fields of a newer server included."""
    reply = document()
    reply["explanation"]["confidence"] = {"deletion": 0.2}
    first = contract.explanation(200, {}, json.dumps(reply).encode())
    second = contract.explanation(200, {}, json.dumps(first.to_dict()).encode())
    assert second.to_dict() == first.to_dict()
    assert second.extra == {"confidence": {"deletion": 0.2}}


def _without(*path: str) -> dict[str, Any]:
    reply = document()
    inner = reply
    for name in path[:-1]:
        inner = inner[name]
    del inner[path[-1]]
    return reply


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"Healthy",
        b"[]",
        b"null",
        b"PK\x03\x04 no archive",
        json.dumps(_without("predictions")).encode(),
        json.dumps(_without("clip", "box")).encode(),
        json.dumps(_without("explanation", "joint")).encode(),
        json.dumps(document() | {"explanation": document()["explanation"] | {"temporal": [1.0]}}).encode(),
        json.dumps(document() | {"explanation": document()["explanation"] | {"joint": [[1.0]]}}).encode(),
        json.dumps(document() | {"explanation": document()["explanation"] | {"joint": {"dtype": "|O8"}}}).encode(),
        encoded(document(), "npz")[:-400],
        re.sub(rb'"joint": \[\[\[[^,]*', b'"joint": [[[NaN', encoded(document(), "json")),
    ],
)
def test_a_reply_that_is_not_the_contracts_is_a_reply_error(body: bytes) -> None:
    """Whatever a server answers with 200, the client raises ReplyError and nothing else."""
    with pytest.raises(ReplyError, match="not the contract's"):
        contract.explanation(200, {}, body)
