"""All tables of the maps' quality: `python -m benchmarks.faithfulness.tables --write`, from the CSVs alone.

The CSVs lie in measured/ beside this file, and the page that is made of them is benchmarks/FAITHFULNESS.md.
`--take DIR` first makes the CSVs of the records that `benchmarks.faithfulness.run --keep DIR` has so far; it may still
run.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from benchmarks.faithfulness import figures as csv
from benchmarks.faithfulness import goals
from benchmarks.faithfulness.figures import AREAS, BETTER, COLUMNS, COSTS, MEMORY, MODEL, Figures, Measured
from benchmarks.faithfulness.metrics import TRUE, bootstrap
from benchmarks.faithfulness.records import load
from benchmarks.report import ROOT, argument_parser, heads, row

MEASURED, PAGE = Path(__file__).parent / "measured", ROOT / "benchmarks/FAITHFULNESS.md"
OURS = ("staa_class", "staa_class, refine=16", "staa")
"""The ways that are compared with every other one, clip by clip."""
SUMMARY = {
    "staa_class": "`staa_class`, ours",
    "staa_class, refine=16": "`staa_class, refine=16`, ours",
    "Chefer relevance": "Chefer's relevance",
    "integrated gradients, signed": "integrated gradients, signed",
    "LIME": "LIME",
    "KernelSHAP": "KernelSHAP",
    "random": "random numbers",
}
"""Way -> its name in the first table, where the first one is compared with the others."""


def of_model(figures: Figures) -> Iterator[str]:
    """Yield the lines of the tables of a model: against the truth, against itself, cost, and clip by clip."""
    for title, columns in (("the truth of the clip", COLUMNS), ("the model", MODEL)):
        yield from ("", heads(f"against {title}", "clips", *columns))
        for way, known in figures.items():
            if clips := len(known.get(columns[0], ())):
                yield row(way, clips, *(_interval([*known.get(column, {}).values()], clips) for column in columns))
    yield from ("", heads("cost", "clips", *COSTS, MEMORY))
    for way, known in figures.items():
        if COSTS[0] in known:
            costs = ([*known.get(column, {}).values()] for column in (*COSTS, MEMORY))
            yield row(way, len(known[COSTS[0]]), *(f"{np.median(values):.4g}" if values else "-" for values in costs))
    for way in OURS:
        if way in figures:
            yield from pairs(figures, way)


def _interval(values: Sequence[float], clips: int) -> str:
    if not values:
        return "-"
    mean, low, high = bootstrap(values)
    fewer = f", {len(values)} clips" if len(values) < clips else ""
    return f"{mean:.3f} ({low:.3f}-{high:.3f}{fewer})"


def pairs(figures: Figures, way: str) -> Iterator[str]:
    """Yield how much better a way is than each other one, clip by clip; bold if the interval does not include 0."""
    yield from ("", heads(f"{way} is better than", "clips", *BETTER))
    for rival in figures:
        if rival != way and rival not in TRUE:
            leads = [goals.lead(figures, way, rival, column) for column in BETTER]
            texts = ["-" if lead is None else str(lead) if lead.verdict == "level" else f"**{lead}**" for lead in leads]
            counts = dict.fromkeys(0 if lead is None else lead.clips for lead in (leads[0], leads[-1]))
            yield row(rival, " / ".join(map(str, counts)), *texts)


def summary(models: Sequence[Measured]) -> Iterator[str]:
    """Yield the lines of the first table: few ways, and whether each is ahead of our map of one pass."""
    first = next(iter(SUMMARY))
    yield heads("model", "way", "clips", "passes", *BETTER)
    for model in models:
        figures = model.figures()
        for way in (way for way in SUMMARY if way in figures):
            cells = []
            for column in BETTER:
                values = [*figures[way].get(column, {}).values()]
                lead = goals.lead(figures, way, first, column) if way != first else None
                cells.append(f"{bootstrap(values)[0]:.3f}{f' {lead.verdict}' if lead else ''}" if values else "-")
            counts = dict.fromkeys(len(figures[way].get(column, ())) for column in ("pointing", AREAS[0]))
            yield row(model.name, SUMMARY[way], " / ".join(map(str, counts)), _passes(figures, way), *cells)


def _passes(figures: Figures, way: str) -> str:
    """Return the median numbers of passes forward and backward."""
    forward, backward = (int(np.median([*figures[way].get(cost, {0: 0}).values()])) for cost in COSTS[:2])
    return f"{forward:,} + {backward} back" if backward else f"{forward:,}"


def goal_table(models: Sequence[Measured]) -> Iterator[str]:
    """Yield the lines of the table of goals."""
    yield heads("goal", *(model.name for model in models))
    every = [(model.name, model.figures()) for model in models]
    for goal in goals.GOALS:
        yield row(goal.text, *(goal.verdict(name, figures) for name, figures in every))


HEAD = """\
# Are the maps right?

Made by `python -m benchmarks.faithfulness.tables --write` of the figures of every clip, which lie in
`benchmarks/faithfulness/measured`. [RESULTS.md](RESULTS.md) says what the words mean.
"""
LEGEND = """\
Means over fresh clips with the right label. "ahead", "behind" and "level" compare a way with `staa_class`, the first
line of its model, on the clips that both have: level is a difference whose 95% interval (bootstrap over the clips)
includes 0. Less is better in deletion, more in all else. "passes" are clips that go through the model, "back" those
that go through it backward. Intervals are of one trained network a model: what another would give is not in them.
"""
GOALS_LEGEND = f"""\
Clip by clip, with the same intervals. A dash: no goal for this model. "not measured": fewer than {goals.LEAST} clips
have both ways. Level is easier to reach with fewer clips, ahead is harder: read their numbers, too.
"""


def page(models: Sequence[Measured]) -> str:
    """Return the page of all tables."""
    if not models:
        return f"{HEAD}\nNothing is measured yet.\n"
    lines = [HEAD, *summary(models), "", LEGEND, "## Goals", "", *goal_table(models), "", GOALS_LEGEND]
    for model in models:
        subject = model.about["subject"]
        numbers = [record.number for record in model.records]
        wrong = sum(not record.right for record in model.records)
        lines += [f"## {model.name}: {subject['family']}, {subject['grid']} tokens", ""]
        lines += [f"Clips {min(numbers)} to {max(numbers)}, but {wrong} of {len(numbers)} that the model labels wrong."]
        lines += [f"{model.about['machine']}. Weights {subject['weights'][:12]}.", *of_model(model.figures()), ""]
    return "\n".join(lines)


def take(folder: Path, into: Path) -> None:
    """Write the CSVs of all records in a folder."""
    for path in sorted(folder.glob("*.jsonl")):
        about, records = load(path)
        print(csv.write(into, Measured(path.stem, about, [*records.values()])))


def main(argv: Sequence[str] | None = None) -> None:
    """Print or write the page; `argv` stands for the command line's."""
    parser = argument_parser(__doc__)
    parser.add_argument("--csv", type=Path, default=MEASURED, metavar="DIR", help="where the CSVs are")
    parser.add_argument("--take", type=Path, metavar="DIR", help="first make the CSVs of what a run keeps there")
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.name} in place of printing it")
    options = parser.parse_args(argv)
    if options.take:
        take(options.take, options.csv)
    text = page([csv.read(path) for path in sorted(options.csv.glob("*.csv"))])
    if options.write:
        PAGE.write_text(text)
    else:
        print(text)


if __name__ == "__main__":
    main()
