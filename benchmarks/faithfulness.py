"""Are the maps right? `python -m benchmarks.faithfulness`, one table a model.

Every way of explaining gets the same fresh clips, those of them on which the model has the right label, and explains
that label. What is measured is in benchmarks/metrics.py; in brackets the 95% interval of a bootstrap over the clips.
"the object" is no explanation but the truth: what a map could reach. Ways that take long (LIME, KernelSHAP) and the
curves of large models may see fewer clips; the table says how many. `--plot` and `--sheet` draw the curves of deletion
and insertion, and ten clips with every map. `--keep` writes down what was measured of each clip: a run that was cut off
goes on, `--part 1/2` and `--part 2/2` share the clips between two processes, and the same command without `--part` then
prints the tables.
"""

import argparse
import hashlib
import itertools
import platform
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import Tensor

from benchmarks.memory import peak
from benchmarks.metrics import FILLS, FRACTIONS, Map, Truth, agreement, bootstrap, by_segment, kept, over_segments
from benchmarks.others import BATCH, OTHERS, SIGNED, SLOW, Subject
from benchmarks.ours import ABLATIONS, MASS, OURS, Way
from benchmarks.records import Figures, Record, Records, by_way
from benchmarks.sheet import sheet
from staa.attribution import METHODS
from staa.types import Grid
from staa.verify import area, curves
from training.clips import Sample
from training.evaluate import fresh

ROOT = Path(__file__).resolve().parents[1]
MODELS = (ROOT / "model_store/motions", ROOT / "benchmarks/models/vivit", ROOT / "benchmarks/models/videomae")
COLUMNS = ("pointing", "pixel AUROC", "mass on object", "distractors", "when AUROC", "when top-k")
AREAS = ("deletion, blur", "insertion, blur", "deletion, mean", "insertion, mean")
KEPT = ("comprehensive", "sufficient", "cells kept")
AUTHORS = ("faithfulness", "monotonicity")
MODEL = AREAS + KEPT + AUTHORS
COSTS = ("forward", "backward", "seconds", "x forward")
MEMORY = "extra MB"
BETTER = {"pointing": 1, "when AUROC": 1} | dict(zip(AREAS, (-1, 1, -1, 1), strict=True))
"""Figure -> whether more of it is better."""
SHOWN = 10
"""Clips on the sheet."""
TRUE: dict[str, Callable[[Map, Grid], Map]] = {
    "the object": lambda thing, _grid: thing,
    "the object, by segments": over_segments,
}
WAYS: dict[str, Way] = {**OURS, **ABLATIONS, **OTHERS, **SLOW}
VERSION = "2"
"""Of what the figures mean: with another one, kept clips are not gone on with."""


def measure(subject: Subject, ways: Sequence[str], options: argparse.Namespace, records: Records) -> list[Record]:
    """All ways on the same clips, of which those that are known already are taken as they are."""
    found: list[Record] = []
    part, parts = options.part
    began, memory_known = time.monotonic(), False
    for number in itertools.count(options.first):
        index = len(found)
        if index == options.clips:
            return found
        wanted = [way for way in ways if way not in SLOW or index < options.slow]
        extras = {"curves": index < options.curves, "maps": index < SHOWN}
        mine = index % parts == part - 1
        record = records.get(number)
        if record is None or (mine and record.missing(wanted, **extras)):
            clip, sample = fresh(subject.explainer, number)
            pixels = subject.explainer.pixels([clip])
            if record is None:
                record = Record(number, right=int(subject.answer(pixels)[0].argmax()) == sample.label)
            if missing := record.missing(wanted, **extras) if mine else []:
                look(subject, missing, pixels, sample, record, memory=not memory_known, **extras)
                memory_known = True
            if not record.right or record.figures:
                records.add(record)
        if record.right:
            found.append(record.only(wanted, () if extras["curves"] else MODEL))
            if len(found) % 10 == 0:
                seconds = time.monotonic() - began
                print(f"{len(found)} of {options.clips} clips, {seconds:.0f} s", file=sys.stderr, flush=True)
    raise AssertionError  # the numbers of clips do not end


def look(
    subject: Subject,
    ways: Sequence[str],
    pixels: Tensor,
    sample: Sample,
    record: Record,
    *,
    memory: bool,
    curves: bool,
    maps: bool,
) -> None:
    """Measure some ways on one clip."""
    truth = Truth.of(sample, subject.grid)
    made: dict[str, Map] = {}
    figures: dict[str, dict[str, float]] = {}
    for name in ways:
        if name in TRUE:
            made[name], figures[name] = TRUE[name](truth.thing, subject.grid), {}
        else:
            made[name], figures[name] = explain(subject, name, pixels, sample.label, record.number, memory=memory)
        figures[name] |= agreement(made[name], truth)
    if curves:
        record.curves |= against_the_model(subject, pixels, made, sample.label, figures)
    record.figures |= {name: {key: float(value) for key, value in each.items()} for name, each in figures.items()}
    if maps:
        record.maps |= {name: one.tolist() for name, one in made.items()}


def explain(
    subject: Subject, way: str, pixels: Tensor, target: int, seed: int, *, memory: bool
) -> tuple[Map, dict[str, float]]:
    """One map, and what it cost; with `memory` it is made once more before, for its peak."""

    def make() -> Map:
        torch.manual_seed(seed)  # of what LIME and KernelSHAP draw
        return WAYS[way](subject, pixels, target)

    extra = {MEMORY: peak(make)[1] / 1e6} if memory else {}
    before, start = (subject.forwards, subject.backwards), time.perf_counter()
    made = make()
    cost = time.perf_counter() - start
    start = time.perf_counter()
    subject.answer(pixels)
    plain = time.perf_counter() - start
    spent = (subject.forwards - before[0] - 1, subject.backwards - before[1], cost, cost / plain)
    return made, extra | dict(zip(COSTS, spent, strict=True))


def against_the_model(
    subject: Subject, pixels: Tensor, maps: dict[str, Map], target: int, figures: dict[str, dict[str, float]]
) -> dict[str, list[list[float]]]:
    """Add the figures against the model of one clip, and return its curves of deletion and insertion, with blur."""
    drawn: dict[str, list[list[float]]] = {}
    every = list(maps.values())
    for name, fill in FILLS.items():
        lines = curves(subject.answer, pixels, fill(pixels), every, subject.grid, target, FRACTIONS, BATCH)
        for way, pair, line in zip(maps, area(lines, FRACTIONS).T.tolist(), lines.swapaxes(0, 1), strict=True):
            figures[way] |= dict(zip((f"deletion, {name}", f"insertion, {name}"), pair, strict=True))
            if name == "blur":
                drawn[way] = line.tolist()
    other = FILLS["blur"](pixels)
    for keys, found in (
        (KEPT, kept(subject.answer, pixels, other, every, subject.grid, target, MASS)),
        (AUTHORS, by_segment(subject.answer, pixels, other, every, subject.grid, target)),
    ):
        for way, values in zip(maps, found, strict=True):
            figures[way] |= dict(zip(keys, values, strict=True))
    return drawn


def table(found: Figures) -> None:
    """Print it, in three parts."""
    for title, columns in (("the truth of the clip", COLUMNS), ("the model", MODEL)):
        print(f"\n| against {title} | clips |", " | ".join(columns), "|\n|" + " --- |" * (2 + len(columns)))
        for way, figures in found.items():
            clips = len(figures.get(columns[0], ()))
            cells = []
            for column in columns if clips else ():
                mean, low, high = bootstrap([*figures.get(column, {}).values()])
                fewer = f", {count} clips" if (count := len(figures.get(column, ()))) < clips else ""
                cells.append(f"{mean:.3f} ({low:.3f}-{high:.3f}{fewer})" if count else "-")
            if cells:
                print(f"| {way} | {clips} |", " | ".join(cells), "|")
    print("\n| cost | clips |", " | ".join((*COSTS, MEMORY)), "|\n|" + " --- |" * (3 + len(COSTS)))
    for way, figures in found.items():
        if way not in TRUE:
            measured = ([*figures.get(column, {}).values()] for column in (*COSTS, MEMORY))
            cells = [f"{np.median(values):.4g}" if values else "-" for values in measured]
            print(f"| {way} | {len(figures[COSTS[0]])} |", " | ".join(cells), "|")


def paired(found: Figures, ours: str) -> None:
    """Print by how much one of our ways is better than each other one, clip by clip; bold where 0 lies outside."""
    print(f"\n| {ours} is better than | clips |", " | ".join(BETTER), "|\n|" + " --- |" * (2 + len(BETTER)))
    for way, figures in found.items():
        if way == ours or way in TRUE:
            continue
        cells = []
        for column, sign in BETTER.items():
            mine, theirs = found[ours].get(column, {}), figures.get(column, {})
            pairs = [sign * (mine[clip] - theirs[clip]) for clip in mine if clip in theirs]
            mean, low, high = (round(value, 3) for value in bootstrap(pairs))
            text = f"{mean:+.3f} ({low:+.3f} to {high:+.3f})"
            cells.append(f"**{text}**" if low > 0 or high < 0 else text)
        print(f"| {way} | {len(figures['pointing'])} / {len(figures.get(AREAS[0], ()))} |", " | ".join(cells), "|")


def plot(every: Mapping[str, Sequence[Record]], path: Path) -> None:
    """Mean curves of the target's probability over the share of tokens taken; a row a model."""
    picture, axes = plt.subplots(len(every), 2, figsize=(11, 4.2 * len(every)), squeeze=False, layout="constrained")
    titles = "deletion: low is good", "insertion: high is good"
    for pair, (model, records) in zip(axes, every.items(), strict=True):
        lines: dict[str, list[list[list[float]]]] = {}
        for record in records:
            for way, both in record.curves.items():
                lines.setdefault(way, []).append(both)
        for kind, (axis, title) in enumerate(zip(pair, titles, strict=True)):
            for index, (way, each) in enumerate(lines.items()):
                style, colour = "-" if way in OURS else "--", plt.get_cmap("tab20")(index % 20)
                if way in TRUE:
                    style, colour = ":", (0, 0, 0, 1 if way == next(iter(TRUE)) else 0.5)
                axis.plot(FRACTIONS, np.mean(each, 0)[kind], style, color=colour, label=way)
            axis.set_xscale("symlog", linthresh=0.02)
            axis.set(xlim=(0, 1), ylim=(0, 1), title=f"{model}, {title}")
            axis.set(xlabel="share of the tokens, the strongest first", ylabel="probability of the label")
            axis.set_xticks(FRACTIONS[1:], [f"{fraction:g}" for fraction in FRACTIONS[1:]])
        pair[1].legend(fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5))
    picture.savefig(path, dpi=90)


def identity(folder: Path) -> dict[str, str]:
    """What the figures of a model depend on, most of all."""
    files = b"".join(path.read_bytes() for path in sorted(folder.glob("*.safetensors")))
    methods = {f"method {name}": method.version for name, method in METHODS.items()}
    return {
        "weights": hashlib.sha256(files).hexdigest(),
        "figures": VERSION,
        "torch": torch.__version__,
        **methods,
    }


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
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep each clip there, and go on where it was")
    parser.add_argument(
        "--part", type=_part, default=(1, 1), metavar="K/N", help="with --keep: every Nth clip, no table"
    )
    parser.add_argument("--plot", type=Path, help="draw the curves of deletion and insertion")
    parser.add_argument("--sheet", type=Path, help="draw clips of the last model with all maps")
    options = parser.parse_args()
    if options.part != (1, 1) and not options.keep:
        parser.error("--part is of use with --keep only")
    return options


def _part(text: str) -> tuple[int, int]:
    part, parts = map(int, text.split("/"))
    if not 1 <= part <= parts:
        raise ValueError
    return part, parts


def main() -> None:
    """Measure every model."""
    options = arguments()
    if options.threads:
        torch.set_num_threads(options.threads)
    every_way = [*OURS, *(ABLATIONS if options.ablate else ()), *OTHERS, *SLOW, *TRUE]
    ways = [name for name in every_way if any(part in name for part in options.ways)]
    print(
        f"{platform.machine()} CPU, {torch.get_num_threads()} threads, torch {torch.__version__}, {time.strftime('%F')}"
    )
    every: dict[str, list[Record]] = {}
    for folder in options.models:
        subject = Subject(folder)
        shape, tokens = " x ".join(map(str, subject.grid.shape)), int(np.prod(subject.grid.shape))
        print(f"\n## {folder.name}: {subject.explainer.family}, {shape} = {tokens} tokens\n", flush=True)
        keep = options.keep / f"{folder.name}.jsonl" if options.keep else None
        every[folder.name] = found = measure(subject, ways, options, Records(keep, identity(folder)))
        if options.part != (1, 1):
            continue
        figures = by_way(found, ways)
        table(figures)
        for way in ("staa", "staa_class"):
            if way in ways:
                paired(figures, way)
        if options.sheet:
            clips = [(fresh(subject.explainer, one.number)[1], one.shown()) for one in found[:SHOWN]]
            sheet(clips, SIGNED).quantize(256).save(options.sheet, optimize=True)
    if options.plot:
        plot(every, options.plot)


if __name__ == "__main__":
    main()
