"""What serving so many clips a second takes, by what was measured: `python -m benchmarks.speed.capacity`.

Assumptions: a replica is used to 0.7 of what it does with full batches, so waits stay short; at least two replicas;
the memory that its pod asks for; the price of a core-hour and of a GiB-hour. Shares, prices and sizes are options.
"""

import math
from collections.abc import Iterator

from benchmarks.report import argument_parser, heads, row
from benchmarks.speed.scaling import RESULTS, measured

RATES = (1, 100, 10_000)
CORES = 2  # of the machine of all measurements, and so of a replica here


def lines(share: float, core_hour: float, gib_hour: float, megabytes: float) -> Iterator[str]:
    """Yield the lines of the table, one for each model and rate.

    The models are the default one, through the whole server, and a base-size one, whose forward pass is nearly all.
    """
    yield from heads(
        "model", "clips/s", "replicas", "cores", "memory GiB", "in Mbit/s", "a month", "1,000 clips"
    ).splitlines()
    # clips a second, batches of 4 with maps; GiB that the pod of a replica asks for, and may have
    for model, capacity, gib in (
        ("motions", measured(RESULTS.read_text()).capacity, 3),
        ("TimeSformer-B", 4 / 10.103, 4),  # RESULTS.md, "Four clips": labels and staa of TimeSformer-B 8x224
    ):
        for rate in RATES:
            replicas = max(2, math.ceil(rate / (capacity * share)))
            cores, memory = replicas * CORES, replicas * gib
            hour = cores * core_hour + memory * gib_hour
            sizes = (f"{size:,.0f}" for size in (rate, replicas, cores, memory, rate * megabytes * 8))
            yield row(model, *sizes, f"${hour * 730:,.0f}", f"${hour / (rate * 3.6):.3f}")


def main() -> None:
    """Print the table."""
    parser = argument_parser(__doc__)
    parser.add_argument("--share", type=float, default=0.7, help="of what a replica does (%(default)s)")
    parser.add_argument("--core-hour", type=float, default=0.04, help="price, $ (%(default)s)")
    parser.add_argument("--gib-hour", type=float, default=0.005, help="price, $ (%(default)s)")
    parser.add_argument("--megabytes", type=float, default=0.32, help="of a clip (%(default)s)")
    print("\n".join(lines(**vars(parser.parse_args()))))


if __name__ == "__main__":
    main()
