"""Holds an explanation as a frozen type with numpy arrays; shapes and units are documented and checked here."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from staa_client import _late
from staa_client.results.maps import Box, Floats, grid_at, lay_on_frame, pack, region_box, strongest_cells
from staa_client.results.result import (
    ClassName,
    ClipInfo,
    Faithfulness,
    Model,
    Prediction,
    Refinement,
    Result,
    words_of,
)
from staa_client.video.source import Source

FLAT = 3.0
"""The top of the colour scale is at least so many times the even share, the share of a cell in a uniform map."""
TOP_SHARE = 0.25
"""The strongest cells, which together hold this share of a map, have the top colour."""
MAPS = ("temporal", "spatial", "joint", "signed")
"""The names of the maps."""
PEAK = 1.2
"""The peak step must have more than so many times the even share 1 / t."""


@dataclass(frozen=True, slots=True)
class Moment:
    """Holds one step of the clip: how much the model looked at it, and where most."""

    step: int
    """The number of the step, from 0."""
    start: float
    """The start of the step, in seconds of the source."""
    end: float
    """The end of the step, in seconds of the source."""
    share: float
    """Share of the clip's attention that falls on this step; the steps sum to 1."""
    region: Box
    """The box (x0, y0, x1, y1), in pixels of the source, where the model looked most during this step."""


@dataclass(frozen=True, slots=True, eq=False)
class Explanation:
    """Holds the labels of one video, with where and when the model looked.

    The maps are on the model's token grid of t steps, h rows and w columns. With `maps="base64"` they come as float16,
    so their sums are exact to 1e-3, otherwise to 1e-4.
    """

    model: Model
    predictions: tuple[Prediction, ...]
    """Strongest first."""
    clip: ClipInfo
    method: str
    """How the map was computed, such as "staa"."""
    method_version: str
    """The version of the method's formula. Do not compare maps of two versions."""
    threshold: float
    """The dynamic threshold: the focused map is `joint >= threshold`."""
    seconds: NDArray[np.float64]
    """(t, 2) start and end of each step in the source, seconds."""
    temporal: Floats = field(repr=False)
    """When the model looked: (t,) the share of each step; they sum to 1."""
    spatial: Floats = field(repr=False)
    """Where the model looked: (h, w) the share of each cell over the whole clip; they sum to 1."""
    joint: Floats = field(repr=False)
    """Where and when: (t, h, w) the share of each cell in each step; they sum to 1."""
    target: ClassName | None = None
    """The class that the map explains; None for a method without classes."""
    contrast: ClassName | None = None
    """The class that the target was compared to; None if there was none."""
    signed: Floats | None = field(default=None, repr=False)
    """(t, h, w) for a class map: positive for the target, negative against it; absolute values sum to 1."""
    shared_evidence: float | None = None
    """How much of what speaks for the target lies where that for the contrast lies, 0 to 1; None without a contrast."""
    faithfulness: Faithfulness | None = None
    """The check whether the label depends on the map, if it was asked for (`verify`)."""
    refinement: Refinement | None = None
    """The choice of the map among several, if it was asked for (`refine`)."""
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """Fields of the reply's `explanation` that this client does not know."""
    source: Source | None = field(default=None, repr=False)
    """The video, for pictures with frames: its path, its frames, or all of the bytes given, read or fetched.

    Whoever keeps many answers to URLs, file objects or bytes keeps their videos too: `dataclasses.replace(explanation,
    source=None)` lets go of it.
    """
    name: str = "video"
    """The file's name, or "video" where there is none."""

    def __post_init__(self) -> None:
        if self.joint.ndim != 3 or 0 in self.joint.shape:
            raise ValueError(f"joint must be (t, h, w), none of them 0, got {self.joint.shape}")
        t, h, w = self.joint.shape
        for name, shape in (("temporal", (t,)), ("spatial", (h, w)), ("seconds", (t, 2))):
            if getattr(self, name).shape != shape:
                msg = f"{name} must be {shape} as joint is {self.joint.shape}, got {getattr(self, name).shape}"
                raise ValueError(msg)
        if self.signed is not None and self.signed.shape != self.joint.shape:
            raise ValueError(f"signed must be {self.joint.shape} as joint, got {self.signed.shape}")
        if not all(np.isfinite(array).all() for array in maps_of(self).values()):
            raise ValueError("temporal, spatial, joint and signed must be finite, got NaN or infinity")

    def __repr__(self) -> str:
        shape = "x".join(map(str, self.joint.shape))
        subject = "" if self.target is None else f" for {self.target.label!r:.60}"
        about = f"{self.method}{subject}, map {shape}"
        return f"<Explanation of {self.name!r:.60}: {words_of(self.predictions)} by {self.model.name!r}; {about}>"

    @property
    def box(self) -> Box:
        """Return x0, y0, x1, y1 in pixels of the source: the part of the frame that the model saw."""
        return self.clip.box

    def top(self, n: int = 3) -> tuple[Moment, ...]:
        """Return the n steps with the largest shares of attention, strongest first, each with its strongest region."""
        strongest = np.argsort(-self.temporal, kind="stable")[:n].tolist()
        return tuple(
            Moment(i, float(self.seconds[i, 0]), float(self.seconds[i, 1]), float(self.temporal[i]), self.region(i))
            for i in strongest
        )

    def region(self, step: int | None = None) -> Box:
        """Return where the model looked most, in one step or the whole clip: x0, y0, x1, y1 in pixels of the source.

        It is the box around the strongest cell and all cells connected to it whose values are at least half way from
        the map's median to its maximum. A constant map gives the whole of `box`.
        """
        return region_box(strongest_cells(self.spatial if step is None else self.joint[step]), self.box)

    def focused(self) -> Floats:
        """Return `joint` with all cells below the threshold set to 0, normalised to sum 1: (t, h, w).

        The strongest cell always stays.
        """
        kept = np.where(self.joint >= min(self.threshold, float(self.joint.max())), self.joint, np.float32(0))
        total = kept.sum()
        return kept / total if total > 0 else kept

    def heatmap(
        self, step: int | None = None, *, second: float | None = None, frame: int | None = None, focused: bool = False
    ) -> Floats:
        """Return the map in pixels of the source: (height, width), 0 to 1; 0 where the model did not see the frame.

        It is interpolated between the centres of cells, and for a second or a frame also between the middles of steps.
        The scale is the same for all moments of the clip, so that they can be compared (see `scaled`). Give at most one
        of `step`, `second` and `frame`; without any it is the map over the whole clip, on a scale of its own.

        Args:
            step: The number of a step.
            second: A time of the source, in seconds.
            frame: The number of a frame of the source; its time is computed from the mean frame rate.
            focused: Whether to take the focused map.

        Raises:
            ValueError: more than one of the three is given, or it is outside of the source.
        """
        scaled = self.scaled(focused=focused)
        if [step, second, frame].count(None) < 2:
            raise ValueError(f"give a step, a second or a frame, got {step = }, {second = }, {frame = }")
        if step is second is frame is None:
            grid = _on_scale(self.focused().sum(0) if focused else self.spatial)
        elif step is not None:
            if not -len(scaled) <= step < len(scaled):
                raise ValueError(f"step is {step}: expected one of 0 to {len(scaled) - 1}")
            grid = scaled[step]
        else:
            at = float(second) if second is not None else (frame or 0) / self.clip.fps
            if not 0 <= at <= self.clip.duration:
                raise ValueError(f"{at:g} s is not in the source, which lasts {self.clip.duration:g} s")
            grid = grid_at(scaled, self.seconds, at)
        return lay_on_frame(grid, self.box, self.clip.height, self.clip.width)

    def scaled(self, *, focused: bool = False) -> Floats:
        """Return where the values of `joint` (or of the focused map) lie on the colour scale: (t, h, w), 0 to 1.

        0 is the even share 1 / (t h w) of a cell or less, so that an even map is 0 everywhere; 1 is the top of the
        scale (`top_of_scale`) or more.
        """
        return _on_scale(self.focused() if focused else self.joint)

    @property
    def top_of_scale(self) -> float:
        """Return the value of 1 in `scaled()` and `heatmap(step)`, in multiples of the even share 1 / (t h w).

        The strongest cells that together hold TOP_SHARE = a quarter of the map reach it, so that a single cell cannot
        hide all others. It is at least FLAT = 3, so that a nearly even map stays dark.
        """
        return top_of_scale(self.joint)

    @property
    def peak(self) -> int | None:
        """Return the strongest step if its share exceeds PEAK = 1.2 times the even share 1 / t, else None."""
        strongest = int(np.argmax(self.temporal))
        return strongest if float(self.temporal[strongest]) * len(self.temporal) > PEAK else None

    @property
    def balance(self) -> float | None:
        """Return the share of `signed` that speaks for the target, 0 to 1; the rest speaks against it.

        `joint`, `temporal` and `spatial` show only the part for the target, scaled to sum 1 however small it is.
        Return None if there are no signs, or if all values are 0.
        """
        if self.signed is None or not (sizes := float(np.abs(self.signed, dtype=np.float64).sum())):
            return None
        return float(np.maximum(self.signed, 0, dtype=np.float64).sum()) / sizes

    def to_dict(self, maps: Literal["json", "base64"] = "json") -> dict[str, Any]:
        """Return the explanation as plain JSON data, with the fields of the HTTP contract; `maps` is their encoding.

        With "base64" a map is float16 if that loses nothing, as with most replies, and float32 otherwise.
        """
        encoded = {name: array.tolist() if maps == "json" else pack(array) for name, array in maps_of(self).items()}
        return self.without_maps() | {"explanation": self.without_maps()["explanation"] | encoded}

    def without_maps(self) -> dict[str, Any]:
        """Return `to_dict()` without `temporal`, `spatial`, `joint` and `signed`."""
        about = {"refinement": self.refinement, "faithfulness": self.faithfulness}
        tested = {name: test.to_dict() for name, test in about.items() if test is not None}
        return Result(self.model, self.predictions, self.clip).to_dict() | {
            "explanation": {
                **self.extra,
                **tested,
                "method": self.method,
                "method_version": self.method_version,
                "target": None if self.target is None else asdict(self.target),
                "contrast": None if self.contrast is None else asdict(self.contrast),
                **({} if self.shared_evidence is None else {"shared_evidence": self.shared_evidence}),
                "shape": list(self.joint.shape),
                "steps": self.seconds.tolist(),
                "threshold": self.threshold,
            }
        }

    def to_parquet(self, path: str | Path) -> Path:
        """Write the explanation as a Parquet file of one row, with the columns of `Client.batch`.

        Raises:
            ImportError: the extra `parquet` is missing.
        """
        written: Path = _late.load("write_explanation")(self, Path(path))
        return written

    def _repr_html_(self) -> str:
        """Return the HTML for a notebook: the contact sheet, and a text for readers who cannot see it."""
        html: str = _late.load("html_of")(self)
        return html

    def save(
        self,
        path: str | Path,
        video: str | Source | None = None,
        *,
        alpha: float = 0.8,
        colormap: str = "heat",
        focus: bool = False,
        progress: Callable[[int, int], None] | None = None,
    ) -> Path:
        """Write the explanation as `.html` (report), `.png` (sheet), `.mp4`, `.gif`, `.json`, `.npz` or `.parquet`.

        Pictures show the frames of `video`, or of the video that was sent. If there is none, and for `.html` and `.png`
        also if the extra `video` is missing, they are drawn without frames and say so. `.json` and `.npz` have the
        fields of the server's replies. After an error there is no file, or the old one is unchanged.

        Args:
            path: The file; the ending of its name chooses the format.
            video: The video whose frames the pictures show; None is the one that was sent.
            alpha: How much of a frame the top of the colour scale covers, 0 to 1.
            colormap: "heat", "viridis", "grey", or "balance" for maps with signs, which "heat" draws in it too.
            focus: Whether to draw only the cells that reach the dynamic threshold.
            progress: Called after each picture of a movie with (done, total).

        Raises:
            ValueError: an argument is not valid, or `video` is not the one that was explained.
            ImportError: a movie needs the extra `video`, which is missing.
            OSError: the file cannot be written, or the video cannot be read.
        """
        saved: Path = _late.load("save")(
            path, self, video, alpha=alpha, colormap=colormap, focus=focus, progress=progress
        )
        return saved


def top_of_scale(values: Floats) -> float:
    """Return the least size of the strongest values that hold TOP_SHARE of all, in multiples of the mean size.

    It is at least FLAT.
    """
    sizes = np.sort(np.abs(values, dtype=np.float64), axis=None)[::-1]
    held = np.cumsum(sizes)
    if not held[-1]:
        return FLAT
    reached = float(sizes[np.searchsorted(held, TOP_SHARE * held[-1])])
    return max(reached * sizes.size / float(held[-1]), FLAT)


def _on_scale(shares: Floats) -> Floats:
    """Return shares, of any shape and sum 1, on the colour scale: 0 for the even share, 1 for the top."""
    return np.asarray(np.clip((shares * shares.size - 1) / (top_of_scale(shares) - 1), 0, 1), np.float32)


def maps_of(explanation: Explanation) -> dict[str, Floats]:
    """Return the maps by their names in the HTTP contract; `signed` only if there are signs."""
    arrays = {name: getattr(explanation, name) for name in MAPS}
    return {name: array for name, array in arrays.items() if array is not None}


Answer = Result | Explanation
"""The result for a video: labels, or labels with maps."""
AnswerT = TypeVar("AnswerT", bound=Answer)


def noted(answer: AnswerT, note: str) -> AnswerT:
    """Return an answer with a note before those of its clip, so that its pictures say it too; "" changes nothing."""
    return replace(answer, clip=replace(answer.clip, notes=(note, *answer.clip.notes))) if note else answer
