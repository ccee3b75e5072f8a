"""Chooses among several maps of one forward pass, by what the model answers to a few clips that show parts of it.

A map is the better, the more the class keeps of its probability where only the map's strongest cells are shown, and the
less it keeps where these are hidden. All maps are tried with one share of the cells, then the best two with others.
A cell that is not shown has the pixels of a fill: the blurred clip, or its mean frame, by turns.
"""

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from staa.attribution import MapRequest, Reading, attribution_of, class_map, direction_of, shared_evidence
from staa.errors import StaaError
from staa.types import Attribution, Forward, Grid, Refinement
from staa.verify import Map, Probabilities, blur, spread_to_pixels, within

ROUNDS = ((0.3, 0), (0.08, 1), (0.55, 1), (0.15, 0), (0.035, 1), (0.42, 0), (0.22, 1))
"""The share of the cells in each round, none of them a share of `verify` or of the benchmarks, and whether the fills
are exchanged: in round 0 the strongest cells are put into the blurred clip and taken away by the mean frame."""

CANDIDATES = {
    "class": "the map that a request without refine gets",
    "probability": "for the probability of the class among all classes, in place of its logit alone",
    "recentred": "for the same, with values centred where the map without refine does not, or not where it does",
    "direct": "of what was written for the class directly, whatever the MLPs make of it",
}
"""The name of a class map among which `refine` chooses -> what it is."""


def describe_choice(name: str) -> str:
    """Return in words which map was chosen; `name` is a key of CANDIDATES."""
    return f"this map was chosen by a test of deletion and insertion: {CANDIDATES[name]}"


def candidates(forward: Forward, request: MapRequest, directions: Tensor, *, exclusive: bool) -> dict[str, Attribution]:
    """Return the maps among which `refine` chooses, for a forward pass whose only explained row is the one asked for.

    Maps that would be the same as another one are left out: "probability" with a contrast, or where the classes do not
    exclude each other, and "direct" where no MLP follows what is read.

    Args:
        forward: what the forward pass kept for this row.
        request: the map that is wanted.
        directions: (K, width) the direction of each class in the residual stream.
        exclusive: whether a video has one of the classes, and not several.
    """
    (row,) = forward.rows
    reading = probable = Reading(forward.captured, direction_of(request, directions)[None])
    if request.contrast is None and exclusive:
        mean = forward.logits[row].softmax(-1) @ directions
        probable = replace(reading, direction=reading.direction - mean)
    formulas: dict[str, dict[str, bool]] = {
        "class": {},
        "probability": {},
        "recentred": {"recentred": True},
        "direct": {"through_mlps": False},
    }
    read = {"class": reading, "probability": probable, "recentred": probable, "direct": reading}
    if request.contrast is not None or not exclusive:
        del formulas["probability"]
    if all(attention.site.mlp is None for attention in reading.writers):
        del formulas["direct"]
    maps: dict[str, Attribution] = {}
    for name, formula in formulas.items():
        signed = class_map(read[name], **formula)
        (shared,) = shared_evidence(reading, signed, [request], directions, **formula)
        made = attribution_of(signed[0].clamp(min=0), signed[0], reading.grid, request)
        maps[name] = replace(made, shared_evidence=shared)
    return maps


def clips_of_round(maps: int) -> int:
    """Return how many clips go through the model in a round over some maps: each with its cells shown, and hidden."""
    return 2 * maps


def rounds_within(clips: int, maps: int) -> int:
    """Return how many rounds after the first `clips` clips allow, where the first is over all maps, the others over 2.

    With 16 clips and 4 maps it is 2: 8 clips for the first round, and 4 for each other.
    """
    return min((clips - clips_of_round(maps)) // clips_of_round(2), len(ROUNDS) - 1)


def mean_frame(pixels: Tensor) -> Tensor:
    """Return (B, T, 3, H, W) with every frame replaced by the mean frame of the clip, so that nothing moves."""
    return pixels.mean(1, keepdim=True).expand_as(pixels)


@torch.inference_mode()
def refine(
    probabilities: Probabilities,
    pixels: Tensor,
    maps: Mapping[str, Map],
    grid: Grid,
    clips: int,
    batch: int = 8,
    seconds: float = math.inf,
) -> Refinement:
    """Choose one of some maps.

    Args:
        probabilities: the model; its first column is the class of the maps.
        pixels: (1, T, 3, H, W), those of the clip.
        maps: name -> a map (t, h, w) of which only the order of the cells matters; the first is the one to beat.
        grid: the token grid.
        clips: the most clips through the model.
        batch: the most clips in one forward pass.
        seconds: the most wall time.

    Raises:
        TooSlowError: it would take more time; this is raised as soon as the first passes show it.
        BusyError: the model is quick enough, but the machine stood still.
        StaaError: the model returns values that are not numbers.
    """
    others = rounds_within(clips, len(maps))
    used = clips_of_round(len(maps)) + others * clips_of_round(2)
    answer = within(seconds, used, probabilities)
    fills = blur(pixels), mean_frame(pixels)
    orders = {name: np.argsort(-each.ravel(), kind="stable") for name, each in maps.items()}
    gains: dict[str, list[float]] = {name: [] for name in maps}

    def play(names: list[str], number: int) -> None:
        """Add to the gains of some maps the one of a round."""
        share, exchanged = ROUNDS[number]
        put, taken = fills[exchanged], fills[1 - exchanged]
        strongest = torch.zeros(len(names), orders[names[0]].size, dtype=torch.bool)
        for chosen, name in zip(strongest, names, strict=True):
            chosen[torch.from_numpy(orders[name][: max(1, round(share * chosen.numel()))].copy())] = True
        shown = spread_to_pixels(strongest.to(pixels.device), grid, pixels)
        changed = [clip for one in shown for clip in (torch.where(one, pixels, put), torch.where(one, taken, pixels))]
        answers = [answer(torch.cat(changed[first : first + batch]))[:, 0] for first in range(0, len(changed), batch)]
        pairs = torch.cat(answers).double().cpu().view(-1, 2)
        for name, (kept, left) in zip(names, pairs.tolist(), strict=True):
            gains[name].append(kept - left)

    play([*maps], 0)
    best = sorted(maps, key=lambda name: -gains[name][0])[:2]
    for number in range(1, others + 1):
        play(best, number)
    if not np.isfinite([*map(sum, gains.values())]).all():
        raise StaaError("the model's answers to a clip with hidden parts are no numbers: ask without refine")
    means = {name: float(np.mean(gains[name])) for name in best}
    chosen, other = sorted(best, key=lambda name: -means[name])
    return Refinement(chosen, other, means[chosen] - means[other], used)
