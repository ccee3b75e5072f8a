"""What serving so many clips a second takes, by what was measured: `python -m benchmarks.plan`.

Assumptions: a replica is used to 0.7 of what it does with full batches, so waits stay short; at least two replicas;
the memory that its pod asks for; the price of a core-hour and of a GiB-hour. Shares, prices and sizes are options.
"""

import argparse
import math
from dataclasses import dataclass

from benchmarks.scale import RESULTS, measured

RATES = (1, 100, 10_000)
CORES = 2  # of the machine of all measurements, and so of a replica here


@dataclass(frozen=True)
class Model:
    """What was measured of a model, on two cores."""

    name: str
    clips: float
    """A second, batches of 4 with maps."""
    memory: float
    """GiB of a replica's server: what its pod asks for, and may have."""


def models() -> list[Model]:
    """Return the default model, through the whole server, and a base-size one, whose forward pass is nearly all."""
    # RESULTS.md, "Four clips": labels and staa of TimeSformer-B 8x224 take 10.103 s.
    return [Model("motions", measured(RESULTS.read_text()).capacity, 3), Model("TimeSformer-B", 4 / 10.103, 4)]


def lines(share: float, core_hour: float, gib_hour: float, megabytes: float) -> list[str]:
    """Return the table: a row a model and rate."""
    made = [
        "| model | clips/s | replicas | cores | memory GiB | in Mbit/s | a month | 1,000 clips |",
        "|" + " --- |" * 8,
    ]
    for model in models():
        for rate in RATES:
            replicas = max(2, math.ceil(rate / (model.clips * share)))
            memory = replicas * model.memory
            hour = replicas * CORES * core_hour + memory * gib_hour
            made.append(
                f"| {model.name} | {rate:,} | {replicas:,} | {replicas * CORES:,} | {memory:,.0f} "
                f"| {rate * megabytes * 8:,.0f} | ${hour * 730:,.0f} | ${hour / (rate * 3.6):.3f} |"
            )
    return made


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--share", type=float, default=0.7, help="of what a replica does (%(default)s)")
    parser.add_argument("--core-hour", type=float, default=0.04, help="price, $ (%(default)s)")
    parser.add_argument("--gib-hour", type=float, default=0.005, help="price, $ (%(default)s)")
    parser.add_argument("--megabytes", type=float, default=0.32, help="of a clip (%(default)s)")
    args = parser.parse_args()
    print("\n".join(lines(args.share, args.core_hour, args.gib_hour, args.megabytes)))


if __name__ == "__main__":
    main()
