"""Are the maps right? `python -m benchmarks.faithfulness`, one table a model.

Every way of explaining gets the same fresh clips, those of them on which the model has the right label, and explains
that label. What is measured is in benchmarks/metrics.py; in brackets the 95% interval of a bootstrap over the clips.
Ways that take long (LIME, KernelSHAP) and the curves of large models may see fewer clips; the table says how many.
`--plot` and `--sheet` draw the curves of deletion and insertion, and ten clips with every map.
"""

import argparse
import json
import platform
import sys
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import Tensor

from benchmarks.memory import peak
from benchmarks.metrics import FILLS, FRACTIONS, Map, Truth, agreement, bootstrap, by_segment, kept
from benchmarks.others import OTHERS, SLOW, Subject
from benchmarks.ours import ABLATIONS, MASS, OURS, Way
from benchmarks.sheet import sheet
from staa.verify import area, curves
from training.clips import Sample
from training.evaluate import fresh

ROOT = Path(__file__).resolve().parents[1]
MODELS = (ROOT / "model_store/motions", ROOT / "benchmarks/models/vivit", ROOT / "benchmarks/models/videomae")
COLUMNS = ("pointing", "pixel AUROC", "mass on object", "distractors", "when AUROC", "when top-k")
LINES = ("deletion, blur", "insertion, blur", "deletion, mean", "insertion, mean", "comprehensive", "sufficient")
PARTS = ("faithfulness", "monotonicity")
COSTS = ("forward", "backward", "seconds", "x forward", "extra MB")
BETTER = {"pointing": 1, "when AUROC": 1, "deletion, blur": -1, "insertion, blur": 1}
"""Figure -> whether more of it is better."""
SHOWN = 10
"""Clips on the sheet."""


def _figures() -> dict[str, dict[str, list[float]]]:
    return defaultdict(lambda: defaultdict(list))


@dataclass
class Found:
    """What was measured on one model so far."""

    figures: dict[str, dict[str, list[float]]] = field(default_factory=_figures)
    """Way -> figure -> its value for every clip."""
    curves: dict[str, list[np.ndarray]] = field(default_factory=lambda: defaultdict(list))
    """Way -> (2, fractions) for every clip: deletion, insertion, filled with blur."""
    shown: list[tuple[Sample, dict[str, Map]]] = field(default_factory=list)
    """Clips for the sheet."""


def measure(subject: Subject, ways: dict[str, Way], options: argparse.Namespace) -> Found:
    """All ways on the same clips."""
    found = Found()
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
            maps[name] = explain(subject, way, pixels, sample.label, found.figures[name])
        for name, one in maps.items():
            for key, value in agreement(one, Truth.of(sample, subject.grid)).items():
                found.figures[name][key].append(value)
        if used < options.curves:
            against_the_model(subject, pixels, maps, sample.label, found)
        if used < SHOWN:
            found.shown.append((sample, maps))
        used += 1
        if used % 10 == 0:
            print(f"{used} of {options.clips} clips, {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    return found


def explain(subject: Subject, way: Way, pixels: Tensor, target: int, figures: dict[str, list[float]]) -> Map:
    """One map, and what it cost; its peak memory the first time, by doing it once more."""
    if not figures["extra MB"]:
        figures["extra MB"].append(peak(lambda: way(subject, pixels, target))[1] / 1e6)
    before, start = (subject.forwards, subject.backwards), time.perf_counter()
    made = way(subject, pixels, target)
    cost = time.perf_counter() - start
    start = time.perf_counter()
    subject.answer(pixels)
    plain = time.perf_counter() - start
    spent = (subject.forwards - before[0] - 1, subject.backwards - before[1], cost, cost / plain)
    for key, value in zip(COSTS, spent, strict=False):
        figures[key].append(value)
    return made


def against_the_model(subject: Subject, pixels: Tensor, maps: dict[str, Map], target: int, found: Found) -> None:
    """Add deletion, insertion, comprehensiveness and sufficiency of one clip."""
    figures = found.figures
    for name, fill in FILLS.items():
        lines = curves(subject.answer, pixels, fill(pixels), list(maps.values()), subject.grid, target, FRACTIONS, 32)
        deleted, inserted = area(lines, FRACTIONS)
        for index, way in enumerate(maps):
            figures[way][f"deletion, {name}"].append(deleted[index])
            figures[way][f"insertion, {name}"].append(inserted[index])
            if name == "blur":
                found.curves[way].append(lines[:, index])
    other = FILLS["blur"](pixels)
    pairs = by_segment(subject.answer, pixels, other, list(maps.values()), subject.grid, target)
    for way, pair in zip(maps, pairs, strict=True):
        for key, value in zip(PARTS, pair, strict=True):
            figures[way][key].append(value)
    for way, one in maps.items():
        both = kept(subject.answer, pixels, other, one, subject.grid, target, MASS)
        for key, value in zip(LINES[-2:], both, strict=True):
            figures[way][key].append(value)


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


def paired(found: dict[str, dict[str, list[float]]], ours: str) -> None:
    """Print by how much one of our ways is better than each other one, on the clips that both have."""
    print(f"\n| {ours} is better than | clips |", " | ".join(BETTER), "|\n|" + " --- |" * (2 + len(BETTER)))
    for way, figures in found.items():
        if way == ours:
            continue
        cells = []
        for column, sign in BETTER.items():
            pairs = list(zip(found[ours][column], figures[column], strict=False))
            mean, low, high = bootstrap([sign * (mine - other) for mine, other in pairs])
            cells.append(f"{mean:+.3f} ({low:+.3f} to {high:+.3f})")
        print(f"| {way} | {len(figures['pointing'])} / {len(figures[LINES[0]])} |", " | ".join(cells), "|")


def compare(path: Path) -> None:
    """Print the comparisons from the figures in a file."""
    for name, figures in json.loads(path.read_text()).items():
        print(f"\n## {name}")
        for way in ("staa", "staa_class"):
            paired(figures, way)


def plot(every: dict[str, Found], path: Path) -> None:
    """Mean curves of the target's probability over the share of tokens taken; a row a model."""
    picture, axes = plt.subplots(len(every), 2, figsize=(11, 4.2 * len(every)), squeeze=False, layout="constrained")
    titles = "deletion: low is good", "insertion: high is good"
    for pair, (model, found) in zip(axes, every.items(), strict=True):
        for kind, (axis, title) in enumerate(zip(pair, titles, strict=True)):
            for index, (way, lines) in enumerate(found.curves.items()):
                style = "-" if way in OURS else "--"
                mean = np.mean(lines, 0)[kind]
                axis.plot(FRACTIONS, mean, style, color=plt.get_cmap("tab20")(index % 20), label=way)
            axis.set_xscale("symlog", linthresh=0.02)
            axis.set(xlim=(0, 1), ylim=(0, 1), title=f"{model}, {title}")
            axis.set(xlabel="share of the tokens, the strongest first", ylabel="probability of the label")
            axis.set_xticks(FRACTIONS[1:], [f"{fraction:g}" for fraction in FRACTIONS[1:]])
        pair[1].legend(fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5))
    picture.savefig(path, dpi=90)


def arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("models", nargs="*", type=Path, default=MODELS, help="folders of trained models")
    parser.add_argument("--clips", type=int, default=200)
    parser.add_argument("--curves", type=int, default=200, help="of them for deletion and insertion")
    parser.add_argument("--slow", type=int, default=20, help="of them for LIME and KernelSHAP")
    parser.add_argument("--first", type=int, default=2000, help="number of the first clip; training and cards use less")
    parser.add_argument("--ablate", action="store_true", help="other definitions of the class map, too")
    parser.add_argument("--ways", nargs="+", default=[""], help="parts of the names of the ways that are wanted")
    parser.add_argument("--threads", type=int, default=0, help="of torch; 0 leaves its choice")
    parser.add_argument("--read", type=Path, help="only compare, from what --json wrote")
    parser.add_argument("--json", type=Path, help="write the figures of every clip")
    parser.add_argument("--plot", type=Path, help="draw the curves of deletion and insertion")
    parser.add_argument("--sheet", type=Path, help="draw clips of the last model with all maps")
    return parser.parse_args()


def main() -> None:
    """Measure every model."""
    options = arguments()
    if options.threads:
        torch.set_num_threads(options.threads)
    if options.read:
        compare(options.read)
        return
    every_way = {**OURS, **(ABLATIONS if options.ablate else {}), **OTHERS, **SLOW}
    ways = {name: way for name, way in every_way.items() if any(part in name for part in options.ways)}
    print(
        f"{platform.machine()} CPU, {torch.get_num_threads()} threads, torch {torch.__version__}, {time.strftime('%F')}"
    )
    every: dict[str, Found] = {}
    for folder in options.models:
        subject = Subject(folder)
        shape, tokens = " x ".join(map(str, subject.grid.shape)), int(np.prod(subject.grid.shape))
        print(f"\n## {folder.name}: {subject.explainer.family}, {shape} = {tokens} tokens\n", flush=True)
        every[folder.name] = found = measure(subject, ways, options)
        table(found.figures)
        for way in ("staa", "staa_class"):
            if way in ways:
                paired(found.figures, way)
        if options.sheet:
            sheet(found.shown, options.sheet)
    if options.json:
        options.json.write_text(json.dumps({name: found.figures for name, found in every.items()}))
    if options.plot:
        plot(every, options.plot)


if __name__ == "__main__":
    main()
