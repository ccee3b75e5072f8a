"""What was measured of one clip after the other, kept in a file, so that a run of hours goes on where it was.

A file has a JSON object a line: first what was measured (weights, methods, versions), then one a clip; of two on the
same clip the later one holds. Several processes may add to one file, each its own share of the clips. What was measured
of something else is not gone on with.
"""

import json
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.faithfulness.metrics import Map


@dataclass
class Record:
    """Holds what was measured on one clip."""

    number: int
    """The number of the fresh clip."""
    right: bool
    """Whether the model gives the right label; if not, nothing more was measured."""
    figures: dict[str, dict[str, float]] = field(default_factory=dict)
    """Way -> figure -> value."""
    curves: dict[str, list[list[float]]] = field(default_factory=dict)
    """Way -> (2, fractions): the curves of deletion and insertion, with blur."""
    maps: dict[str, list[list[list[float]]]] = field(default_factory=dict)
    """Way -> map (t, h, w), for the clips that are shown."""

    def missing(self, ways: Iterable[str], *, curves: bool, maps: bool) -> list[str]:
        """Return the ways for which a wanted figure, curve or map is missing."""
        due: list[Mapping[str, object]] = [self.figures, *[self.curves] * curves, *[self.maps] * maps]
        return [way for way in ways if self.right and any(way not in measured for measured in due)]

    def only(self, ways: Collection[str], but: Collection[str]) -> "Record":
        """Return these ways of it, without some figures: another run may have measured more than all clips have."""
        known = [way for way in ways if way in self.figures]
        figures = {way: {key: value for key, value in self.figures[way].items() if key not in but} for way in known}
        curves = {} if but else {way: self.curves[way] for way in ways if way in self.curves}
        maps = {way: self.maps[way] for way in ways if way in self.maps}
        return Record(self.number, self.right, figures, curves, maps)

    def shown(self) -> dict[str, Map]:
        """Return the maps as arrays."""
        return {way: np.array(rows) for way, rows in self.maps.items()}


class Records:
    """Holds the records of one model, in a file, or without one only in memory.

    Args:
        path: the file, or nothing.
        subject: what is measured, name -> version.

    Raises:
        SystemExit: the file is about something else.
    """

    def __init__(self, path: Path | None, subject: Mapping[str, str]) -> None:
        self._path = path
        self._known: dict[int, Record] = {}
        if not path or not path.exists():
            self._write({"subject": dict(subject)})
            return
        theirs: Mapping[str, str] | None = None
        for line in path.read_bytes().splitlines():
            try:
                fields = json.loads(line)
            except ValueError:  # the end of a run that was cut off
                continue
            theirs = fields.get("subject", theirs)
            if theirs != subject:
                sys.exit(f"{path} is about {theirs}, not {dict(subject)}: keep this run in another folder")
            if "number" in fields:
                self._known[fields["number"]] = Record(**fields)

    def get(self, number: int) -> Record | None:
        """Return the record of a clip; None if there is none."""
        return self._known.get(number)

    def add(self, record: Record) -> None:
        """Add the record of a clip."""
        self._known[record.number] = record
        self._write(asdict(record))

    def _write(self, fields: Mapping[str, object]) -> None:
        """Add a line in one write: what another process writes does not get into it."""
        if self._path:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("ab", buffering=0) as file:
                file.write(b"\n" + json.dumps(fields).encode())


Figures = Mapping[str, Mapping[str, Mapping[int, float]]]
"""Way -> figure -> number of the clip -> value."""


def by_way(records: Iterable[Record], ways: Sequence[str]) -> Figures:
    """Return the figures of some ways, clip by clip."""
    figures: dict[str, dict[str, dict[int, float]]] = {}
    for record in records:
        for way in (way for way in ways if way in record.figures):
            for key, value in record.figures[way].items():
                figures.setdefault(way, {}).setdefault(key, {})[record.number] = value
    return figures
