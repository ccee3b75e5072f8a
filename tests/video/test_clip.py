"""A clip and its notes: within bounds, from the decoder or an archive to the reply and what a person sees."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from staa_client import Explanation, ReplyError, contract
from staa_client.cli.output.terminal import describe
from staa_client.pictures.layer import Layer
from staa_client.pictures.report import render_report
from staa_client.pictures.sheet import draw_sheet
from staa_client.results.explanation import Answer
from staa_client.video.frames import Frames
from staa_video import Clip, errors
from staa_video.clip import MOST_NOTE_CHARACTERS, MOST_NOTES, bounded_notes
from staa_video.frames_archive import unpack
from tests.client.conftest import document
from tests.made import archives
from tests.made.archives import greys, pack, steady

NOTES = ("HDR (PQ) tone-mapped to SDR", "pixels are not square: 64x64 shown as 128x64")


def clip(notes: tuple[str, ...] = NOTES) -> Clip:
    """Return two black frames with notes."""
    return Clip(np.zeros((2, 6, 8, 3), np.uint8), np.array([0.0, 1.0]), np.array([0, 9]), 9.0, 2.0, None, notes)


def answered(notes: Any) -> Answer:
    """Return what a client reads of a reply with notes."""
    reply = document()
    reply["clip"]["notes"] = notes
    return contract.of_document(reply)


def test_notes_are_bounded() -> None:
    """Notes are cut to their bounds, each is held once, and a clip takes none beyond them."""
    many = bounded_notes(["a\nb", "a b", "", *(f"{number} " + "x" * 300 for number in range(20))])
    assert len(many) == MOST_NOTES
    assert many[:2] == ("a b", "0 " + "x" * (MOST_NOTE_CHARACTERS - 2))
    assert clip(many).bare().notes == many
    for notes in (("x" * 201,), ("a", "a"), ("a\x1b[2J",), ("",), tuple("abcdefghi")):
        with pytest.raises(ValueError, match="notes of up to 200 characters"):
            clip(notes)


def test_an_archive_hands_notes_on() -> None:
    """What a client did to a video when it sampled the frames is a note of the clip; an archive may say nothing."""
    held = Frames(np.zeros((2, 6, 8, 3), np.uint8), np.arange(2) / 2, np.arange(2), 2.0, 1.0, (8, 6), NOTES)
    assert unpack(held.archive(), 2).notes == NOTES
    assert unpack(dataclasses.replace(held, notes=()).archive(), 2).notes == ()
    assert b"notes" not in dataclasses.replace(held, notes=()).archive()


@pytest.mark.parametrize(
    "notes", ["HDR", [1], ["x" * 201], ["a"] * 2, list("abcdefghi"), ["a\nb"], [""], {"a": 1}, None]
)
def test_notes_of_an_archive_that_are_none_are_a_bad_request(notes: Any) -> None:
    """The reply repeats them, so what is too long, or controls a terminal, is refused by its name."""
    archive = pack(steady(8, notes=notes), [archives.encode(image) for image in greys()])
    with pytest.raises(errors.RequestError, match=r"notes in clip\.json"):
        unpack(archive, 8)


def test_a_client_reads_and_writes_notes() -> None:
    """Notes of a reply are read within the bounds, written as they came, and a reply without any has none."""
    assert answered(list(NOTES)).clip.notes == NOTES
    assert answered(list(NOTES)).to_dict()["clip"]["notes"] == list(NOTES)
    assert json.loads(json.dumps(contract.of_document(document()).to_dict()))["clip"] == document()["clip"]
    assert answered(["x" * 300] * 50).clip.notes == ("x" * 200,) * 8
    for wrong in ("HDR", [1], {"a": "b"}, None):
        with pytest.raises(ReplyError, match=r"notes are a list of texts|note is 1: expected"):
            contract.result(200, {}, json.dumps(document() | {"clip": document()["clip"] | {"notes": wrong}}).encode())


def test_a_person_sees_the_notes(tmp_path: Path) -> None:
    """The terminal and the sheet have a line for each by the curve, the report one for all, and plain data a list."""
    answer, plain = answered(["HDR (PQ) tone-mapped <b>", NOTES[1]]), contract.of_document(document())
    assert isinstance(answer, Explanation)
    assert isinstance(plain, Explanation)
    assert describe(answer).splitlines()[-2:] == ["note   HDR (PQ) tone-mapped <b>", f"note   {NOTES[1]}"]
    assert "note " not in describe(plain)
    report = render_report(answer, None)
    assert '<p class="notes">HDR (PQ) tone-mapped &lt;b&gt; · pixels are not square' in report
    assert '<p class="notes"></p>' in render_report(plain, None)
    first = contract.of_document(document() | {"clip": document()["clip"] | {"notes": list(NOTES[:1])}})
    assert isinstance(first, Explanation)
    none, one, two = (draw_sheet(Layer(each), None).height for each in (plain, first, answer))
    assert two - one == one - none > 10
    assert answer.save(tmp_path / "x.json").read_text("utf-8").count("tone-mapped") == 1
