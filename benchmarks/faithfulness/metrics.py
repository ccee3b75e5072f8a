"""How well a map agrees with the truth of a clip, and with the model: every figure in one place.

A map is (t, h, w) over the tokens of a model; only the order and the shares of its cells count. Source of deletion and
insertion: Petsiuk, Das, Saenko 2018 (RISE); comprehensiveness and sufficiency: DeYoung et al. 2020 (ERASER);
faithfulness and monotonicity: Alvarez-Melis, Jaakkola 2018 and Luss et al. 2019, as in AIX360.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import mannwhitneyu
from torch import Tensor

from staa.refine import mean_frame
from staa.types import Grid
from staa.verify import Probabilities, blur, spread_to_pixels
from training.clips import Sample
from training.evaluate import COVERED, event_steps, token_means

Map = NDArray[np.float64]
FRACTIONS = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.7, 1.0)
"""Shares of the tokens that are deleted or inserted; they are closer near 0, where the strongest tokens are."""


@dataclass(frozen=True)
class Truth:
    """Holds what a clip shows, for the tokens of a model."""

    thing: Map
    """(t, h, w): the share of each token that the object covers."""
    distractors: Map
    """(t, h, w): the share of each token that distractors cover."""
    event: NDArray[np.bool_]
    """(t,): whether the event happens in each step."""
    mask: NDArray[np.bool_]
    """(T, H, W): whether each pixel belongs to the object."""

    @classmethod
    def of(cls, sample: Sample, grid: Grid) -> "Truth":
        """Return the truth of a clip for the tokens of a grid."""
        thing, distractors = token_means(sample.mask, grid), token_means(sample.distractors, grid)
        return cls(thing, distractors, event_steps(sample, grid), sample.mask)


def auroc(scores: NDArray[np.floating], truth: NDArray[np.bool_]) -> float:
    """Return the probability that a true item has a higher score than a false one; equal scores count half."""
    yes, no = scores.ravel()[truth.ravel()], scores.ravel()[~truth.ravel()]
    if not yes.size or not no.size:
        return float("nan")
    return float(mannwhitneyu(yes, no).statistic / (yes.size * no.size))


def agreement(shares: Map, truth: Truth) -> dict[str, float]:
    """Compare a map with the truth, where and when; it may be signed: what speaks for the class counts.

    Of several strongest cells "pointing" is the share that lies on the object: a map of large segments has no corner
    that is meant more than the rest. "distractors" is what a pixel of theirs gets, over that and what a pixel of the
    object gets: 0.5 is alike; clips without any have no such figure.
    """
    positive = np.clip(shares, 0, None)
    positive = positive / (positive.sum() or 1)
    hit = truth.thing >= COVERED
    temporal = positive.sum((1, 2))
    top = np.argsort(-temporal, kind="stable")[: truth.event.sum()]
    steps, high, wide = (mask // cell for mask, cell in zip(truth.mask.shape, shares.shape, strict=True))
    pixels = positive.repeat(steps, 0).repeat(high, 1).repeat(wide, 2)
    scores = {
        "pointing": float(hit[shares == shares.max()].mean()),
        "pixel AUROC": auroc(pixels.ravel(), truth.mask.ravel()),
        "mass on object": float((positive * truth.thing).sum()),
        "when AUROC": auroc(temporal, truth.event),
        "when top-k": float(truth.event[top].mean()),
    }
    covers = truth.distractors, truth.thing
    wrong, right = (float((positive * cover).sum() / (cover.sum() or 1)) for cover in covers)
    if truth.distractors.any() and wrong + right:
        scores["distractors"] = wrong / (wrong + right)
    return scores


FILLS: dict[str, Callable[[Tensor], Tensor]] = {"blur": blur, "mean": mean_frame}
"""Name -> the function that makes the pixels shown by deleted tokens."""


def remembered(answer: Probabilities) -> Probabilities:
    """Return the same function, which asks the model only once about the same pixels: many maps begin alike."""
    known: dict[int, Tensor] = {}

    def ask(pixels: Tensor) -> Tensor:
        names = [hash(clip.cpu().numpy().tobytes()) for clip in pixels]  # 64 bits, in a fifth of the time of a digest
        new = {name: row for row, name in enumerate(names) if name not in known}
        if new:
            known.update(zip(new, answer(pixels[list(new.values())]), strict=True))
        return torch.stack([known[name] for name in names])

    return ask


@torch.inference_mode()
def kept(
    answer: Probabilities, pixels: Tensor, fill: Tensor, maps: Sequence[Map], grid: Grid, target: int, mass: float
) -> list[tuple[float, float, float]]:
    """Return comprehensiveness and sufficiency of the cells that hold `mass` of each map, and their share of all.

    They are the fall of the probability without these cells (high is good) and with only them (low is good). A map that
    is spread keeps more cells, and more cells improve both: compare these figures only for similar shares.
    """
    whole = float(answer(pixels)[0, target])
    figures = []
    for cells in maps:
        shares = np.clip(cells, 0, None).ravel()
        order = np.argsort(-shares, kind="stable")
        count = int(np.searchsorted(np.cumsum(shares[order]), mass * shares.sum())) + 1
        chosen = torch.zeros(1, shares.size, dtype=torch.bool)
        chosen[0, order[:count].copy()] = True
        mask = spread_to_pixels(chosen, grid, pixels).to(pixels.device)
        clips = torch.cat([torch.where(mask, fill, pixels), torch.where(mask, pixels, fill)])
        without, alone = answer(clips)[:, target]
        figures.append((whole - float(without), whole - float(alone), count / shares.size))
    return figures


def segments(grid: Grid) -> NDArray[np.int64]:
    """Return (t, h, w): the number of each token's space-time segment; there are 4 in time, 3 or 4 down and across."""
    down, across = (4 if edge % 4 == 0 else 3 for edge in (grid.h, grid.w))
    sizes = (grid.t, 4), (grid.h, down), (grid.w, across)
    steps, rows, columns = (np.arange(count) * segments // count for count, segments in sizes)
    return np.asarray((steps[:, None, None] * down + rows[:, None]) * across + columns)


def over_segments(shares: Map, grid: Grid) -> Map:
    """Return a map in which every token has the mean of its space-time segment, the finest map of segments."""
    numbers = segments(grid)
    sizes = np.bincount(numbers.ravel())  # none, where a grid has fewer steps or rows than segments
    means = np.bincount(numbers.ravel(), shares.ravel()) / np.maximum(sizes, 1)
    return np.asarray(means[numbers])


TRUE: dict[str, Callable[[Map, Grid], Map]] = {
    "the object": lambda thing, _grid: thing,
    "the object, by segments": over_segments,
}
"""Name -> what makes a map of the truth: no ways to explain, they cost nothing, and say what a map could reach."""


@torch.inference_mode()
def by_segment(
    answer: Probabilities, pixels: Tensor, fill: Tensor, maps: Sequence[Map], grid: Grid, target: int
) -> list[tuple[float, float]]:
    """Return faithfulness and monotonicity of each map, over space-time segments; high is good.

    Faithfulness is the correlation of a segment's weight with the fall of the probability when it is deleted.
    Monotonicity is the share of steps without a fall of the probability while segments are inserted, weakest first.
    """
    numbers = segments(grid)
    count = int(numbers.max()) + 1
    single = torch.from_numpy(numbers.ravel()[None] == np.arange(count)[:, None])

    def follow(clips: Tensor) -> NDArray[np.float64]:
        return np.asarray(answer(clips)[:, target].double().cpu())

    fall = follow(pixels) - follow(torch.where(spread_to_pixels(single, grid, pixels), fill, pixels))
    figures = []
    for cells in maps:
        shares = np.bincount(numbers.ravel(), cells.ravel(), count)
        flat = np.ptp(shares) == 0 or np.ptp(fall) == 0
        together = 0.0 if flat else float(np.corrcoef(shares, fall)[0, 1])
        grown = single[torch.from_numpy(np.argsort(shares, kind="stable").copy())].cumsum(0).bool()
        rising = follow(torch.where(spread_to_pixels(grown, grid, pixels), pixels, fill))
        figures.append((together, float((np.diff(rising) >= 0).mean())))
    return figures


DRAWS = 2000


def bootstrap(values: Sequence[float]) -> tuple[float, float, float]:
    """Return the mean, and the 2.5th and 97.5th percentile of the means of bootstrap samples."""
    given = np.asarray([value for value in values if np.isfinite(value)], np.float64)
    if not given.size:
        return (float("nan"),) * 3
    # the difference to one of them is exactly 0 where all are alike
    means = given[0] + _resamples(given.size) @ (given - given[0])
    low, high = np.percentile(means, [2.5, 97.5])
    return float(given.mean()), float(low), float(high)


@lru_cache(maxsize=8)
def _resamples(size: int) -> Map:
    """Return (draws, size): the share that each of `size` values has of each bootstrap sample."""
    drawn = np.random.default_rng(0).integers(size, size=(DRAWS, size)) + size * np.arange(DRAWS)[:, None]
    return np.bincount(drawn.ravel(), minlength=DRAWS * size).reshape(DRAWS, size) / size
