"""Labels, clips and checks: what their types promise."""

import dataclasses
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from staa_client import ClassName, Explanation, ReplyError, contract, load
from tests.client.conftest import document, encoded, several_labels


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


def test_which_labels_a_video_has_is_read_and_written(tmp_path: Path) -> None:
    """Each form of a saved answer has it as it came; where the server does not tell it, there is no field."""
    explanation = contract.explanation(200, {}, encoded(several_labels(document()), "json"))
    assert [guess.present for guess in explanation.predictions] == [True, True, False, False, False]
    for name in ("x.json", "x.npz"):
        again = load(explanation.save(tmp_path / name))
        assert again.predictions == explanation.predictions
    (row,) = pq.read_table(explanation.to_parquet(tmp_path / "x.parquet")).to_pylist()
    assert json.loads(row["reply"])["predictions"] == explanation.to_dict()["predictions"]
    assert repr(explanation).count(" present") == 2
    plain = contract.explanation(200, {}, encoded(document(), "json"))
    assert plain.predictions[0].present is None
    assert "present" not in json.dumps(plain.to_dict())
    wrong = document()
    wrong["predictions"][0]["present"] = "yes"
    with pytest.raises(ReplyError, match="present is 'yes': expected true or false"):
        contract.explanation(200, {}, encoded(wrong, "json"))


def test_a_class_reads_as_its_label() -> None:
    """In a text a class is its label."""
    assert f"{ClassName(3, 'spins')}" == "spins"
