"""Reads the option `explain_when`: rules about the labels that say for which videos a map is made.

Every rule looks at the best label of a video. Several rules are joined by ";", and a video that any of them names is
explained: "score_below=0.6;label_in=moves up|blinks".
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Self

from torch import Tensor

from staa.errors import OptionError

BETWEEN_RULES = ";"
BETWEEN_LABELS = "|"
RULES: Mapping[str, str] = {
    "always": "always",
    "score_below": "score_below=0.6",
    "margin_below": "margin_below=0.2",
    "label_in": "label_in=LABEL|LABEL",
}
"""Name of a rule -> how it is written."""
NUMBER = r"(0|1|0?\.[0-9]{1,20}|1\.0{1,20})"
RULE = rf" *(always|(score|margin)_below={NUMBER}|label_in=[^;|]+(\|[^;|]+)*) *"
PATTERN = f"^{RULE}(;{RULE})*$"
"""What the description of the contract says of the text, but for the labels, which are the model's."""
_MOST_NAMED = 8
"""The most labels that a message names."""
_MOST_SHOWN = 200
"""The most characters of a rule that a message repeats."""


@dataclass(frozen=True, slots=True)
class ExplainWhen:
    """Hold the rules of a request; a video is explained if one of them names it."""

    text: str = "always"
    """The rules as the request has them."""
    always: bool = True
    """Whether every video is explained."""
    score_below: float | None = None
    """Videos whose best score is below this are explained, 0 to 1."""
    margin_below: float | None = None
    """Videos whose best score is less than this above the second one are explained, 0 to 1."""
    labels: tuple[str, ...] = ()
    """Videos whose best label is one of these are explained; a text of digits is the number of a class."""

    @classmethod
    def read(cls, text: str) -> Self:
        """Read the rules of a request; of one that is given twice, what either of them names is explained.

        Raises:
            OptionError: a rule is unknown, or its value is not allowed.
        """
        always, labels = False, list[str]()
        least: dict[str, float] = {}
        for part in text.split(BETWEEN_RULES):
            name, sign, value = part.strip(" ").partition("=")
            if name not in RULES or bool(sign) == (name == "always"):
                raise OptionError(_unknown(part.strip()[:_MOST_SHOWN]))
            if name == "always":
                always = True
            elif name == "label_in":
                labels += [label.strip(" ") for label in value.split(BETWEEN_LABELS)]
            else:
                least[name] = max(_share(name, value), least.get(name, 0.0))
        return cls(text, always, least.get("score_below"), least.get("margin_below"), tuple(dict.fromkeys(labels)))

    def check(self, labels: Sequence[str]) -> None:
        """Raise OptionError if a model with these labels cannot follow the rules; call it before a video is decoded."""
        self._class_ids(labels)
        if self.margin_below is not None and len(labels) == 1:
            raise OptionError("explain_when has margin_below, which needs a second class, and this model has one")

    def why_not(self, probabilities: Tensor, best: Sequence[int], labels: Sequence[str]) -> str | None:
        """Return in words why a video is not explained; None if it is explained.

        Args:
            probabilities: (K,) of all classes.
            best: the numbers of the best two classes, in the order of the reply's predictions: probabilities can be the
                same where logits are not.
            labels: the labels of all classes.
        """
        if self.always:
            return None
        scores, reasons = probabilities[list(best)].tolist(), list[str]()
        if self.score_below is not None:
            if scores[0] < self.score_below:
                return None
            reasons.append(f"the best label has {_digits(scores[0])}, the rule explains below {self.score_below:g}")
        if self.margin_below is not None:
            margin = scores[0] - scores[1]
            if margin < self.margin_below:
                return None
            said = f"the best label is {_digits(margin)} ahead of the second"
            reasons.append(f"{said}, the rule explains below {self.margin_below:g}")
        if self.labels:
            if best[0] in self._class_ids(labels):
                return None
            others = ", ".join(f"{label:.60}" for label in self.labels[:_MOST_NAMED]) + (
                ", ..." if len(self.labels) > _MOST_NAMED else ""
            )
            reasons.append(f"the best label is {labels[best[0]]}, the rule explains {others}")
        return "; ".join(reasons)

    def _class_ids(self, labels: Sequence[str]) -> set[int]:
        """Return the numbers of the classes that the rules name.

        Raises:
            OptionError: the model has no such class.
        """
        class_ids: set[int] = set()
        for named in self.labels:
            if named.isascii() and named.isdigit() and len(named) < 10 and int(named) < len(labels):
                class_ids.add(int(named))
                continue
            found = {class_id for class_id, label in enumerate(labels) if label == named}
            if not found:
                raise OptionError(_no_label(named, labels))
            class_ids |= found
        return class_ids


def _share(name: str, value: str) -> float:
    """Return the number of a rule, 0 to 1."""
    if not re.fullmatch(NUMBER, value):
        shown = value[:_MOST_SHOWN]
        raise OptionError(f"explain_when has {name}={shown!r}: expected a number from 0 to 1, such as 0.6")
    return float(value)


def _digits(share: float) -> str:
    return f"{share:.3g}"


ALWAYS = ExplainWhen()
"""The rules of a request that has none."""


def _unknown(part: str) -> str:
    written = ", ".join(RULES.values())
    return (
        f"explain_when has {part!r}, which is no rule: expected some of {written}, joined by {BETWEEN_RULES!r}; "
        "a label that holds a sign of these is named by its number"
    )


def _no_label(named: str, labels: Sequence[str]) -> str:
    close = get_close_matches(named.casefold(), [label.casefold() for label in labels], _MOST_NAMED, 0.6)
    near = [label for label in labels if label.casefold() in close][:_MOST_NAMED] or list(labels[:_MOST_NAMED])
    some = ", ".join(near) + (", ..." if len(near) < len(labels) else "")
    numbers = f"a number from 0 to {len(labels) - 1}"
    return (
        f"explain_when has label_in={named[:_MOST_SHOWN]!r}: expected {numbers} or a label ({some}), "
        f"several of them with {BETWEEN_LABELS!r} between"
    )
