"""Is a map worth looking at? What becomes of the label while the tokens it names are taken away, or put in.

Deletion and insertion: Petsiuk, Das, Saenko 2018 (RISE), over tokens in place of pixels, beside random orders and the
middle of the clip. What is taken away becomes a blur of the clip.
"""

import math
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from staa.errors import StaaError, TooSlowError
from staa.types import Areas, Faithfulness, Grid

Map = NDArray[np.floating]
"""(t, h, w): only the order of its cells counts."""
Answer = Callable[[Tensor], Tensor]
"""Pixels (B, T, 3, H, W) -> probabilities (B, K)."""
SPAN = 0.1
"""What the probability must lose with all tokens: else there is nothing to tell maps apart by."""
MARGIN = 0.05
"""By how much of that loss a map must do better than another order. How often chance does: benchmarks/verdicts.py."""

VERDICTS = {
    "faithful": "the class rests on the cells of this map more than on random ones and on the middle of the clip",
    "no_better_than_centre": "the middle of the clip would have said as much as this map: do not rely on it",
    "no_better_than_random": "the class rests on the cells of this map no more than on random ones: distrust it",
    "untestable": "the class hardly loses anything with the whole clip blurred: that cannot show what it rests on",
}
"""Stable code -> what it means."""


def blurred(pixels: Tensor) -> Tensor:
    """(B, T, 3, H, W), every frame blurred until no object of the clip is left: a Gaussian of a quarter of its size."""
    flat = pixels.reshape(-1, 1, *pixels.shape[-2:]).float()
    for axis in (-2, -1):
        size = flat.shape[axis]
        reach = min(int(0.75 * size), size - 1)
        kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1, device=flat.device) / (size / 4)) ** 2)
        shape, pad = ((1, 1, -1, 1), (0, 0, reach, reach)) if axis == -2 else ((1, 1, 1, -1), (reach, reach, 0, 0))
        flat = F.conv2d(F.pad(flat, pad, "reflect"), (kernel / kernel.sum()).view(shape))
    return flat.to(pixels.dtype).view_as(pixels)


def centre(grid: Grid) -> NDArray[np.float64]:
    """A bell over the middle of frame and clip: what one would say without looking."""
    axes = [np.exp(-(((np.arange(n) - (n - 1) / 2) / (n / 4)) ** 2) / 2) for n in grid.shape]
    return np.asarray(np.einsum("t,h,w->thw", *axes))


def cells(chosen: Tensor, grid: Grid, pixels: Tensor) -> Tensor:
    """Tokens (B, t*h*w) -> pixels (B, T, 1, H, W): every pixel has the value of its token."""
    high, wide = pixels.shape[-2] // grid.h, pixels.shape[-1] // grid.w
    whole = chosen.view(-1, grid.t, 1, grid.h, grid.w).repeat_interleave(grid.tubelet, 1)
    return whole.repeat_interleave(high, 3).repeat_interleave(wide, 4)


@torch.inference_mode()
def curves(
    answer: Answer,
    pixels: Tensor,
    fill: Tensor,
    maps: Sequence[Map],
    grid: Grid,
    target: int,
    fractions: Sequence[float],
    batch: int,
) -> NDArray[np.float64]:
    """(2, maps, fractions): the target's probability while tokens are deleted, or inserted, best first.

    `pixels` and `fill` are (1, T, 3, H, W); `fractions` of the tokens ascend from 0 to 1; `batch` clips are answered at
    once. Cells of the same value are taken in a random order, the same for all maps.
    """
    tokens = grid.t * grid.h * grid.w
    shuffled = np.random.default_rng(0).permutation(tokens)
    inner = fractions[1:-1]
    chosen = torch.zeros(len(inner), 2, len(maps), tokens, dtype=torch.bool)
    for one, found in enumerate(maps):
        order = shuffled[np.argsort(-found.ravel()[shuffled], kind="stable")]
        for index, fraction in enumerate(inner):
            taken = order[: max(1, round(fraction * tokens))].copy()
            chosen[index, 0, one] = True  # what stays of the clip: all but those deleted, those inserted
            chosen[index, 0, one, taken] = False
            chosen[index, 1, one, taken] = True
    flat = chosen.flatten(0, 2).to(pixels.device)
    ends = torch.cat([answer(one)[:, target] for one in (pixels, fill)]).double().cpu().numpy()
    parts = [
        answer(torch.where(cells(flat[first : first + batch], grid, pixels), pixels, fill))[:, target].double().cpu()
        for first in range(0, len(flat), batch)
    ]
    made = np.empty((2, len(maps), len(fractions)))
    made[0, :, 0], made[0, :, -1], made[1, :, 0], made[1, :, -1] = ends[0], ends[1], ends[1], ends[0]
    made[:, :, 1:-1] = torch.cat(parts).view(len(inner), 2, len(maps)).permute(1, 2, 0).numpy()
    return made


def area(curve: NDArray[np.float64], fractions: Sequence[float]) -> NDArray[np.float64]:
    """Under a curve: low is good for deletion, high for insertion."""
    return np.asarray(np.trapezoid(curve, fractions))


def points(count: int) -> tuple[float, ...]:
    """Shares of the tokens, 0 and 1 and so many between them, closer where the evidence is."""
    return tuple(float((step / (count + 1)) ** 2) for step in range(count + 2))


def verify(
    answer: Answer, pixels: Tensor, joint: Map, grid: Grid, count: int, batch: int = 8, seconds: float = math.inf
) -> tuple[tuple[float, float], tuple[Areas, Areas, Areas]]:
    """Deletion and insertion of a map, of a random order (the better of two) and of the centre.

    Args:
        answer: gives the probability that is followed as class 0.
        pixels: (1, T, 3, H, W) of the clip.
        joint: the map.
        grid: its tokens.
        count: points of each curve between its ends; each takes 8 clips through the model.
        batch: clips that are answered at once, at most.
        seconds: wall time that it may take.

    Returns:
        The probability for the whole clip and for its blur, and the areas.

    Raises:
        TooSlowError: it would take longer; it is told as soon as the first passes show it.
        StaaError: the model's answers are no numbers.
    """
    generator = np.random.default_rng(0)
    chance = [generator.random(grid.shape) for _ in range(2)]
    # where all cells are alike they have no order of their own
    orders = [joint if np.ptp(joint) else chance[0], *chance, centre(grid)]
    timed = _within(seconds, 8 * count + 2, answer)
    made = curves(timed, pixels, blurred(pixels), orders, grid, 0, points(count), batch)
    if not np.isfinite(made).all():
        raise StaaError("the model's answers to a clip with blurred parts are no numbers: ask without verify")
    found, *randoms, middle = (Areas(*map(float, each)) for each in area(made, points(count)).T)
    ends = float(made[0, 0, 0]), float(made[0, 0, -1])
    return ends, (found, max(randoms, key=lambda one: one.gain), middle)


def _within(seconds: float, clips: int, answer: Answer) -> Answer:
    """The same, as long as so many clips can be answered in this time."""
    began, done = time.perf_counter(), 0

    def timed(pixels: Tensor) -> Tensor:
        nonlocal done
        found = answer(pixels)
        done += len(pixels)
        needed = (time.perf_counter() - began) / done * clips
        if needed > seconds:
            left = f"{max(seconds, 0):.0f} s are left of what this server spends on it"
            msg = f"verifying would take {needed:.0f} s, and {left}: ask for fewer points, or none"
            raise TooSlowError(msg)
        return found

    return timed


def verdict(found: Faithfulness) -> str:
    """A key of VERDICTS."""
    span = found.probability - found.blurred
    if span < SPAN:
        return "untestable"
    if found.map.gain - found.random.gain < MARGIN * span:
        return "no_better_than_random"
    if found.map.gain - found.centre.gain < MARGIN * span:
        return "no_better_than_centre"
    return "faithful"
