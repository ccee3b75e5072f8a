"""Checking a map: curves and verdicts of models that are known, and what a request is told."""

import contextlib
import time
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import auc

from staa import Explainer, Options
from staa.errors import BusyError, OptionError, StaaError, TooSlowError
from staa.types import Areas, Faithfulness, Grid
from staa.verify import VERDICTS, area_under, blur, curves, token_shares, verdict, verify, within
from tests.made import families, models
from tests.made.families import VARIANTS
from tests.made.models import bright_token

GRID = Grid(2, 2, 3, 2)
FRACTIONS = (0.0, 0.01, 0.1, 0.4, 1.0)


def lit() -> np.ndarray[Any, Any]:
    """Return the map of what that model sees."""
    good = np.zeros(GRID.shape)
    good[1, 0, 2] = 1
    return good


@pytest.mark.parametrize("batch", [1, 5, 100])
def test_deletion_and_insertion_of_a_known_model(batch: int) -> None:
    """The map of the one token that counts falls and rises at once; the opposite map at the end."""
    pixels, fill = torch.ones(1, 4, 3, 4, 6), torch.zeros(1, 4, 3, 4, 6)
    made = curves(bright_token, pixels, fill, [lit(), -lit()], GRID, 1, FRACTIONS, batch)
    assert made.shape == (2, 2, 5)
    assert made[0].tolist() == [[1, 0, 0, 0, 0], [1, 1, 1, 1, 0]]
    assert made[1].tolist() == [[0, 1, 1, 1, 1], [0, 0, 0, 0, 1]]
    assert area_under(made[0, 0], FRACTIONS) == pytest.approx(auc(FRACTIONS, made[0, 0])) == pytest.approx(0.005)


def test_ties_are_broken_alike_for_all_maps() -> None:
    """A flat map takes cells in a fixed random order: twice the same, and not from the first corner."""
    pixels, fill = torch.ones(1, 4, 3, 4, 6), torch.zeros(1, 4, 3, 4, 6)
    seen: list[torch.Tensor] = []

    def watch(some: torch.Tensor) -> torch.Tensor:
        seen.append(some)
        return bright_token(some)

    flat = np.ones(GRID.shape)
    one, other = curves(watch, pixels, fill, [flat, flat], GRID, 1, FRACTIONS, 32)[0]
    assert one.tolist() == other.tolist()
    first = seen[2][0]
    assert (first == 0).any()
    assert (first[:2, :, :2, :2] == 1).all()


@pytest.mark.parametrize("size", [(48, 48), (32, 96), (96, 32)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_blur_leaves_nothing_to_see(size: tuple[int, int], dtype: torch.dtype) -> None:
    """Bands across frames of any shape are spread out, and the light stays about the same."""
    high, wide = size
    for band in (np.s_[..., high // 3 : high // 2, :], np.s_[..., wide // 3 : wide // 2]):
        pixels = torch.zeros(1, 2, 3, high, wide, dtype=dtype)
        pixels[band] = 1
        made = blur(pixels)
        assert (made.shape, made.dtype) == (pixels.shape, dtype)
        assert made.float().max() < 0.35
        assert made.float().mean() == pytest.approx(pixels.float().mean().item(), rel=0.35)


def test_points_ascend_from_nothing_to_everything() -> None:
    """As many between the ends as forward passes, closer at the begin."""
    assert token_shares(2) == pytest.approx((0, 1 / 9, 4 / 9, 1))
    assert len(token_shares(16)) == 18
    assert (np.diff(token_shares(16), 2) > 0).all()


def lamp() -> torch.Tensor:
    """Return a dark clip in which that one token is lit."""
    pixels = torch.zeros(1, 4, 3, 4, 6)
    pixels[:, 2:4, :, 0:2, 4:6] = 1
    return pixels


def judged(joint: np.ndarray[Any, Any]) -> str:
    """Return the verdict on a map of the lit clip."""
    ends, areas = verify(lambda some: bright_token(some)[:, 1:], lamp(), joint, GRID, 4)
    return verdict(Faithfulness(1, None, 4, *ends, *areas))


def test_a_map_of_what_the_model_sees_is_faithful() -> None:
    """And one of what it does not see, or that has no order, is not."""
    assert judged(lit()) == "faithful"
    assert judged(-lit()) == "no_better_than_random"
    assert judged(np.full(GRID.shape, 1 / 12)) == "no_better_than_random"


@pytest.mark.parametrize("batch", [1, 3, 8])
def test_the_passes_are_those_stated(batch: int) -> None:
    """8 clips a point, the clip and its blur, never more at once than a batch."""
    seen: list[int] = []

    def watch(some: torch.Tensor) -> torch.Tensor:
        seen.append(len(some))
        return bright_token(some)[:, 1:]

    ends, areas = verify(watch, lamp(), lit(), GRID, 4, batch)
    found = Faithfulness(1, None, 4, *ends, *areas)
    assert sum(seen) == found.clips == 34
    assert max(seen) == batch
    assert found.probability == 1
    assert found.map.gain > found.random.gain


def test_what_would_take_too_long_is_refused_at_once() -> None:
    """After the second pass it is known, and not after all of them."""
    seen: list[int] = []

    def slow(some: torch.Tensor) -> torch.Tensor:
        seen.append(len(some))
        time.sleep(0.05)
        return bright_token(some)[:, 1:]

    with pytest.raises(TooSlowError, match="fewer points"):
        verify(slow, lamp(), lit(), GRID, 16, seconds=2.0)
    assert seen == [1, 1]


@pytest.mark.parametrize(
    ("pauses", "error"),
    [
        ({}, None),
        ({0: 11.3}, None),
        ({1: 11.3}, None),
        ({7: 11.3}, None),
        ({0: 40.0}, BusyError),
        ({1: 40.0}, BusyError),
        ({3: 28.0}, BusyError),
        (dict.fromkeys(range(34), 1.0), TooSlowError),
    ],
)
def test_a_pause_of_the_machine_is_not_taken_for_a_slow_model(
    pauses: dict[int, float], error: type[StaaError] | None
) -> None:
    """A clock that jumps in one pass refuses nothing that still fits; what no longer fits can be asked for again."""
    now, computed, calls = 0.0, 0.0, 0

    def answers(some: torch.Tensor) -> torch.Tensor:
        nonlocal now, computed, calls
        computed += 0.1 * len(some)
        now += 0.1 * len(some) + pauses.get(calls, 0.0)
        calls += 1
        return some

    timed = within(30.0, 34, answers, lambda: now, lambda: computed)
    with contextlib.nullcontext() if error is None else pytest.raises(error):
        for _ in range(34):
            timed(torch.zeros(1))


def test_answers_that_are_no_numbers_have_no_verdict() -> None:
    """A model that overflows when parts are blurred cannot be followed."""
    with pytest.raises(StaaError, match="no numbers"):
        verify(lambda some: bright_token(some)[:, 1:] * float("nan"), lamp(), lit(), GRID, 2)


@pytest.mark.parametrize(
    ("probability", "gain", "code"),
    [
        (0.15, 0.9, "untestable"),
        (0.9, 0.03, "no_better_than_random"),
        (0.9, 0.3, "no_better_than_centre"),
        (0.9, 0.4, "faithful"),
    ],
)
def test_verdicts(probability: float, gain: float, code: str) -> None:
    """By the loss of probability, and how far ahead of a random order (0) and the centre (0.3) a map is."""
    found = Faithfulness(0, None, 4, probability, 0.1, Areas(0, gain), Areas(0.2, 0.2), Areas(0.1, 0.4))
    assert verdict(found) == code
    assert VERDICTS[code]


@pytest.mark.parametrize("count", [1, 17, -2, 2.5, True])
def test_a_number_that_cannot_be_is_refused(count: Any) -> None:
    """2 to 16, or none."""
    with pytest.raises(OptionError, match="2 to 16"):
        Options(verify=count)


@pytest.fixture(scope="module")
def explainer() -> Explainer:
    """Return a tiny ViViT."""
    return families.explainer(VARIANTS["vivit"].make())


def test_only_those_who_ask_are_verified(explainer: Explainer) -> None:
    """In one batch; labels and maps are as without, and the class that is followed is the map's own or the best one."""
    clips = [models.clip(seed, explainer.grid.frames) for seed in range(3)]
    asked = [Options(), Options(verify=2), Options(method="staa_class", target=3, contrast="none", verify=3)]
    found = explainer(clips, asked)
    plain = explainer(clips, [Options(), Options(), Options(method="staa_class", target=3, contrast="none")])
    assert [one.predictions for one in found] == [one.predictions for one in plain]
    assert found[0].faithfulness is None
    one, other = found[1].faithfulness, found[2].faithfulness
    assert one is not None
    assert other is not None
    assert one.target == found[1].predictions[0].class_id
    assert one.probability == pytest.approx(found[1].predictions[0].score, abs=1e-5)
    assert (other.target, other.contrast, other.points) == (3, None, 3)
    assert explainer(clips[:1], Options(explain=False, verify=2))[0].faithfulness is None


def test_with_a_contrast_two_classes_are_followed(explainer: Explainer) -> None:
    """The probability is that of the target where only it and the contrast are."""
    clip = models.clip(5, explainer.grid.frames)
    (found,) = explainer([clip], Options(method="staa_class", target=3, contrast=1, verify=2, top_k=5))
    scores = {one.class_id: one.score for one in found.predictions}
    assert found.faithfulness is not None
    assert found.faithfulness.contrast == 1
    assert found.faithfulness.probability == pytest.approx(scores[3] / (scores[3] + scores[1]), abs=1e-5)


def test_in_bfloat16() -> None:
    """The dtype of GPUs goes all the way."""
    model = VARIANTS["vivit"].make().to(torch.bfloat16)
    explainer = families.explainer(model)
    (found,) = explainer([models.clip(5, explainer.grid.frames)], Options(verify=2))
    assert found.faithfulness is not None
    assert 0 <= found.faithfulness.map.deletion <= 1
