"""Holds what the writer of a file needs: what to save, how it looks, and where."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from staa_client.results.explanation import Explanation
from staa_client.video.source import Source

Progress = Callable[[int, int], None]
"""A function that takes the number of finished pictures of a movie, and of all its pictures."""


@dataclass(frozen=True, slots=True, eq=False)
class SaveJob:
    """Holds one file to write."""

    explanations: Sequence[Explanation]
    """One explanation, or several of the same video; of the same frames of it, but for a report."""
    source: Source | None
    """The video whose frames the pictures show, if there is one."""
    target: Path
    """The path of the file."""
    alpha: float
    """How much of a frame the top of the colour scale covers, 0 to 1."""
    colormap: str
    """The name of a colour scale."""
    focus: bool
    """Whether to draw only the cells that reach the dynamic threshold."""
    progress: Progress | None = None
    """Called after each picture of a movie."""

    @property
    def explanation(self) -> Explanation:
        """Return the first explanation; most formats hold only one."""
        return self.explanations[0]
