"""How bulk work grows with decoders and models: `python -m benchmarks.speed.bulk`, one table.

A job over the same generated clips, by turns with each number of decoders and models (`--ways`, DECODERSxMODELS), on
one Ray of this machine. The rate counts from the first rows on, as the job's own lines do: by then models are loaded.
"""

import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.report import argument_parser, heads, machine, row
from scale.bulk.run import Pool, cluster, rows
from scale.bulk.sources import Source, list_sources
from scale.bulk.stages import Work
from scale.served import Served
from training.movie import write


def rate(work: Work, pool: Pool, sources: list[Source]) -> float:
    """Run a job, and return its clips a second."""
    began, first, done = 0.0, 0, 0
    for table in rows(work, pool, sources):
        done += len(table)
        if not first:
            began, first = time.perf_counter(), done
    return (done - first) / (time.perf_counter() - began)


def main() -> None:
    """Print the table."""
    parser = argument_parser(__doc__)
    parser.add_argument("--model", default="motions")
    parser.add_argument("--clips", type=int, default=192, help="of 10 s, 320x240 (%(default)s)")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--ways", nargs="+", default=["1x1", "2x1", "2x2"], metavar="DxM")
    parser.add_argument("--gpus", type=float, default=0, help="of each model (%(default)s)")
    args = parser.parse_args()
    served = Served.read(args.model)
    work = Work(served, True, {}, args.model, served.batch_size, threads=1)
    numbers = [way.split("x") for way in args.ways]
    pools = [Pool(int(decoders), int(models), args.gpus) for decoders, models in numbers]
    most = Pool(max(pool.decoders for pool in pools), max(pool.models for pool in pools), args.gpus)
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(args.clips):
            write(Path(folder) / f"{seed}.mp4", seed, None, (320, 240), 10, 25)
        sources = list_sources(folder)
        with cluster(None, most, work):
            rates = np.array([[rate(work, pool, sources) for pool in pools] for _ in range(args.turns)])
    print(f"{args.clips} clips of 10 s, 320x240, {args.model}, {args.turns} turns; {machine()}\n")
    print(heads("decoders", "models", "clips/s", "x the first"))
    for pool, each, ratio in zip(pools, rates.T, (rates / rates[:, :1]).T, strict=True):
        low, middle, high = np.percentile(ratio, [25, 50, 75])
        print(row(pool.decoders, pool.models, f"{np.median(each):.2f}", f"{middle:.2f} ({low:.2f}-{high:.2f})"))


if __name__ == "__main__":
    main()
