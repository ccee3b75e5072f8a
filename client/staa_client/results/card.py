"""Holds the card of a model."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from staa_client.results.result import Model, model_data


@dataclass(frozen=True, slots=True)
class MethodCard:
    """Holds a method of attribution that the server offers."""

    version: str
    """The version of the formula; it goes up with any change."""
    classes: bool
    """Whether the method takes a target and a contrast."""


@dataclass(frozen=True, slots=True)
class Card:
    """Holds the labels of a model, the input that it takes, and what its server allows."""

    model: Model
    labels: tuple[str, ...] = field(repr=False)
    """The label of each class, by class id."""
    problem_type: str
    """"single_label_classification", or "multi_label_classification" if the scores of a video do not sum to 1."""
    license: str | None
    """The license of the model, as an SPDX identifier or in words; None if the server does not say it."""
    clip_seconds: tuple[float, float] | None
    """The shortest and the longest clip that the model was trained on, seconds; None if the server does not say it."""
    frames: int
    """T, the number of frames of a clip."""
    size: tuple[int, int]
    """(height, width) of the model's input, in pixels."""
    resize: int | tuple[int, int] | None
    """The size of frames before the crop, in pixels: their shortest edge, or (height, width); None: not resized."""
    interpolation: str
    """How frames are scaled: "bilinear", "bicubic" or "lanczos", antialiased."""
    steps: tuple[int, int, int]
    """(t, h, w), the shape of its maps."""
    methods: Mapping[str, MethodCard]
    """Name -> method of attribution."""
    verify: int
    """The largest allowed value of the option verify; 0: the server makes no checks."""
    refine: int
    """The largest allowed value of the option refine; 0: the server chooses no map by a test."""
    limits: Mapping[str, float]
    """The limits for a video: bytes, pixels of a frame, frames, duration and seconds of decoding."""
    explain_when: tuple[str, ...] = ()
    """The names of the rules that the option explain_when may have; none: the server does not know the option."""
    label_threshold: float | None = None
    """The least score of a label that a video has; None for a model of one label a video."""

    def __post_init__(self) -> None:
        if self.interpolation not in {"bilinear", "bicubic", "lanczos"}:
            raise ValueError(f"frames are scaled by bilinear, bicubic or lanczos, got {self.interpolation!r}")

    @property
    def input(self) -> tuple[object, ...]:
        """Return the values that decide which frames are sent, and at which size."""
        return self.frames, self.resize, self.interpolation

    def scaled(self, height: int, width: int) -> tuple[int, int]:
        """Return the (rows, columns) to which the server resizes a frame of this size before the crop."""
        match self.resize:
            case None:
                return height, width
            case int(edge):
                if width <= height:
                    return int(edge * height / width), edge
                return edge, int(edge * width / height)
            case rows, columns:
                return rows, columns

    def to_dict(self) -> dict[str, Any]:
        """Return the card as plain JSON data, in the form of the HTTP contract."""
        return {
            "model": model_data(self.model),
            "labels": list(self.labels),
            "problem_type": self.problem_type,
            **({} if self.label_threshold is None else {"label_threshold": self.label_threshold}),
            "license": self.license,
            "clip_seconds": None if self.clip_seconds is None else list(self.clip_seconds),
            "input": {
                "frames": self.frames,
                "height": self.size[0],
                "width": self.size[1],
                "resize": list(self.resize) if isinstance(self.resize, tuple) else self.resize,
                "interpolation": self.interpolation,
                "steps": list(self.steps),
            },
            "methods": {name: asdict(method) for name, method in self.methods.items()},
            "verify": self.verify,
            "refine": self.refine,
            **({"explain_when": list(self.explain_when)} if self.explain_when else {}),
            "limits": dict(self.limits),
        }

    def __repr__(self) -> str:
        model = self.model
        name = f"{model.name} {model.version}"
        return f"<Card of {name!r}: {len(self.labels)} labels, {self.frames} frames, methods {', '.join(self.methods)}>"
