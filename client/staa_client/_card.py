"""What a served model says of itself."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from staa_client._result import Model


@dataclass(frozen=True, slots=True)
class MethodCard:
    """A way of explaining that the server offers."""

    version: str
    """Rises when the formula changes."""
    classes: bool
    """Whether it takes a target and a contrast."""


@dataclass(frozen=True, slots=True)
class Card:
    """A model: its labels, what it wants to see, and what its server allows."""

    model: Model
    labels: tuple[str, ...] = field(repr=False)
    """By class id."""
    frames: int
    """T, frames of a clip."""
    size: tuple[int, int]
    """(height, width) of what the model sees, pixels."""
    resize: int | tuple[int, int] | None
    """What frames are scaled to before the crop: their shortest edge or (height, width), pixels; None: not at all."""
    interpolation: str
    """How: "bilinear" or "bicubic", antialiased."""
    steps: tuple[int, int, int]
    """(t, h, w) of its maps."""
    methods: Mapping[str, MethodCard]
    verify: int
    """The most that the option verify may be; 0: not offered."""
    limits: Mapping[str, float]
    """What a video may cost: bytes, pixels of a frame, frames, duration and seconds of decoding."""

    def __post_init__(self) -> None:
        if self.interpolation not in {"bilinear", "bicubic"}:
            msg = f"frames are scaled by bilinear or bicubic interpolation, got {self.interpolation!r}"
            raise ValueError(msg)

    @property
    def input(self) -> tuple[object, ...]:
        """All that decides which frames are sent, and how they are scaled."""
        return self.frames, self.resize, self.interpolation

    def scaled(self, height: int, width: int) -> tuple[int, int]:
        """(rows, columns) that a frame of this size is scaled to before the crop: the server's own rule."""
        match self.resize:
            case None:
                return height, width
            case int(edge):
                if width <= height:
                    return int(edge * height / width), edge
                return edge, int(edge * width / height)
            case rows, columns:
                return rows, columns
