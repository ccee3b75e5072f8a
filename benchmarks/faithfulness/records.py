"""What was measured of one clip after the other, kept in a file, so that a run of hours goes on where it was.

A file has a JSON object a line: first what was measured (weights, methods, versions), then one a clip; of two on the
same clip the later one holds. Several processes may add to one file, each its own share of the clips. What was measured
of something else is not gone on with.
"""

import json
import sys
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

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

    def missing(self, ways: Iterable[str], figures: Collection[str] = (), *, maps: bool = False) -> list[str]:
        """Return the ways for which a wanted figure or map is missing."""

        def lacks(way: str) -> bool:
            known = self.figures.get(way)
            return known is None or not known.keys() >= {*figures} or (maps and way not in self.maps)

        return [way for way in ways if self.right and lacks(way)]

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


def load(path: Path) -> tuple[dict[str, Any], dict[int, Record]]:
    """Return what a file is about (its first line), and its records by number.

    Raises:
        ValueError: two runs that measured different things wrote into it, or it does not say what they measured.
    """
    about: dict[str, Any] = {}
    records: dict[int, Record] = {}
    for line in path.read_bytes().splitlines():
        try:
            fields = json.loads(line)
        except ValueError:  # the end of a run that was cut off
            continue
        if "number" in fields:
            records[fields["number"]] = Record(**fields)
        elif about.get("subject", fields["subject"]) != fields["subject"]:
            raise ValueError(f"{path} is about {about['subject']} and about {fields['subject']}")
        else:
            about = about or fields
    if "subject" not in about:
        raise ValueError(f"{path} does not say what was measured")
    return about, records


class Records:
    """Holds the records of one model, in a file, or without one only in memory.

    Args:
        path: the file, or nothing.
        subject: what is measured, name -> version.
        machine: what it is measured on; this may differ from that of the file.
        known: the records that a new file begins with.

    Raises:
        SystemExit: the file is about something else.
    """

    def __init__(
        self, path: Path | None, subject: Mapping[str, str], machine: str = "", known: Iterable[Record] = ()
    ) -> None:
        self._path = path
        self._known: dict[int, Record] = {}
        if not path or not path.exists():
            self._write({"subject": dict(subject), "machine": machine})
            for record in known:
                self.add(record)
            return
        try:
            about, self._known = load(path)
        except ValueError as error:
            sys.exit(f"{error}: keep this run in another folder")
        if about["subject"] != subject:
            sys.exit(f"{path} is about {about['subject']}, not {dict(subject)}: keep this run in another folder")

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
