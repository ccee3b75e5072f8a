"""What flows from the bytes of a video to its explanation: every field with its shape and unit, checked here only."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from staa.errors import LoadError, OptionError

Floats = NDArray[np.float32]
Box = tuple[int, int, int, int]
Scale = Callable[[NDArray[np.uint8], tuple[int, int]], NDArray[np.uint8]]
"""A frame (H, W, 3), and the (width, height) of its source -> the frame as it is kept."""


@dataclass(frozen=True, slots=True)
class Clip:
    """Frames sampled from one video, each with its place in the source."""

    frames: NDArray[np.uint8]
    """(T, H, W, 3) RGB, in display orientation."""
    seconds: NDArray[np.float64]
    """(T,) source time of each frame, ascending; the source's first frame is at 0."""
    indices: NDArray[np.int64]
    """(T,) number of each frame in the source, ascending; the first frame is 0."""
    fps: float
    """Mean frame rate of the source, frames per second."""
    duration: float
    """Length of the whole source, seconds."""
    size: tuple[int, int] | None = None
    """(width, height) of the source, pixels, where the frames were scaled before they came; None is the frames' own."""

    def __post_init__(self) -> None:
        if self.frames.ndim != 4 or self.frames.shape[-1] != 3 or self.frames.dtype != np.uint8:
            msg = f"frames must be (T, H, W, 3) uint8, got {self.frames.shape} {self.frames.dtype}"
            raise ValueError(msg)
        wanted = (len(self.frames),)
        if self.seconds.shape != wanted or self.indices.shape != wanted:
            msg = f"one time and one index a frame: {wanted = }, got {self.seconds.shape = }, {self.indices.shape = }"
            raise ValueError(msg)
        if len(self.frames) == 0 or np.any(np.diff(self.seconds) < 0) or np.any(np.diff(self.indices) < 0):
            msg = f"at least one frame, times and indices ascending, got {self.seconds = }, {self.indices = }"
            raise ValueError(msg)
        if not (self.fps > 0 and self.duration >= 0):
            msg = f"fps must be positive and duration not negative, got {self.fps = }, {self.duration = }"
            raise ValueError(msg)
        if self.size is not None and (len(self.size) != 2 or min(self.size) < 1):
            msg = f"the size of the source is (width, height), pixels, got {self.size = }"
            raise ValueError(msg)

    def bare(self) -> "Clip":
        """The same clip without its pixels: what is said of it needs none."""
        return replace(self, frames=np.empty((len(self.frames), 0, 0, 3), np.uint8), size=self.source)

    @property
    def source(self) -> tuple[int, int]:
        """(width, height) of the source, pixels, whatever was done to the frames."""
        height, width = self.frames.shape[1:3]
        return self.size or (width, height)


@dataclass(frozen=True, slots=True)
class Grid:
    """The token grid of a model."""

    t: int
    """Token steps in time."""
    h: int
    """Rows of patches."""
    w: int
    """Columns of patches."""
    tubelet: int
    """Sampled frames that one token step covers."""

    def __post_init__(self) -> None:
        if min(self.t, self.h, self.w, self.tubelet) < 1:
            msg = f"a grid has at least one token in every direction, got {self}"
            raise ValueError(msg)

    @classmethod
    def of(cls, clip: tuple[int, int, int], token: tuple[int, int, int]) -> Self:
        """Return the grid of a clip of (frames, height, width) of which each token covers (frames, height, width).

        Raises:
            LoadError: tokens do not cover all of the clip, so that a map would say nothing of the rest.
        """
        if any(edge % part for edge, part in zip(clip, token, strict=True)):
            msg = f"tokens of {token} (frames, height, width) do not cover a clip of {clip}: use another checkpoint"
            raise LoadError(msg)
        t, h, w = (edge // part for edge, part in zip(clip, token, strict=True))
        return cls(t, h, w, token[0])

    @property
    def frames(self) -> int:
        """Frames that the model wants."""
        return self.t * self.tubelet

    @property
    def shape(self) -> tuple[int, int, int]:
        """(t, h, w)."""
        return self.t, self.h, self.w


@dataclass(frozen=True, slots=True)
class Forward:
    """What one forward pass leaves: the logits of all rows, and the attention that was read for some of them."""

    logits: Tensor
    """(B, K) float32."""
    rows: tuple[int, ...]
    """Rows of the batch whose attention was read, R of them, ascending."""
    heard: Sequence[Any]
    """What `capture` kept of each attention (capture.Heard), in the order of the pass; empty where no row is read."""

    def __post_init__(self) -> None:
        if bool(self.rows) != bool(self.heard):
            msg = f"attention is read exactly for the rows named, got {self.rows = }, {len(self.heard) = }"
            raise ValueError(msg)


@dataclass(frozen=True, slots=True)
class Attribution:
    """Where and when the model looked: a distribution over its tokens."""

    joint: Floats
    """(t, h, w), not negative, sum 1; all alike where nothing speaks for the class."""
    grid: Grid
    method: str
    signed: Floats | None = None
    """(t, h, w), a class map only: for the class positive, against it negative; sizes sum to 1, or all are 0."""
    target: int | None = None
    """The class, a class map only."""
    contrast: int | None = None
    """The class that it is told from, where one was named."""

    def __post_init__(self) -> None:
        for name, part in (("joint", self.joint), ("signed", self.signed)):
            if part is not None and part.shape != self.grid.shape:
                msg = f"{name} must be {self.grid.shape}, got {part.shape}"
                raise ValueError(msg)
        if self.signed is not None:
            sizes = float(np.abs(self.signed).sum(dtype=np.float64))
            if not (sizes == 0 or math.isclose(sizes, 1, abs_tol=1e-5)):
                msg = f"the sizes of signed must add up to 1, or all be 0, got {sizes}"
                raise ValueError(msg)
        if not (self.joint.min() >= 0 and math.isclose(float(self.joint.sum(dtype=np.float64)), 1, abs_tol=1e-5)):
            msg = f"joint must be a distribution, got {self.joint.min() = }, {self.joint.sum() = }"
            raise ValueError(msg)

    @property
    def temporal(self) -> Floats:
        """(t,) when: sum over space, sum 1."""
        return np.asarray(self.joint.sum((1, 2)))

    @property
    def spatial(self) -> Floats:
        """(h, w) where: sum over time, sum 1."""
        return np.asarray(self.joint.sum(0))


@dataclass(frozen=True, slots=True)
class Options:
    """What one request asks for."""

    explain: bool = True
    """Whether a map is wanted beside the labels."""
    top_k: int | None = None
    """How many labels, 1 to the number of classes; None is 5, or all where there are fewer."""
    method: str = "staa"
    target: int | str | None = None
    """Class id or label that a class map is for; None is the best one."""
    contrast: int | str | None = None
    """Class id or label that it is told from: why `target` and not this one; None is no other."""
    start: float | None = None
    """Seconds of the source; None is its begin."""
    end: float | None = None
    """Seconds of the source; None is its end."""
    mass: float = 0.7
    """Share of the distribution that the dynamic threshold keeps, 0..1."""
    verify: int = 0
    """Points of the curves that check the map, 2 to 16, each for 8 clips' forward passes; 0 checks nothing."""

    def __post_init__(self) -> None:
        if self.top_k is not None and self.top_k < 1:
            msg = f"top_k is {self.top_k}: expected 1 or more"
            raise OptionError(msg)
        if not 0 <= self.mass <= 1:
            msg = f"mass is {self.mass}: expected a number from 0 to 1"
            raise OptionError(msg)
        if type(self.verify) is not int or (self.verify and not 2 <= self.verify <= 16):
            msg = f"verify is {self.verify}: expected 2 to 16 points of a curve, or 0"
            raise OptionError(msg)
        for name, value in (("start", self.start), ("end", self.end)):
            if value is not None and not (math.isfinite(value) and value >= 0):
                msg = f"{name} is {value}: expected seconds of the video, 0 or more"
                raise OptionError(msg)
        if self.end is not None and self.end <= (self.start or 0):
            msg = f"end is {self.end}, start is {self.start or 0}: expected start before end"
            raise OptionError(msg)


@dataclass(frozen=True, slots=True)
class Areas:
    """Under the curves of the target's probability over the share of tokens taken, the best ones first."""

    deletion: float
    """While they are taken away: low is good."""
    insertion: float
    """While they are put in: high is good."""

    @property
    def gain(self) -> float:
        """Both in one: about 0 for a random order, high is good."""
        return self.insertion - self.deletion


@dataclass(frozen=True, slots=True)
class Faithfulness:
    """Whether the label rests on what a map shows."""

    target: int
    """The class whose probability was followed."""
    contrast: int | None
    """Where the map has one: the probability is that of the target where only these two classes are."""
    points: int
    """Of each curve, between its ends."""
    probability: float
    """Of the target, for the whole clip."""
    blurred: float
    """Of the target, with all tokens taken away."""
    map: Areas
    random: Areas
    """Of the better one of two random orders."""
    centre: Areas

    @property
    def clips(self) -> int:
        """How many went through the model for it: 8 a point, the clip and its blur."""
        return 8 * self.points + 2


@dataclass(frozen=True, slots=True)
class Prediction:
    """One label and its score."""

    class_id: int
    label: str
    score: float
    """Softmax probability."""


@dataclass(frozen=True, slots=True)
class Result:
    """What the model says of one clip."""

    predictions: tuple[Prediction, ...]
    """Best first."""
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
