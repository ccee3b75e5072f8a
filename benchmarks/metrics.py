"""How well a map agrees with the truth of a clip, and with the model: every figure in one place.

A map is (t, h, w) over the tokens of a model; only the order and the shares of its cells count. Source of deletion and
insertion: Petsiuk, Das, Saenko 2018 (RISE); comprehensiveness and sufficiency: DeYoung et al. 2020 (ERASER);
faithfulness and monotonicity: Alvarez-Melis, Jaakkola 2018 and Luss et al. 2019, as in AIX360.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from staa.types import Grid
from staa.verify import Answer, blurred, cells
from training.clips import Sample
from training.evaluate import COVERED

Map = NDArray[np.float64]
FRACTIONS = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.7, 1.0)
"""Shares of the tokens that are taken away or put in; finer where the evidence is."""


@dataclass(frozen=True)
class Truth:
    """What is to be seen in a clip, by the tokens of a model."""

    thing: Map
    """(t, h, w): share of the token that the object covers."""
    distractors: Map
    """(t, h, w): share that distractors cover."""
    event: NDArray[np.bool_]
    """(t,)"""
    mask: NDArray[np.bool_]
    """(T, H, W): the object's pixels."""

    @classmethod
    def of(cls, sample: Sample, grid: Grid) -> "Truth":
        """By the tokens of a grid."""
        return cls(
            _shares(sample.mask, grid),
            _shares(sample.distractors, grid),
            np.asarray(sample.when.reshape(grid.t, grid.tubelet).any(1)),
            sample.mask,
        )


def _shares(mask: NDArray[np.bool_], grid: Grid) -> Map:
    high, wide = mask.shape[1] // grid.h, mask.shape[2] // grid.w
    return np.asarray(mask.reshape(grid.t, grid.tubelet, grid.h, high, grid.w, wide).mean((1, 3, 5)))


def auroc(scores: NDArray[np.floating], truth: NDArray[np.bool_]) -> float:
    """Chance that a true one has a higher score than a false one; ties count half."""
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse.ravel()]
    yes = int(truth.sum())
    no = truth.size - yes
    if not yes or not no:
        return float("nan")
    return float((ranks[truth.ravel()].sum() - yes * (yes + 1) / 2) / (yes * no))


def agreement(found: Map, truth: Truth) -> dict[str, float]:
    """Where and when, against the truth; `found` may be signed: what speaks for the class counts.

    Of several strongest cells "pointing" is the share that lies on the object: a map of large segments has no corner
    that is meant more than the rest. "distractors" is what a pixel of theirs gets, over that and what a pixel of the
    object gets: 0.5 is alike; clips without any have no such figure.
    """
    positive = np.clip(found, 0, None)
    positive = positive / (positive.sum() or 1)
    hit = truth.thing >= COVERED
    temporal = positive.sum((1, 2))
    top = np.argsort(-temporal, kind="stable")[: truth.event.sum()]
    steps, high, wide = (mask // cell for mask, cell in zip(truth.mask.shape, found.shape, strict=True))
    pixels = positive.repeat(steps, 0).repeat(high, 1).repeat(wide, 2)
    scores = {
        "pointing": float(hit[found == found.max()].mean()),
        "pixel AUROC": auroc(pixels.ravel(), truth.mask.ravel()),
        "mass on object": float((positive * truth.thing).sum()),
        "when AUROC": auroc(temporal, truth.event),
        "when top-k": float(truth.event[top].mean()),
    }
    wrong, right = (float((positive * part).sum() / (part.sum() or 1)) for part in (truth.distractors, truth.thing))
    if truth.distractors.any() and wrong + right:
        scores["distractors"] = wrong / (wrong + right)
    return scores


def averaged(pixels: Tensor) -> Tensor:
    """(B, T, 3, H, W), every frame the mean of the clip: nothing moves."""
    return pixels.mean(1, keepdim=True).expand_as(pixels)


FILLS: dict[str, Callable[[Tensor], Tensor]] = {"blur": blurred, "mean": averaged}
"""What stands where a token is taken away."""


@torch.inference_mode()
def kept(
    answer: Answer, pixels: Tensor, fill: Tensor, maps: Sequence[Map], grid: Grid, target: int, mass: float
) -> list[tuple[float, float, float]]:
    """Comprehensiveness and sufficiency of the cells that hold `mass` of each map, and their share of all cells.

    By how much the probability falls without them (high is good), and by how much with them alone (low is good). A map
    that is spread keeps more cells, and more cells make both better: compare these two only between like shares.
    """
    whole = float(answer(pixels)[0, target])
    figures = []
    for found in maps:
        shares = np.clip(found, 0, None).ravel()
        order = np.argsort(-shares, kind="stable")
        count = int(np.searchsorted(np.cumsum(shares[order]), mass * shares.sum())) + 1
        chosen = torch.zeros(1, shares.size, dtype=torch.bool)
        chosen[0, order[:count].copy()] = True
        mask = cells(chosen, grid, pixels).to(pixels.device)
        without, alone = answer(torch.cat([torch.where(mask, fill, pixels), torch.where(mask, pixels, fill)]))[
            :, target
        ]
        figures.append((whole - float(without), whole - float(alone), count / shares.size))
    return figures


def segments(grid: Grid) -> NDArray[np.int64]:
    """(t, h, w): number of the space-time segment of each token, 4 in time, 3 or 4 down and across."""
    down, across = (4 if edge % 4 == 0 else 3 for edge in (grid.h, grid.w))
    sizes = (grid.t, 4), (grid.h, down), (grid.w, across)
    steps, rows, columns = (np.arange(count) * parts // count for count, parts in sizes)
    return np.asarray((steps[:, None, None] * down + rows[:, None]) * across + columns)


def over_segments(found: Map, grid: Grid) -> Map:
    """The map with its mean over each space-time segment in every token of it: the finest that segments can say."""
    numbers = segments(grid)
    sizes = np.bincount(numbers.ravel())  # none, where a grid has fewer steps or rows than segments
    means = np.bincount(numbers.ravel(), found.ravel()) / np.maximum(sizes, 1)
    return np.asarray(means[numbers])


@torch.inference_mode()
def by_segment(
    answer: Answer, pixels: Tensor, fill: Tensor, maps: Sequence[Map], grid: Grid, target: int
) -> list[tuple[float, float]]:
    """Faithfulness and monotonicity of each map, over space-time segments; high is good.

    Faithfulness: correlation of a segment's weight with the fall of the probability when it is taken away.
    Monotonicity: share of the steps at which the probability does not fall while segments are put in, least first.
    """
    numbers = segments(grid)
    count = int(numbers.max()) + 1
    single = torch.from_numpy(numbers.ravel()[None] == np.arange(count)[:, None])
    whole = float(answer(pixels)[0, target])
    fall = whole - answer(torch.where(cells(single, grid, pixels), fill, pixels))[:, target].double().cpu().numpy()
    found = []
    for one in maps:
        shares = np.bincount(numbers.ravel(), one.ravel(), count)
        flat = np.ptp(shares) == 0 or np.ptp(fall) == 0
        together = 0.0 if flat else float(np.corrcoef(shares, fall)[0, 1])
        grown = single[torch.from_numpy(np.argsort(shares, kind="stable").copy())].cumsum(0).bool()
        rising = answer(torch.where(cells(grown, grid, pixels), pixels, fill))[:, target].double().cpu().numpy()
        found.append((together, float((np.diff(rising) >= 0).mean())))
    return found


def bootstrap(values: Sequence[float], draws: int = 2000) -> tuple[float, float, float]:
    """Mean, and the 2.5th and 97.5th percentile of the means of samples drawn with replacement."""
    given = np.asarray([value for value in values if np.isfinite(value)], np.float64)
    if not given.size:
        return (float("nan"),) * 3
    means = given[np.random.default_rng(0).integers(given.size, size=(draws, given.size))].mean(1)
    return float(given.mean()), float(np.percentile(means, 2.5)), float(np.percentile(means, 97.5))
