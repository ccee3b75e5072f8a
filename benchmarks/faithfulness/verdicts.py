"""How often a verdict of `verify` is right: `python -m benchmarks.faithfulness.verdicts FOLDER`, one table.

Maps of the clip itself, of another clip, of nobody (random numbers) and of the middle of the clip are verified alike;
the chosen one of `refine=16` is verified as the server does it, by other cells and another fill than the choice was.
A map of another clip and a random one should not be called faithful.
"""

from collections import Counter, defaultdict
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.report import argument_parser, heads, row, timed
from staa import Attribution, Explainer, Options
from staa.types import Forward
from staa.verify import VERDICTS, centre_map, verdict
from training.evaluate import fresh

FIRST_CLIP = 6000
"""The number of the first fresh clip."""
REFINED = "staa_class, refine=16"


def explain(explainer: Explainer, pixels: Tensor, method: str) -> tuple[Forward, Attribution]:
    """Return a forward pass of one clip, and its map by a method."""
    forward = explainer.forward(pixels, {0: method})
    return forward, explainer.attributions(forward, [Options(method=method)])[0]


def _share(cells: NDArray[np.float64]) -> NDArray[np.float32]:
    return np.asarray(cells / cells.sum(), np.float32)


def main() -> None:
    """Count the verdicts."""
    parser = argument_parser(__doc__)
    parser.add_argument("model", type=Path, help="folder of a trained model")
    parser.add_argument("--clips", type=int, default=100)
    parser.add_argument("--points", type=int, nargs="+", default=[2, 4, 8])
    options = parser.parse_args()
    explainer = Explainer.load(options.model)

    counted: dict[tuple[int, str], Counter[str]] = defaultdict(Counter)
    ratios: dict[int, list[float]] = defaultdict(list)
    before: Attribution | None = None
    for index in range(options.clips):
        pixels = explainer.pixels([fresh(explainer, FIRST_CLIP + index)[0]])
        (forward, shown), plain = timed(partial(explain, explainer, pixels, "staa"))
        of_class = Options(method="staa_class")
        candidates = explainer.candidates(explainer.forward(pixels, {0: of_class.method}), 0, of_class)
        maps = {
            "staa": shown,
            "staa_class": next(iter(candidates.values())),
            REFINED: explainer.choose(pixels, candidates, 16)[0],
            "centre": replace(shown, joint=_share(centre_map(explainer.grid))),
            # not the numbers that the check itself draws
            "random": replace(shown, joint=_share(np.random.default_rng([1, index]).random(explainer.grid.shape))),
        }
        if before is not None:
            maps["staa of another clip"] = before
        before = shown
        for points in options.points:
            for name, attribution in maps.items():
                check = partial(
                    explainer.verify, pixels, forward.logits[0], attribution, points, refined=name == REFINED
                )
                checked, seconds = timed(check)
                ratios[points].append(seconds / plain)
                counted[points, name][verdict(checked)] += 1
    print(f"{options.model.name}, {options.clips} clips, share of the verdicts\n")
    print(heads("verify", "map", *VERDICTS, "time, x forward with map"))
    for (points, name), counts in counted.items():
        shares = [f"{counts[code] / counts.total():.2f}" for code in VERDICTS]
        print(row(points, name, *shares, f"{np.median(ratios[points]):.1f}"))


if __name__ == "__main__":
    main()
