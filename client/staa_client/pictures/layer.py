"""Prepares one explanation for drawing: its values, its colours, and the texts that all pictures of it share."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from staa_client.pictures.badge import Badge, badge_of
from staa_client.pictures.colours import BALANCE, HEAT, scale_of
from staa_client.results.explanation import Explanation, top_of_scale
from staa_client.results.maps import Floats
from staa_client.results.result import ClassName, Prediction
from staa_client.results.save_job import SaveJob


def percent(share: float) -> str:
    """Return a share, 0 to 1, in percent with one decimal: 0.997 is "99.7%".

    All shares are rounded by this function (`viewer/words.js` has a copy). A share below 1 is never "100%" and one
    above 0 never "0%": they are ">99.9%" and "<0.1%".
    """
    tenths = math.floor(share * 1000 + 0.5)  # not by format(): it rounds 6.25 down, and JavaScript rounds it up
    if tenths >= 1000:
        return "100%" if share >= 1 else ">99.9%"
    if tenths <= 0:
        return "<0.1%" if share > 0 else "0%"
    return f"{tenths / 10:.1f}%"


def score_words(guess: Prediction) -> str:
    """Return the score of a label in percent; "97.0% present" if the model says that the video has the label."""
    return f"{percent(guess.score)} present" if guess.present else percent(guess.score)


def absence_words(predictions: Sequence[Prediction]) -> str:
    """Return "no label is present" if the model says of each label that the video does not have it; else nothing."""
    is_absent = [guess.present is False for guess in predictions]
    return "no label is present" if is_absent and all(is_absent) else ""


def place_words(*seconds: float) -> str:
    """Return the name of what a map is of, which is the same in every output.

    It is "where, whole clip"; of a moment "where, 1.25 s", of a step with its ends "where, 0.50-1.00 s".
    """
    times = "-".join(f"{second:.2f}" for second in seconds)
    return f"where, {times} s" if times else "where, whole clip"


MUCH_SHARED = 0.5
"""If so much of the evidence for a class lies where that for its contrast does, 0 to 1, a text says so."""


@dataclass(frozen=True, slots=True)
class Look:
    """Holds how a caller wants maps to be drawn."""

    alpha: float = 0.8
    """How much of a frame the top of the colour scale covers, 0 to 1."""
    colormap: str = HEAT
    """The name of a scale in `colours.SCALES`."""
    focus: bool = False
    """Whether to draw only the cells that reach the dynamic threshold."""

    def __post_init__(self) -> None:
        if not 0 <= self.alpha <= 1:
            raise ValueError(f"alpha is an opacity from 0 to 1, got {self.alpha}")
        scale_of(self.colormap)


@dataclass(frozen=True, eq=False)
class Layer:
    """Holds one explanation to draw, and the texts of its pictures.

    A map with signs is drawn in the diverging scale, with the evidence against the class. If another scale than the
    default is asked for, only its positive part is drawn.
    """

    explanation: Explanation
    look: Look = Look()

    def __post_init__(self) -> None:
        if self.explanation.signed is None and self.look.colormap == BALANCE:
            msg = f"the colormap {BALANCE!r} is for maps with signs, and {self.explanation.method!r} gives none"
            raise ValueError(msg)

    @property
    def has_signs(self) -> bool:
        """Return whether the values are from -1 to 1; if not, they are from 0 to 1."""
        return self.explanation.signed is not None and self.look.colormap in {HEAT, BALANCE}

    @property
    def scale(self) -> str:
        """Return the name of the colour scale."""
        return BALANCE if self.has_signs else self.look.colormap

    @cached_property
    def values(self) -> Floats:
        """Return the map on the colour scale, (t, h, w): 0 to 1 or -1 to 1 are its ends, and beyond them is its colour.

        Without signs, 0 is the even share of a cell or less; with signs, 0 is no evidence, or what all cells have.
        """
        return self._on_scale(self._shares, self.scale_top)

    @property
    def shown(self) -> Floats:
        """Return `values`, (t, h, w); if the look is focused, values below the threshold are 0."""
        return self.values if self.kept is None else self.values * self.kept

    @cached_property
    def kept(self) -> Floats | None:
        """Return (t, h, w), 1 for the cells that reach the threshold and 0 for others; None if nothing is focused."""
        return self._strong.astype(np.float32) if self.look.focus else None

    @property
    def whole(self) -> tuple[Floats, Floats | None]:
        """Return the map over the whole clip, (h, w), on a scale of its own, and which of its cells are `kept`."""
        shares = self._shares if self.kept is None else self._shares * self.kept
        grid = shares.sum(0)
        size = float(np.abs(grid).sum())
        kept = None if self.kept is None else self.kept.max(0)
        return self._on_scale(grid / size if size else grid, top_of_scale(grid)), kept

    @property
    def scale_top(self) -> float:
        """Return the value of 1, in multiples of the even share 1 / (t h w) of a cell."""
        return top_of_scale(self._shares)

    @property
    def top_words(self) -> str:
        """Return the top of the scale in words, such as "28 times the average"."""
        return f"{round(self.scale_top, 1 if self.scale_top < 10 else None):g} times the average"

    @property
    def _shares(self) -> Floats:
        """Return what is drawn, (t, h, w): the shares of the cells, or with signs their evidence."""
        signed = self.explanation.signed
        return self.explanation.joint if signed is None or not self.has_signs else signed

    @property
    def _strong(self) -> NDArray[np.bool_]:
        """Return which cells, (t, h, w), reach the dynamic threshold; with signs, those on both sides."""
        return np.asarray(np.abs(self._shares) >= self._cut * (1 - 1e-5))

    @property
    def _cut(self) -> float:
        """Return the dynamic threshold of `_shares`."""
        joint, shares = self.explanation.joint, self._shares
        cut = max(min(self.explanation.threshold, float(joint.max())), 0.0)
        # `joint` is the positive part of the evidence, and sums to 1
        return cut * float(np.maximum(shares, 0).sum()) if self.has_signs else cut

    def _on_scale(self, shares: Floats, top: float) -> Floats:
        """Return the shares of all cells on a scale that ends at `top`, in multiples of the even share."""
        multiples, shared = shares * shares.size, self._shared(shares)
        sizes = np.maximum(np.abs(multiples) - shared, 0) / (top - shared)
        return np.asarray(np.sign(multiples) * sizes, np.float32)

    def _shared(self, shares: Floats) -> float:
        """Return what is not drawn of each cell, in multiples of the even share, so that an even map draws nothing.

        It is the even share; with signs, it is the least size of a cell, or 0 if there are cells on both sides.
        """
        if not self.has_signs:
            return 1.0
        return min(max(float(shares.min()), -float(shares.max()), 0.0) * shares.size, 1.0)

    @property
    def subject(self) -> str:
        """Return what the map shows: "attention", "evidence for A", or "evidence for A and not B" with a contrast."""
        explanation = self.explanation
        if explanation.target is None and explanation.signed is None:
            return "attention"
        against = "" if explanation.contrast is None else f" and not {explanation.contrast}"
        return f"evidence for {explanation.target or 'the label'}{against}"

    @property
    def title(self) -> str:
        """Return the subject and the method, which distinguish the maps of one clip."""
        subject = self.subject
        return f"{subject[0].upper()}{subject[1:]} ({self.explanation.method})"

    @property
    def class_words(self) -> str:
        """Return the class that a class map explains, with its score if it is known; empty for other maps."""
        explanation = self.explanation
        if explanation.target is None:
            return ""
        against = "" if explanation.contrast is None else f" and not for {self._with_score(explanation.contrast)}"
        return f"what speaks for {self._with_score(explanation.target)}{against}"

    def _with_score(self, name: ClassName) -> str:
        """Return the label of a class, with its score if the model gave one."""
        scores = [guess.score for guess in self.explanation.predictions if guess.class_id == name.class_id]
        return f"{name} ({percent(scores[0])})" if scores else str(name)

    @property
    def heading(self) -> tuple[str, str]:
        """Return the title of a picture, and the text next to it.

        They are the best label and its score; or for a class map the class, and the best label if there is one. The
        text also says whether the video has the label, if the model tells that.
        """
        predictions = self.explanation.predictions
        best = next(iter(predictions), None)
        beside = ", ".join(filter(None, (score_words(best), absence_words(predictions)))) if best else ""
        if self.class_words:
            title = f"{self.class_words[0].upper()}{self.class_words[1:]}"
            return title, f"best label: {best.label} {beside}" if best else ""
        return (best.label, beside) if best else ("no label", "")

    @property
    def balance(self) -> str:
        """Return a text with the shares of a map for and against its class; empty for a map without signs."""
        explanation, share = self.explanation, self.explanation.balance
        if share is None:
            return ""
        target, contrast = explanation.target or "the label", explanation.contrast
        if contrast is None:
            return f"{percent(share)} of the weight speaks for {target}, {percent(1 - share)} against"
        apart = f"{percent(share)} speaks for {target}, {percent(1 - share)} for {contrast}"
        return f"of what tells the two apart, {apart}"

    @property
    def overlap(self) -> str:
        """Return a text where much of the evidence for a class lies where that for its contrast does; mostly empty."""
        explanation, share = self.explanation, self.explanation.shared_evidence
        if share is None or share < MUCH_SHARED:
            return ""
        return (
            f"{percent(share)} of the evidence for {explanation.target} lies where that for {explanation.contrast} does"
        )

    @property
    def badge(self) -> Badge:
        """Return how far to trust the map."""
        return badge_of(self.explanation)

    @property
    def note_lines(self) -> list[str]:
        """Return what a reader must know beside the map, a sentence each; mostly none.

        They say whether the evidence for two classes lies on the same cells, whether the clip's frames repeat, and what
        was done to the clip.
        """
        clip = self.explanation.clip
        return [note for note in (self.overlap, clip.repeats, *clip.notes) if note]

    @property
    def notes(self) -> str:
        """Return the `note_lines` as one text."""
        return " · ".join(self.note_lines)

    @property
    def scale_ends(self) -> tuple[str, str]:
        """Return the texts for the two ends of the colour scale."""
        explanation = self.explanation
        if not self.has_signs:
            return "the average, or less", self.top_words
        target, contrast = explanation.target or "the label", explanation.contrast
        return f"against {target}" if contrast is None else f"for {contrast}", f"for {target}"

    @property
    def kept_words(self) -> tuple[float, str]:
        """Return the share, 0 to 1, that the dynamic threshold keeps, and a text such as "9 of 2304 cells".

        With signs, these are the cells on both sides, and the share is that of all evidence, for and against.
        """
        sizes, cells = np.abs(self._shares), self._strong
        share = 1.0 if cells.all() else min(float(sizes[cells].sum() / sizes.sum()), 1.0)
        return share, f"{cells.sum()} of {cells.size} cells"


def layers_of(job: SaveJob) -> list[Layer]:
    """Return a layer for each explanation of a job, in their order.

    Raises:
        ValueError: the look is not valid, or is for maps with signs and a map has none.
    """
    look = Look(job.alpha, job.colormap, job.focus)
    return [Layer(explanation, look) for explanation in job.explanations]
