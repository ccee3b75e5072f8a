"""What a stride of queries costs a mean over all of them: `python -m benchmarks.faithfulness.stride FOLDER`, one table.

FOLDER is a trained VideoMAE with mean pooling. Every stride's map is compared with the exact one (stride 1) on fresh
clips: half the sum of the differences of all cells (total variation, 0 to 1), and whether the hottest cell is the same.
"""

from pathlib import Path

import numpy as np

from benchmarks.report import argument_parser, heads, machine, row
from staa import Explainer, Options
from training.evaluate import fresh

BATCH = 20


def maps(explainer: Explainer, clips: int) -> np.ndarray:
    """Return the maps of so many fresh clips, (clips, t, h, w)."""
    joints = []
    for first in range(0, clips, BATCH):
        batch = [fresh(explainer, index)[0] for index in range(first, min(first + BATCH, clips))]
        joints += [result.attribution.joint for result in explainer(batch, Options()) if result.attribution]
    return np.stack(joints)


def main() -> None:
    """Print the table."""
    parser = argument_parser(__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--clips", type=int, default=100)
    parser.add_argument("--strides", type=int, nargs="+", default=[2, 4, 8, 16, 32])
    options = parser.parse_args()
    explainer = Explainer.load(options.folder, stride=1)
    exact = maps(explainer, options.clips)
    even = 0.5 * np.abs(exact - 1 / exact[0].size).sum((1, 2, 3))
    print(
        f"{machine()}; {options.folder.name}, {explainer.grid.shape} tokens, {len(explainer.sites)} blocks, "
        f"{options.clips} fresh clips; an even map is {even.mean():.3f} away from the exact one\n"
    )
    print(heads("every nth query", "away from exact, mean", "worst clip", "same hottest cell"))
    for stride in options.strides:
        strided = maps(Explainer.load(options.folder, stride=stride), options.clips)
        away = 0.5 * np.abs(strided - exact).sum((1, 2, 3))
        same = np.mean([a.argmax() == b.argmax() for a, b in zip(strided, exact, strict=True)])
        print(row(stride, f"{away.mean():.4f}", f"{away.max():.4f}", f"{same:.2f}"), flush=True)


if __name__ == "__main__":
    main()
