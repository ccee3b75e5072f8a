"""Checks a map: how the label's probability changes while the tokens that it shows are deleted or inserted.

Deletion and insertion are those of Petsiuk, Das, Saenko 2018 (RISE), but with tokens in place of pixels. A map is
compared to random orders and to a bell over the middle of the clip. A deleted token shows the blurred clip.
"""

import math
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from staa.errors import BusyError, StaaError, TooSlowError
from staa.types import Areas, Faithfulness, Grid

Map = NDArray[np.floating]
"""A map (t, h, w); only the order of its cells matters here."""
Probabilities = Callable[[Tensor], Tensor]
"""A function that returns probabilities (B, K) for pixels (B, T, 3, H, W)."""
LEAST_LOSS = 0.1
"""The least loss of probability when all tokens are deleted: with less, maps cannot be compared."""
LEAST_LEAD = 0.05
"""By how much of that loss a map must do better than another order.

How often chance does: benchmarks/faithfulness/verdicts.py.
"""

_LEAST_COMPUTED = 0.2
"""A pass that took less of the processor's time than this share of its own was stopped, and not slow."""

VERDICTS = {
    "faithful": "the class rests on the cells of this map more than on random ones and on the middle of the clip",
    "no_better_than_centre": "the middle of the clip would have said as much as this map: do not rely on it",
    "no_better_than_random": "the class rests on the cells of this map no more than on random ones: distrust it",
    "untestable": "the class hardly loses anything with all cells hidden: that cannot show what it rests on",
}
"""Stable code of a verdict -> its meaning."""


def blur(pixels: Tensor) -> Tensor:
    """Blur every frame of (B, T, 3, H, W) until no object is visible: a Gaussian of a quarter of the frame's size."""
    flat = pixels.reshape(-1, 1, *pixels.shape[-2:]).float()
    for axis in (-2, -1):
        size = flat.shape[axis]
        reach = min(int(0.75 * size), size - 1)
        kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1, device=flat.device) / (size / 4)) ** 2)
        # row i: how much pixel i of a line takes of each pixel; a product is much quicker than so wide a convolution
        mirrored = F.pad(torch.arange(size, device=flat.device)[None].float(), (reach, reach), "reflect")[0].long()
        weights = (kernel / kernel.sum()).expand(size, -1)
        taken = torch.zeros(size, size, device=flat.device).scatter_add_(1, mirrored.unfold(0, len(kernel), 1), weights)
        flat = flat @ taken.T if axis == -1 else taken @ flat
    return flat.to(pixels.dtype).view_as(pixels)


def mean_colour(pixels: Tensor) -> Tensor:
    """Return (B, T, 3, H, W) in one colour, the mean of the whole clip."""
    return pixels.mean((1, 3, 4), keepdim=True).expand_as(pixels)


def centre_map(grid: Grid) -> NDArray[np.float64]:
    """Return a map (t, h, w) with a bell over the middle of frame and clip: a guess without looking at the clip."""
    axes = [np.exp(-(((np.arange(n) - (n - 1) / 2) / (n / 4)) ** 2) / 2) for n in grid.shape]
    return np.asarray(np.einsum("t,h,w->thw", *axes))


def spread_to_pixels(chosen: Tensor, grid: Grid, pixels: Tensor) -> Tensor:
    """Give every pixel the value of its token: tokens (B, t*h*w) -> pixels (B, T, 1, H, W)."""
    high, wide = pixels.shape[-2] // grid.h, pixels.shape[-1] // grid.w
    whole = chosen.view(-1, grid.t, 1, grid.h, grid.w).repeat_interleave(grid.tubelet, 1)
    return whole.repeat_interleave(high, 3).repeat_interleave(wide, 4)


@torch.inference_mode()
def curves(
    probabilities: Probabilities,
    pixels: Tensor,
    fill: Tensor,
    maps: Sequence[Map],
    grid: Grid,
    target: int,
    fractions: Sequence[float],
    batch: int,
) -> NDArray[np.float64]:
    """Return the target's probability while tokens are deleted (0) or inserted (1), best first: (2, maps, fractions).

    Cells of the same value are taken in a random order, the same for all maps.

    Args:
        probabilities: the model.
        pixels: (1, T, 3, H, W), those of the clip.
        fill: (1, T, 3, H, W), what a deleted token shows.
        maps: the maps to check.
        grid: the token grid.
        target: the column of the probabilities to return.
        fractions: shares of the tokens, ascending from 0 to 1.
        batch: how many clips go through the model at a time.
    """
    tokens = grid.t * grid.h * grid.w
    shuffled = np.random.default_rng(0).permutation(tokens)
    inner = fractions[1:-1]
    chosen = torch.zeros(len(inner), 2, len(maps), tokens, dtype=torch.bool)
    for index, each_map in enumerate(maps):
        order = shuffled[np.argsort(-each_map.ravel()[shuffled], kind="stable")]
        for step, fraction in enumerate(inner):
            taken = order[: max(1, round(fraction * tokens))].copy()
            chosen[step, 0, index] = True  # what stays of the clip: all but those deleted, those inserted
            chosen[step, 0, index, taken] = False
            chosen[step, 1, index, taken] = True
    flat = chosen.flatten(0, 2).to(pixels.device)
    ends = torch.cat([probabilities(clip)[:, target] for clip in (pixels, fill)]).double().cpu().numpy()
    batches = []
    for first in range(0, len(flat), batch):
        stays = spread_to_pixels(flat[first : first + batch], grid, pixels)
        batches.append(probabilities(torch.where(stays, pixels, fill))[:, target].double().cpu())
    curve = np.empty((2, len(maps), len(fractions)))
    curve[0, :, 0], curve[0, :, -1], curve[1, :, 0], curve[1, :, -1] = ends[0], ends[1], ends[1], ends[0]
    curve[:, :, 1:-1] = torch.cat(batches).view(len(inner), 2, len(maps)).permute(1, 2, 0).numpy()
    return curve


def area_under(curve: NDArray[np.float64], fractions: Sequence[float]) -> NDArray[np.float64]:
    """Return the area under a curve: low is good for deletion, high for insertion."""
    return np.asarray(np.trapezoid(curve, fractions))


def token_shares(count: int) -> tuple[float, ...]:
    """Return shares of the tokens: 0, 1 and `count` between them, closer near 0, where the strongest tokens are.

    For a count of 3 they are 0, 0.0625, 0.25, 0.5625 and 1.
    """
    return tuple(float((step / (count + 1)) ** 2) for step in range(count + 2))


def verify(
    probabilities: Probabilities,
    pixels: Tensor,
    joint: Map,
    grid: Grid,
    count: int,
    batch: int = 8,
    seconds: float = math.inf,
    fill: Callable[[Tensor], Tensor] = blur,
) -> tuple[tuple[float, float], tuple[Areas, Areas, Areas]]:
    """Measure deletion and insertion of a map, of a random order (the better of two) and of the centre.

    Args:
        probabilities: the model; its class 0 is the one whose probability is measured.
        pixels: (1, T, 3, H, W), those of the clip.
        joint: the map.
        grid: the token grid.
        count: how many points each curve has between its ends; each needs 8 clips through the model.
        batch: the most clips that go through the model at a time.
        seconds: the most wall time.
        fill: makes of a clip the one that deleted tokens show.

    Returns:
        The probabilities for the clip and for the filled clip, and the areas for the map, the random order and the
        centre.

    Raises:
        TooSlowError: it would take more time; this is raised as soon as the first passes show it.
        BusyError: the model is quick enough, but the machine stood still.
        StaaError: the model returns values that are not numbers.
    """
    generator = np.random.default_rng(0)
    chance = [generator.random(grid.shape) for _ in range(2)]
    # where all cells are alike they have no order of their own
    orders = [joint if np.ptp(joint) else chance[0], *chance, centre_map(grid)]
    timed = within(seconds, 8 * count + 2, probabilities)
    curve = curves(timed, pixels, fill(pixels), orders, grid, 0, token_shares(count), batch)
    if not np.isfinite(curve).all():
        raise StaaError("the model's answers to a clip with hidden parts are no numbers: ask without verify")
    of_map, *of_random, of_centre = (Areas(*map(float, both)) for both in area_under(curve, token_shares(count)).T)
    ends = float(curve[0, 0, 0]), float(curve[0, 0, -1])
    return ends, (of_map, max(of_random, key=lambda areas: areas.gain), of_centre)


def within(
    seconds: float,
    clips: int,
    probabilities: Probabilities,
    clock: Callable[[], float] = time.perf_counter,
    cpu_clock: Callable[[], float] = time.process_time,
) -> Probabilities:
    """Wrap a function so that it raises an error once `clips` clips clearly need more than `seconds`.

    The quickest pass tells what the model needs, however long the machine stood still in another one; of a first pass
    that took all of the time, the processor's time tells whether it was computed at all. If the model alone is too slow
    that is a TooSlowError, which asking again does not help; otherwise a BusyError.
    """
    began, cpu_began = clock(), cpu_clock()
    done, passes, quickest = 0, 0, math.inf

    def timed(pixels: Tensor) -> Tensor:
        nonlocal done, passes, quickest
        before = clock()
        answers = probabilities(pixels)
        now = clock()
        done, passes, quickest = done + len(pixels), passes + 1, min(quickest, (now - before) / len(pixels))
        needed, spent = quickest * clips, now - began
        stood_still = passes == 1 and cpu_clock() - cpu_began < _LEAST_COMPUTED * spent
        if needed > seconds and not stood_still and (passes > 1 or spent > seconds):
            left = f"{max(seconds, 0):.0f} s are left of what this server spends on it"
            raise TooSlowError(f"verifying would take {needed:.0f} s, and {left}: ask for fewer points, or none")
        is_late = needed <= seconds < spent + quickest * (clips - done)
        if is_late or (stood_still and spent > seconds):
            raise BusyError("this machine stood still while the map was verified: ask again")
        return answers

    return timed


def verdict(checked: Faithfulness) -> str:
    """Return the verdict of a check, a key of VERDICTS."""
    loss = checked.probability - checked.blurred
    if loss < LEAST_LOSS:
        return "untestable"
    if checked.map.gain - checked.random.gain < LEAST_LEAD * loss:
        return "no_better_than_random"
    if checked.map.gain - checked.centre.gain < LEAST_LEAD * loss:
        return "no_better_than_centre"
    return "faithful"
