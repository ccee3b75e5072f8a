"""The measures of a map are what they say: by hand on small cases, and against other people's code."""

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from benchmarks.faithfulness import metrics
from staa.refine import mean_frame
from staa.types import Grid
from tests.made.models import bright_token
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
    assert worst["distractors"] == 1
    even = metrics.agreement(np.ones(GRID.shape), truth)
    assert even["distractors"] == pytest.approx(0.5)
    assert even["pointing"] == pytest.approx(1 / 12), "no cell is meant more than another"
    assert "distractors" not in metrics.agreement(np.zeros(GRID.shape), truth)


def test_auroc_is_that_of_scikit_learn() -> None:
    """With ties, too."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        scores, truth = rng.integers(0, 6, 40).astype(float), rng.random(40) < 0.3
        truth[:2] = True, False
        assert metrics.auroc(scores, truth) == pytest.approx(roc_auc_score(truth, scores))


def test_segments_and_kept_cells_of_a_known_model() -> None:
    """The token that counts, alone, keeps the probability; its segment is the one whose loss counts."""
    pixels, fill = torch.ones(1, 4, 3, 4, 6), torch.zeros(1, 4, 3, 4, 6)
    good = np.zeros(GRID.shape)
    good[1, 0, 2] = 1
    bad = np.full(GRID.shape, 1.0)
    bad[1, 0, 2] = 0
    assert metrics.kept(bright_token, pixels, fill, [good, bad], GRID, 1, 0.7) == [(1, 0, 1 / 12), (0, 1, 8 / 12)]
    (right, wrong) = metrics.by_segment(bright_token, pixels, fill, [good, -good], GRID, 1)
    assert right[0] == pytest.approx(1)
    assert right[1] == 1
    assert wrong[0] == pytest.approx(-1)


def test_a_map_over_segments() -> None:
    """Every token has the mean of its segment, and the sum stays."""
    grid = Grid(8, 6, 6, 2)
    found = np.random.default_rng(0).random(grid.shape)
    made = metrics.over_segments(found, grid)
    assert made[:2, :2, :2] == pytest.approx(found[:2, :2, :2].mean())
    assert len(np.unique(made)) == metrics.segments(grid).max() + 1
    assert made.sum() == pytest.approx(found.sum())
    small = np.random.default_rng(0).random(GRID.shape)
    assert metrics.over_segments(small, GRID) == pytest.approx(small), "fewer cells than segments"


def test_a_frozen_clip_is_the_mean_of_its_frames() -> None:
    """All alike."""
    pixels = torch.rand(1, 4, 3, 4, 6, generator=torch.Generator().manual_seed(0))
    averaged = mean_frame(pixels)
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


def test_the_model_is_asked_once_about_the_same_pixels() -> None:
    """Within a batch and over batches, and every clip gets its own answer."""
    asked: list[int] = []

    def answer(pixels: torch.Tensor) -> torch.Tensor:
        asked.append(len(pixels))
        return bright_token(pixels)

    ask = metrics.remembered(answer)
    pixels = torch.rand(4, 4, 3, 4, 6, generator=torch.Generator().manual_seed(0))
    twice = torch.cat([pixels[:3], pixels[:1]])
    assert torch.equal(ask(twice), bright_token(twice))
    assert torch.equal(ask(pixels), bright_token(pixels))
    assert torch.equal(ask(pixels[::2]), bright_token(pixels[::2]))
    assert asked == [3, 1]
