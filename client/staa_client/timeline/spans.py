"""Finds spans in the scores of windows: smoothed, with two thresholds and a minimum length; arithmetic only.

A window stands for the time around its middle, half way to the middles of its neighbours. So the windows cut the video
into parts, and a span by scores is a row of such parts. An event that is shorter than a window lies somewhere in each
of its windows, and their scores cannot say where: then the map of the best window says it.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float64]
"""(N, C) score of each class in each window, 0 to 1."""


class Run(NamedTuple):
    """Holds a row of windows in which a class is likely."""

    class_id: int
    first: int
    """The number of its first window."""
    last: int
    """The number of its last window."""
    best: int
    """The number of the best window, by the sum of its own score and of its smoothed score.

    Of windows that are all sure it is one in the middle, which holds the whole event.
    """
    score: float
    """The mean of its smoothed scores, 0 to 1."""


@dataclass(slots=True)
class _OpenRun:
    """Holds a run whose end has not come."""

    first: int
    best: int
    strength: float
    """The own and the smoothed score of the best window, added."""
    top: float = 0.0
    """The highest smoothed score."""
    total: float = 0.0
    """The sum of the smoothed scores."""


def smoothed(scores: Scores, smooth: int) -> Scores:
    """Return the mean over `smooth` windows around each one; there are fewer of them at both ends.

    For smooth = 3, the scores 0, 0, 1, 1 become 0, 1/3, 2/3, 1.
    """
    half = smooth // 2
    sums = np.concatenate([np.zeros((1, scores.shape[1])), np.cumsum(scores, 0)])
    places = np.arange(len(scores))
    low, high = np.maximum(places - half, 0), np.minimum(places + half + 1, len(scores))
    means: Scores = (sums[high] - sums[low]) / (high - low)[:, None]
    return np.clip(means, 0, 1)


class RunFinder:
    """Finds runs while the scores come, window by window, so that only the frames of a few windows must be kept.

    A run is a row of windows whose smoothed score is `low` or more, and `high` or more at least once.

    Args:
        smooth: How many windows are averaged, an odd number.
        high: The score that a run must reach.
        low: The score below which it ends.
        classes: The classes that are looked for; None for all.
    """

    def __init__(self, smooth: int, high: float, low: float, classes: Iterable[int] | None = None) -> None:
        self._half, self._high, self._low = smooth // 2, high, low
        self._classes = None if classes is None else frozenset(classes)
        self._rows: deque[NDArray[np.float64]] = deque(maxlen=2 * self._half + 1)
        self._came = 0
        """How many windows came."""
        self._judged = 0
        """How many of them have a smoothed score."""
        self._open: dict[int, _OpenRun] = {}
        """Class -> its run that goes on."""

    @property
    def kept(self) -> set[int]:
        """Return the numbers of the windows that can still become the best of a run."""
        return {run.best for run in self._open.values()} | {*range(self._judged, self._came)}

    def add(self, scores: NDArray[np.float64]) -> list[Run]:
        """Take the scores (C,) of the next window, and return the runs that have ended."""
        self._rows.append(scores)
        self._came += 1
        return self._judge() if self._came > self._half else []

    def finish(self) -> list[Run]:
        """Return the runs that end with the video, which has no more windows."""
        runs: list[Run] = []
        while self._judged < self._came:
            if len(self._rows) > self._half + self._came - self._judged:
                self._rows.popleft()
            runs += self._judge()
        return runs + self._close([*self._open], self._came)

    def _judge(self) -> list[Run]:
        """Smooth the scores of the oldest window that was not judged yet, and return the runs that it ends."""
        number, self._judged = self._judged, self._judged + 1
        means, own = np.mean(self._rows, 0), self._rows[number - self._came + len(self._rows)]
        likely = np.flatnonzero(means >= self._low).tolist()
        if self._classes is not None:
            likely = [class_id for class_id in likely if class_id in self._classes]
        going_on = set(likely)
        runs = self._close([class_id for class_id in self._open if class_id not in going_on], number)
        for class_id in likely:
            score, both = float(means[class_id]), float(means[class_id] + own[class_id])
            run = self._open.setdefault(class_id, _OpenRun(number, number, both))
            run.top, run.total = max(run.top, score), run.total + score
            if both > run.strength:
                run.best, run.strength = number, both
        return runs

    def _close(self, classes: Sequence[int], end: int) -> list[Run]:
        """End the runs of these classes before the window `end`, and return those that reached `high`."""
        runs = []
        for class_id in classes:
            run = self._open.pop(class_id)
            if run.top >= self._high:
                runs.append(Run(class_id, run.first, end - 1, run.best, run.total / (end - run.first)))
        return runs


def find_runs(scores: Scores, smooth: int, high: float, low: float, classes: Iterable[int] | None = None) -> list[Run]:
    """Return the runs in the scores of all windows, in the order of their first windows."""
    finder = RunFinder(smooth, high, low, classes)
    runs = [run for row in scores for run in finder.add(row)] + finder.finish()
    return sorted(runs, key=lambda run: (run.first, run.class_id))


def parts(starts: NDArray[np.float64], window: float, end: float) -> NDArray[np.float64]:
    """Return (N, 2) start and end of the time that each window stands for, in seconds; they cut the video up to `end`.

    For windows of 4 s that start at 0, 2 and 4 s in a video of 8 s, these are 0 to 3, 3 to 5 and 5 to 8 s.
    """
    middles = starts + min(window, end - starts[0]) / 2
    edges = np.concatenate([starts[:1], (middles[:-1] + middles[1:]) / 2, [end]])
    return np.stack([edges[:-1], edges[1:]], 1)


def looked_at(temporal: NDArray[np.floating], seconds: NDArray[np.float64]) -> tuple[float, float]:
    """Return the seconds from the first to the last step around the strongest one that are looked at more than evenly.

    A single weaker step between two stronger ones does not end it, as of an object that blinks.

    Args:
        temporal: (t,) share of each step; they sum to 1.
        seconds: (t, 2) start and end of each step.
    """
    strong = np.asarray(temporal) * len(temporal) >= 1
    first = last = int(np.argmax(temporal))
    while first > 0 and strong[max(first - 2, 0) : first].any():
        first -= 1 if strong[first - 1] else 2
    while last < len(strong) - 1 and strong[last + 1 : last + 3].any():
        last += 1 if strong[last + 1] else 2
    return float(seconds[first, 0]), float(seconds[last, 1])


def gaps(spans: Iterable[tuple[float, float]], first: float, last: float) -> list[tuple[float, float]]:
    """Return the times from `first` to `last`, in seconds, that no span covers."""
    left, at = [], first
    for start, end in [*sorted(spans), (last, last)]:
        if start > at + 1e-6:
            left.append((at, start))
        at = max(at, end)
    return left
