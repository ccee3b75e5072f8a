"""The methods of the core as ways to explain, and other definitions of the class map that were tried."""

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.faithfulness.baselines import Subject
from benchmarks.faithfulness.metrics import Map
from staa import Options, focus
from staa.attribution import METHODS, Maps, Reading, rollout_step, staa, staa_class, without_cls, written_for
from staa.capture import Wanted, capture
from staa.sites import READ_ROLES

Way = Callable[[Subject, Tensor, int], Map]
MASS = Options().mass
KNOWN = {field.name for field in fields(Options)}


def core_method(method: str, *, focused: bool = False, signed: bool = False) -> Way:
    """Return a method of the core as a way to explain; `signed` also shows what speaks against the class."""

    def way(subject: Subject, pixels: Tensor, target: int) -> Map:
        options = Options(method=method, target=target if METHODS[method].classes else None)
        explainer = subject.explainer
        (shown,) = explainer.attributions(explainer.forward(pixels, {0: method}), [options])
        cells = (shown.signed if signed and shown.signed is not None else shown.joint).astype(np.float64)
        return np.where(cells >= focus.threshold(shown.joint, MASS), cells, 0) if focused else cells

    return way


def refined(method: str, points: int) -> Way:
    """Return a class method that chooses among maps with `points` more passes, as one whole call of the explainer."""

    def way(subject: Subject, _pixels: Tensor, target: int) -> Map:
        if subject.clip is None:
            raise ValueError("a refined map is of a clip: set the subject's clip first")
        more: dict[str, Any] = {"refine": points}
        shown = subject.explainer([subject.clip], Options(method=method, target=target, **more))[0].attribution
        if shown is None:
            raise ValueError("the explainer gave no map")
        return shown.joint.astype(np.float64)

    return way


def variant(*, carried: bool, early: bool = False, above_mean: bool = False) -> Way:
    """Return a class map by another definition than that of the model's family."""

    def way(subject: Subject, pixels: Tensor, target: int) -> Map:
        reading = read_all(subject, pixels, target, above_mean=above_mean)
        captured = [replace(kept, site=replace(kept.site, carried=carried)) for kept in reading.captured]
        return _on_grid(subject, (positive_only if early else staa_class)(replace(reading, captured=captured))[0])

    return way


def positive_only(reading: Reading) -> Maps:
    """Compute version 1 of the class map, which drops evidence against the class in every block."""
    grid = reading.grid
    pushes = torch.zeros(len(reading.direction), 1, grid.t, grid.h * grid.w)
    for attention in reversed(reading.captured):
        layout = attention.site.layout
        if attention.site.carried:
            pushes = rollout_step(attention, None, pushes)[1]
        if attention.site.role in READ_ROLES:
            push = layout.to_grid(without_cls(layout, written_for(attention, reading.direction)))
            pushes = pushes + push.clamp(min=0)[:, None]
    return pushes[:, 0], None


def norms(subject: Subject, pixels: Tensor, target: int) -> Map:
    """Sum over blocks the norms of what each token writes into the token that is read (Kobayashi et al. 2020)."""
    total = np.zeros(subject.grid.shape)
    for kept in read_all(subject, pixels, target).captured:
        if kept.values is not None and kept.weights is not None and kept.site.output is not None:
            weight = kept.site.output.weight.float().view(-1, *kept.values.shape[-3::2])
            sizes = torch.einsum("rshn,rshnd,ohd->rsno", kept.weights, kept.values, weight).norm(dim=-1)
            total += _on_grid(subject, kept.site.layout.to_grid(without_cls(kept.site.layout, sizes)))
    return total


def strongest_head(subject: Subject, pixels: Tensor, target: int) -> Map:
    """Compute `staa` with the largest weight of the heads in place of their mean."""
    reading = read_all(subject, pixels, target)
    captured = [
        kept if kept.weights is None else replace(kept, weights=kept.weights.amax(2, keepdim=True))
        for kept in reading.captured
    ]
    return _on_grid(subject, staa(replace(reading, captured=captured))[0])


def _on_grid(subject: Subject, weights: Tensor) -> Map:
    return np.asarray(weights.double().view(subject.grid.shape))


def published(subject: Subject, pixels: Tensor, target: int) -> Map:
    """Draw `paper` as the public reference does: each step in pixels, blurred 7 x 7, cut at 70%, stretched to 0..1."""
    size = pixels.shape[-2:]
    steps = torch.from_numpy(core_method("paper")(subject, pixels, target))[:, None]
    drawn = F.interpolate(_stretched(steps), size=size, mode="bilinear")
    drawn = F.avg_pool2d(drawn, 7, stride=1, padding=3, count_include_pad=False)
    cut = drawn.flatten(1).quantile(0.7, 1).view(-1, 1, 1, 1)
    kept = _stretched(torch.where(drawn >= cut, drawn, 0))
    cells = F.adaptive_avg_pool2d(kept, subject.grid.shape[1:])[:, 0]
    weights = steps.mean((1, 2, 3))[:, None, None]  # its "temporal attention" is the mean weight of a step
    return np.asarray(cells * weights / weights.max())


def _stretched(maps: Tensor) -> Tensor:
    low, high = maps.amin((1, 2, 3), keepdim=True), maps.amax((1, 2, 3), keepdim=True)
    return (maps - low) / (high - low).clamp(min=1e-12)


def read_all(subject: Subject, pixels: Tensor, target: int, *, above_mean: bool = False) -> Reading:
    """Return a reading of one forward pass in which everything is kept."""
    explainer = subject.explainer
    with torch.inference_mode(), capture(explainer.sites, Wanted((0,), (0,), (0,)), 1) as captured:
        explainer.model(**{subject.input_name: pixels})
    toward = explainer.directions[target] - (explainer.directions.mean(0) if above_mean else 0)
    return Reading(captured, toward[None])


CORE_METHODS: dict[str, Way] = {
    "staa": core_method("staa"),
    "staa, focused": core_method("staa", focused=True),
    "staa_class": core_method("staa_class"),
    "staa_class, focused": core_method("staa_class", focused=True),
    "staa_class, signed": core_method("staa_class", signed=True),
    **({"staa_class, refine=16": refined("staa_class", 16)} if "refine" in KNOWN else {}),
    "rollout": core_method("rollout"),
    "paper (last block)": core_method("paper"),
    "paper, as published": published,
}
ABLATIONS: dict[str, Way] = {
    "staa_class, not carried back": variant(carried=False),
    "staa_class, carried back": variant(carried=True),
    "staa_class, carried back, positive pushes only": variant(carried=True, early=True),
    "staa_class, not carried, above the mean class": variant(carried=False, above_mean=True),
    "staa_class, carried, above the mean class": variant(carried=True, above_mean=True),
    "value norms": norms,
    "staa, strongest head": strongest_head,
}
