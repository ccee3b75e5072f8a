"""Says how a bulk job goes on, and what came of it."""

import time
from collections import Counter
from collections.abc import Callable

import pyarrow as pa

EVERY_SECONDS = 5.0
"""How often a line is printed at most."""


def say(text: str) -> None:
    """Print a line."""
    print(f"scale: bulk: {text}", flush=True)


class Progress:
    """Count rows, and print lines with their rate and the time that is left.

    The rate is counted from the first rows on: by then all models are loaded.
    """

    def __init__(self, total: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._total, self._clock = total, clock
        self._began = self._said = clock()
        self._first: tuple[float, int] | None = None
        self.done = 0
        self.errors: Counter[str] = Counter()

    def add(self, rows: pa.Table) -> None:
        """Count rows, and print a line if it is time."""
        self.done += len(rows)
        self.errors.update(code for code in rows["error_code"].to_pylist() if code is not None)
        now = self._clock()
        if self._first is None:
            self._first = now, self.done
        if now - self._said >= EVERY_SECONDS:
            self._said = now
            say(f"{self.done} of {self._total} videos, {self.errors.total()} errors{self._pace()}")

    def summary(self) -> str:
        """Return the counts of rows and errors, and how long it took."""
        counts = f"{self.done} videos in {self._clock() - self._began:.1f} s{self._pace()}"
        codes = ", ".join(f"{code} {count}" for code, count in self.errors.most_common())
        return f"{counts}, {self.errors.total()} errors" + (f": {codes}" if codes else "")

    def _pace(self) -> str:
        """Return rate and remaining time in words; nothing as long as there is no rate."""
        if self._first is None or self.done == self._first[1]:
            return ""
        rate = (self.done - self._first[1]) / max(self._clock() - self._first[0], 1e-9)
        left = round((self._total - self.done) / rate)
        return f", {rate:.2f} a second" + (f", {left // 3600}:{left // 60 % 60:02}:{left % 60:02} left" if left else "")
