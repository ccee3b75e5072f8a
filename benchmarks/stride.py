"""What a stride of queries costs a mean over all of them: `python -m benchmarks.stride FOLDER`, one table.

FOLDER is a trained VideoMAE with mean pooling. Every stride's map is compared with the exact one (stride 1) on fresh
clips: half the sum of the differences of all cells (total variation, 0 to 1), and whether the hottest cell is the same.
"""

import argparse
import platform
import time
from pathlib import Path

import numpy as np
import torch

from staa import Explainer, Options
from training.evaluate import fresh


def maps(explainer: Explainer, clips: int, batch: int = 20) -> np.ndarray:
    """(clips, t, h, w)."""
    made = []
    for first in range(0, clips, batch):
        some = [fresh(explainer, number)[0] for number in range(first, min(first + batch, clips))]
        made += [one.attribution.joint for one in explainer(some, Options()) if one.attribution]
    return np.stack(made)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--clips", type=int, default=100)
    parser.add_argument("--strides", type=int, nargs="+", default=[2, 4, 8, 16, 32])
    options = parser.parse_args()
    exact = Explainer.load(options.folder, stride=1)
    wanted = maps(exact, options.clips)
    even = 0.5 * np.abs(wanted - 1 / wanted[0].size).sum((1, 2, 3))
    print(
        f"{platform.machine()} CPU, torch {torch.__version__}, {time.strftime('%Y-%m-%d')}; {options.folder.name}, ",
        end="",
    )
    print(f"{exact.grid.shape} tokens, {len(exact.sites)} blocks, {options.clips} fresh clips; ", end="")
    print(f"an even map is {even.mean():.3f} away from the exact one\n")
    print("| every nth query | away from exact, mean | worst clip | same hottest cell |")
    print("| --- | --- | --- | --- |")
    for stride in options.strides:
        found = maps(Explainer.load(options.folder, stride=stride), options.clips)
        away = 0.5 * np.abs(found - wanted).sum((1, 2, 3))
        same = np.mean([one.argmax() == other.argmax() for one, other in zip(found, wanted, strict=True)])
        print(f"| {stride} | {away.mean():.4f} | {away.max():.4f} | {same:.2f} |", flush=True)


if __name__ == "__main__":
    main()
