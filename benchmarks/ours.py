"""Our ways to explain, and other definitions of the class map that were tried."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.metrics import Map
from benchmarks.others import Subject
from staa import Options, focus
from staa.attribution import METHODS, Maps, Reading, back, pushes, staa, staa_class, without_cls
from staa.capture import Wanted, capture
from staa.sites import READ

Way = Callable[[Subject, Tensor, int], Map]
MASS = Options().mass


def ours(method: str, *, focused: bool = False, signed: bool = False) -> Way:
    """A method of the core; for the class where it takes one, and then also with what speaks against it."""

    def way(subject: Subject, pixels: Tensor, target: int) -> Map:
        subject.forwards += 1
        options = Options(method=method, target=target if METHODS[method].classes else None)
        explainer = subject.explainer
        (found,) = explainer.attributions(explainer.forward(pixels, {0: method}), [options])
        joint = (found.signed if signed and found.signed is not None else found.joint).astype(np.float64)
        return np.where(joint >= focus.threshold(found.joint, MASS), joint, 0) if focused else joint

    return way


def variant(*, carried: bool, early: bool = False, above_mean: bool = False) -> Way:
    """A class map by another definition than the model's family has."""

    def way(subject: Subject, pixels: Tensor, target: int) -> Map:
        reading = whole(subject, pixels, target, above_mean=above_mean)
        heard = [replace(one, site=replace(one.site, carried=carried)) for one in reading.heard]
        made = (positive_only if early else staa_class)(Reading(heard, reading.toward))[0]
        return np.asarray(made.double().view(subject.grid.shape))

    return way


def positive_only(reading: Reading) -> Maps:
    """Version 1 of the class map: what speaks against the class is dropped in every block before it is carried back."""
    grid = reading.grid
    found = torch.zeros(len(reading.toward), 1, grid.t, grid.h * grid.w)
    for one in reversed(reading.heard):
        if one.site.carried:
            found = back(one, None, found)[1]
        if one.site.role in READ:
            push = one.site.layout.place(without_cls(one.site.layout, pushes(one, reading.toward)))
            found = found + push.clamp(min=0)[:, None]
    return found[:, 0], None


def norms(subject: Subject, pixels: Tensor, target: int) -> Map:
    """Sizes of what each token writes into the token that is read, summed over blocks (Kobayashi et al. 2020)."""
    total = np.zeros(subject.grid.shape)
    for one in whole(subject, pixels, target).heard:
        if one.values is not None and one.weights is not None and one.site.output is not None:
            weight = one.site.output.weight.float().view(-1, *one.values.shape[-3::2])
            sizes = torch.einsum("rshn,rshnd,ohd->rsno", one.weights, one.values, weight).norm(dim=-1)
            layout = one.site.layout
            total += np.asarray(layout.place(without_cls(layout, sizes)).double().view(subject.grid.shape))
    return total


def strongest_head(subject: Subject, pixels: Tensor, target: int) -> Map:
    """`staa` with the largest of the heads' weights in place of their mean."""
    reading = whole(subject, pixels, target)
    heard = [
        one if one.weights is None else replace(one, weights=one.weights.amax(2, keepdim=True)) for one in reading.heard
    ]
    return np.asarray(staa(Reading(heard, reading.toward))[0].double().view(subject.grid.shape))


def published(subject: Subject, pixels: Tensor, target: int) -> Map:
    """`paper` as the public reference draws it: each step in pixels, blurred 7 x 7, cut at 70%, stretched to 0..1."""
    size = pixels.shape[-2:]
    steps = torch.from_numpy(ours("paper")(subject, pixels, target))[:, None]
    drawn = F.interpolate(_stretched(steps), size=size, mode="bilinear")
    drawn = F.avg_pool2d(drawn, 7, stride=1, padding=3, count_include_pad=False)
    cut = drawn.flatten(1).quantile(0.7, 1).view(-1, 1, 1, 1)
    kept = _stretched(torch.where(drawn >= cut, drawn, 0))
    whole_map = F.adaptive_avg_pool2d(kept, subject.grid.shape[1:])[:, 0]
    weights = steps.mean((1, 2, 3))[:, None, None]  # its "temporal attention" is the mean weight of a step
    return np.asarray(whole_map * weights / weights.max())


def _stretched(maps: Tensor) -> Tensor:
    low, high = maps.amin((1, 2, 3), keepdim=True), maps.amax((1, 2, 3), keepdim=True)
    return (maps - low) / (high - low).clamp(min=1e-12)


def whole(subject: Subject, pixels: Tensor, target: int, *, above_mean: bool = False) -> Reading:
    """Everything that can be kept of one pass."""
    explainer = subject.explainer
    subject.forwards += 1
    with torch.inference_mode(), capture(explainer.sites, Wanted((0,), (0,), (0,)), 1) as heard:
        explainer.model(pixel_values=pixels)
    toward = explainer.directions[target] - (explainer.directions.mean(0) if above_mean else 0)
    return Reading(heard, toward[None])


OURS: dict[str, Way] = {
    "staa": ours("staa"),
    "staa, focused": ours("staa", focused=True),
    "staa_class": ours("staa_class"),
    "staa_class, focused": ours("staa_class", focused=True),
    "rollout": ours("rollout"),
    "paper (last block)": ours("paper"),
    "paper, as published": published,
}
ABLATIONS: dict[str, Way] = {
    "staa_class, not carried back": variant(carried=False),
    "staa_class, carried back": variant(carried=True),
    "staa_class, carried back, positive pushes only": variant(carried=True, early=True),
    "staa_class, not carried, above the mean class": variant(carried=False, above_mean=True),
    "staa_class, carried, above the mean class": variant(carried=True, above_mean=True),
    "staa_class, signed": ours("staa_class", signed=True),
    "value norms": norms,
    "staa, strongest head": strongest_head,
}
