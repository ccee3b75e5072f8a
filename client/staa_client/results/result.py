"""Holds the result for a video: its labels, the clip, the model, the choice of a map and the check of it."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from staa_client import _late
from staa_client.results.maps import Box


@dataclass(frozen=True, slots=True)
class Prediction:
    """Holds one label with its score."""

    class_id: int
    label: str
    score: float
    """The probability, 0 to 1; the card's `problem_type` says whether those of all classes sum to 1."""
    present: bool | None = None
    """Whether the video has the label: the score reaches the card's `label_threshold`; None if it can have one only."""

    def to_dict(self) -> dict[str, Any]:
        """Return the label as plain JSON data, in the form of the HTTP contract."""
        document = asdict(self)
        return (
            document if self.present is not None else {name: document[name] for name in document if name != "present"}
        )


@dataclass(frozen=True, slots=True)
class ClassName:
    """Names a class of the model; as text it is its label."""

    class_id: int
    label: str

    def __str__(self) -> str:
        return self.label


@dataclass(frozen=True, slots=True)
class Areas:
    """Holds the areas under three curves of the target's probability, one for each order of the cells."""

    map: float
    """The area with the strongest cells of the map first, 0 to 1."""
    random: float
    """The area for the better one of two random orders, 0 to 1."""
    centre: float
    """The area with the middle of the clip first, 0 to 1."""


@dataclass(frozen=True, slots=True)
class Faithfulness:
    """Says whether the label depends on the cells that the map shows."""

    verdict: str
    """"faithful", "no_better_than_centre", "no_better_than_random" or "untestable"."""
    message: str
    """The verdict in words."""
    target: ClassName
    """The class whose probability was measured."""
    contrast: ClassName | None
    """The contrast of the map, if it has one: the probability is then a softmax over target and contrast only."""
    probability: float
    """The probability of the target for the whole clip, 0 to 1."""
    blurred: float
    """The probability of the target with all cells deleted, 0 to 1: for the blurred clip, or for a clip of one colour
    if the map was chosen by `refine`."""
    deletion: Areas
    """The areas while cells are deleted: low is good."""
    insertion: Areas
    """The areas while cells are inserted: high is good."""
    clips: int
    """How many clips went through the model for the check."""
    seconds: float | None
    """How many seconds the check took; None where nobody measured it, as in your own process."""

    def to_dict(self) -> dict[str, Any]:
        """Return the check as plain JSON data, in the form of the HTTP contract."""
        return _with_cost(asdict(self))


@dataclass(frozen=True, slots=True)
class Refinement:
    """Says which of several class maps of one forward pass was chosen, and by how much.

    The gain of a map is the target's probability where only its strongest cells are shown, less that where they are
    hidden: a mean over some shares of the cells.
    """

    chosen: str
    """The name of the map: "class" (the one without `refine`), "probability", "recentred" or "direct"."""
    message: str
    """The choice in words."""
    runner_up: str
    """The name of the second best map."""
    lead: float
    """The gain of the chosen map less that of the second best, 0 to 2."""
    clips: int
    """How many clips went through the model for the choice."""
    seconds: float | None
    """How many seconds the choice took; None where nobody measured it, as in your own process."""

    def __str__(self) -> str:
        return f"{self.message} ({self.chosen}, ahead of {self.runner_up} by {self.lead:.3f})"

    def to_dict(self) -> dict[str, Any]:
        """Return the choice as plain JSON data, in the form of the HTTP contract."""
        return _with_cost(asdict(self))


def _with_cost(flat: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a check or a choice with what it cost as one of them, as far as it is known."""
    cost = {name: flat.pop(name) for name in ("clips", "seconds")}
    return flat | {"cost": {name: value for name, value in cost.items() if value is not None}}


@dataclass(frozen=True, slots=True)
class Model:
    """Names the model that answered."""

    name: str
    version: str
    family: str
    """The architecture, such as "timesformer"."""
    classes: int
    """The number of classes."""
    about: str = ""
    """What a reader of its answers must know, such as that it knows eight motions only; mostly empty."""


def model_data(model: Model) -> dict[str, Any]:
    """Return a model as plain JSON data, in the form of the HTTP contract."""
    document = asdict(model)
    return document if model.about else {name: document[name] for name in document if name != "about"}


@dataclass(frozen=True, slots=True, eq=False)
class ClipInfo:
    """Describes the source video, and the T frames of it that the model saw."""

    width: int
    """The width of the source in pixels, in display orientation."""
    height: int
    """The height of the source in pixels, in display orientation."""
    fps: float
    """Mean frame rate of the source, frames per second."""
    duration: float
    """Length of the source, seconds."""
    frames: NDArray[np.int64]
    """(T,) number of each frame in the source; the first frame is 0."""
    times: NDArray[np.float64]
    """(T,) source time of each frame, seconds."""
    box: Box
    """x0, y0, x1, y1 in pixels: the part of the frame that the model saw, which a map covers exactly."""
    notes: tuple[str, ...] = ()
    """What was done to the source beyond plain decoding, such as "HDR (PQ) tone-mapped to SDR"; mostly nothing."""

    def __post_init__(self) -> None:
        if self.frames.ndim != 1 or self.frames.shape != self.times.shape or len(self.frames) == 0:
            raise ValueError(f"one number and one time a frame, got {self.frames.shape = } and {self.times.shape = }")
        x0, y0, x1, y1 = self.box
        if not (0 <= x0 < x1 <= self.width and 0 <= y0 < y1 <= self.height):
            raise ValueError(f"the box lies in the frame, got {self.box = } for {self.width}x{self.height}")

    def __repr__(self) -> str:
        size, span = f"{self.width} x {self.height}", f"{self.times[0]:.2f}-{self.times[-1]:.2f} s"
        return f"<ClipInfo {len(self.frames)} frames, {span} of {self.duration:.2f} s, {size} pixels>"

    @property
    def repeats(self) -> str:
        """Return what it means for the curve over time that frames repeat; empty if all frames are different."""
        frames, taken = len(np.unique(self.frames)), len(self.frames)
        if frames == 1 < taken:
            return f"1 frame, repeated {taken} times: 'when' says nothing"
        if frames < taken:
            return f"{frames} frames, repeated to make {taken}: 'when' says nothing between steps of one frame"
        return ""

    def to_dict(self) -> dict[str, Any]:
        """Return the clip as plain JSON data, in the form of the HTTP contract."""
        document = asdict(self) | {"frames": self.frames.tolist(), "times": self.times.tolist(), "box": list(self.box)}
        notes = document.pop("notes")
        return document | ({"notes": list(notes)} if notes else {})


@dataclass(frozen=True, slots=True)
class NotExplained:
    """Says why a video has no map although one was asked for: the rules of `explain_when` leave it out."""

    rule: str
    """The rules as they were sent."""
    message: str
    """The reason in words, such as "the best label has 0.97, the rule explains below 0.6"."""

    def __str__(self) -> str:
        return self.message


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """Holds the labels of one video."""

    model: Model
    predictions: tuple[Prediction, ...]
    """Strongest first."""
    clip: ClipInfo
    not_explained: NotExplained | None = None
    """Why there is no map, if one was asked for with `explain_when`."""

    def to_dict(self) -> dict[str, Any]:
        """Return the result as plain JSON data, in the form of the HTTP contract."""
        predictions = [prediction.to_dict() for prediction in self.predictions]
        why_not = {} if self.not_explained is None else {"not_explained": asdict(self.not_explained)}
        return {"model": model_data(self.model), "predictions": predictions, "clip": self.clip.to_dict(), **why_not}

    def _repr_html_(self) -> str:
        """Return the HTML for a notebook: the labels with their scores."""
        html: str = _late.load("labels_html_of")(self)
        return html

    def __repr__(self) -> str:
        return f"<Result {words_of(self.predictions)} by {self.model.name!r}>"


def words_of(predictions: tuple[Prediction, ...]) -> str:
    """Return the best labels with their scores in a few words on a line, as `repr` shows them."""
    best = ", ".join(
        f"{guess.label!r:.60} {guess.score:.3f}{' present' if guess.present else ''}" for guess in predictions[:3]
    )
    return f"{best}, ..." if len(predictions) > 3 else best or "no label"
