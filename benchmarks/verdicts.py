"""How often a verdict of `verify` is right: `python -m benchmarks.verdicts FOLDER`, one table.

Maps of the clip itself, of another clip, of nobody (random numbers) and of the middle of the clip are verified alike.
A map of another clip and a random one should not be called faithful.
"""

import argparse
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from staa import Attribution, Explainer, Options
from staa.verify import VERDICTS, centre, verdict
from training.evaluate import fresh


def _share(cells: NDArray[np.float64]) -> NDArray[np.float32]:
    return np.asarray(cells / cells.sum(), np.float32)


def main() -> None:
    """Count the verdicts."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", type=Path, help="folder of a trained model")
    parser.add_argument("--clips", type=int, default=100)
    parser.add_argument("--first", type=int, default=6000, help="number of the first clip")
    parser.add_argument("--points", type=int, nargs="+", default=[2, 4, 8])
    options = parser.parse_args()
    explainer = Explainer.load(options.model)

    counted: dict[tuple[int, str], Counter[str]] = {}
    ratios: dict[int, list[float]] = {points: [] for points in options.points}
    before: Attribution | None = None
    for number in range(options.clips):
        clip, _ = fresh(explainer, options.first + number)
        pixels = explainer.pixels([clip])
        start = time.perf_counter()
        forward = explainer.forward(pixels, {0: "staa"})
        (own,) = explainer.attributions(forward, [Options()])
        plain = time.perf_counter() - start
        (classy,) = explainer.attributions(explainer.forward(pixels, {0: "staa_class"}), [Options(method="staa_class")])
        maps = {
            "staa": own,
            "staa_class": classy,
            "centre": replace(own, joint=_share(centre(explainer.grid))),
            # not the numbers that the check itself draws
            "random": replace(own, joint=_share(np.random.default_rng([1, number]).random(explainer.grid.shape))),
        }
        if before is not None:
            maps["staa of another clip"] = before
        before = own
        for points in options.points:
            for name, found in maps.items():
                start = time.perf_counter()
                code = verdict(explainer.verify(pixels, forward.logits[0], found, points))
                ratios[points].append((time.perf_counter() - start) / plain)
                counted.setdefault((points, name), Counter())[code] += 1
    print(f"{options.model.name}, {options.clips} clips, share of the verdicts\n")
    print("| verify | map |", " | ".join(VERDICTS), "| time, x forward with map |")
    print("|" + " --- |" * (3 + len(VERDICTS)))
    for (points, name), counts in counted.items():
        shares = [f"{counts[code] / counts.total():.2f}" for code in VERDICTS]
        print(f"| {points} | {name} |", " | ".join(shares), f"| {np.median(ratios[points]):.1f} |")


if __name__ == "__main__":
    main()
