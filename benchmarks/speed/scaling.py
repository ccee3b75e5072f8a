"""Does scaling by queue latency hold? Servers, queue, batches, scaler simulated: `python -m benchmarks.speed.scaling`.

Discrete events, in the order of time. Requests arrive at random (Poisson) and go to a random server that is ready; each
has a bounded queue and one worker, which takes batches as TorchServe does: the first request at once, then others until
the batch is full or the delay is over. A batch of b takes base + per_request * b seconds, as measured (RESULTS.md).
The scaler is that of Kubernetes: every period it wants replicas * metric / target, within its policies.
"""

import heapq
import itertools
import math
import re
import statistics
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from benchmarks.report import ROOT, argument_parser, heads, row

RESULTS = ROOT / "benchmarks" / "RESULTS.md"


@dataclass(frozen=True)
class Server:
    """Holds the settings of one replica."""

    base: float
    """Seconds for a batch, without its requests."""
    per_request: float
    """Seconds more for each request in it."""
    batch: int = 4
    delay: float = 0.010
    queue: float = 32
    """The most requests that may wait; math.inf sets no limit."""

    def seconds(self, rows: int) -> float:
        """Return the seconds for a batch of so many requests."""
        return self.base + self.per_request * rows

    @property
    def capacity(self) -> float:
        """Return the requests a second with full batches."""
        return self.batch / self.seconds(self.batch)


@dataclass(frozen=True)
class Scaler:
    """Holds the rules for the number of replicas: the metric that needs most decides."""

    target: float = 0.5
    """Target of the mean wait in the queue, in seconds; math.inf does not scale by it."""
    load: float = 0.7
    """Target load, as a share of a replica's capacity; math.inf does not scale by it."""
    least: int = 2
    most: int = 50
    period: float = 60.0
    """Seconds between decisions; Kubernetes decides every 15 s, and its policies allow changes per minute."""
    window: float = 120.0
    """Seconds over which the metrics are averaged, as by rate(...[2m])."""
    start: float = 60.0
    """Seconds from the decision for a replica until it is ready."""
    tolerance: float = 0.1
    calm: float = 300.0
    """Seconds of the stabilisation window: replicas go down only to the highest number wanted in this time."""
    down: float = 0.1
    """The share of replicas that may be removed in one period, at least one replica."""
    up: float = 1.0
    """The share of replicas that may be added in one period, at least four replicas."""


@dataclass
class _Replica:
    """Holds the state of a replica in the simulation."""

    ready: float
    waiting: deque[int] = field(default_factory=deque)
    taken: list[int] = field(default_factory=list)
    """The requests of the batch that is being gathered."""
    busy: bool = False
    leaving: bool = False
    turn: int = 0
    """The number of the batch, so that the delay of a batch that has begun does not end that of the next one."""


@dataclass(frozen=True)
class Outcome:
    """Holds the outcome of all requests; arrays have one value for each request, in the order of arrival."""

    arrived: np.ndarray
    queued: np.ndarray
    """Seconds until the batch of the request began; nan if it was refused."""
    answered: np.ndarray
    """Time of the answer; nan if the request was refused."""
    replicas: list[tuple[float, int]]
    """(time, replicas ready and not leaving), at each period of the scaler."""

    @property
    def refused(self) -> np.ndarray:
        """Tell where the queue had no room."""
        return np.asarray(np.isnan(self.answered))


def simulate(
    server: Server, steps: Sequence[tuple[float, float]], scaler: Scaler | None = None, replicas: int = 1, seed: int = 0
) -> Outcome:
    """Simulate loads, each (requests per second, seconds), and then go on until all requests are answered."""
    return _Run(server, scaler, replicas, seed, _arrivals(steps, np.random.default_rng(seed))).all()


def _arrivals(steps: Sequence[tuple[float, float]], random: np.random.Generator) -> np.ndarray:
    parts, begin = [np.empty(0)], 0.0
    for rate, seconds in steps:
        count = random.poisson(rate * seconds)
        parts.append(np.sort(random.uniform(begin, begin + seconds, count)))
        begin += seconds
    return np.concatenate(parts)


class _Run:
    """Holds the state of one simulation."""

    def __init__(self, server: Server, scaler: Scaler | None, replicas: int, seed: int, arrived: np.ndarray) -> None:
        self.server, self.scaler, self.arrived = server, scaler, arrived
        self.random = np.random.default_rng([seed, 1])
        self.replicas = [_Replica(0.0) for _ in range(scaler.least if scaler else replicas)]
        self.events: list[tuple[float, int, Callable[[float], None]]] = []
        self.order = itertools.count()
        self.recent: deque[tuple[float, float]] = deque()  # (time taken, seconds queued)
        self.asked: deque[float] = deque()  # times of arrival
        self.wishes: deque[tuple[float, int]] = deque()  # (time, replicas wanted)
        self.counts: list[tuple[float, int]] = []
        self.queued, self.answered = np.full((2, len(arrived)), np.nan)
        for request, time in enumerate(arrived.tolist()):
            self._at(time, partial(self._arrive, request))
        if scaler:
            for time in np.arange(scaler.period, max(arrived, default=0.0), scaler.period).tolist():
                self._at(time, partial(self._scale, scaler))

    def _at(self, time: float, event: Callable[[float], None]) -> None:
        heapq.heappush(self.events, (time, next(self.order), event))

    def all(self) -> Outcome:
        while self.events:
            now, _, event = heapq.heappop(self.events)
            event(now)
        return Outcome(self.arrived, self.queued, self.answered, self.counts)

    def _ready(self, now: float) -> list[_Replica]:
        return [replica for replica in self.replicas if replica.ready <= now and not replica.leaving]

    def _arrive(self, request: int, now: float) -> None:
        self.asked.append(now)
        ready = self._ready(now)
        replica = ready[int(self.random.integers(len(ready)))]
        if len(replica.waiting) < self.server.queue:
            replica.waiting.append(request)
            self._take(replica, now)

    def _take(self, replica: _Replica, now: float) -> None:
        """Let an idle worker take waiting requests; a batch begins when it is full, or when its delay is over."""
        if replica.busy:
            return
        first = not replica.taken and bool(replica.waiting)
        while replica.waiting and len(replica.taken) < self.server.batch:
            request = replica.waiting.popleft()
            self.queued[request] = now - self.arrived[request]
            self.recent.append((now, float(self.queued[request])))
            replica.taken.append(request)
        if len(replica.taken) == self.server.batch:
            self._begin(replica, now)
        elif first:
            self._at(now + self.server.delay, partial(self._end_delay, replica, replica.turn))

    def _end_delay(self, replica: _Replica, turn: int, now: float) -> None:
        if turn == replica.turn and not replica.busy:
            self._begin(replica, now)

    def _begin(self, replica: _Replica, now: float) -> None:
        replica.busy, replica.turn = True, replica.turn + 1
        self._at(now + self.server.seconds(len(replica.taken)), partial(self._end, replica))

    def _end(self, replica: _Replica, now: float) -> None:
        for request in replica.taken:
            if not math.isnan(self.answered[request]):
                raise RuntimeError(f"request {request} is answered twice")
            self.answered[request] = now
        replica.taken, replica.busy = [], False
        self._take(replica, now)

    def _scale(self, scaler: Scaler, now: float) -> None:
        staying = [replica for replica in self.replicas if not replica.leaving]
        count = len(staying)
        begin = now - scaler.window
        while self.recent and self.recent[0][0] < begin:
            self.recent.popleft()
        while self.asked and self.asked[0] < begin:
            self.asked.popleft()
        wait = statistics.fmean(seconds for _, seconds in self.recent) if self.recent else 0.0
        rate = len(self.asked) / min(now, scaler.window)
        ratios = (wait / scaler.target, rate / count / (self.server.capacity * scaler.load))
        wish = max(count if abs(ratio - 1) <= scaler.tolerance else math.ceil(count * ratio) for ratio in ratios)
        self.wishes.append((now, wish))
        while self.wishes[0][0] < now - scaler.calm:
            self.wishes.popleft()
        if wish < count:
            most_wished = max(replicas for _, replicas in self.wishes)
            wish = max(min(count, most_wished), count - max(1, int(count * scaler.down)))
        wish = min(wish, count + max(4, int(count * scaler.up)), scaler.most)
        wish = max(wish, scaler.least)
        self.replicas += [_Replica(now + scaler.start) for _ in range(wish - count)]
        for replica in sorted(staying, key=lambda replica: replica.ready)[wish:]:  # the newest go, their work done
            replica.leaving = True
        self.counts.append((now, len(self._ready(now))))


def measured(text: str) -> Server:
    """Return the default model's server, by the tables of RESULTS.md with maps and a delay of 10 ms.

    One client's median, less the delay, is a batch of one; four clients keep one batch of four under way.
    """
    tables = re.findall(r"`maxBatchDelay=10`, \w+ run:\n\n(.*?)\n\n", text, re.DOTALL)
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for table in tables for line in table.splitlines()]
    alone = statistics.fmean(float(cells[5]) / 1000 - 0.010 for cells in lines if cells[:3] == ["server", "1", "maps"])
    full = statistics.fmean(4 / float(cells[3]) for cells in lines if cells[:3] == ["server", "4", "maps"])
    seconds = (full - alone) / 3  # of each clip more
    return Server(base=round(alone - seconds, 3), per_request=round(seconds, 3))


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
    names = "clips/s", "minutes", "replicas, first and last", "most", "wait s", "p95 s", "p95, last half s", "refused"
    yield from heads(*names).splitlines()
    begin = 0.0
    for rate, seconds in STEPS:
        end = begin + seconds
        counts = [count for time, count in outcome.replicas if begin < time <= end]
        here = (outcome.arrived >= begin) & (outcome.arrived < end)
        late = here & (outcome.arrived >= begin + seconds / 2)
        spent = outcome.answered - outcome.arrived
        p95, settled = np.nanpercentile(spent[here], 95), np.nanpercentile(spent[late], 95)
        mean, refused = np.nanmean(outcome.queued[here]), outcome.refused[here].mean()
        replicas = f"{counts[0]}, {counts[-1]}", max(counts)
        figures = f"{mean:.3f}", f"{p95:.2f}", f"{settled:.2f}", f"{refused:.2%}"
        yield row(f"{rate:g}", f"{seconds / 60:g}", *replicas, *figures)
        begin = end


def main() -> None:
    """Print a table for the recommended scaler, and one for each choice that was not taken."""
    parser = argument_parser(__doc__)
    parser.add_argument("--seed", type=int, default=0)
    seed = parser.parse_args().seed
    server = measured(RESULTS.read_text())
    print(
        f"A batch of b takes {server.base:g} + {server.per_request:g} b s; full, it is {server.capacity:.1f} clips/s."
    )
    for name, scaler in CHOICES.items():
        print(f"\n{name}\n", *table(server, scaler, seed), sep="\n")


if __name__ == "__main__":
    main()
