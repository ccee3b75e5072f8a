"""An explanation: frozen, with numpy arrays; every field says its shape and unit, checked here."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from staa_client._faithfulness import Faithfulness
from staa_client._frames import Frames
from staa_client._geometry import Box, Floats, in_time, place, region_box, strongest_cells
from staa_client._labels import ClassName, Prediction
from staa_client._maps import packed
from staa_client._result import ClipInfo, Model, Result

FLAT = 3.0
"""Multiples of the even share that the colour scale reaches at least."""
PEAK = 1.2
"""Multiples of the even share that a step must exceed to be a peak."""


@dataclass(frozen=True, slots=True)
class Moment:
    """One step of the clip: when the model looked, how much, and where most."""

    step: int
    start: float
    """Source time, seconds."""
    end: float
    """Source time, seconds."""
    share: float
    """Share of the clip's attention that falls on this step; the steps sum to 1."""
    region: Box
    """x0, y0, x1, y1 in pixels of the source: where the model looked most during this step."""


@dataclass(frozen=True, slots=True, eq=False)
class Explanation:
    """The labels of one video, with where and when the model looked.

    The maps lie on the model's own token grid of t steps, h rows and w columns. In replies with `maps="base64"` they
    come as float16, so that sums hold to 1e-3; otherwise to 1e-4.
    """

    model: Model
    predictions: tuple[Prediction, ...]
    """Strongest first."""
    clip: ClipInfo
    method: str
    """How the map was computed, such as "staa"."""
    method_version: str
    """Rises when the method's formula changes: maps of two versions are not to be compared."""
    threshold: float
    """The dynamic threshold: the focused map is `joint >= threshold`."""
    seconds: NDArray[np.float64]
    """(t, 2) start and end of each step in the source, seconds."""
    temporal: Floats = field(repr=False)
    """(t,) when: share of each step, sums to 1."""
    spatial: Floats = field(repr=False)
    """(h, w) where: share of each cell over the whole clip, sums to 1."""
    joint: Floats = field(repr=False)
    """(t, h, w) where and when: share of each cell of each step, sums to 1."""
    target: ClassName | None = None
    """The class that the map speaks for; None for a method without one."""
    contrast: ClassName | None = None
    """The class that the target was held against; None without one."""
    signed: Floats | None = field(default=None, repr=False)
    """(t, h, w) for a class map: positive where a cell speaks for the target, negative against it; sizes sum to 1."""
    faithfulness: Faithfulness | None = None
    """Whether the label rests on the map, where that was asked for (`verify`)."""
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """Fields of the reply's `explanation` that this client does not know."""
    source: Path | bytes | Frames | None = field(default=None, repr=False)
    """The video, for pictures with frames."""
    name: str = "video"
    """The file's name, or "video" where there is none."""

    def __post_init__(self) -> None:
        if self.joint.ndim != 3 or 0 in self.joint.shape:
            msg = f"joint must be (t, h, w), none of them 0, got {self.joint.shape}"
            raise ValueError(msg)
        t, h, w = self.joint.shape
        for name, wanted in (("temporal", (t,)), ("spatial", (h, w)), ("seconds", (t, 2))):
            if getattr(self, name).shape != wanted:
                msg = f"{name} must be {wanted} as joint is {self.joint.shape}, got {getattr(self, name).shape}"
                raise ValueError(msg)
        if self.signed is not None and self.signed.shape != self.joint.shape:
            msg = f"signed must be {self.joint.shape} as joint, got {self.signed.shape}"
            raise ValueError(msg)
        parts = [self.temporal, self.spatial, self.joint, *([] if self.signed is None else [self.signed])]
        if not all(np.isfinite(part).all() for part in parts):
            raise ValueError("temporal, spatial, joint and signed must be finite, got NaN or infinity")

    @property
    def box(self) -> Box:
        """x0, y0, x1, y1 in pixels of the source: the part of the frame that the model saw."""
        return self.clip.box

    def top(self, n: int = 3) -> tuple[Moment, ...]:
        """The n steps with the largest share of the attention, strongest first, each with its strongest region."""
        strongest = np.argsort(-self.temporal, kind="stable")[:n].tolist()
        return tuple(
            Moment(i, float(self.seconds[i, 0]), float(self.seconds[i, 1]), float(self.temporal[i]), self.region(i))
            for i in strongest
        )

    def region(self, step: int | None = None) -> Box:
        """Where the model looked most, in one step or over the whole clip: x0, y0, x1, y1 in pixels of the source.

        The box around the cells joined to the strongest one that reach half way from the map's median to its maximum.
        A constant map gives the whole of `box`.
        """
        return region_box(strongest_cells(self.spatial if step is None else self.joint[step]), self.box)

    def focused(self) -> Floats:
        """`joint` where it reaches the threshold, 0 elsewhere, sum 1: (t, h, w); the strongest cell always stays."""
        kept = np.where(self.joint >= min(self.threshold, float(self.joint.max())), self.joint, np.float32(0))
        total = kept.sum()
        return kept / total if total > 0 else kept

    def heatmap(
        self,
        step: int | None = None,
        *,
        second: float | None = None,
        frame: int | None = None,
        focused: bool = False,
    ) -> Floats:
        """The map in pixels of the source: (height, width), 0 to 1, zero where the model saw nothing.

        Smoothly interpolated between the centres of the cells, and for a second or a frame between the middles of the
        steps. 1 is the top of the scale of the whole CLIP, so that moments can be compared (see `scaled`); 0 is no
        attention.

        Args:
            step: One of the t steps, or
            second: a time of the source, or
            frame: the number of a frame of the source, whose time is taken from its mean frame rate.
            focused: Of the focused map.

        Raises:
            ValueError: not exactly one of the three is given, or it lies outside of the source.
        """
        scaled = self.scaled(focused=focused)
        if [step, second, frame].count(None) != 2:
            msg = f"give a step, a second or a frame, got {step = }, {second = }, {frame = }"
            raise ValueError(msg)
        if step is not None:
            if not -len(scaled) <= step < len(scaled):
                msg = f"step is {step}: expected one of 0 to {len(scaled) - 1}"
                raise ValueError(msg)
            grid = scaled[step]
        else:
            at = float(second) if second is not None else (frame or 0) / self.clip.fps
            if not 0 <= at <= self.clip.duration:
                msg = f"{at:g} s is not in the source, which lasts {self.clip.duration:g} s"
                raise ValueError(msg)
            grid = in_time(scaled, self.seconds, at)
        return place(grid, self.box, self.clip.height, self.clip.width)

    def scaled(self, *, focused: bool = False) -> Floats:
        """`joint` (or the focused map) over the top of the scale: (t, h, w), 0 to 1. A map without any weight stays 0.

        The top is the largest value, or FLAT = 3 times the even share 1 / (t h w) where that is more: a map that says
        nothing stays dim.
        """
        shares = np.maximum(self.focused() if focused else self.joint, 0)
        top = max(float(shares.max()), FLAT / shares.size)
        return np.asarray(shares / top, np.float32)

    @property
    def top_of_scale(self) -> float:
        """What 1 stands for in `scaled()` and `heatmap(step)`, in multiples of the even share 1 / (t h w) of a cell."""
        return max(float(self.joint.max()) * self.joint.size, FLAT)

    @property
    def peak(self) -> int | None:
        """The strongest step, if its share exceeds PEAK = 1.2 times the even share 1 / t; None: no step stands out."""
        strongest = int(np.argmax(self.temporal))
        return strongest if float(self.temporal[strongest]) * len(self.temporal) > PEAK else None

    @property
    def balance(self) -> float | None:
        """Share of the weight of `signed` that speaks for the target, 0 to 1; the rest speaks against it.

        `joint`, `temporal` and `spatial` are of this part alone, scaled to sum 1, however small it is. None without
        signs, or without any weight.
        """
        if self.signed is None or not (sizes := float(np.abs(self.signed, dtype=np.float64).sum())):
            return None
        return float(np.maximum(self.signed, 0, dtype=np.float64).sum()) / sizes

    def to_dict(self, maps: Literal["json", "base64"] = "json") -> dict[str, Any]:
        """The explanation as plain JSON data, in the form of the HTTP contract with these `maps`.

        With "base64" the numbers are halves where that loses nothing, as in most replies, else singles.
        """
        names = ("temporal", "spatial", "joint", *(() if self.signed is None else ("signed",)))
        arrays = {name: getattr(self, name) for name in names}
        made = {name: array.tolist() if maps == "json" else packed(array) for name, array in arrays.items()}
        return self.without_maps() | {"explanation": self.without_maps()["explanation"] | made}

    def without_maps(self) -> dict[str, Any]:
        """`to_dict()` less `temporal`, `spatial`, `joint` and `signed`."""
        checked = {} if self.faithfulness is None else {"faithfulness": self.faithfulness.to_dict()}
        return Result(self.model, self.predictions, self.clip).to_dict() | {
            "explanation": {
                **self.extra,
                **checked,
                "method": self.method,
                "method_version": self.method_version,
                "target": None if self.target is None else asdict(self.target),
                "contrast": None if self.contrast is None else asdict(self.contrast),
                "shape": list(self.joint.shape),
                "steps": self.seconds.tolist(),
                "threshold": self.threshold,
            }
        }

    def to_parquet(self, path: str | Path) -> Path:
        """Write the explanation as a Parquet file of one row, of the form that `Client.batch` writes.

        Raises:
            ImportError: the package `pyarrow` is missing: the extra `parquet`.
        """
        from staa_client import _parquet  # noqa: PLC0415  # an optional extra

        source = str(self.source) if isinstance(self.source, Path) else self.name
        head = {"source": source, "key": source, "stamp": "", "request": ""}
        _parquet.write(Path(path), [head | {"reply": self.to_dict("base64")}])
        return Path(path)

    def _repr_html_(self) -> str:
        """What a notebook shows: the contact sheet, with labels in words for those who do not see it."""
        from staa_client._notebook import html_of  # noqa: PLC0415  # pictures load Pillow, labels need none of it

        return html_of(self)

    def save(
        self,
        path: str | Path,
        video: str | Path | bytes | Frames | None = None,
        *,
        alpha: float = 0.8,
        colormap: str = "heat",
        focus: bool = False,
        progress: Callable[[int, int], None] | None = None,
    ) -> Path:
        """Write the explanation as `.html` (report), `.png` (sheet), `.mp4`, `.gif`, `.json`, `.npz` or `.parquet`.

        Pictures show the frames of `video`, or of the video that was sent. Without one they are drawn without frames
        and say so; so are `.html` and `.png` without the package `av`. `.json` and `.npz` have the form of the
        server's replies. The file is written whole or not at all.

        Args:
            path: The file; its ending chooses.
            video: The video for pictures with frames; None is the one that was sent.
            alpha: How much of a frame the top of the colour scale covers, 0 to 1.
            colormap: "heat", "viridis", "grey", or "balance" for maps with signs, which "heat" draws in it too.
            focus: Draw only what reaches the dynamic threshold.
            progress: Called after each picture of a movie with (done, total).

        Raises:
            ValueError: an argument is none of these, or `video` is not the one that was explained.
            ImportError: a movie needs the package `av`, which is missing.
            OSError: the file cannot be written, or the video not be read.
        """
        from staa_client._save import save  # noqa: PLC0415  # pictures load Pillow, labels need none of it

        return save(path, self, video, alpha=alpha, colormap=colormap, focus=focus, progress=progress)
