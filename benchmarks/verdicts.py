"""How often a verdict of `verify` is right: `python -m benchmarks.verdicts FOLDER`, one table.

Maps of the clip itself, of another clip, of nobody (random numbers) and of the middle of the clip are verified alike.
A map of another clip and a random one should not be called faithful.
"""

import argparse
import time
from collections import Counter
from pathlib import Path

import numpy as np
import torch

from staa import Explainer, Options
from staa.verify import VERDICTS, Map, centre, verdict, verify
from training.evaluate import fresh


def main() -> None:
    """Count the verdicts."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", type=Path, help="folder of a trained model")
    parser.add_argument("--clips", type=int, default=100)
    parser.add_argument("--first", type=int, default=6000, help="number of the first clip")
    parser.add_argument("--forwards", type=int, nargs="+", default=[2, 4, 8])
    options = parser.parse_args()
    explainer = Explainer.load(options.model)

    def answer(pixels: torch.Tensor) -> torch.Tensor:
        return explainer.forward(pixels, []).logits.softmax(-1)

    counted: dict[tuple[int, str], Counter[str]] = {}
    ratios: dict[int, list[float]] = {forwards: [] for forwards in options.forwards}
    before: Map | None = None
    for number in range(options.clips):
        clip, _ = fresh(explainer, options.first + number)
        pixels = explainer.pixels([clip])
        start = time.perf_counter()
        forward = explainer.forward(pixels, {0: "staa"})
        (own,) = explainer.attributions(forward, [Options()])
        plain = time.perf_counter() - start
        (classy,) = explainer.attributions(explainer.forward(pixels, {0: "staa_class"}), [Options(method="staa_class")])
        maps: dict[str, Map] = {
            "staa": own.joint,
            "staa_class": classy.joint,
            "centre": centre(explainer.grid),
            "random": np.random.default_rng(options.first + number).random(explainer.grid.shape),
        }
        if before is not None:
            maps["staa of another clip"] = before
        before = own.joint
        target = int(forward.logits[0].argmax())
        for forwards in options.forwards:
            for name, joint in maps.items():
                start = time.perf_counter()
                found = verify(answer, pixels, joint, explainer.grid, target, forwards)
                ratios[forwards].append((time.perf_counter() - start) / plain)
                counted.setdefault((forwards, name), Counter())[verdict(found)] += 1
    print(f"{options.model.name}, {options.clips} clips, share of the verdicts\n")
    print("| verify | map |", " | ".join(VERDICTS), "| time, x forward with map |")
    print("|" + " --- |" * (3 + len(VERDICTS)))
    for (forwards, name), counts in counted.items():
        shares = [f"{counts[code] / counts.total():.2f}" for code in VERDICTS]
        print(f"| {forwards} | {name} |", " | ".join(shares), f"| {np.median(ratios[forwards]):.1f} |")


if __name__ == "__main__":
    main()
