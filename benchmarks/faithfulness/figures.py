"""The figures of every clip as files to keep: one CSV a model, from which all tables are drawn.

The first line is a comment, a JSON object: what was measured, and on what. Then come a row a clip and way, with four
significant digits, and nothing where a figure was not measured. A clip with a wrong label has one row, without a way.
"""

import csv
import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.faithfulness.records import Record

COLUMNS = ("pointing", "pixel AUROC", "mass on object", "distractors", "when AUROC", "when top-k")
AREAS = ("deletion, blur", "insertion, blur", "deletion, mean", "insertion, mean")
KEPT = ("comprehensive", "sufficient", "cells kept")
AUTHORS = ("faithfulness", "monotonicity")
MODEL = AREAS + KEPT + AUTHORS
COSTS = ("forward", "backward", "seconds", "x forward")
MEMORY = "extra MB"
FIGURES = (*COLUMNS, *MODEL, *COSTS, MEMORY)
BETTER = {"pointing": 1, "when AUROC": 1} | dict(zip(AREAS, (-1, 1, -1, 1), strict=True))
"""Figure -> 1 if more is better, -1 if less is better."""

Figures = Mapping[str, Mapping[str, Mapping[int, float]]]
"""Way -> figure -> number of the clip -> value."""


@dataclass(frozen=True)
class Measured:
    """Holds what was measured of one model."""

    name: str
    about: Mapping[str, Any]
    """What was measured ("subject": name -> version), and on what ("machine")."""
    records: Sequence[Record]

    def figures(self, ways: Sequence[str] | None = None) -> Figures:
        """Return the figures of some ways, or of all in the order in which they first come."""
        every = dict.fromkeys(way for record in self.records for way in record.figures)
        return by_way(self.records, [*every] if ways is None else ways)


def by_way(records: Iterable[Record], ways: Sequence[str]) -> Figures:
    """Return the figures of some ways, clip by clip."""
    figures: dict[str, dict[str, dict[int, float]]] = {way: {} for way in ways}
    for record in records:
        for way in (way for way in ways if way in record.figures):
            for key, value in record.figures[way].items():
                figures[way].setdefault(key, {})[record.number] = value
    return {way: known for way, known in figures.items() if known}


def write(folder: Path, measured: Measured) -> Path:
    """Write the CSV of a model, and return its path."""
    text = io.StringIO()
    text.write(f"# {json.dumps(measured.about)}\n")
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(("clip", "way", *FIGURES))
    for record in sorted(measured.records, key=lambda record: record.number):
        if not record.right:
            rows.writerow((record.number, *[""] * (1 + len(FIGURES))))
        for way, values in record.figures.items():
            rows.writerow((record.number, way, *(_text(values.get(figure, math.nan)) for figure in FIGURES)))
    path = folder / f"{measured.name}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text.getvalue())
    return path


def _text(value: float) -> str:
    return f"{value:.4g}" if math.isfinite(value) else ""


def read(path: Path) -> Measured:
    """Read the CSV of a model.

    Raises:
        ValueError: it has other columns than this version writes.
    """
    comment, *lines = path.read_text().splitlines()
    head, *rows = csv.reader(lines)
    if head != ["clip", "way", *FIGURES]:
        raise ValueError(f"{path} has the columns {head}, expected clip, way, {', '.join(FIGURES)}: measure anew")
    records: dict[int, Record] = {}
    for number, way, *cells in rows:
        record = records.setdefault(int(number), Record(int(number), right=bool(way)))
        if way:
            record.figures[way] = {key: float(cell) for key, cell in zip(FIGURES, cells, strict=True) if cell}
    return Measured(path.stem, json.loads(comment.removeprefix("#")), [*records.values()])
