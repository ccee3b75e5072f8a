"""The data types between a clip and its explanation: every field has its shape and unit, checked only here."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from staa.errors import LoadError, OptionError

Floats = NDArray[np.float32]
Box = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Grid:
    """Hold the token grid of a model."""

    t: int
    """The number of token steps in time."""
    h: int
    """The number of rows of patches."""
    w: int
    """The number of columns of patches."""
    tubelet: int
    """The number of sampled frames that one token step covers."""

    def __post_init__(self) -> None:
        if min(self.t, self.h, self.w, self.tubelet) < 1:
            raise ValueError(f"a grid has at least one token in every direction, got {self}")

    @classmethod
    def of(cls, clip: tuple[int, int, int], token: tuple[int, int, int]) -> Self:
        """Return the token grid, given the sizes (frames, height, width) of a clip and of one token.

        Raises:
            LoadError: the tokens do not cover the whole clip, so a map would not show the rest.
        """
        if any(edge % size for edge, size in zip(clip, token, strict=True)):
            msg = f"tokens of {token} (frames, height, width) do not cover a clip of {clip}: use another checkpoint"
            raise LoadError(msg)
        t, h, w = (edge // size for edge, size in zip(clip, token, strict=True))
        return cls(t, h, w, token[0])

    @property
    def frames(self) -> int:
        """Return how many frames the model takes."""
        return self.t * self.tubelet

    @property
    def shape(self) -> tuple[int, int, int]:
        """Return (t, h, w)."""
        return self.t, self.h, self.w


@dataclass(frozen=True, slots=True, eq=False)
class Forward:
    """Hold what one forward pass gives: the logits of all rows, and the attention that was read for some of them."""

    logits: Tensor
    """The logits (B, K), float32."""
    rows: tuple[int, ...]
    """The R rows of the batch whose attention was read, ascending."""
    captured: Sequence[Any]
    """What was kept of each attention (capture.Captured), in the order of the pass; empty if no row was read."""

    def __post_init__(self) -> None:
        if bool(self.rows) != bool(self.captured):
            msg = f"attention is read exactly for the rows named, got {self.rows = }, {len(self.captured) = }"
            raise ValueError(msg)

    def only(self, rows: Sequence[int]) -> Self:
        """Return the same pass with the attention of some of its rows; none of them is every row without attention."""
        captured = [each.only(tuple(rows)) for each in self.captured] if rows else []
        return type(self)(self.logits, tuple(rows), captured)


@dataclass(frozen=True, slots=True, eq=False)
class Attribution:
    """Hold where and when the model looked, as a distribution over the tokens."""

    joint: Floats
    """The map (t, h, w), not negative, with sum 1; uniform if no token speaks for the class."""
    grid: Grid
    method: str
    signed: Floats | None = None
    """(t, h, w), for class maps: positive for the class, negative against it; absolute values sum to 1 or all are 0."""
    target: int | None = None
    """The number of the class that a class map explains."""
    contrast: int | None = None
    """The number of the class that the target is compared to, if there is one."""
    shared_evidence: float | None = None
    """How much of the evidence for the target lies where that for the contrast does, 0 to 1; None if it has none."""
    method_version: str = ""
    """The version of the method's formula; maps of two versions are not to be compared."""

    @property
    def ranking(self) -> Floats:
        """Return the map (t, h, w) by whose values its cells are ordered: what speaks against a class comes last."""
        return self.joint if self.signed is None else self.signed

    def __post_init__(self) -> None:
        for name, array in (("joint", self.joint), ("signed", self.signed)):
            if array is not None and array.shape != self.grid.shape:
                raise ValueError(f"{name} must be {self.grid.shape}, got {array.shape}")
        if self.signed is not None:
            sizes = float(np.abs(self.signed).sum(dtype=np.float64))
            if not (sizes == 0 or math.isclose(sizes, 1, abs_tol=1e-5)):
                raise ValueError(f"the sizes of signed must add up to 1, or all be 0, got {sizes}")
        if not (self.joint.min() >= 0 and math.isclose(float(self.joint.sum(dtype=np.float64)), 1, abs_tol=1e-5)):
            raise ValueError(f"joint must be a distribution, got {self.joint.min() = }, {self.joint.sum() = }")

    @property
    def temporal(self) -> Floats:
        """Return when the model looked: (t,), the sum over space; it sums to 1."""
        return np.asarray(self.joint.sum((1, 2)))

    @property
    def spatial(self) -> Floats:
        """Return where the model looked: (h, w), the sum over time; it sums to 1."""
        return np.asarray(self.joint.sum(0))


@dataclass(frozen=True, slots=True)
class Options:
    """Hold what one request asks for."""

    explain: bool = True
    """Whether a map is wanted beside the labels."""
    top_k: int | None = None
    """How many labels to return, from 1 to the number of classes; None is 5, or all if there are fewer."""
    method: str = "staa"
    target: int | str | None = None
    """The class, by number or label, that a class map explains; None is the best class."""
    contrast: int | str | None = None
    """The class, by number or label, to compare with: why `target` and not this class?

    None is the best class if `target` is named and is another one, and if a clip has one class only; otherwise it
    compares to no class. "none" compares to no class, unless a class has this label.
    """
    start: float | None = None
    """The start of the segment, in seconds of the source; None is the start of the source."""
    end: float | None = None
    """The end of the segment, in seconds of the source; None is the end of the source."""
    mass: float = 0.7
    """The share of the distribution that the dynamic threshold keeps, 0..1."""
    verify: int = 0
    """How many points the curves of the check have, 2 to 16, each for 8 clips through the model; 0 makes no check."""
    refine: int = 0
    """How many clips with hidden parts may go through the model to choose a class map, 8 to 32; 0 chooses none."""

    def __post_init__(self) -> None:
        if self.top_k is not None and self.top_k < 1:
            raise OptionError(f"top_k is {self.top_k}: expected 1 or more")
        if not 0 <= self.mass <= 1:
            raise OptionError(f"mass is {self.mass}: expected a number from 0 to 1")
        if type(self.verify) is not int or (self.verify and not 2 <= self.verify <= 16):
            raise OptionError(f"verify is {self.verify}: expected 2 to 16 points of a curve, or 0")
        if type(self.refine) is not int or (self.refine and not 8 <= self.refine <= 32):
            raise OptionError(f"refine is {self.refine}: expected 8 to 32 clips, or 0")
        for name, value in (("start", self.start), ("end", self.end)):
            if value is not None and not (math.isfinite(value) and value >= 0):
                raise OptionError(f"{name} is {value}: expected seconds of the video, 0 or more")
        if self.end is not None and self.end <= (self.start or 0):
            raise OptionError(f"end is {self.end}, start is {self.start or 0}: expected start before end")


@dataclass(frozen=True, slots=True)
class Areas:
    """Hold the areas under two curves: the target's probability, as more and more tokens are deleted or inserted.

    The tokens are taken in the order of the map, strongest first.
    """

    deletion: float
    """The area while tokens are deleted from the clip: low is good."""
    insertion: float
    """The area while tokens are inserted into the blurred clip: high is good."""

    @property
    def gain(self) -> float:
        """Return the area of insertion less that of deletion: about 0 for a random order, high is good.

        An insertion of 0.8 and a deletion of 0.3 give 0.5.
        """
        return self.insertion - self.deletion


@dataclass(frozen=True, slots=True)
class Faithfulness:
    """Say whether the label depends on the tokens that a map shows."""

    target: int
    """The number of the class whose probability was measured."""
    contrast: int | None
    """The contrast of the map, if any: the probability is then a softmax over target and contrast only."""
    points: int
    """The number of points of each curve, without its two ends."""
    probability: float
    """The target's probability for the whole clip."""
    blurred: float
    """The target's probability with all tokens deleted: for the blurred clip, or for a clip of one colour if the map
    was chosen by `refine`."""
    map: Areas
    random: Areas
    """The areas for the better one of two random orders."""
    centre: Areas
    verdict: str = ""
    """A key of verify.VERDICTS; empty if nobody judged the check yet."""
    message: str = ""
    """The verdict in words."""

    @property
    def clips(self) -> int:
        """Return how many clips went through the model for the check: 8 for each point, the clip, and its fill."""
        return 8 * self.points + 2


@dataclass(frozen=True, slots=True)
class Refinement:
    """Say which map of a forward pass was chosen, and by how much.

    A gain is the class's probability where only the strongest cells of a map are shown, less that where they are
    hidden: a mean over some shares of the cells, 1 at most.
    """

    chosen: str
    """The name of the map, a key of refine.CANDIDATES."""
    runner_up: str
    """The name of the second best map."""
    lead: float
    """The gain of the chosen map less that of the second best."""
    clips: int
    """How many clips went through the model for the choice."""
    message: str = ""
    """The choice in words."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """Hold one label and its score."""

    class_id: int
    label: str
    score: float
    """The probability: a softmax over all classes, or the sigmoid of its logit if a clip may have several labels."""


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """Hold what the model says of one clip."""

    predictions: tuple[Prediction, ...]
    """The best classes, best first."""
    box: Box
    """The part of the source frame that the model saw: x0, y0, x1, y1, pixels in display orientation."""
    steps: NDArray[np.float64]
    """(t, 2) start and end of each token step, seconds of the source."""
    attribution: Attribution | None
    """None where no map was asked for."""
    threshold: float | None
    """The focused map is `joint >= threshold`; None where no map was asked for."""
    faithfulness: Faithfulness | None = None
    """None where it was not asked for."""
    refinement: Refinement | None = None
    """None where it was not asked for."""
