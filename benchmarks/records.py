"""What was measured of one clip after the other, kept in a file, so that a run of hours goes on where it was.

A file has a JSON object a line: first what was measured (weights, methods, versions), then one a clip; of two on the
same clip the later one holds. Several processes may add to one file, each its own share of the clips. What was measured
of something else is not gone on with.
"""

import json
import os
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
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

    def missing(self, ways: Iterable[str], *, curves: bool, maps: bool) -> list[str]:
        """Return the ways of which something that is wanted was not measured."""
        parts: list[Mapping[str, object]] = [self.figures, *[self.curves] * curves, *[self.maps] * maps]
        return [way for way in ways if self.right and any(way not in part for part in parts)]

    def only(self, ways: Collection[str], but: Collection[str]) -> "Record":
        """Return these ways of it, without some figures: another run may have measured more than all clips have."""
        known = [way for way in ways if way in self.figures]
        figures = {way: {key: value for key, value in self.figures[way].items() if key not in but} for way in known}
        curves = {} if but else {way: self.curves[way] for way in ways if way in self.curves}
        maps = {way: self.maps[way] for way in ways if way in self.maps}
        return Record(self.number, self.right, figures, curves, maps)

    def shown(self) -> dict[str, Map]:
        """Return its maps as arrays."""
        return {way: np.array(rows) for way, rows in self.maps.items()}


class Records:
    """The clips of one model, in a file or (without one) in memory alone.

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
        """Return what is known of a clip."""
        return self._known.get(number)

    def add(self, record: Record) -> None:
        """Keep one clip."""
        self._known[record.number] = record
        self._write(asdict(record))

    def _write(self, fields: Mapping[str, object]) -> None:
        """Add a line in one write: what another process writes does not get into it."""
        if self._path:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            try:
                os.write(handle, b"\n" + json.dumps(fields).encode())
            finally:
                os.close(handle)


Figures = Mapping[str, Mapping[str, Mapping[int, float]]]
"""Way -> figure -> number of the clip -> value."""


def by_way(records: Iterable[Record], ways: Sequence[str]) -> Figures:
    """Return what was measured of some ways, clip by clip."""
    found: dict[str, dict[str, dict[int, float]]] = {}
    for record in records:
        for way in (way for way in ways if way in record.figures):
            for key, value in record.figures[way].items():
                found.setdefault(way, {}).setdefault(key, {})[record.number] = value
    return found
