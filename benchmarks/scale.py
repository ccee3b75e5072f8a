"""Does scaling by queue latency hold? A simulation of servers, queue, batches and scaler: `python -m benchmarks.scale`.

Discrete events, in the order of time. Requests arrive at random (Poisson) and go to a random server that is ready; each
has a bounded queue and one worker, which takes batches as TorchServe does: the first request at once, then others until
the batch is full or the delay is over. A batch of b takes base + each * b seconds, as measured (benchmarks/RESULTS.md).
The scaler is that of Kubernetes: every period it wants replicas * metric / target, within its policies.
"""

import argparse
import heapq
import itertools
import math
import re
import statistics
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

RESULTS = Path(__file__).with_name("RESULTS.md")


@dataclass(frozen=True)
class Server:
    """One replica's settings."""

    base: float
    """Seconds of a batch, whatever is in it."""
    each: float
    """Seconds more for each request in it."""
    batch: int = 4
    delay: float = 0.010
    queue: float = 32
    """Requests that may wait; math.inf is no bound."""

    def seconds(self, rows: int) -> float:
        """Return what a batch takes."""
        return self.base + self.each * rows

    @property
    def capacity(self) -> float:
        """Requests a second with full batches."""
        return self.batch / self.seconds(self.batch)


@dataclass(frozen=True)
class Scaler:
    """When there are how many replicas: as many as the metric that wants most."""

    target: float = 0.5
    """Mean seconds in the queue; math.inf does not scale by it."""
    load: float = 0.7
    """Share of a replica's capacity that is asked of it; math.inf does not scale by it."""
    least: int = 2
    most: int = 50
    period: float = 60.0
    """Between decisions; Kubernetes looks every 15 s, and counts what its policies allow by the minute."""
    window: float = 120.0
    """Of the mean: what rate(...[2m]) looks back."""
    start: float = 60.0
    """From wanting a replica to its being ready."""
    tolerance: float = 0.1
    calm: float = 300.0
    """Replicas go down only to the highest number wanted in this time."""
    down: float = 0.1
    """Share of the replicas that may go in one period, at least one."""
    up: float = 1.0
    """Share of the replicas that may come in one period, at least four."""


@dataclass
class _Replica:
    """A server at work."""

    ready: float
    waiting: deque[int] = field(default_factory=deque)
    taken: list[int] = field(default_factory=list)
    """Of the batch that is being gathered."""
    busy: bool = False
    leaving: bool = False
    turn: int = 0
    """Number of the batch: a delay that ends after its batch has begun is none of the next one's."""


@dataclass(frozen=True)
class Outcome:
    """What became of the requests: all arrays have one value a request, in the order of arrival."""

    arrived: np.ndarray
    queued: np.ndarray
    """Seconds until its batch was taken; nan where refused."""
    answered: np.ndarray
    """Time; nan where refused."""
    replicas: list[tuple[float, int]]
    """(time, replicas ready and not leaving), at each period of the scaler."""

    @property
    def refused(self) -> np.ndarray:
        """True where the queue had no room."""
        return np.asarray(np.isnan(self.answered))


def simulate(
    server: Server, steps: Sequence[tuple[float, float]], scaler: Scaler | None = None, replicas: int = 1, seed: int = 0
) -> Outcome:
    """Run loads, each (requests a second, seconds), and after them until all is answered."""
    return _Run(server, scaler, replicas, seed).all(_arrivals(steps, np.random.default_rng(seed)))


def _arrivals(steps: Sequence[tuple[float, float]], random: np.random.Generator) -> np.ndarray:
    parts, begin = [np.empty(0)], 0.0
    for rate, seconds in steps:
        count = random.poisson(rate * seconds)
        parts.append(np.sort(random.uniform(begin, begin + seconds, count)))
        begin += seconds
    return np.concatenate(parts)


class _Run:
    """The state of one simulation."""

    def __init__(self, server: Server, scaler: Scaler | None, replicas: int, seed: int) -> None:
        self.server, self.scaler = server, scaler
        self.random = np.random.default_rng([seed, 1])
        self.replicas = [_Replica(0.0) for _ in range(scaler.least if scaler else replicas)]
        self.events: list[tuple[float, int, str, _Replica | None, int]] = []
        self.order = itertools.count()
        self.recent: deque[tuple[float, float]] = deque()  # (time taken, seconds queued)
        self.asked: deque[float] = deque()  # times of arrival
        self.wanted: deque[tuple[float, int]] = deque()
        self.counts: list[tuple[float, int]] = []

    def _at(self, time: float, kind: str, replica: _Replica | None = None, turn: int = 0) -> None:
        heapq.heappush(self.events, (time, next(self.order), kind, replica, turn))

    def all(self, arrived: np.ndarray) -> Outcome:
        self.arrived = arrived
        self.queued, self.answered = np.full(len(arrived), np.nan), np.full(len(arrived), np.nan)
        last = arrived[-1] if len(arrived) else 0.0
        if self.scaler:
            for tick in np.arange(self.scaler.period, last, self.scaler.period):
                self._at(float(tick), "scale")
        number = 0
        while number < len(arrived) or self.events:
            if number < len(arrived) and (not self.events or arrived[number] <= self.events[0][0]):
                self._arrive(number, float(arrived[number]))
                number += 1
                continue
            now, _, kind, replica, turn = heapq.heappop(self.events)
            if kind == "scale":
                self._scale(now)
            elif replica and kind == "delay" and turn == replica.turn and not replica.busy:
                self._begin(replica, now)
            elif replica and kind == "end":
                self._end(replica, now)
        return Outcome(arrived, self.queued, self.answered, self.counts)

    def _arrive(self, number: int, now: float) -> None:
        self.asked.append(now)
        ready = [each for each in self.replicas if each.ready <= now and not each.leaving]
        replica = ready[int(self.random.integers(len(ready)))]
        if len(replica.waiting) < self.server.queue:
            replica.waiting.append(number)
            self._take(replica, now)

    def _take(self, replica: _Replica, now: float) -> None:
        """Let an idle worker take what waits: a batch begins when it is full, or its delay is over."""
        if replica.busy:
            return
        first = not replica.taken and bool(replica.waiting)
        while replica.waiting and len(replica.taken) < self.server.batch:
            number = replica.waiting.popleft()
            self.queued[number] = now - self.arrived[number]
            self.recent.append((now, float(self.queued[number])))
            replica.taken.append(number)
        if len(replica.taken) == self.server.batch:
            self._begin(replica, now)
        elif first:
            self._at(now + self.server.delay, "delay", replica, replica.turn)

    def _begin(self, replica: _Replica, now: float) -> None:
        replica.busy, replica.turn = True, replica.turn + 1
        self._at(now + self.server.seconds(len(replica.taken)), "end", replica)

    def _end(self, replica: _Replica, now: float) -> None:
        for number in replica.taken:
            if not math.isnan(self.answered[number]):
                msg = f"request {number} is answered twice"
                raise RuntimeError(msg)
            self.answered[number] = now
        replica.taken, replica.busy = [], False
        self._take(replica, now)

    def _scale(self, now: float) -> None:
        if not (scaler := self.scaler):
            return
        staying = [each for each in self.replicas if not each.leaving]
        count = len(staying)
        begin = now - scaler.window
        while self.recent and self.recent[0][0] < begin:
            self.recent.popleft()
        while self.asked and self.asked[0] < begin:
            self.asked.popleft()
        wait = statistics.fmean(seconds for _, seconds in self.recent) if self.recent else 0.0
        rate = len(self.asked) / min(now, scaler.window)
        ratios = (wait / scaler.target, rate / count / (self.server.capacity * scaler.load))
        want = max(count if abs(ratio - 1) <= scaler.tolerance else math.ceil(count * ratio) for ratio in ratios)
        self.wanted.append((now, want))
        while self.wanted[0][0] < now - scaler.calm:
            self.wanted.popleft()
        if want < count:
            want = max(min(count, max(number for _, number in self.wanted)), count - max(1, int(count * scaler.down)))
        want = min(want, count + max(4, int(count * scaler.up)), scaler.most)
        want = max(want, scaler.least)
        self.replicas += [_Replica(now + scaler.start) for _ in range(want - count)]
        for each in sorted(staying, key=lambda one: one.ready)[want:]:  # the newest go first, and finish their work
            each.leaving = True
        self.counts.append((now, sum(each.ready <= now and not each.leaving for each in self.replicas)))


def measured(text: str) -> Server:
    """Return the default model's server, by the tables of RESULTS.md with maps and a delay of 10 ms.

    One client's median, less the delay, is a batch of one; four clients keep one batch of four under way.
    """
    tables = re.findall(r"`maxBatchDelay=10`, \w+ run:\n\n(.*?)\n\n", text, re.DOTALL)
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for table in tables for line in table.splitlines()]
    alone = [float(row[5]) / 1000 - 0.010 for row in rows if row[:3] == ["server", "1", "maps"]]
    full = [4 / float(row[3]) for row in rows if row[:3] == ["server", "4", "maps"]]
    each = (statistics.fmean(full) - statistics.fmean(alone)) / 3
    return Server(base=round(statistics.fmean(alone) - each, 3), each=round(each, 3))


BY_QUEUE = Scaler(target=0.25, load=math.inf)
CHOICES = {
    "by requests a replica and by the wait (recommended)": Scaler(),
    "by the wait alone": BY_QUEUE,
    "by the wait alone, down at once": replace(BY_QUEUE, down=1.0),
    "by requests a replica alone": Scaler(target=math.inf),
    "as recommended, replicas that take 5 minutes to start": Scaler(start=300.0),
}
STEPS = ((10, 600), (40, 900), (100, 1200), (40, 1200), (10, 1800))


def table(server: Server, scaler: Scaler, seed: int = 0) -> Iterator[str]:
    """Yield the lines of one table: what callers see in each step of the load, and in its last half."""
    outcome = simulate(server, STEPS, scaler, seed=seed)
    yield "| clips/s | minutes | replicas, first and last | most | wait s | p95 s | p95, last half s | refused |"
    yield "|" + " --- |" * 8
    begin = 0.0
    for rate, seconds in STEPS:
        end = begin + seconds
        counts = [count for time, count in outcome.replicas if begin < time <= end]
        here = (outcome.arrived >= begin) & (outcome.arrived < end)
        late = here & (outcome.arrived >= begin + seconds / 2)
        spent = outcome.answered - outcome.arrived
        p95, settled = np.nanpercentile(spent[here], 95), np.nanpercentile(spent[late], 95)
        mean, refused = np.nanmean(outcome.queued[here]), outcome.refused[here].mean()
        yield (
            f"| {rate:g} | {seconds / 60:g} | {counts[0]}, {counts[-1]} | {max(counts)} | {mean:.3f} | {p95:.2f} "
            f"| {settled:.2f} | {refused:.2%} |"
        )
        begin = end


def main() -> None:
    """Print a table for the recommended scaler, and one for each choice that was not taken."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    seed = parser.parse_args().seed
    server = measured(RESULTS.read_text())
    print(
        f"A batch of b takes {server.base:g} + {server.each:g} b s; a full replica does {server.capacity:.1f} clips/s."
    )
    for name, scaler in CHOICES.items():
        print(f"\n{name}\n")
        print("\n".join(table(server, scaler, seed)))


if __name__ == "__main__":
    main()
