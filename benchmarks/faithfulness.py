"""Are the maps right? `python -m benchmarks.faithfulness`, one table a model.

Every way of explaining gets the same fresh clips, those of them on which the model has the right label, and explains
that label. What is measured is in benchmarks/metrics.py; in brackets the 95% interval of a bootstrap over the clips.
Ways that take long (LIME, KernelSHAP) and the curves of large models may see fewer clips; the table says how many.
"""

import argparse
import json
import platform
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.metrics import FILLS, FRACTIONS, Map, Truth, agreement, bootstrap, by_segment, kept
from benchmarks.others import OTHERS, SLOW, Subject
from staa import Options, focus
from staa.attribution import METHODS, Reading, staa_class, without_cls
from staa.capture import Wanted, capture
from staa.verify import area, curves
from training.evaluate import fresh

ROOT = Path(__file__).resolve().parents[1]
MODELS = (ROOT / "model_store/motions", ROOT / "benchmarks/models/vivit", ROOT / "benchmarks/models/videomae")
Way = Callable[[Subject, Tensor, int], Map]
MASS = Options().mass
COLUMNS = ("pointing", "pixel AUROC", "mass on object", "distractors", "when AUROC", "when top-k")
LINES = ("deletion, blur", "insertion, blur", "deletion, mean", "insertion, mean", "comprehensive", "sufficient")
PARTS = ("faithfulness", "monotonicity")
COSTS = ("forward", "backward", "seconds", "x forward")


def ours(method: str, *, focused: bool = False) -> Way:
    """A method of the core; for the class where it takes one."""

    def way(subject: Subject, pixels: Tensor, target: int) -> Map:
        subject.forwards += 1
        options = Options(method=method, target=target if METHODS[method].classes else None)
        explainer = subject.explainer
        (found,) = explainer.attributions(explainer.forward(pixels, {0: method}), [options])
        joint = found.joint.astype(np.float64)
        return np.where(joint >= focus.threshold(found.joint, MASS), joint, 0) if focused else joint

    return way


def variant(*, carried: bool, signed: bool = False, above_mean: bool = False) -> Way:
    """A class map by another definition than the model's family has."""

    def way(subject: Subject, pixels: Tensor, target: int) -> Map:
        reading = whole(subject, pixels, target, above_mean=above_mean)
        heard = [replace(one, site=replace(one.site, carried=carried)) for one in reading.heard]
        positive, both = staa_class(Reading(heard, reading.toward))
        made = both if signed and both is not None else positive
        return np.asarray(made.double().view(subject.grid.shape))

    return way


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


def whole(subject: Subject, pixels: Tensor, target: int, *, above_mean: bool = False) -> Reading:
    """Everything that can be kept of one pass."""
    explainer = subject.explainer
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
}
ABLATIONS: dict[str, Way] = {
    "staa_class, not carried back": variant(carried=False),
    "staa_class, carried back": variant(carried=True),
    "staa_class, carried back, signed": variant(carried=True, signed=True),
    "staa_class, not carried, above the mean class": variant(carried=False, above_mean=True),
    "staa_class, carried, above the mean class": variant(carried=True, above_mean=True),
    "value norms": norms,
}


def measure(subject: Subject, ways: dict[str, Way], options: argparse.Namespace) -> dict[str, dict[str, list[float]]]:
    """Way -> figure -> its value for every clip."""
    found: dict[str, dict[str, list[float]]] = {way: defaultdict(list) for way in ways}
    number = used = 0
    began = time.monotonic()
    while used < options.clips:
        clip, sample = fresh(subject.explainer, options.first + number)
        number += 1
        pixels = subject.explainer.pixels([clip])
        if int(subject.answer(pixels)[0].argmax()) != sample.label:
            continue
        maps: dict[str, Map] = {}
        for name, way in ways.items():
            if name in SLOW and used >= options.slow:
                continue
            before, start = (subject.forwards, subject.backwards), time.perf_counter()
            maps[name] = way(subject, pixels, sample.label)
            cost = time.perf_counter() - start
            start = time.perf_counter()
            subject.answer(pixels)
            plain = time.perf_counter() - start
            spent = (subject.forwards - before[0] - 1, subject.backwards - before[1], cost, cost / plain)
            for key, value in zip(COSTS, spent, strict=True):
                found[name][key].append(value)
        for name, one in maps.items():
            for key, value in agreement(one, Truth.of(sample, subject.grid)).items():
                found[name][key].append(value)
        if used < options.curves:
            against_the_model(subject, pixels, maps, sample.label, found)
        used += 1
        if used % 10 == 0:
            print(f"{used} of {options.clips} clips, {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    return found


def against_the_model(
    subject: Subject, pixels: Tensor, maps: dict[str, Map], target: int, found: dict[str, dict[str, list[float]]]
) -> None:
    """Add deletion, insertion, comprehensiveness and sufficiency of one clip."""
    for name, fill in FILLS.items():
        other = fill(pixels)
        found_curves = curves(subject.answer, pixels, other, list(maps.values()), subject.grid, target, FRACTIONS, 32)
        deleted, inserted = area(found_curves, FRACTIONS)
        for index, way in enumerate(maps):
            found[way][f"deletion, {name}"].append(deleted[index])
            found[way][f"insertion, {name}"].append(inserted[index])
    other = FILLS["blur"](pixels)
    pairs = by_segment(subject.answer, pixels, other, list(maps.values()), subject.grid, target)
    for way, pair in zip(maps, pairs, strict=True):
        for key, value in zip(PARTS, pair, strict=True):
            found[way][key].append(value)
    for way, one in maps.items():
        both = kept(subject.answer, pixels, other, one, subject.grid, target, MASS)
        for key, value in zip(LINES[-2:], both, strict=True):
            found[way][key].append(value)


def table(found: dict[str, dict[str, list[float]]]) -> None:
    """Print it, in three parts."""
    for title, columns in (("the truth of the clip", COLUMNS), ("the model", LINES + PARTS), ("cost", COSTS)):
        print(f"\n| against {title} | clips |" if columns != COSTS else "\n| cost | clips |", " | ".join(columns), "|")
        print("|" + " --- |" * (2 + len(columns)))
        for way, figures in found.items():
            cells = []
            for column in columns:
                mean, low, high = bootstrap(figures[column])
                if columns == COSTS:
                    cells.append(f"{float(np.median(figures[column])):.4g}")
                else:
                    cells.append(f"{mean:.3f} ({low:.3f}-{high:.3f})")
            print(f"| {way} | {len(figures[columns[0]])} |", " | ".join(cells), "|")


def main() -> None:
    """Measure every model."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("models", nargs="*", type=Path, default=MODELS, help="folders of trained models")
    parser.add_argument("--clips", type=int, default=200)
    parser.add_argument("--curves", type=int, default=200, help="of them for deletion and insertion")
    parser.add_argument("--slow", type=int, default=20, help="of them for LIME and KernelSHAP")
    parser.add_argument("--first", type=int, default=2000, help="number of the first clip; training and cards use less")
    parser.add_argument("--ablate", action="store_true", help="other definitions of the class map, too")
    parser.add_argument("--json", type=Path, help="write the figures of every clip")
    options = parser.parse_args()
    ways = {**OURS, **(ABLATIONS if options.ablate else {}), **OTHERS, **SLOW}
    print(
        f"{platform.machine()} CPU, {torch.get_num_threads()} threads, torch {torch.__version__}, {time.strftime('%F')}"
    )
    every = {}
    for folder in options.models:
        subject = Subject(folder)
        shape, tokens = " x ".join(map(str, subject.grid.shape)), int(np.prod(subject.grid.shape))
        print(f"\n## {folder.name}: {subject.explainer.family}, {shape} = {tokens} tokens\n", flush=True)
        every[folder.name] = found = measure(subject, ways, options)
        table(found)
    if options.json:
        options.json.write_text(json.dumps(every))


if __name__ == "__main__":
    main()
