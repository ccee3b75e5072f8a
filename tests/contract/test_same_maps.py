"""What each home answers is what the model answers in this process: so the maps of both homes are the same."""

import io
import json
from typing import Any

import numpy as np
import pytest

from staa import Explainer, Options, decode
from tests.conftest import ROOT
from tests.contract.description import EXPLAIN, arrays, video
from tests.contract.recorded.bodies import other
from tests.contract.recorded.requests import headers
from tests.made.torchserve import Reply, Server
from tests.made.waiting import until

HALF = 5e-6
"""The most that a cell of a map may differ from that of this process: cells of two homes by twice as much."""
WAYS: dict[str, dict[str, Any]] = {
    "staa": {},
    "staa, a segment": {"start": 0.4, "end": 1.2},
    "rollout": {"method": "rollout"},
    "paper": {"method": "paper"},
    "class": {"method": "staa_class"},
    "target": {"method": "staa_class", "target": 2},
    "target and contrast": {"method": "staa_class", "target": "moves up", "contrast": "blinks"},
    "chosen and verified": {"method": "staa_class", "target": 5, "refine": 8, "verify": 2},
}


@pytest.fixture(scope="module")
def explainer() -> Explainer:
    """Return the default model."""
    return Explainer.load(ROOT / "model_store" / "motions", "cpu")


def answered(home: Server, film: bytes, options: dict[str, Any]) -> Reply:
    """Return the reply to a good request, asked again where the machine stood still, and the check took too long."""
    replies: list[Reply] = []

    def ask() -> bool:
        replies.append(home.call(EXPLAIN, film, headers(maps="npz", **options)))
        assert replies[-1].status == 200 or (replies[-1].status == 503 and "verify" in options), replies[-1].body
        return replies[-1].status == 200

    until(ask)
    return replies[-1]


@pytest.mark.parametrize("name", WAYS)
def test_the_same_labels_and_maps(home: Server, explainer: Explainer, name: str) -> None:
    """Labels, scores, maps, thresholds, checks and choices are those of the explainer itself, for different videos."""
    options = WAYS[name]
    films = [video(), other(container="webm", codec="libvpx", options={"deadline": "good", "cpu-used": "1"})]
    for film in films[: 1 if "verify" in options else 2]:
        clip = decode(film, explainer.grid.frames, options.get("start", 0.0), options.get("end"))
        (wanted,) = explainer([clip], Options(**options))
        reply = answered(home, film, options)
        maps, shown = arrays(reply), wanted.attribution
        assert shown is not None
        assert np.abs(maps["joint"] - shown.joint).max() < HALF
        assert np.abs(maps["temporal"] - shown.temporal).max() < 2 * HALF
        assert np.abs(maps["spatial"] - shown.spatial).max() < 2 * HALF
        assert ("signed" in maps) == (shown.signed is not None)
        if shown.signed is not None:
            assert np.abs(maps["signed"] - shown.signed).max() < HALF
        told = json.loads(np.load(io.BytesIO(reply.body))["reply"].tobytes())
        for one, label in zip(told["predictions"], wanted.predictions, strict=True):
            assert (one["class_id"], one["label"]) == (label.class_id, label.label)
            assert one["score"] == pytest.approx(label.score, abs=1e-4)
        assert told["explanation"]["threshold"] == pytest.approx(wanted.threshold, rel=1e-3)
        if wanted.refinement is not None:
            assert told["explanation"]["refinement"]["chosen"] == wanted.refinement.chosen
        if wanted.faithfulness is not None:
            assert told["explanation"]["faithfulness"]["verdict"] == wanted.faithfulness.verdict
