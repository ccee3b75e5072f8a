"""Answers in words: what is said of labels, maps and windows, and what a server cannot say."""

import dataclasses
import json

import httpx2
import numpy as np

from staa_client import ClassName, Client, Explanation, Result, contract
from staa_client.cli.output.terminal import describe, describe_card, describe_on_a_line, describe_sight
from staa_client.pictures.badge import NOT_CHECKED
from staa_client.pictures.report import render_report
from tests.client.conftest import card, checked, document, encoded, refined, server


def test_the_terminal_says_what_was_not_seen(explanation: Explanation) -> None:
    """A clip seen in part, or made of fewer frames than the model takes, says so, and a clip seen whole does not."""

    def told(box: tuple[int, int, int, int], *frames: int) -> str:
        numbers = np.resize(np.array(frames), 16) if frames else np.arange(16)
        clip = dataclasses.replace(explanation.clip, width=960, height=120, box=box, frames=np.sort(numbers))
        return describe(dataclasses.replace(explanation, clip=clip))

    assert "\nseen by the model  x 420 - 540, y 0 - 120 of 960 x 120" in told((420, 0, 540, 120))
    assert "seen by the model  1 frame, repeated 16 times: 'when' says nothing" in told((0, 0, 960, 120), 7)
    assert f"\n{'':<17}  1 frame, repeated 16 times" in told((420, 0, 540, 120), 7)
    assert "5 frames, repeated to make 16: " in told((0, 0, 960, 120), 0, 1, 2, 3, 4)
    assert "seen" not in told((0, 0, 960, 120))


def test_a_class_map_says_its_class(explanation: Explanation) -> None:
    """What a map for one class shows is named, and what it was told from."""
    named = dataclasses.replace(explanation, target=ClassName(3, "moves up"), contrast=ClassName(4, "spins"))
    assert "what speaks for moves up (0.7%) and not for spins (0.4%):" in describe(named)
    assert "speaks for" not in describe(explanation)
    overlapping = dataclasses.replace(named, shared_evidence=0.75)
    assert "\n75.0% of the evidence for moves up lies where that for spins does\n" in describe(overlapping)


def test_a_check_is_told_with_its_cost() -> None:
    """What the server found when it checked the map, in a line."""
    explanation = contract.explanation(200, {}, encoded(checked(document()), "json"))
    assert "check  checked and faithful. The label rests on it. (faithful; 34 clips, 0.75 s)" in describe(explanation)


def test_a_map_that_nobody_checked_says_so(explanation: Explanation) -> None:
    """The line about the check is always there."""
    said = NOT_CHECKED.replace("option verify", "option --verify")
    assert f"check  not checked. {said}" in describe(explanation).splitlines()


def test_one_of_several_says_how_far_to_trust_it(explanation: Explanation) -> None:
    """A line of several has the words of the verdict, also where there is none, and the notes of the clip."""
    noted = dataclasses.replace(explanation.clip, notes=("22 of 250 frames damaged", "HDR (PQ) tone-mapped to SDR"))
    notes = "note: 22 of 250 frames damaged  note: HDR (PQ) tone-mapped to SDR"
    line = "a.mp4  moves down  93.1%  4.50 - 5.00 s  {}"
    verified = contract.explanation(200, {}, encoded(checked(document()), "json"))
    assert describe_on_a_line("a.mp4", verified) == line.format("checked and faithful")
    assert describe_on_a_line("a.mp4", dataclasses.replace(explanation, clip=noted)) == line.format(
        f"not checked  {notes}"
    )
    labels = Result(explanation.model, explanation.predictions, noted)
    assert describe_on_a_line("a.mp4", labels) == f"a.mp4  moves down  93.1%  {notes}"


def test_a_region_says_of_which_moment_it_is(explanation: Explanation) -> None:
    """The regions of the whole clip and of the strongest step stand beside the words for them."""
    (strongest,), (x0, y0, x1, y1) = explanation.top(1), explanation.region()
    lines = describe(explanation).splitlines()
    assert f"where, whole clip   x {x0} - {x1}, y {y0} - {y1} in pixels of 320 x 240" in lines
    x0, y0, x1, y1 = strongest.region
    assert f"where, 4.50-5.00 s  x {x0} - {x1}, y {y0} - {y1} in pixels of 320 x 240" in lines


def test_the_choice_of_a_map_is_told_with_its_cost() -> None:
    """Which map was chosen, by how much it was ahead, and what that took: in a line, and in the report."""
    explanation = contract.explanation(200, {}, encoded(refined(document()), "json"))
    choice = "this map was chosen by a test: of what was written directly (direct, ahead of class by 0.031)"
    assert f"map    {choice} (16 clips, 0.50 s)" in describe(explanation)
    assert choice in render_report(explanation, None)
    assert "Choice" not in render_report(contract.explanation(200, {}, encoded(document(), "json")), None)


def test_a_window_without_a_label_is_a_line_too() -> None:
    """A reply that names no class is a line, of a window as of a video."""
    reply = document() | {"predictions": []}
    frames = ((number / 4, np.zeros((24, 32, 3), np.uint8)) for number in range(10))
    with (
        Client(transport=httpx2.MockTransport(server(reply))) as client,
        client.watch(frames, latency="keep") as sights,
    ):
        assert "no label" in describe_sight(next(sights))


def test_a_card_is_readable() -> None:
    """Every fact of a card is a line, then its labels by their numbers."""
    lines = describe_card(contract.card(200, {}, json.dumps(card()).encode())).splitlines()
    assert lines[:4] == [
        "model    motions 1.0 (timesformer, 8 classes)",
        "license  Apache-2.0",
        "trained  on clips of 1.5 to 2.5 s",
        "input    16 frames of 96 x 96 pixels",
    ]
    assert "methods  staa 1, staa_class 2 (for a class)" in lines
    assert "checks   --verify up to 16, --refine up to 32" in lines
    assert lines[-1] == "      7  blinks"
    assert "labels   8" in lines
    several = card() | {"problem_type": "multi_label_classification", "label_threshold": 0.35}
    said = describe_card(contract.card(200, {}, json.dumps(several).encode()))
    assert "labels   8 (a video may have several: those of 35.0% or more)" in said.splitlines()


def test_a_label_adds_no_line(explanation: Explanation) -> None:
    """A line break in a label, or in a class of the map, is a space: no server writes lines of its own choice."""
    forged = ClassName(0, "moves\nwrote secret.png\u2028staa: 0 failed")
    guess = dataclasses.replace(explanation.predictions[0], label=forged.label)
    answer = dataclasses.replace(explanation, predictions=(guess,), target=forged)
    plain = dataclasses.replace(explanation, predictions=explanation.predictions[:1], target=ClassName(0, "moves"))
    assert len(describe(answer).splitlines()) == len(describe(plain).splitlines())
    assert len(describe_on_a_line("a.mp4", answer).splitlines()) == 1
