"""The types that flow through the core: what they refuse, and what may be done with all of them."""

from typing import Any

import numpy as np
import pytest
import torch

from staa import Attribution, Clip, Grid, Prediction, Result
from staa.errors import LoadError
from staa.types import Forward

GRID = Grid(2, 1, 1, 1)


def clip() -> Clip:
    """Return two black frames."""
    return Clip(np.zeros((2, 6, 8, 3), np.uint8), np.array([0.0, 1.0]), np.array([0, 9]), 9.0, 2.0)


def attribution() -> Attribution:
    """Return a map of two steps."""
    return Attribution(np.full(GRID.shape, 0.5, np.float32), GRID, "staa")


def result() -> Result:
    """Return labels and a map."""
    steps = np.array([[0.0, 1.0], [1.0, 2.0]])
    return Result((Prediction(0, "left", 1.0),), (0, 0, 8, 6), steps, attribution(), 0.5)


def forward() -> Forward:
    """Return what a pass of two rows without a map leaves."""
    return Forward(torch.zeros(2, 3), (), ())


@pytest.mark.parametrize("make", [clip, attribution, result, forward])
def test_what_holds_an_array_is_compared_and_hashed_by_identity(make: Any) -> None:
    """Such an object is equal to itself alone, and may stand in a set: arrays have no one answer to `==`."""
    one, other = make(), make()
    assert one == one  # noqa: PLR0124 - this is the question
    assert one != other
    assert len({one, other, one}) == 2


@pytest.mark.parametrize(
    ("clip", "token"), [((4, 33, 32), (1, 8, 8)), ((4, 32, 32), (1, 8, 7)), ((5, 32, 32), (2, 8, 8))]
)
def test_tokens_that_leave_a_part_of_the_clip_are_refused(
    clip: tuple[int, int, int], token: tuple[int, int, int]
) -> None:
    """A map would say nothing of the rest, and its cells would lie beside what they stand for."""
    with pytest.raises(LoadError, match="do not cover"):
        Grid.of(clip, token)
    assert Grid.of((4, 32, 48), (2, 8, 8)) == Grid(t=2, h=4, w=6, tubelet=2)
