"""The measures of a map are what they say: by hand on small cases, and against other people's code."""

import numpy as np
import pytest
import torch
from sklearn.metrics import auc, roc_auc_score

from benchmarks import metrics
from staa.types import Grid
from training.clips import Sample

GRID = Grid(2, 2, 3, 2)


def sample() -> Sample:
    """4 frames of 4 x 6 pixels: the object is row 0, column 2 of step 1, a distractor half of row 1, column 0."""
    frames = np.zeros((4, 4, 6, 3), np.uint8)
    mask, distractors = np.zeros((2, 4, 4, 6), bool)
    mask[2:, :2, 4:] = True
    distractors[:, 2:, :1] = True
    return Sample(frames, mask, distractors, np.array([False, False, True, True]), 0)


def test_truth_by_tokens() -> None:
    """Shares of the tokens that object and distractor cover, and the steps of the event."""
    truth = metrics.Truth.of(sample(), GRID)
    assert truth.thing[1, 0, 2] == 1
    assert truth.thing.sum() == 1
    assert truth.distractors[:, 1, 0].tolist() == [0.5, 0.5]
    assert truth.event.tolist() == [False, True]


def test_agreement_of_the_best_and_the_worst_map() -> None:
    """The truth itself scores 1 everywhere and nothing on distractors; a map of the distractor the opposite."""
    truth = metrics.Truth.of(sample(), GRID)
    best = metrics.agreement(truth.thing, truth)
    assert best == {
        "pointing": 1, "pixel AUROC": 1, "mass on object": 1, "when AUROC": 1, "when top-k": 1, "distractors": 0,
    }  # fmt: skip
    wrong = np.zeros(GRID.shape)
    wrong[0, 1, 0] = 1
    worst = metrics.agreement(wrong, truth)
    assert (worst["pointing"], worst["mass on object"], worst["when AUROC"], worst["when top-k"]) == (0, 0, 0, 0)
    assert worst["pixel AUROC"] < 0.5
    assert worst["distractors"] > 1e6


def test_auroc_is_that_of_scikit_learn() -> None:
    """With ties, too."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        scores, truth = rng.integers(0, 6, 40).astype(float), rng.random(40) < 0.3
        truth[:2] = True, False
        assert metrics.auroc(scores, truth) == pytest.approx(roc_auc_score(truth, scores))


def answer(pixels: torch.Tensor) -> torch.Tensor:
    """A model that sees how bright one token (step 1, row 0, column 2) is, and nothing else."""
    bright = pixels[:, 2:4, :, 0:2, 4:6].mean((1, 2, 3, 4))
    return torch.stack([1 - bright, bright], 1)


def test_deletion_and_insertion_of_a_known_model() -> None:
    """The map of the one token that counts falls and rises at once; the opposite map at the end."""
    pixels, fill = torch.ones(1, 4, 3, 4, 6), torch.zeros(1, 4, 3, 4, 6)
    good = np.zeros(GRID.shape)
    good[1, 0, 2] = 1
    made = metrics.curves(answer, pixels, fill, [good, -good], GRID, 1, batch=5)
    assert made.shape == (2, 2, len(metrics.FRACTIONS))
    assert made[0, 0].tolist() == [1] + [0] * (len(metrics.FRACTIONS) - 1)
    assert made[1, 0].tolist() == [0] + [1] * (len(metrics.FRACTIONS) - 1)
    assert made[0, 1].tolist() == [1] * (len(metrics.FRACTIONS) - 1) + [0]
    assert metrics.area(made[0, 0]) == pytest.approx(auc(metrics.FRACTIONS, made[0, 0])) == pytest.approx(0.005)
    comprehensive, sufficient = metrics.kept(answer, pixels, fill, good, GRID, 1, 0.7)
    assert (comprehensive, sufficient) == (1, 0)
    (right, wrong) = metrics.by_segment(answer, pixels, fill, [good, -good], GRID, 1)
    assert right[0] == pytest.approx(1)
    assert wrong[0] == pytest.approx(-1)
    assert right[1] == 1


def test_ties_are_broken_alike_for_all_maps() -> None:
    """A flat map takes cells in a fixed random order: twice the same, and not from the first corner."""
    pixels, fill = torch.ones(1, 4, 3, 4, 6), torch.zeros(1, 4, 3, 4, 6)
    seen: list[torch.Tensor] = []

    def watch(some: torch.Tensor) -> torch.Tensor:
        seen.append(some)
        return answer(some)

    flat = np.ones(GRID.shape)
    one, other = metrics.curves(watch, pixels, fill, [flat, flat], GRID, 1)[0]
    assert one.tolist() == other.tolist()
    first = seen[1][0]
    assert (first == 0).any()
    assert (first[:2, :, :2, :2] == 1).all()


def test_fills_leave_nothing_that_moves() -> None:
    """Blurred frames keep their mean and lose their contrast; averaged frames are all alike."""
    pixels = torch.zeros(1, 4, 3, 48, 48)
    for frame in range(4):
        pixels[:, frame, :, 20:28, 8 * frame : 8 * frame + 8] = 1
    blurred, averaged = metrics.blurred(pixels), metrics.averaged(pixels)
    assert blurred.shape == averaged.shape == pixels.shape
    assert blurred.max() < 0.25
    assert torch.equal(averaged[:, 0], averaged[:, 3])
    assert averaged.mean() == pytest.approx(pixels.mean().item())


def test_the_interval_holds_the_mean() -> None:
    """A bootstrap of equal values is a point; of others an interval as wide as the standard error says."""
    assert metrics.bootstrap([2.0] * 10) == (2, 2, 2)
    values = np.random.default_rng(1).normal(size=400)
    mean, low, high = metrics.bootstrap(list(values))
    assert low < mean < high
    assert high - low == pytest.approx(2 * 1.96 / 20, rel=0.15)
    assert all(np.isnan(metrics.bootstrap([])))
