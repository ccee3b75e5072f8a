"""What the server found when it checked its own map."""

from dataclasses import asdict, dataclass
from typing import Any

from staa_client._labels import ClassName


@dataclass(frozen=True, slots=True)
class Areas:
    """Under the curve of the target's probability over the share of cells, for three orders of the cells."""

    map: float
    """The strongest cells of the map first."""
    random: float
    """The better one of two random orders."""
    centre: float
    """The middle of the clip first."""


@dataclass(frozen=True, slots=True)
class Faithfulness:
    """Whether the label rests on the cells that the map shows."""

    verdict: str
    """"faithful", "no_better_than_centre", "no_better_than_random" or "untestable"."""
    message: str
    """The verdict in words."""
    target: ClassName
    """The class whose probability was followed."""
    contrast: ClassName | None
    """Where the map has one: the probability is that of the target where only these two classes are."""
    probability: float
    """Of the whole clip."""
    blurred: float
    """Of the clip with every cell taken away."""
    deletion: Areas
    """While cells are taken away: low is good."""
    insertion: Areas
    """While cells are put in: high is good."""
    clips: int
    """Clips that went through the model for it."""
    seconds: float
    """Time that they took."""

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON data, in the form of the HTTP contract."""
        flat = asdict(self)
        return flat | {"cost": {name: flat.pop(name) for name in ("clips", "seconds")}}
