"""What was measured of one clip after the other, kept in a file, so that a run of hours goes on where it was.

A file has a JSON object a line, one a clip; of two on the same clip the later one holds. Several processes may add to
one file, each its own share of the clips.
"""

import json
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np

from benchmarks.metrics import Map


@dataclass
class Record:
    """One clip."""

    number: int
    """Of the fresh clip."""
    right: bool
    """Whether the model has its label; else nothing more was measured."""
    figures: dict[str, dict[str, float]] = field(default_factory=dict)
    """Way -> figure -> value."""
    curves: dict[str, list[list[float]]] = field(default_factory=dict)
    """Way -> (2, fractions): deletion, insertion, filled with blur."""
    maps: dict[str, list[list[list[float]]]] = field(default_factory=dict)
    """Way -> (t, h, w), of the clips that are shown."""

    def lacks(self, ways: Iterable[str], *, curves: bool, maps: bool) -> bool:
        """Return whether something that is wanted of it was not measured."""
        parts: list[Mapping[str, object]] = [self.figures, *[self.curves] * curves, *[self.maps] * maps]
        return self.right and any(way not in part for way in ways for part in parts)

    def only(self, ways: Collection[str], but: Collection[str]) -> "Record":
        """Return these ways of it, without some figures: another run may have measured more than all clips have."""
        figures = {
            way: {key: value for key, value in each.items() if key not in but}
            for way, each in self.figures.items()
            if way in ways
        }
        curves = {} if but else {way: each for way, each in self.curves.items() if way in ways}
        return replace(self, figures=figures, curves=curves)

    def shown(self) -> dict[str, Map]:
        """Return its maps as arrays."""
        return {way: np.array(rows) for way, rows in self.maps.items()}


class Records:
    """The clips of one model, in a file or (without one) in memory alone."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._known: dict[int, Record] = {}
        if path and path.exists():
            for line in path.read_bytes().splitlines():
                try:
                    record = Record(**json.loads(line))
                except ValueError:  # the end of a run that was cut off
                    continue
                self._known[record.number] = record

    def get(self, number: int) -> Record | None:
        """Return what is known of a clip."""
        return self._known.get(number)

    def add(self, record: Record) -> None:
        """Keep one clip, in one write: what another process writes does not get into it."""
        self._known[record.number] = record
        if self._path:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            try:
                os.write(handle, b"\n" + json.dumps(asdict(record)).encode())
            finally:
                os.close(handle)


def by_way(records: Iterable[Record], ways: Sequence[str]) -> Mapping[str, Mapping[str, list[float]]]:
    """Return, of some ways, way -> figure -> its value for every clip that has it, in the order of the clips."""
    found: dict[str, dict[str, list[float]]] = {}
    for record in records:
        for way in filter(record.figures.get, ways):
            for key, value in record.figures[way].items():
                found.setdefault(way, {}).setdefault(key, []).append(value)
    return found
