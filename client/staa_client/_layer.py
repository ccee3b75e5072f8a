"""What pictures draw of an explanation: its values on a colour scale, and what they are called."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from staa_client._colours import BALANCE, HEAT, checked
from staa_client._geometry import Floats
from staa_client._labels import ClassName
from staa_client._percent import percent
from staa_client._types import FLAT, Explanation


@dataclass(frozen=True, slots=True)
class Look:
    """How maps are drawn, chosen by the caller."""

    alpha: float = 0.8
    """How much of a frame the top of the colour scale covers, 0 to 1."""
    colormap: str = HEAT
    """A name in `_colours.SCALES`."""
    focus: bool = False
    """Whether only what reaches the dynamic threshold is drawn."""

    def __post_init__(self) -> None:
        if not 0 <= self.alpha <= 1:
            msg = f"alpha is an opacity from 0 to 1, got {self.alpha}"
            raise ValueError(msg)
        checked(self.colormap)


@dataclass(frozen=True, eq=False)
class Layer:
    """One explanation as it is drawn.

    A map with signs is drawn in the diverging scale, evidence against the class too, unless another scale than the
    default is asked for: then its positive part is.
    """

    explanation: Explanation
    look: Look = Look()

    def __post_init__(self) -> None:
        if self.explanation.signed is None and self.look.colormap == BALANCE:
            msg = f"the colormap {BALANCE!r} is for maps with signs, and {self.explanation.method!r} gives none"
            raise ValueError(msg)

    @property
    def signs(self) -> bool:
        """Whether values are from -1 to 1; else from 0 to 1."""
        return self.explanation.signed is not None and self.look.colormap in {HEAT, BALANCE}

    @property
    def scale(self) -> str:
        """The name of the colour scale."""
        return BALANCE if self.signs else self.look.colormap

    @cached_property
    def whole(self) -> Floats:
        """The map over the top of the scale: (t, h, w), 0 to 1 or -1 to 1. See `Explanation.scaled`."""
        signed = self.explanation.signed
        if signed is None or not self.signs:
            return self.explanation.scaled()
        return np.asarray(signed * (signed.size / self.top), np.float32)

    @property
    def drawn(self) -> Floats:
        """`whole`, or where the look is focused what of it reaches the threshold: (t, h, w)."""
        if not self.look.focus:
            return self.whole
        return np.where(np.abs(self.whole) >= self.threshold * (1 - 1e-5), self.whole, np.float32(0))

    @property
    def top(self) -> float:
        """What 1 stands for, in multiples of the even share 1 / (t h w) of a cell."""
        signed = self.explanation.signed
        if signed is None or not self.signs:
            return self.explanation.top_of_scale
        return max(float(np.abs(signed).max()) * signed.size, FLAT)

    @property
    def threshold(self) -> float:
        """The dynamic threshold on the scale of `whole`; what speaks against the class has to be as large."""
        joint, signed = self.explanation.joint, self.explanation.signed
        cut = max(min(self.explanation.threshold, float(joint.max())), 0.0)
        if signed is not None and self.signs:  # `joint` is the positive part, and sums to 1
            cut *= float(np.maximum(signed, 0).sum())
        return cut * joint.size / self.top

    @property
    def subject(self) -> str:
        """What the map shows: "attention", or "evidence for A" with its contrast."""
        one = self.explanation
        if one.target is None and one.signed is None:
            return "attention"
        against = "" if one.contrast is None else f" against {one.contrast}"
        return f"evidence for {one.target or 'the label'}{against}"

    @property
    def title(self) -> str:
        """The subject and the method: what tells maps of one clip apart."""
        subject = self.subject
        return f"{subject[0].upper()}{subject[1:]} ({self.explanation.method})"

    @property
    def aim(self) -> str:
        """What a class map speaks for, with scores where they are known; empty for a map of no class."""
        one = self.explanation
        if one.target is None:
            return ""
        against = "" if one.contrast is None else f", against {self._scored(one.contrast)}"
        return f"what speaks for {self._scored(one.target)}{against}"

    def _scored(self, one: ClassName) -> str:
        scores = [guess.score for guess in self.explanation.predictions if guess.class_id == one.class_id]
        return f"{one} ({percent(scores[0])})" if scores else str(one)

    @property
    def heading(self) -> tuple[str, str]:
        """The title of a picture and what stands beside it: the best label and its score, or the class explained."""
        best = next(iter(self.explanation.predictions), None)
        if self.aim:
            return (
                f"{self.aim[0].upper()}{self.aim[1:]}",
                f"best label: {best.label} {percent(best.score)}" if best else "",
            )
        return (best.label, percent(best.score)) if best else ("no label", "")

    @property
    def balance(self) -> str:
        """How much of a map with signs speaks for the class, and how much does not; empty without signs."""
        one, share = self.explanation, self.explanation.balance
        if share is None:
            return ""
        rest = "against" if one.contrast is None else f"for {one.contrast}"
        return f"{percent(share)} of the weight speaks for {one.target or 'the label'}, {percent(1 - share)} {rest}"

    @property
    def ends(self) -> tuple[str, str]:
        """The names of both ends of the colour scale."""
        one, most = self.explanation, f"{self.top:.3g} x the even share"
        if not self.signs:
            return f"no {'attention' if self.subject == 'attention' else 'evidence'}", most
        against = f"against {one.target or 'the label'}" if one.contrast is None else f"for {one.contrast}"
        return against, f"for {one.target or 'the label'}"

    @property
    def kept(self) -> tuple[float, str]:
        """The share, 0 to 1, of the attention (or evidence) that the dynamic threshold keeps, and in how many cells."""
        joint = self.explanation.joint
        cells = joint >= min(self.explanation.threshold, float(joint.max()))
        share = 1.0 if cells.all() else min(float(joint[cells].sum()), 1.0)
        return share, f"{cells.sum()} of {cells.size} cells"
