"""Are the maps right? `python -m benchmarks.faithfulness`, one table a model.

Every way of explaining gets the same fresh clips, those of them on which the model has the right label, and explains
that label. What is measured is in benchmarks/metrics.py; in brackets the 95% interval of a bootstrap over the clips.
Ways that take long (LIME, KernelSHAP) and the curves of large models may see fewer clips; the table says how many.
`--plot` and `--sheet` draw the curves of deletion and insertion, and ten clips with every map. `--keep` writes down
what was measured of each clip: a run that was cut off goes on, `--part 1/2` and `--part 2/2` share the clips between
two processes, and the same command without `--part` then prints the tables.
"""

import argparse
import itertools
import platform
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import Tensor

from benchmarks.memory import peak
from benchmarks.metrics import FILLS, FRACTIONS, Map, Truth, agreement, bootstrap, by_segment, kept
from benchmarks.others import BATCH, OTHERS, SLOW, Subject
from benchmarks.ours import ABLATIONS, MASS, OURS, Way
from benchmarks.records import Record, Records, by_way
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
Figures = Mapping[str, Mapping[str, list[float]]]
"""Way -> figure -> its value for every clip."""


def measure(subject: Subject, ways: dict[str, Way], options: argparse.Namespace, records: Records) -> list[Record]:
    """All ways on the same clips, of which those that are known already are taken as they are."""
    found: list[Record] = []
    part, parts = options.part
    peaks = dict.fromkeys(ways, True)
    began = time.monotonic()
    for number in itertools.count(options.first):
        index = len(found)
        if index == options.clips:
            return found
        wanted = {name: way for name, way in ways.items() if name not in SLOW or index < options.slow}
        extras = {"curves": index < options.curves, "maps": index < SHOWN}
        record = records.get(number)
        if record is None or (index % parts == part - 1 and record.lacks(wanted, **extras)):
            clip, sample = fresh(subject.explainer, number)
            pixels = subject.explainer.pixels([clip])
            record = Record(number, right=int(subject.answer(pixels)[0].argmax()) == sample.label)
            if record.right and index % parts == part - 1:
                look(subject, wanted, pixels, sample, record, peaks, **extras)
            if not record.right or record.figures:
                records.add(record)
        if record.right:
            found.append(record.only(wanted, () if extras["curves"] else (*LINES, *PARTS)))
            if len(found) % 10 == 0:
                seconds = time.monotonic() - began
                print(f"{len(found)} of {options.clips} clips, {seconds:.0f} s", file=sys.stderr, flush=True)
    raise AssertionError  # the numbers of clips do not end


def look(
    subject: Subject,
    ways: dict[str, Way],
    pixels: Tensor,
    sample: Sample,
    record: Record,
    peaks: dict[str, bool],
    *,
    curves: bool,
    maps: bool,
) -> None:
    """Measure one clip."""
    made: dict[str, Map] = {}
    for name, way in ways.items():
        made[name], record.figures[name] = explain(subject, way, pixels, sample.label, again=peaks[name])
        record.figures[name] |= agreement(made[name], Truth.of(sample, subject.grid))
        peaks[name] = False
    if curves:
        against_the_model(subject, pixels, made, sample.label, record)
    record.figures = {name: {key: float(value) for key, value in each.items()} for name, each in record.figures.items()}
    if maps:
        record.maps = {name: one.tolist() for name, one in made.items()}


def explain(subject: Subject, way: Way, pixels: Tensor, target: int, *, again: bool) -> tuple[Map, dict[str, float]]:
    """One map, and what it cost; with `again` it is made once more before, for its peak memory."""
    memory = {"extra MB": peak(lambda: way(subject, pixels, target))[1] / 1e6} if again else {}
    before, start = (subject.forwards, subject.backwards), time.perf_counter()
    made = way(subject, pixels, target)
    cost = time.perf_counter() - start
    start = time.perf_counter()
    subject.answer(pixels)
    plain = time.perf_counter() - start
    spent = (subject.forwards - before[0] - 1, subject.backwards - before[1], cost, cost / plain)
    return made, memory | dict(zip(COSTS, spent, strict=False))


def against_the_model(subject: Subject, pixels: Tensor, maps: dict[str, Map], target: int, record: Record) -> None:
    """Add deletion, insertion, comprehensiveness and sufficiency of one clip."""
    figures = record.figures
    for name, fill in FILLS.items():
        lines = curves(subject.answer, pixels, fill(pixels), [*maps.values()], subject.grid, target, FRACTIONS, BATCH)
        deleted, inserted = area(lines, FRACTIONS)
        for index, way in enumerate(maps):
            figures[way][f"deletion, {name}"] = float(deleted[index])
            figures[way][f"insertion, {name}"] = float(inserted[index])
            if name == "blur":
                record.curves[way] = lines[:, index].tolist()
    other = FILLS["blur"](pixels)
    pairs = by_segment(subject.answer, pixels, other, list(maps.values()), subject.grid, target)
    for way, pair in zip(maps, pairs, strict=True):
        figures[way] |= dict(zip(PARTS, pair, strict=True))
    for way, one in maps.items():
        both = kept(subject.answer, pixels, other, one, subject.grid, target, MASS)
        figures[way] |= dict(zip(LINES[-2:], both, strict=True))


def table(found: Figures) -> None:
    """Print it, in three parts."""
    for title, columns in (("the truth of the clip", COLUMNS), ("the model", LINES + PARTS), ("cost", COSTS)):
        print(f"\n| against {title} | clips |" if columns != COSTS else "\n| cost | clips |", " | ".join(columns), "|")
        print("|" + " --- |" * (2 + len(columns)))
        for way, figures in found.items():
            cells = []
            for column in columns:
                values = figures.get(column, [])
                if columns == COSTS:
                    cells.append(f"{float(np.median(values)):.4g}")
                else:
                    mean, low, high = bootstrap(values)
                    cells.append(f"{mean:.3f} ({low:.3f}-{high:.3f})")
            print(f"| {way} | {len(figures[columns[0]])} |", " | ".join(cells), "|")


def paired(found: Figures, ours: str) -> None:
    """Print by how much one of our ways is better than each other one, on the clips that both have."""
    print(f"\n| {ours} is better than | clips |", " | ".join(BETTER), "|\n|" + " --- |" * (2 + len(BETTER)))
    for way, figures in found.items():
        if way == ours:
            continue
        cells = []
        for column, sign in BETTER.items():
            pairs = list(zip(found[ours].get(column, []), figures.get(column, []), strict=False))
            mean, low, high = bootstrap([sign * (mine - other) for mine, other in pairs])
            cells.append(f"{mean:+.3f} ({low:+.3f} to {high:+.3f})")
        print(f"| {way} | {len(figures['pointing'])} / {len(figures.get(LINES[0], []))} |", " | ".join(cells), "|")


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
                style = "-" if way in OURS else "--"
                mean = np.mean(each, 0)[kind]
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
    every_way = {**OURS, **(ABLATIONS if options.ablate else {}), **OTHERS, **SLOW}
    ways = {name: way for name, way in every_way.items() if any(part in name for part in options.ways)}
    print(
        f"{platform.machine()} CPU, {torch.get_num_threads()} threads, torch {torch.__version__}, {time.strftime('%F')}"
    )
    every: dict[str, list[Record]] = {}
    for folder in options.models:
        subject = Subject(folder)
        shape, tokens = " x ".join(map(str, subject.grid.shape)), int(np.prod(subject.grid.shape))
        print(f"\n## {folder.name}: {subject.explainer.family}, {shape} = {tokens} tokens\n", flush=True)
        keep = options.keep / f"{folder.name}.jsonl" if options.keep else None
        every[folder.name] = found = measure(subject, ways, options, Records(keep))
        if options.part != (1, 1):
            continue
        figures = by_way(found, list(ways))
        table(figures)
        for way in ("staa", "staa_class"):
            if way in ways:
                paired(figures, way)
        if options.sheet:
            clips = [(fresh(subject.explainer, one.number)[1], one.shown()) for one in found[:SHOWN]]
            sheet(clips).quantize(256).save(options.sheet, optimize=True)
    if options.plot:
        plot(every, options.plot)


if __name__ == "__main__":
    main()
