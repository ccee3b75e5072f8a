"""From what a forward pass left to a distribution over tokens. Every method is a function in METHODS.

Equations: Z. Wang, Y. Liu, "STAA", arXiv 2411.00630; which blocks are read is stated in docs/explain.md.
"""

from collections.abc import Callable

import numpy as np
from torch import Tensor

from staa.errors import OptionError
from staa.types import Attribution, Forward, Grid

VERSION = "1"
"""Goes up with any change of a formula."""


def staa(forward: Forward) -> Tensor:
    """(R, t, h*w): the read rows S, carried through the temporal attention A where the model has one, over all blocks.

    With S, A the means over blocks: joint[t, p] = sum over q of S[q, p] * (0.5 * [q == t] + 0.5 * A[p, q, t]).
    """
    if forward.space is None:
        raise ValueError("no attention was read: name the rows to read before the forward pass")
    space = forward.space.mean(0)
    if forward.time is None:
        return space
    carried = (space.transpose(1, 2).unsqueeze(2) @ forward.time.mean(0)).squeeze(2).transpose(1, 2)
    return 0.5 * space + 0.5 * carried


METHODS: dict[str, Callable[[Forward], Tensor]] = {"staa": staa}
"""name -> function: a Forward in, weights (R, t, h*w) out, one for each row that was read."""


def check(method: str) -> None:
    """OptionError where there is no such method."""
    if method not in METHODS:
        msg = f"method is {method!r}: expected one of {', '.join(METHODS)}"
        raise OptionError(msg)


def attribute(forward: Forward, grid: Grid, methods: list[str]) -> list[Attribution]:
    """One attribution for each row that was read, by its own method."""
    made = {method: METHODS[method](forward).double().cpu().numpy() for method in set(methods)}
    return [_distribution(made[method][index], grid, method) for index, method in enumerate(methods)]


def _distribution(weights: np.ndarray, grid: Grid, method: str) -> Attribution:
    """Weights (t, h*w) >= 0, renormalised."""
    joint = (weights / weights.sum()).reshape(grid.shape)
    return Attribution(joint.astype(np.float32), grid, method)
