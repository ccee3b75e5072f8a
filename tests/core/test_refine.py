"""The choice among maps: the better map wins, with no more clips than allowed, and the reply can say by how much."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from staa import Explainer, Options
from staa.errors import BusyError, OptionError, StaaError, TooSlowError
from staa.refine import CANDIDATES, ROUNDS, clips_of_round, mean_frame, refine, rounds_within
from staa.types import Grid
from staa.verify import mean_colour, token_shares
from tests.made import models
from tests.made.models import bright_token

GRID = Grid(2, 4, 4, 2)
CLIP = torch.rand(1, 4, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 0.2
CLIP[:, 2:4, :, 0:2, 4:6] = 1
"""A clip whose one bright token is what `bright_token` answers about."""


def brightness(pixels: torch.Tensor) -> torch.Tensor:
    """Return the probability (B, 1) of the class of a clip in which the token is bright."""
    return bright_token(pixels)[:, [1]]


def map_with(place: tuple[int, int, int]) -> np.ndarray:
    """Return a map whose strongest cell is there, and whose other cells are in a fixed random order."""
    cells = np.random.default_rng(1).random(GRID.shape)
    cells[place] = 2
    cells[1, 0, 2] = cells[1, 0, 2] if place == (1, 0, 2) else -1
    return cells


@pytest.mark.parametrize("clips", range(8, 33))
def test_the_map_that_shows_the_cause_is_chosen(clips: int) -> None:
    """Of four maps the one whose strongest cell is what the model looks at wins, in no more clips than allowed."""
    places = {"one": (0, 0, 0), "two": (0, 3, 1), "cause": (1, 0, 2), "four": (1, 3, 3)}
    seen: list[int] = []

    def counted(pixels: torch.Tensor) -> torch.Tensor:
        seen.append(len(pixels))
        return brightness(pixels)

    maps = {name: map_with(place) for name, place in places.items()}
    found = refine(counted, CLIP, maps, GRID, clips, batch=3)
    assert found.chosen == "cause"
    assert found.runner_up in places
    assert 0 < found.lead <= 2
    assert found.clips == sum(seen) <= clips
    assert clips - found.clips < clips_of_round(2) or found.clips == 8 + 4 * (len(ROUNDS) - 1)
    assert max(seen) <= 3


def test_maps_that_are_alike_leave_the_first() -> None:
    """Where no map is better the first one stays, with a lead of 0."""
    same = map_with((0, 0, 0))
    found = refine(brightness, CLIP, {"first": same, "second": same.copy(), "third": same}, GRID, 16)
    assert (found.chosen, found.lead) == ("first", 0)


@pytest.fixture(scope="module")
def explainer() -> Explainer:
    """Return a tiny TimeSformer behind the core."""
    return models.explainer(models.timesformer())


@pytest.mark.parametrize("contrast", ["none", 2])
def test_a_refined_map_is_one_of_the_pass(explainer: Explainer, contrast: int | str) -> None:
    """A request with refine gets one of the maps of its pass, and its neighbours in the batch what they asked for."""
    clips = [models.clip(seed) for seed in range(3)]
    asked = Options(method="staa_class", target=1, contrast=contrast, refine=16)
    plain, refined, other = explainer(clips, [Options(), asked, Options(method="staa_class", target=1)])
    maps = explainer.candidates(explainer.forward(explainer.pixels(clips[1:2]), {0: "staa_class"}), 0, asked)
    assert set(maps) == set(CANDIDATES) - ({"probability"} if contrast == 2 else set())
    assert refined.refinement is not None
    assert refined.attribution is not None
    wanted = maps[refined.refinement.chosen]
    assert np.abs(refined.attribution.ranking - wanted.ranking).max() < 1e-5
    assert (refined.attribution.target, refined.attribution.contrast) == (1, None if contrast == "none" else 2)
    assert plain.refinement is None
    assert other.refinement is None
    alone = explainer(clips[:1], Options())[0]
    assert alone.attribution is not None
    assert plain.attribution is not None
    assert np.abs(alone.attribution.joint - plain.attribution.joint).max() < 1e-6
    one, two = list(maps.values())[:2]
    assert np.abs(one.ranking - two.ranking).max() > 1e-3, "maps that are alike leave no choice"


def test_a_refined_map_is_checked_in_another_way(explainer: Explainer) -> None:
    """Its check hides cells by another fill and at other shares than the choice did."""
    shares = {share for points in range(2, 17) for share in token_shares(points)}
    assert not shares & {share for share, _ in ROUNDS}
    assert torch.allclose(mean_colour(CLIP).std((1, 3, 4)), torch.zeros(1, 3), atol=1e-6)
    assert mean_frame(CLIP).std((1, 3, 4)).min() > 0
    both = explainer([models.clip(1)] * 2, [Options(method="staa_class", refine=refine, verify=2) for refine in (0, 8)])
    plain, refined = (result.faithfulness for result in both)
    assert plain is not None
    assert refined is not None
    assert plain.probability == pytest.approx(refined.probability, abs=1e-5)
    assert plain.blurred != pytest.approx(refined.blurred, abs=1e-4)


def test_what_cannot_be_refined_is_refused(explainer: Explainer) -> None:
    """Label-free maps, other numbers of clips, too little time and answers that are no numbers are errors."""
    with pytest.raises(OptionError, match="refine is 16, but method staa is not for a class"):
        explainer([models.clip(0)], Options(refine=16))
    for clips in (1, 7, 33, True, -8):
        with pytest.raises(OptionError, match="expected 8 to 32"):
            Options(method="staa_class", refine=clips)
    maps = {name: map_with((0, 0, index)) for index, name in enumerate("abcd")}
    with pytest.raises((TooSlowError, BusyError)):  # the one or the other, as busy as the machine is
        refine(brightness, CLIP, maps, GRID, 16, seconds=0)
    with pytest.raises(StaaError, match="without refine"):
        refine(lambda pixels: brightness(pixels) * float("nan"), CLIP, maps, GRID, 16)


def test_rounds_are_counted() -> None:
    """8 clips allow the first round of four maps, every 4 more another one, until all are played."""
    assert [rounds_within(clips, 4) for clips in (8, 11, 12, 16, 31, 32)] == [0, 0, 1, 2, 5, 6]
    assert all(one[0] != other[0] for one, other in pairwise(ROUNDS))
