"""Classes of a model, with and without a score."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Prediction:
    """One label with its score."""

    class_id: int
    label: str
    score: float
    """Probability, 0 to 1."""


@dataclass(frozen=True, slots=True)
class ClassName:
    """A class of the model, as text its label."""

    class_id: int
    label: str

    def __str__(self) -> str:
        return self.label
