"""Are the maps right? `python -m benchmarks.faithfulness.run` measures it; `tables`, beside it, makes the page.

Every way of explaining gets the same fresh clips, those of them on which the model has the right label, and explains
that label. What is measured is in metrics.py beside it; in brackets the 95% interval of a bootstrap over the clips.
"the object" is no explanation but the truth: what a map could reach. Ways that take long (LIME, KernelSHAP), the curves
of large models, and what takes a pass for every segment may see fewer clips; the tables say how many. `--plot` and
`--sheet` draw the curves of deletion and insertion, and ten clips with every map.

The whole, in hours, as two processes of one thread each on two cores; a run that was cut off goes on where it was:

    measure="python -m benchmarks.faithfulness.run --first 60000 --slow 200 --segments 60 --threads 1 --keep kept"
    $measure --plan                                # first: what it will take
    $measure --part 1/2 & $measure --part 2/2; wait
    python -m benchmarks.faithfulness.tables --take kept --write      # at any time, also while it runs: commit these
"""

import argparse
import hashlib
import itertools
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import Tensor

from benchmarks.faithfulness import metrics, tables
from benchmarks.faithfulness.baselines import BASELINES, BATCH, BY_SIZE, SAMPLES, SIGNED, SLOW_BASELINES, Subject
from benchmarks.faithfulness.figures import AREAS, AUTHORS, COSTS, KEPT, MEMORY, MODEL, by_way, read
from benchmarks.faithfulness.methods import ABLATIONS, CORE_METHODS, MASS, Way
from benchmarks.faithfulness.metrics import FRACTIONS, TRUE, Map, Truth
from benchmarks.faithfulness.records import Record, Records
from benchmarks.faithfulness.sheet import sheet
from benchmarks.report import MODELS, argument_parser, machine, timed
from benchmarks.speed.peak_memory import peak
from staa.attribution import METHODS
from staa.verify import area_under, curves
from training.clips import Sample
from training.evaluate import fresh

SHOWN = 10
"""The number of clips on the sheet."""
WAYS: dict[str, Way] = {**CORE_METHODS, **ABLATIONS, **BASELINES, **SLOW_BASELINES}
VERSION = "2"
"""The version of the figures' meaning: records of another version are not used."""


@dataclass(frozen=True)
class Task:
    """Says what is measured on a clip."""

    ways: tuple[str, ...]
    figures: tuple[str, ...]
    """The figures against the model that are wanted."""
    maps: bool = False
    """Whether the maps are kept, for the sheet."""

    @classmethod
    def of(cls, index: int, ways: Sequence[str], options: argparse.Namespace) -> "Task":
        """Return the task of the clip of this index among those with the right label."""
        asked = tuple(way for way in ways if way not in SLOW_BASELINES or index < options.slow)
        segments = KEPT + AUTHORS if index < options.segments else ()
        shown = options.sheet is not None and index < SHOWN
        return cls(asked, AREAS + segments if index < options.curves else (), maps=shown)


def measure(subject: Subject, ways: Sequence[str], options: argparse.Namespace, records: Records) -> list[Record]:
    """Measure all ways on the same clips; clips that are in the records are not measured again."""
    measured: list[Record] = []
    share, shares = options.part
    began, memory_known = time.monotonic(), False
    for number in itertools.count(options.first):
        index = len(measured)
        if index == options.clips:
            return measured
        task = Task.of(index, ways, options)
        mine = index % shares == share - 1
        record = records.get(number)
        if record is None or (mine and record.missing(task.ways, task.figures, maps=task.maps)):
            pixels, sample = see(subject, number)
            if record is None:
                record = Record(number, right=int(subject.answer(pixels)[0].argmax()) == sample.label)
            if mine and (missing := record.missing(task.ways, task.figures, maps=task.maps)):
                due = replace(task, ways=tuple(missing))
                measure_clip(subject, due, pixels, sample, record, memory=not memory_known)
                memory_known = True
            if not record.right or record.figures:
                records.add(record)
        if record.right:
            measured.append(record.only(task.ways, {*MODEL} - {*task.figures}))
            if (count := len(measured)) % 10 == 0:
                seconds = time.monotonic() - began
                print(f"{count} of {options.clips} clips, {seconds:.0f} s", file=sys.stderr, flush=True)
    raise AssertionError  # the numbers of clips do not end


def see(subject: Subject, number: int) -> tuple[Tensor, Sample]:
    """Return the pixels of a fresh clip, and its truth."""
    clip, sample = fresh(subject.explainer, number)
    return subject.explainer.pixels([clip]), sample


def plan(subject: Subject, ways: Sequence[str], options: argparse.Namespace) -> str:
    """Return in words how long the clips will take, from one clip of each kind; nothing of it is kept."""
    tasks = Counter(replace(Task.of(index, ways, options), maps=False) for index in range(options.clips))
    numbers = itertools.count(options.first)
    kinds, total = [], 0.0
    for task, clips in tasks.items():
        while True:
            pixels, sample = see(subject, number := next(numbers))
            if int(subject.answer(pixels)[0].argmax()) == sample.label:
                break
        _, seconds = timed(
            partial(measure_clip, subject, task, pixels, sample, Record(number, right=True), memory=False)
        )
        kinds.append(
            f"{clips} clips of {seconds:.1f} s ({len(task.ways)} ways, {len(task.figures)} figures of the model)"
        )
        total += clips * seconds
    return f"{total / options.clips:.1f} s a clip: {', '.join(kinds)}; {total / 3600:.1f} h for one process"


def measure_clip(subject: Subject, task: Task, pixels: Tensor, sample: Sample, record: Record, *, memory: bool) -> None:
    """Measure some ways on one clip."""
    truth = Truth.of(sample, subject.grid)
    drawn: dict[str, Map] = {}
    figures: dict[str, dict[str, float]] = {}
    for way in sorted(task.ways, key=lambda way: way in BY_SIZE):  # the maps that others are made of come first
        made_of = BY_SIZE.get(way, "")
        if way in TRUE:
            drawn[way], figures[way] = TRUE[way](truth.thing, subject.grid), {}
        elif made_of in drawn:  # the same work, and so the same costs
            costs = {key: figures[made_of][key] for key in (*COSTS, MEMORY) if key in figures[made_of]}
            drawn[way], figures[way] = np.abs(drawn[made_of]), costs
        else:
            source = made_of or way
            drawn[way], figures[way] = explain(subject, source, pixels, sample.label, record.number, memory=memory)
            drawn[way] = np.abs(drawn[way]) if made_of else drawn[way]
        figures[way] |= metrics.agreement(drawn[way], truth)
    if task.figures:
        segments = KEPT[0] in task.figures
        record.curves |= against_the_model(subject, pixels, drawn, sample.label, figures, segments=segments)
    for way in task.ways:
        record.figures[way] = {key: float(value) for key, value in figures[way].items()}
    if task.maps:
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
    subject: Subject,
    pixels: Tensor,
    maps: dict[str, Map],
    target: int,
    figures: dict[str, dict[str, float]],
    *,
    segments: bool,
) -> dict[str, list[list[float]]]:
    """Add the figures against the model of one clip, and return its curves of deletion and insertion, with blur."""
    answer = metrics.remembered(subject.answer)
    drawn: dict[str, list[list[float]]] = {}
    every = list(maps.values())
    for name, fill in metrics.FILLS.items():
        lines = curves(answer, pixels, fill(pixels), every, subject.grid, target, FRACTIONS, BATCH)
        for way, pair, line in zip(maps, area_under(lines, FRACTIONS).T.tolist(), lines.swapaxes(0, 1), strict=True):
            figures[way] |= dict(zip((f"deletion, {name}", f"insertion, {name}"), pair, strict=True))
            if name == "blur":
                drawn[way] = line.round(4).tolist()
    if segments:
        other = metrics.FILLS["blur"](pixels)
        without = metrics.kept(answer, pixels, other, every, subject.grid, target, MASS)
        segmented = metrics.by_segment(answer, pixels, other, every, subject.grid, target)
        for way, *values in zip(maps, without, segmented, strict=True):
            figures[way] |= dict(zip(KEPT + AUTHORS, itertools.chain(*values), strict=True))
    return drawn


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


def identity(folder: Path, subject: Subject, samples: Sequence[int]) -> dict[str, str]:
    """Return what the figures of a model depend on most: name -> version."""
    files = b"".join(path.read_bytes() for path in sorted(folder.glob("*.safetensors")))
    return {
        "family": subject.explainer.family,
        "grid": " x ".join(map(str, subject.grid.shape)),
        "weights": hashlib.sha256(files).hexdigest(),
        "figures": VERSION,
        "torch": torch.__version__,
        **({} if tuple(samples) == SAMPLES else {"samples": f"{samples}"}),
        **{f"method {name}": method.version for name, method in METHODS.items()},
    }


def begin_with(path: Path, about: Mapping[str, str]) -> Sequence[Record]:
    """Return the clips that a CSV holds, if it is of the same weights, methods and versions."""
    if not path.exists():
        return []
    measured = read(path)
    if measured.about["subject"] != about:
        sys.exit(f"{path} is about {measured.about['subject']}, not {about}: leave --csv out")
    return measured.records


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = argument_parser(__doc__)
    parser.add_argument("models", nargs="*", type=Path, default=MODELS, help="folders of trained models")
    parser.add_argument("--clips", type=int, default=200)
    parser.add_argument("--curves", type=int, default=200, help="of them for deletion and insertion")
    parser.add_argument("--slow", type=int, default=20, help="of them for LIME and KernelSHAP")
    parser.add_argument("--segments", type=int, default=60, help="of them for the cells kept and for single segments")
    parser.add_argument("--samples", nargs=2, type=int, default=SAMPLES, help="forward passes of LIME and KernelSHAP")
    parser.add_argument("--first", type=int, default=2000, help="number of the first clip; training and cards use less")
    parser.add_argument("--ablate", action="store_true", help="other definitions of the class map, too")
    parser.add_argument("--ways", nargs="+", default=[""], help="parts of the names of the ways that are wanted")
    parser.add_argument("--threads", type=int, default=0, help="of torch; 0 leaves its choice")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep each clip there, and go on where it was")
    parser.add_argument(
        "--part", type=_part, default=(1, 1), metavar="K/N", help="with --keep: every Nth clip, no table"
    )
    parser.add_argument(
        "--csv", type=Path, metavar="DIR", help="where --keep has no file yet, begin with this CSV's clips"
    )
    parser.add_argument(
        "--plan", action="store_true", help="print how long it would take, from few clips; keep nothing"
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
    every_way = [*CORE_METHODS, *(ABLATIONS if options.ablate else ()), *BASELINES, *BY_SIZE, *SLOW_BASELINES, *TRUE]
    ways = [name for name in every_way if any(words in name for words in options.ways)]
    print(machine())
    every: dict[str, list[Record]] = {}
    for folder in options.models:
        subject = Subject(folder, options.samples)
        about = identity(folder, subject, options.samples)
        if options.plan:
            print(f"{folder.name}: {plan(subject, ways, options)}", flush=True)
            continue
        print(f"\n## {folder.name}: {about['family']}, {about['grid']} tokens", flush=True)
        keep = options.keep / f"{folder.name}.jsonl" if options.keep else None
        known = begin_with(options.csv / f"{folder.name}.csv", about) if options.csv else []
        records = measure(subject, ways, options, Records(keep, about, machine(), known))
        every[folder.name] = records
        if options.part != (1, 1):
            continue
        print(*tables.of_model(by_way(records, ways)), sep="\n", flush=True)
        if options.sheet:
            clips = [(fresh(subject.explainer, record.number)[1], record.shown()) for record in records[:SHOWN]]
            sheet(clips, SIGNED).quantize(256).save(options.sheet, optimize=True)
    if options.plot and every:
        plot(every, options.plot)


if __name__ == "__main__":
    main()
