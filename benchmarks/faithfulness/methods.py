"""The methods of the core as ways to explain, and other definitions of the class map that were tried."""

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.faithfulness.baselines import BATCH, Subject
from benchmarks.faithfulness.metrics import Map
from staa import Explainer, Options, focus
from staa.attribution import METHODS, Reading, back_through_mlp, spread, without_cls, written_for
from staa.capture import capture
from staa.refine import CANDIDATES
from staa.sites import READ_ROLES, Wanted

Way = Callable[[Subject, Tensor, int], Map]


class Explained(Protocol):
    """Has an explainer; our own methods ask nothing else of a subject."""

    @property
    def explainer(self) -> Explainer:
        """Return it."""


OurWay = Callable[[Explained, Tensor, int], Map]
MASS = Options().mass


def core_method(method: str, *, focused: bool = False) -> OurWay:
    """Return a method of the core as a way to explain; a class map shows what speaks against the class as negative."""

    def way(subject: Explained, pixels: Tensor, target: int) -> Map:
        options = Options(method=method, target=target if METHODS[method].classes else None)
        explainer = subject.explainer
        (shown,) = explainer.attributions(explainer.forward(pixels, {0: method}), [options])
        cells = shown.ranking.astype(np.float64)
        return np.where(shown.joint >= focus.threshold(shown.joint, MASS), cells, 0) if focused else cells

    return way


def refined(subject: Explained, pixels: Tensor, target: int) -> Map:
    """Choose among class maps with 16 more passes."""
    explainer = subject.explainer
    options = Options(method="staa_class", target=target, refine=16)
    maps = explainer.candidates(explainer.forward(pixels, {0: options.method}), 0, options)
    chosen, _ = explainer.choose(pixels, maps, options.refine, BATCH)
    return chosen.ranking.astype(np.float64)


def before_writes(subject: Explained, pixels: Tensor, target: int) -> Map:
    """Compute version 1 of `staa`: mean attention of the token that is read, mixed once with temporal attention."""
    reading = read_all(subject, pixels, target)
    rows = [kept.site.layout.to_grid(without_cls(kept.site.layout, kept.weights.mean(2))) for kept in _writers(reading)]
    space = torch.stack(rows).mean(0)
    if matrices := [kept.matrix for kept in reading.captured if kept.matrix is not None]:
        mixed = torch.stack(matrices).mean(0)
        space = 0.5 * space + 0.5 * (space.transpose(1, 2).unsqueeze(2) @ mixed).squeeze(2).transpose(1, 2)
    for kept in reversed(reading.captured):
        if kept.site.role == "pool":
            space = 0.5 * space + 0.5 * spread(kept, None, space)[1]
    return _on_grid(subject, space)


def direct_pushes(subject: Explained, pixels: Tensor, target: int) -> Map:
    """Compute version 2 of `staa_class`: the direction of the class is the same in all blocks, shares are 1/2."""
    reading = read_all(subject, pixels, target)
    total = torch.zeros(1, subject.explainer.grid.t, subject.explainer.grid.h * subject.explainer.grid.w)
    for kept in reversed(reading.captured):
        if kept.site.carried:
            total = 0.5 * total + 0.5 * spread(kept, None, total)[1]
        if kept.site.role in READ_ROLES:
            push = written_for(kept, reading.direction[:, None])
            total = total + kept.site.layout.to_grid(without_cls(kept.site.layout, push))
    return _on_grid(subject, total)


def through_all_patches(subject: Explained, pixels: Tensor, target: int) -> Map:
    """Compute `staa_class` with every patch's own row of spatial attention, where CLS's row stands for them."""
    reading = read_all(subject, pixels, target)
    total = torch.zeros(1, subject.explainer.grid.t, subject.explainer.grid.h * subject.explainer.grid.w)
    direction = reading.direction[:, None]
    for kept in reversed(reading.captured):
        if kept.share is not None:
            total = total - kept.share * total + spread(kept, None, kept.share * total)[1]
        if kept.site.role in READ_ROLES:
            direction = back_through_mlp(kept, direction)
            push = written_for(kept, direction, centred=not any(each.site.carried for each in reading.captured))
            total = total + kept.site.layout.to_grid(without_cls(kept.site.layout, push))
    return _on_grid(subject, total)


def candidate(name: str) -> OurWay:
    """Return one of the maps among which `refine` chooses."""

    def way(subject: Explained, pixels: Tensor, target: int) -> Map:
        options = Options(method="staa_class", target=target, contrast="none")
        forward = subject.explainer.forward(pixels, {0: options.method})
        return subject.explainer.candidates(forward, 0, options)[name].ranking.astype(np.float64)

    return way


def _writers(reading: Reading) -> list[Any]:
    return [kept for kept in reading.captured if kept.weights is not None]


def _on_grid(subject: Explained, weights: Tensor) -> Map:
    return np.asarray(weights.double().view(subject.explainer.grid.shape))


def published(subject: Explained, pixels: Tensor, target: int) -> Map:
    """Draw `paper` as the public reference does: each step in pixels, blurred 7 x 7, cut at 70%, stretched to 0..1."""
    size = pixels.shape[-2:]
    steps = torch.from_numpy(core_method("paper")(subject, pixels, target))[:, None]
    drawn = F.interpolate(_stretched(steps), size=size, mode="bilinear")
    drawn = F.avg_pool2d(drawn, 7, stride=1, padding=3, count_include_pad=False)
    cut = drawn.flatten(1).quantile(0.7, 1).view(-1, 1, 1, 1)
    kept = _stretched(torch.where(drawn >= cut, drawn, 0))
    cells = F.adaptive_avg_pool2d(kept, subject.explainer.grid.shape[1:])[:, 0]
    weights = steps.mean((1, 2, 3))[:, None, None]  # its "temporal attention" is the mean weight of a step
    return np.asarray(cells * weights / weights.max())


def _stretched(maps: Tensor) -> Tensor:
    low, high = maps.amin((1, 2, 3), keepdim=True), maps.amax((1, 2, 3), keepdim=True)
    return (maps - low) / (high - low).clamp(min=1e-12)


def read_all(subject: Explained, pixels: Tensor, target: int) -> Reading:
    """Return a reading of one forward pass in which everything is kept."""
    explainer = subject.explainer
    model: Any = explainer.model
    with torch.inference_mode(), capture(explainer.sites, Wanted(*[(0,)] * 5), 1) as captured:
        model(**{model.main_input_name: pixels})
    return Reading(captured, explainer.directions[[target]])


CORE_METHODS: dict[str, OurWay] = {
    "staa": core_method("staa"),
    "staa, focused": core_method("staa", focused=True),
    "staa_class": core_method("staa_class"),
    "staa_class, focused": core_method("staa_class", focused=True),
    "staa_class, refine=16": refined,
    "rollout": core_method("rollout"),
    "paper (last block)": core_method("paper"),
    "paper, as published": published,
    "staa, version 1": before_writes,
    "staa_class, version 2": direct_pushes,
}
ABLATIONS: dict[str, OurWay] = {
    **{f"staa_class, {name}": candidate(name) for name in CANDIDATES if name != "class"},
    "staa_class, every patch's own row": through_all_patches,
}
