"""What a prompt shows of each object: one line, with what matters, whatever a label holds."""

import asyncio
import dataclasses
import json

import httpx2
import numpy as np
import pytest

from staa_client import AsyncClient, Client, Explanation, Frames, Prediction, Result, contract
from tests.client.conftest import card, class_map, document, server

FORGED = "moves\n\x1b[31mdown"


def labels_of(explanation: Explanation) -> Result:
    """The same without maps."""
    return Result(explanation.model, explanation.predictions, explanation.clip)


def test_answers_are_a_line(explanation: Explanation) -> None:
    """Results say their best labels and their model, maps also their method and shape."""
    assert repr(labels_of(explanation)) == (
        "<Result 'moves down' 0.931, 'moves right' 0.041, 'grows' 0.016, ... by 'motions'>"
    )
    assert repr(explanation).endswith("by 'motions'; staa, map 16x12x12>")
    assert "staa_class for 'moves down', map" in repr(class_map(explanation))
    assert repr(explanation.clip) == "<ClipInfo 16 frames, 0.25-7.75 s of 8.00 s, 320 x 240 pixels>"
    told = contract.card(200, {}, json.dumps(card()).encode())
    assert repr(told) == "<Card of 'motions 1.0': 8 labels, 16 frames, methods staa, staa_class>"


def test_frames_are_a_line() -> None:
    """Frames say how many they are, their size and their seconds."""
    frames = Frames.of(np.zeros((10, 20, 30, 3), np.uint8))
    assert repr(frames) == "<Frames 10 of 30 x 20 pixels, 0.00-0.36 s>"
    assert "of a source of 60 x 40" in repr(dataclasses.replace(frames, size=(60, 40)))


def test_clients_are_a_line_without_a_secret() -> None:
    """A client says which server it asks, and whether it is closed; never a password or a token."""
    client = Client("https://user:password@staa.example.com", "secret")
    assert repr(client) == "<Client of https://staa.example.com/>"
    client.close()
    assert repr(client) == "<Client of https://staa.example.com/ (closed)>"

    async def twin() -> str:
        async with AsyncClient("localhost:8080") as client:
            return repr(client)

    assert asyncio.run(twin()) == "<AsyncClient of http://localhost:8080/>"


def test_items_and_sights_are_a_line(clip: bytes) -> None:
    """Items of a batch and windows of a stream are as short as what they hold."""
    with Client(transport=httpx2.MockTransport(server())) as client:
        (item,) = client.batch([clip])
        frames = ((number / 4, np.zeros((24, 32, 3), np.uint8)) for number in range(10))
        with client.watch(frames, latency="keep") as sights:
            seen = [repr(sights), repr(next(sights))]
    for text in (repr(item), *seen):
        assert "\n" not in text
        assert len(text) < 400


@pytest.mark.parametrize("label", [FORGED, "a" * 900])
def test_no_label_adds_a_line(explanation: Explanation, label: str) -> None:
    """A label with a line break, or one without end, stays within the line."""
    forged = dataclasses.replace(explanation, predictions=(Prediction(0, label, 0.5),), name=label)
    for shown in (forged, labels_of(forged)):
        assert len(repr(shown).splitlines()) == 1
        assert "\x1b" not in repr(shown)
        assert len(repr(shown)) < 400


def test_a_card_is_written_as_it_came() -> None:
    """`to_dict` of a card is the contract's document."""
    assert contract.card(200, {}, json.dumps(card()).encode()).to_dict() == card()
    several = card() | {"license": None, "clip_seconds": None}
    several["input"] = several["input"] | {"resize": [96, 128]}
    assert contract.card(200, {}, json.dumps(several).encode()).to_dict() == several
    assert contract.explanation(200, {}, json.dumps(document()).encode()).to_dict()["model"] == document()["model"]
