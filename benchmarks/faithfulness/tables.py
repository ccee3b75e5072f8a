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
EXPLAINED = ROOT / "docs/explain.md"
"""The page for users, which has the first table, too."""
OURS = ("staa_class", "staa_class, refine=16", "staa")
"""The ways that are compared with every other one, clip by clip."""
SUMMARY = {
    "staa": "`staa`, ours",
    "staa_class": "`staa_class`, ours",
    "staa_class, refine=16": "`staa_class`, `refine=16`, ours",
    "rollout": "attention rollout",
    "Chefer relevance": "Chefer's relevance",
    "integrated gradients, signed": "integrated gradients, signed",
    "LIME": "LIME",
    "KernelSHAP": "KernelSHAP",
    "frame difference": "difference of frames, no model",
    "random": "random numbers",
}
"""Way -> its name in the first table, where `staa_class` is compared with the others."""
SHORT = {"pointing": "points", AREAS[0]: "deletes", AREAS[1]: "inserts"}
"""Figure -> its name there."""
FIRST = "staa_class"


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
    """Yield the lines of the first table: few ways and figures, and how each compares with our map of one pass."""
    known = [(model.name, model.figures()) for model in models]
    yield heads("way", "passes", *(f"{name} {word}" for name, _ in known for word in SHORT.values()))
    counted = [figures.get(FIRST, {}).get(column, ()) for _, figures in known for column in SHORT]
    yield row("clips", "", *map(len, counted))
    for way, name in SUMMARY.items():
        if passes := [_passes(figures, way) for _, figures in known if way in figures]:
            cells = [_compared(figures, way, column) for _, figures in known for column in SHORT]
            yield row(name, passes[0], *cells)


def _compared(figures: Figures, way: str, column: str) -> str:
    """Return the mean of a figure: bold if the way is ahead of the first one, in brackets if it is behind."""
    values = [*figures.get(way, {}).get(column, {}).values()]
    if not values:
        return "-"
    mean, found = f"{bootstrap(values)[0]:.3f}", goals.lead(figures, way, FIRST, column)
    verdict = "level" if way == FIRST or found is None else found.verdict
    return {"ahead": f"**{mean}**", "behind": f"({mean})", "level": mean}[verdict]


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
Means over fresh clips with the right label. **Bold** is ahead of `staa_class`, (in brackets) behind it, on the clips
that both have; else 0 lies in the 95% interval of the difference (bootstrap over the clips). "points": the share of
the strongest cells that lie on the object. "deletes": the probability of the label while the strongest cells are
blurred away, more and more; less is better. "inserts": the same while they are put into a blurred clip; more is
better. "passes": clips through the model, "back": those through it backward. Intervals are of one trained network a
model: what another would give is not in them.
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


def with_summary(text: str, models: Sequence[Measured]) -> str:
    """Return a page with the first table and what it means, in place of those that it has between two comments."""
    begin, end = "<!-- the first table of benchmarks/FAITHFULNESS.md -->\n", "<!-- end of the table -->\n"
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    return "\n".join([before + begin, *summary(models), "", LEGEND + end + after])


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
    parser.add_argument("--write", action="store_true", help="write the pages in place of printing one")
    options = parser.parse_args(argv)
    if options.take:
        take(options.take, options.csv)
    models = [csv.read(path) for path in sorted(options.csv.glob("*.csv"))]
    text = page(models)
    if options.write:
        PAGE.write_text(text)
        EXPLAINED.write_text(with_summary(EXPLAINED.read_text(), models))
    else:
        print(text)


if __name__ == "__main__":
    main()
