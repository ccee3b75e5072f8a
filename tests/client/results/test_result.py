"""Labels, clips and checks: what their types promise."""

import dataclasses
import json

import pytest

from staa_client import ClassName, Explanation, contract
from tests.client.conftest import document


@pytest.mark.parametrize("box", [(40, 0, 400, 240), (-1, 0, 280, 240), (280, 0, 40, 240), (40, 0, 40, 240)])
def test_a_box_lies_in_its_frame(explanation: Explanation, box: tuple[int, int, int, int]) -> None:
    """A box that leaves the frame, or holds no pixel, is refused with the box and the frame named."""
    with pytest.raises(ValueError, match=r"the box lies in the frame, got .* for 320x240"):
        dataclasses.replace(explanation.clip, box=box)


def test_every_frame_of_a_clip_has_a_time(explanation: Explanation) -> None:
    """As many times as frames, and one at least, or the clip is refused."""
    clip = explanation.clip
    for frames, times in ((clip.frames[1:], clip.times), (clip.frames[:0], clip.times[:0])):
        with pytest.raises(ValueError, match="one number and one time a frame"):
            dataclasses.replace(clip, frames=frames, times=times)


def test_labels_are_written_as_they_came() -> None:
    """A result's plain data is the reply of /predictions that it was read from."""
    reply = {name: value for name, value in document().items() if name != "explanation"}
    assert contract.result(200, {}, json.dumps(reply).encode()).to_dict() == reply


def test_a_class_reads_as_its_label() -> None:
    """In a text a class is its label."""
    assert f"{ClassName(3, 'spins')}" == "spins"
