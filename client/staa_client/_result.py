"""The labels of a video, and which frames of it the model saw."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from staa_client._geometry import Box
from staa_client._labels import Prediction


@dataclass(frozen=True, slots=True)
class Model:
    """The model that answered."""

    name: str
    version: str
    family: str
    """The architecture, such as "timesformer"."""
    classes: int


@dataclass(frozen=True, slots=True, eq=False)
class ClipInfo:
    """The source video, and the T frames of it that the model saw."""

    width: int
    """Pixels, in display orientation."""
    height: int
    """Pixels, in display orientation."""
    fps: float
    """Mean frame rate of the source, frames per second."""
    duration: float
    """Length of the source, seconds."""
    frames: NDArray[np.int64]
    """(T,) number of each frame in the source; the first frame is 0."""
    times: NDArray[np.float64]
    """(T,) source time of each frame, seconds."""
    box: Box
    """x0, y0, x1, y1 in pixels: the part of the frame that the model saw. A map covers exactly it."""

    def __post_init__(self) -> None:
        if self.frames.ndim != 1 or self.frames.shape != self.times.shape or len(self.frames) == 0:
            msg = f"one number and one time a frame, got {self.frames.shape = } and {self.times.shape = }"
            raise ValueError(msg)
        x0, y0, x1, y1 = self.box
        if not (0 <= x0 < x1 <= self.width and 0 <= y0 < y1 <= self.height):
            msg = f"the box lies in the frame, got {self.box = } for {self.width}x{self.height}"
            raise ValueError(msg)

    def to_dict(self) -> dict[str, Any]:
        """The clip as plain JSON data, in the form of the HTTP contract."""
        return {
            "width": self.width,
            "height": self.height,
            "fps": self.fps,
            "duration": self.duration,
            "frames": self.frames.tolist(),
            "times": self.times.tolist(),
            "box": list(self.box),
        }


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """The labels of one video."""

    model: Model
    predictions: tuple[Prediction, ...]
    """Strongest first."""
    clip: ClipInfo

    def to_dict(self) -> dict[str, Any]:
        """The result as plain JSON data, in the form of the HTTP contract."""
        model = {name: getattr(self.model, name) for name in ("name", "version", "family", "classes")}
        labels = [{"class_id": p.class_id, "label": p.label, "score": p.score} for p in self.predictions]
        return {"model": model, "predictions": labels, "clip": self.clip.to_dict()}
