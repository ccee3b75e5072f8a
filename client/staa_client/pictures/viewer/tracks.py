"""Says over which seconds each label holds, for the rows under the curve of a page."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from staa_client.pictures.layer import Layer

MOST_LABELS: Final = 3
"""How many labels of each model have a row."""


@dataclass(frozen=True, slots=True)
class Span:
    """Holds the score of a label in one part of the video."""

    start: float
    """Seconds of the source."""
    end: float
    """Seconds of the source."""
    score: float
    """0 to 1."""


@dataclass(frozen=True, slots=True)
class Track:
    """Holds the scores of one label over time."""

    label: str
    model: str
    """The name and version of the model that gave the scores."""
    spans: tuple[Span, ...]


def tracks_of(layers: Sequence[Layer]) -> list[Track]:
    """Return the strongest labels of each model; a model gives one score for the whole clip, so each has one span."""
    tracks: dict[tuple[str, str], Track] = {}
    for explanation in (layer.explanation for layer in layers):
        model = f"{explanation.model.name} {explanation.model.version}"
        start, end = float(explanation.seconds.min()), float(explanation.seconds.max())
        for guess in explanation.predictions[:MOST_LABELS]:
            tracks.setdefault((model, guess.label), Track(guess.label, model, (Span(start, end, guess.score),)))
    return list(tracks.values())
