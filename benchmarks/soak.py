"""Load and faults together, every answer checked: `python -m benchmarks.soak --minutes 60`, one table of what became.

Films of ten kinds, whose right answers the library computes first, are asked about in all forms, by both clients and
by hand, through the front proxy and on TorchServe's own port. Meanwhile processes are killed and stopped, the disk is
filled, callers misbehave, and attacks are sent through the proxy. In the last quarter no fault is done to the server,
so that the slope of its memory can be seen. As root on Linux all processes of the server share a bound of memory
(`--memory`), and their temporary files a small file system; elsewhere there is no bound and no full disk.
"""

import argparse
import subprocess
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

from benchmarks.endurance.attacks import attacks
from benchmarks.endurance.callers import Callers, Way
from benchmarks.endurance.faults import Faults, attack
from benchmarks.endurance.films import films
from benchmarks.endurance.served import ROLES, Served, serving
from benchmarks.endurance.tally import CROSSED, CUT, LATE, MALFORMED, RIGHT, WRONG, Tally
from benchmarks.report import ROOT, argument_parser, heads, machine, row

EVERY = 10.0
"""Seconds between two measurements of memory."""
QUIET = 0.75
"""The share of the time after which no fault is done to the server."""


def main() -> None:
    """Run, and print the tables."""
    options = arguments()
    options.findings.mkdir(parents=True, exist_ok=True)
    print(f"films and attacks are made; findings go to {options.findings}", flush=True)
    made = films(str(ROOT / "model_store" / "motions"), options.films, options.seed)
    sent = attacks()
    tally, done = Tally(options.findings), threading.Event()
    with serving(int(options.memory * 2**30), options.disk * 2**20) as served:
        if served.proxy is None:
            raise RuntimeError("the proxy is not there")
        shm = set(Path("/dev/shm").iterdir())  # noqa: S108  # shared memory of decoders
        through = Way("nginx", served.proxy.url, served.proxy.trust())
        callers = Callers(made, [through, Way("direct", served.url, trust=True)], tally, options.pause, done)
        faults = Faults(served, callers, tally, done)
        tally.began = began = time.monotonic()
        last = began + options.minutes * 60
        quiet = began + QUIET * (last - began)
        threads = [threading.Thread(target=callers.by_hand, args=(options.seed + n,)) for n in range(options.callers)]
        threads += [
            threading.Thread(target=callers.by_client, args=(options.seed + 100,)),
            threading.Thread(target=callers.by_async_client, args=(options.seed + 200,)),
            threading.Thread(target=faults.of_server, args=(options.seed, options.every, quiet)),
            threading.Thread(target=faults.of_callers, args=(options.seed, options.pause)),
            threading.Thread(target=attack, args=(tally, through, sent, options.seed, options.attack_pause, done)),
        ]
        for thread in threads:
            thread.start()
        watch(served, tally, began, last, options.json)
        done.set()
        for thread in threads:
            thread.join(200)
        ended = served.stop()
        left = {str(path) for path in Path("/dev/shm").iterdir()} - {str(path) for path in shm}  # noqa: S108
        facts = {
            **ended,
            "shared_memory_left": sorted(left),
            "memory": served.bound.facts(),
            "slope_mb_an_hour": served.slope(quiet - began + 30),
            "restarts": served.restarts,
            "samples": served.samples,
            "commit": commit(),
        }
        tally.save(options.json, **facts)
        print(report(served, tally, options, facts))


def arguments() -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argument_parser(__doc__)
    folder = Path(tempfile.gettempdir())
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--films", type=int, default=20, help="videos that are asked about")
    parser.add_argument("--callers", type=int, default=3, help="threads that ask by hand, beside both clients")
    parser.add_argument("--pause", type=float, default=1.0, help="mean seconds between two requests of a caller")
    parser.add_argument("--every", type=float, default=30.0, help="seconds between two faults of the server")
    parser.add_argument("--attack-pause", type=float, default=15.0, help="mean seconds between two attacks")
    parser.add_argument("--memory", type=float, default=4.0, help="GiB of all processes of the server")
    parser.add_argument("--disk", type=int, default=512, help="MiB of its file system")
    parser.add_argument("--findings", type=Path, default=folder / "soak-findings", metavar="DIR")
    parser.add_argument("--json", type=Path, default=folder / "soak.json", metavar="FILE")
    return parser.parse_args()


def commit() -> str:
    """Return the commit that ran."""
    command = ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, check=False, capture_output=True, text=True).stdout.strip()


def watch(served: Served, tally: Tally, began: float, last: float, file: Path) -> None:
    """Measure memory until the end, and keep what is known so far."""
    said = time.monotonic()
    while time.monotonic() < last:
        taken = served.sample(began)
        if time.monotonic() > said + 60:
            said = time.monotonic()
            tally.save(file, samples=served.samples)
            print(f"{taken['seconds']:.0f} s: {tally.sums()}; {taken['all']:.0f} MB", flush=True)
        time.sleep(EVERY)


def report(served: Served, tally: Tally, options: argparse.Namespace, facts: dict[str, object]) -> str:
    """Return the tables."""
    lines = [f"{machine()}; commit {facts['commit']}; {options.minutes:g} minutes, seed {options.seed}", ""]
    kinds = sorted({kind for kind, _, _ in tally.outcomes})
    lines.append(
        heads(
            "asked",
            "requests",
            RIGHT,
            WRONG,
            CROSSED,
            MALFORMED,
            "429, 503",
            "other 4xx",
            "5xx",
            "no answer",
            "slowest s",
        )
    )
    total: Counter[str] = Counter()
    for kind in kinds:
        counts = columns(tally, kind)
        total.update(counts)
        lines.append(row(kind, *(counts[name] for name in NAMES), f"{tally.slowest[kind]:.1f}"))
    lines.append(row("all", *(total[name] for name in NAMES), ""))
    causes = sorted({cause for _, outcome, cause in tally.outcomes if outcome != RIGHT})
    lines += ["", heads("what was at work", "how often", "what happened to requests meanwhile")]
    for cause in sorted({*causes, *tally.faults} - {name for name in tally.faults if name.startswith("attack: ")}):
        found: Counter[str] = Counter()
        for (_, outcome, by), count in tally.outcomes.items():
            if by == cause and outcome != RIGHT:
                found[outcome] += count
        told = ", ".join(f"{outcome}: {count}" for outcome, count in found.most_common()) or "all right"
        lines.append(row(cause, tally.faults.get(cause, "-"), told))
    lines += ["", heads("attack, through nginx", "its own answers", "slowest s")]
    for name, found in sorted(tally.attacks.items()):
        told = ", ".join(f"{outcome}: {count}" for outcome, count in found.most_common())
        lines.append(row(name, told, f"{tally.slowest[f'attack: {name}']:.1f}"))
    lines += ["", heads("MB", "at first", "most", "at last", "slope an hour, last quarter")]
    slope = facts["slope_mb_an_hour"]
    for role in (*ROLES, "all"):
        values = [sample[role] for sample in served.samples]
        grown = slope.get(role, "-") if isinstance(slope, dict) else "-"
        lines.append(row(role, values[3 if len(values) > 3 else 0], max(values), values[-1], grown))
    lines += ["", *(f"* {name}: {facts[name]}" for name in facts if name not in {"samples", "slope_mb_an_hour"})]
    lines.append(f"* unexplained: {tally.unexplained() or 'nothing'}")
    return "\n".join(lines)


NAMES = ("all", RIGHT, WRONG, CROSSED, MALFORMED, "busy", "4xx", "5xx", "none")


def columns(tally: Tally, kind: str) -> Counter[str]:
    """Return the counts of a row, by the names of its columns."""
    counts: Counter[str] = Counter()
    for (asked, outcome, _), count in tally.outcomes.items():
        if asked == kind:
            counts["all"] += count
            if outcome in {RIGHT, WRONG, CROSSED, MALFORMED}:
                counts[outcome] += count
            elif outcome in {CUT, LATE}:
                counts["none"] += count
            elif outcome.startswith(("429", "503")):
                counts["busy"] += count
            else:
                counts[f"{outcome[0]}xx"] += count
    return counts


if __name__ == "__main__":
    main()
