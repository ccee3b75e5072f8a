"""Are the maps right? `python -m benchmarks.faithfulness.run`, one table a model.

Every way of explaining gets the same fresh clips, those of them on which the model has the right label, and explains
that label. What is measured is in metrics.py beside it; in brackets the 95% interval of a bootstrap over the clips.
"the object" is no explanation but the truth: what a map could reach. Ways that take long (LIME, KernelSHAP) and the
curves of large models may see fewer clips; the table says how many. `--plot` and `--sheet` draw the curves of deletion
and insertion, and ten clips with every map. `--keep` writes down what was measured of each clip: a run that was cut off
goes on, `--part 1/2` and `--part 2/2` share the clips between two processes, and the same command without `--part` then
prints the tables.
"""

import argparse
import hashlib
import itertools
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import Tensor

from benchmarks.faithfulness import metrics
from benchmarks.faithfulness.baselines import BASELINES, BATCH, SAMPLES, SIGNED, SLOW_BASELINES, Subject
from benchmarks.faithfulness.methods import ABLATIONS, CORE_METHODS, MASS, Way
from benchmarks.faithfulness.metrics import FRACTIONS, Map, Truth
from benchmarks.faithfulness.records import Figures, Record, Records, by_way
from benchmarks.faithfulness.sheet import sheet
from benchmarks.report import MODELS, argument_parser, heads, machine, row, timed
from benchmarks.speed.peak_memory import peak
from staa.attribution import METHODS
from staa.types import Grid
from staa.verify import area_under, curves
from training.clips import Sample
from training.evaluate import fresh

COLUMNS = ("pointing", "pixel AUROC", "mass on object", "distractors", "when AUROC", "when top-k")
AREAS = ("deletion, blur", "insertion, blur", "deletion, mean", "insertion, mean")
KEPT = ("comprehensive", "sufficient", "cells kept")
AUTHORS = ("faithfulness", "monotonicity")
MODEL = AREAS + KEPT + AUTHORS
COSTS = ("forward", "backward", "seconds", "x forward")
MEMORY = "extra MB"
BETTER = {"pointing": 1, "when AUROC": 1} | dict(zip(AREAS, (-1, 1, -1, 1), strict=True))
"""Figure -> 1 if more is better, -1 if less is better."""
SHOWN = 10
"""The number of clips on the sheet."""
TRUE: dict[str, Callable[[Map, Grid], Map]] = {
    "the object": lambda thing, _grid: thing,
    "the object, by segments": metrics.over_segments,
}
WAYS: dict[str, Way] = {**CORE_METHODS, **ABLATIONS, **BASELINES, **SLOW_BASELINES}
VERSION = "2"
"""The version of the figures' meaning: records of another version are not used."""


def measure(subject: Subject, ways: Sequence[str], options: argparse.Namespace, records: Records) -> list[Record]:
    """Measure all ways on the same clips; clips that are in the records are not measured again."""
    measured: list[Record] = []
    share, shares = options.part
    began, memory_known = time.monotonic(), False
    for number in itertools.count(options.first):
        index = len(measured)
        if index == options.clips:
            return measured
        asked = [way for way in ways if way not in SLOW_BASELINES or index < options.slow]
        extras = {"curves": index < options.curves, "maps": index < SHOWN}
        mine = index % shares == share - 1
        record = records.get(number)
        if record is None or (mine and record.missing(asked, **extras)):
            clip, sample = fresh(subject.explainer, number)
            pixels = subject.explainer.pixels([clip])
            if record is None:
                record = Record(number, right=int(subject.answer(pixels)[0].argmax()) == sample.label)
            if missing := record.missing(asked, **extras) if mine else []:
                measure_clip(subject, missing, pixels, sample, record, memory=not memory_known, **extras)
                memory_known = True
            if not record.right or record.figures:
                records.add(record)
        if record.right:
            measured.append(record.only(asked, () if extras["curves"] else MODEL))
            if (count := len(measured)) % 10 == 0:
                seconds = time.monotonic() - began
                print(f"{count} of {options.clips} clips, {seconds:.0f} s", file=sys.stderr, flush=True)
    raise AssertionError  # the numbers of clips do not end


def measure_clip(
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
    drawn: dict[str, Map] = {}
    figures: dict[str, dict[str, float]] = {}
    for way in ways:
        if way in TRUE:
            drawn[way], figures[way] = TRUE[way](truth.thing, subject.grid), {}
        else:
            drawn[way], figures[way] = explain(subject, way, pixels, sample.label, record.number, memory=memory)
        figures[way] |= metrics.agreement(drawn[way], truth)
    if curves:
        record.curves |= against_the_model(subject, pixels, drawn, sample.label, figures)
    record.figures |= {way: {key: float(value) for key, value in values.items()} for way, values in figures.items()}
    if maps:
        record.maps |= {way: shares.tolist() for way, shares in drawn.items()}


def explain(
    subject: Subject, way: str, pixels: Tensor, target: int, seed: int, *, memory: bool
) -> tuple[Map, dict[str, float]]:
    """Return one map and its costs; `memory` computes it once more before, to measure the peak memory."""

    def make() -> Map:
        torch.manual_seed(seed)  # of what LIME and KernelSHAP draw
        return WAYS[way](subject, pixels, target)

    extra = {MEMORY: peak(make)[1] / 1e6} if memory else {}
    forwards, backwards = subject.forwards, subject.backwards
    shares, seconds = timed(make)
    passes = subject.forwards - forwards, subject.backwards - backwards
    _, plain = timed(partial(subject.answer, pixels))
    return shares, extra | dict(zip(COSTS, (*passes, seconds, seconds / plain), strict=True))


def against_the_model(
    subject: Subject, pixels: Tensor, maps: dict[str, Map], target: int, figures: dict[str, dict[str, float]]
) -> dict[str, list[list[float]]]:
    """Add the figures against the model of one clip, and return its curves of deletion and insertion, with blur."""
    drawn: dict[str, list[list[float]]] = {}
    every = list(maps.values())
    for name, fill in metrics.FILLS.items():
        lines = curves(subject.answer, pixels, fill(pixels), every, subject.grid, target, FRACTIONS, BATCH)
        for way, pair, line in zip(maps, area_under(lines, FRACTIONS).T.tolist(), lines.swapaxes(0, 1), strict=True):
            figures[way] |= dict(zip((f"deletion, {name}", f"insertion, {name}"), pair, strict=True))
            if name == "blur":
                drawn[way] = line.tolist()
    other = metrics.FILLS["blur"](pixels)
    without = metrics.kept(subject.answer, pixels, other, every, subject.grid, target, MASS)
    segmented = metrics.by_segment(subject.answer, pixels, other, every, subject.grid, target)
    for way, *values in zip(maps, without, segmented, strict=True):
        figures[way] |= dict(zip(KEPT + AUTHORS, itertools.chain(*values), strict=True))
    return drawn


def table(measured: Figures) -> None:
    """Print the figures in three tables."""
    for title, columns in (("the truth of the clip", COLUMNS), ("the model", MODEL)):
        print(f"\n{heads(f'against {title}', 'clips', *columns)}")
        for way, figures in measured.items():
            clips = len(figures.get(columns[0], ()))
            cells = []
            for column in columns if clips else ():
                mean, low, high = metrics.bootstrap([*figures.get(column, {}).values()])
                fewer = f", {count} clips" if (count := len(figures.get(column, ()))) < clips else ""
                cells.append(f"{mean:.3f} ({low:.3f}-{high:.3f}{fewer})" if count else "-")
            if cells:
                print(row(way, clips, *cells))
    print(f"\n{heads('cost', 'clips', *COSTS, MEMORY)}")
    for way, figures in measured.items():
        if way not in TRUE:
            costs = ([*figures.get(column, {}).values()] for column in (*COSTS, MEMORY))
            cells = [f"{np.median(values):.4g}" if values else "-" for values in costs]
            print(row(way, len(figures[COSTS[0]]), *cells))


def paired(measured: Figures, method: str) -> None:
    """Print how much better a method is than each other way, clip by clip; bold if the interval does not include 0."""
    print(f"\n{heads(f'{method} is better than', 'clips', *BETTER)}")
    for way, figures in measured.items():
        if way == method or way in TRUE:
            continue
        cells = []
        for column, sign in BETTER.items():
            mine, theirs = measured[method].get(column, {}), figures.get(column, {})
            pairs = [sign * (mine[clip] - theirs[clip]) for clip in mine if clip in theirs]
            mean, low, high = (round(value, 3) for value in metrics.bootstrap(pairs))
            text = f"{mean:+.3f} ({low:+.3f} to {high:+.3f})"
            cells.append(f"**{text}**" if low > 0 or high < 0 else text)
        print(row(way, f"{len(figures['pointing'])} / {len(figures.get(AREAS[0], ()))}", *cells))


def plot(every: Mapping[str, Sequence[Record]], path: Path) -> None:
    """Draw the mean curves of the target's probability over the share of tokens, with one row for each model."""
    picture, axes = plt.subplots(len(every), 2, figsize=(11, 4.2 * len(every)), squeeze=False, layout="constrained")
    titles = "deletion: low is good", "insertion: high is good"
    for pair, (model, records) in zip(axes, every.items(), strict=True):
        lines: dict[str, list[list[list[float]]]] = defaultdict(list)
        for way, both in itertools.chain.from_iterable(record.curves.items() for record in records):
            lines[way].append(both)
        for kind, (axis, title) in enumerate(zip(pair, titles, strict=True)):
            for index, (way, curves_of_clips) in enumerate(lines.items()):
                style, colour = "-" if way in CORE_METHODS else "--", plt.get_cmap("tab20")(index % 20)
                if way in TRUE:
                    style, colour = ":", (0, 0, 0, 1 if way == next(iter(TRUE)) else 0.5)
                axis.plot(FRACTIONS, np.mean(curves_of_clips, 0)[kind], style, color=colour, label=way)
            axis.set_xscale("symlog", linthresh=0.02)
            axis.set(xlim=(0, 1), ylim=(0, 1), title=f"{model}, {title}")
            axis.set(xlabel="share of the tokens, the strongest first", ylabel="probability of the label")
            axis.set_xticks(FRACTIONS[1:], [f"{fraction:g}" for fraction in FRACTIONS[1:]])
        pair[1].legend(fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5))
    picture.savefig(path, dpi=90)


def identity(folder: Path, samples: Sequence[int]) -> dict[str, str]:
    """Return what the figures of a model depend on most: name -> version."""
    files = b"".join(path.read_bytes() for path in sorted(folder.glob("*.safetensors")))
    return {
        "weights": hashlib.sha256(files).hexdigest(),
        "figures": VERSION,
        "torch": torch.__version__,
        **({} if tuple(samples) == SAMPLES else {"samples": f"{samples}"}),
        **{f"method {name}": method.version for name, method in METHODS.items()},
    }


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = argument_parser(__doc__)
    parser.add_argument("models", nargs="*", type=Path, default=MODELS, help="folders of trained models")
    parser.add_argument("--clips", type=int, default=200)
    parser.add_argument("--curves", type=int, default=200, help="of them for deletion and insertion")
    parser.add_argument("--slow", type=int, default=20, help="of them for LIME and KernelSHAP")
    parser.add_argument("--samples", nargs=2, type=int, default=SAMPLES, help="forward passes of LIME and KernelSHAP")
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
    options = parser.parse_args(argv)
    if options.part != (1, 1) and not options.keep:
        parser.error("--part is of use with --keep only")
    return options


def _part(text: str) -> tuple[int, int]:
    share, shares = map(int, text.split("/"))
    if not 1 <= share <= shares:
        raise ValueError
    return share, shares


def main(argv: Sequence[str] | None = None) -> None:
    """Measure every model; `argv` stands for the command line's."""
    options = arguments(argv)
    if options.threads:
        torch.set_num_threads(options.threads)
    every_way = [*CORE_METHODS, *(ABLATIONS if options.ablate else ()), *BASELINES, *SLOW_BASELINES, *TRUE]
    ways = [name for name in every_way if any(words in name for words in options.ways)]
    print(machine())
    every: dict[str, list[Record]] = {}
    for folder in options.models:
        subject = Subject(folder, options.samples)
        shape, tokens = " x ".join(map(str, subject.grid.shape)), int(np.prod(subject.grid.shape))
        print(f"\n## {folder.name}: {subject.explainer.family}, {shape} = {tokens} tokens\n", flush=True)
        keep = options.keep / f"{folder.name}.jsonl" if options.keep else None
        records = measure(subject, ways, options, Records(keep, identity(folder, options.samples)))
        every[folder.name] = records
        if options.part != (1, 1):
            continue
        figures = by_way(records, ways)
        table(figures)
        for way in ("staa", "staa_class"):
            if way in ways:
                paired(figures, way)
        if options.sheet:
            clips = [(fresh(subject.explainer, record.number)[1], record.shown()) for record in records[:SHOWN]]
            sheet(clips, SIGNED).quantize(256).save(options.sheet, optimize=True)
    if options.plot:
        plot(every, options.plot)


if __name__ == "__main__":
    main()
