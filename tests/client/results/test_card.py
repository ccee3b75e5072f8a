"""Cards: what a model says of itself."""

import json

import pytest

from staa.recipe import resized_shape
from staa_client import ReplyError, contract
from tests.client.conftest import card


@pytest.mark.parametrize("resize", [96, [96, 128], None])
def test_frames_are_scaled_by_the_servers_rule(resize: int | list[int] | None) -> None:
    """A card says of any frame the rows and columns that the server's own preparation makes of it."""
    told = card()
    told["input"]["resize"] = resize
    model_card = contract.card(200, {}, json.dumps(told).encode())
    rule = (resize[0], resize[1]) if isinstance(resize, list) else resize
    for height, width in ((240, 320), (321, 240), (96, 96), (1080, 1919), (50, 40)):
        assert model_card.scaled(height, width) == resized_shape(rule, height, width)


def test_the_threshold_of_labels_is_read_and_written() -> None:
    """A model of several labels says from which score a video has one; any other model says nothing of it."""
    told = card() | {"problem_type": "multi_label_classification", "label_threshold": 0.35}
    said = contract.card(200, {}, json.dumps(told).encode())
    assert said.label_threshold == 0.35
    assert said.to_dict() == told
    assert contract.card(200, {}, json.dumps(card()).encode()).label_threshold is None
    with pytest.raises(ReplyError):
        contract.card(200, {}, json.dumps(told | {"label_threshold": 2}).encode())
