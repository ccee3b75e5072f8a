"""Counts what became of every request, and by which fault, where one was at work meanwhile."""

import json
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

NOTHING = "nothing"
"""The cause of what happened while no fault was at work."""
RIGHT, WRONG, CROSSED, MALFORMED, CUT, LATE = "right", "wrong", "crossed", "malformed", "cut", "late"
"""Outcomes: an answer of 200 that is right, that is not, that is another video's, that cannot be read; none, or none
in time. All others are refusals: the status and the code of an error."""
BUSY = ("429 ", "503 ")
"""The starts of refusals that say: ask again."""
SILENT = ("attack: ", "caller: ")
"""The starts of causes that must do nothing to others: whatever has no other cause is counted as theirs."""


@dataclass
class Tally:
    """Holds the counts of a run; threads may call it.

    Args:
        findings: A folder for requests whose answer was not right.
    """

    findings: Path
    began: float = field(default_factory=time.monotonic)
    outcomes: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    """(kind of request, outcome, cause) -> how often."""
    faults: Counter[str] = field(default_factory=Counter)
    """Name of a fault -> how often."""
    attacks: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    """Name of an attack -> its own outcomes."""
    slowest: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    """Name of an attack, or kind of request -> the most seconds to its answer."""
    _intervals: list[list[Any]] = field(default_factory=list)
    """[name, began, ended or None] of each fault."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def fault(self, name: str) -> Iterator[None]:
        """Count a fault that is at work during the block."""
        interval = [name, time.monotonic(), None]
        with self._lock:
            self.faults[name] += 1
            self._intervals.append(interval)
        try:
            yield
        finally:
            interval[2] = time.monotonic()

    def cause(self, began: float) -> str:
        """Return the fault that was at work at some time since `began`, one of the server before one of a caller."""
        with self._lock:
            names = [str(name) for name, _, ended in self._intervals if ended is None or ended >= began]
        loud = [name for name in names if not name.startswith(SILENT)]
        return (loud or names or [NOTHING])[0]

    def count(self, kind: str, outcome: str, began: float, evidence: Sequence[bytes] = ()) -> None:
        """Count what became of a request that was sent at `began`; keep the evidence of what must not be."""
        cause = NOTHING if outcome == RIGHT else self.cause(began)
        with self._lock:
            self.outcomes[kind, outcome, cause] += 1
            self.slowest[kind] = max(self.slowest[kind], time.monotonic() - began)
            number = self.outcomes[kind, outcome, cause]
        if outcome in {WRONG, CROSSED, MALFORMED} and number < 20:
            for part, data in enumerate(evidence):
                file = self.findings / f"{outcome}-{kind}-{time.monotonic() - self.began:.1f}-{part}".replace(" ", "_")
                file.write_bytes(data)

    def count_attack(self, name: str, outcome: str, began: float) -> None:
        """Count what became of an attack itself."""
        cause = self.cause(began) if outcome[:1] in "5c" else ""
        other = cause and not cause.startswith(SILENT)
        with self._lock:
            self.attacks[name][f"{outcome} ({cause})" if other else outcome] += 1
            if not other:
                self.slowest[f"attack: {name}"] = max(self.slowest[f"attack: {name}"], time.monotonic() - began)

    def sums(self) -> dict[str, int]:
        """Return how many requests had each outcome, whatever their kind and cause."""
        sums: Counter[str] = Counter()
        for (_, outcome, _), count in self.outcomes.items():
            sums[outcome] += count
        return dict(sums)

    def unexplained(self) -> dict[str, int]:
        """Return what happened to requests though no fault of the server was at work, but for answers and 'busy'."""
        found: Counter[str] = Counter()
        for (_, outcome, cause), count in self.outcomes.items():
            bad = outcome in {WRONG, CROSSED, MALFORMED}
            quiet = cause == NOTHING or cause.startswith(SILENT)
            if bad or (quiet and outcome != RIGHT and not outcome.startswith(BUSY)):
                found[f"{outcome} ({cause})"] += count
        return dict(found)

    def document(self) -> dict[str, Any]:
        """Return all counts as JSON data."""
        return {
            "outcomes": [[*key, count] for key, count in sorted(self.outcomes.items())],
            "faults": dict(self.faults),
            "attacks": {name: dict(counts) for name, counts in self.attacks.items()},
            "slowest": {name: round(seconds, 2) for name, seconds in self.slowest.items()},
            "unexplained": self.unexplained(),
        }

    def save(self, path: Path, **more: Any) -> None:
        """Write all counts, and more, to a file."""
        with self._lock:
            document = self.document() | more
        path.write_text(json.dumps(document, indent=1) + "\n")
