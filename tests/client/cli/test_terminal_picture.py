"""Answers on a terminal with colours."""

import dataclasses
import io
import re

import httpx2
import numpy as np
import pytest
from rich.console import Console

from staa_client import Client, Explanation
from staa_client.cli.output.terminal_picture import draw_on_terminal
from staa_client.pictures.overlay import GROUND
from tests.client.conftest import class_map, document, flat, server


def drawn_on(width: int, explanation: Explanation) -> str:
    """What a console of so many columns is sent."""
    text = io.StringIO()
    console = Console(file=text, force_terminal=True, color_system="truecolor", width=width)
    console.print(draw_on_terminal(explanation, console))
    return text.getvalue()


def plain(drawn: str) -> list[str]:
    """The lines without their colours."""
    return [line.rstrip() for line in re.sub(r"\x1b\[[0-9;]*m", "", drawn).splitlines()]


def test_the_terminal_shows_map_and_curve(explanation: Explanation) -> None:
    """On a terminal: coloured half blocks where the model looked, bars for when, and the same words as elsewhere."""
    drawn = drawn_on(100, explanation)
    colours = re.findall(r"38;2;(\d+);(\d+);(\d+);48", drawn)
    assert len(set(colours)) > 50
    assert "▀" in drawn
    assert "█" in drawn
    assert "when   4.50 - 5.00 s" in drawn
    assert max(map(len, plain(drawn))) <= 100


def test_the_terminal_shows_notes_by_the_curve(explanation: Explanation) -> None:
    """What was done to the clip stands under the curve, a line each."""
    notes = ("22 of 250 frames damaged", "HDR (PQ) tone-mapped to SDR")
    lines = plain(
        drawn_on(100, dataclasses.replace(explanation, clip=dataclasses.replace(explanation.clip, notes=notes)))
    )
    under = lines.index("when, share of the attention") + 5
    assert lines[under : under + 2] == [f"note   {note}" for note in notes]
    assert not any(line.startswith("note") for line in plain(drawn_on(100, explanation)))


def test_an_even_map_draws_nothing_on_a_terminal(explanation: Explanation) -> None:
    """An even map leaves the plain ground, with signs too; with noise of one percent it stays faint."""
    box = dataclasses.replace(explanation.clip, box=(0, 0, 320, 240))  # no part is marked as not seen
    even = flat(dataclasses.replace(explanation, clip=box))
    signed = dataclasses.replace(flat(class_map(even)), signed=even.joint)
    noise = np.random.default_rng(0).normal(1, 0.01, even.joint.shape)
    joint = (noise / noise.sum()).astype(np.float32)
    noisy = dataclasses.replace(even, joint=joint, temporal=joint.sum((1, 2)), spatial=joint.sum(0))
    for shown, far in ((even, 0), (signed, 0), (noisy, 40)):
        colours = np.array(re.findall(r"38;2;(\d+);(\d+);(\d+);48", drawn_on(100, shown)), int)
        assert np.abs(colours - GROUND).max() <= far


@pytest.mark.parametrize("width", [30, 60, 100])
def test_places_keep_their_names(width: int) -> None:
    """Of portrait video, whose maps are narrower than their titles, and on narrow consoles the titles stay whole."""
    reply = document(180, 320, (0, 70, 180, 250))
    with Client(transport=httpx2.MockTransport(server(reply))) as client:
        lines = plain(drawn_on(width, client.explain(b"portrait")))
    assert [sum(place in line for line in lines) >= 1 for place in ("where, whole clip", "where, 4.00-4.50 s")] == [
        True
    ] * 2
    head = next(line for line in lines if "where, whole clip" in line)
    assert ("where, 4.00-4.50 s" in head) == (width > 40)
