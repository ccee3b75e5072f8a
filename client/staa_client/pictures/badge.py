"""Says in few words and a sentence how far to trust a map; every picture, page and text of a map shows it."""

from dataclasses import dataclass
from typing import Final, Literal

from staa_client.results.explanation import Explanation

Tone = Literal["good", "doubtful", "bad", "unknown"]
"""What a badge means: it is drawn in green, amber, red or grey."""
Colour = tuple[int, int, int]
"""A colour in sRGB, 0 to 255."""
INKS: Final[dict[Tone, Colour]] = {
    "good": (20, 112, 64),
    "doubtful": (140, 86, 0),
    "bad": (176, 38, 38),
    "unknown": (92, 94, 108),
}
"""The colours on white paper."""
LIGHTS: Final[dict[Tone, Colour]] = {
    "good": (112, 214, 158),
    "doubtful": (242, 184, 92),
    "bad": (255, 138, 128),
    "unknown": (176, 178, 192),
}
"""The colours on dark paper."""
NOT_CHECKED: Final = "Nobody has tested whether the label depends on what this map shows; the option verify does it."
_BADGES: Final[dict[str, tuple[str, Tone]]] = {
    "faithful": ("checked and faithful", "good"),
    "no_better_than_centre": ("no better than the centre", "doubtful"),
    "no_better_than_random": ("distrust it", "bad"),
    "untestable": ("could not be checked", "unknown"),
}


@dataclass(frozen=True, slots=True)
class Badge:
    """Holds the verdict on a map as it is shown."""

    words: str
    """Few words, such as "checked and faithful"."""
    tone: Tone
    sentence: str
    """What the words mean."""


def badge_of(explanation: Explanation) -> Badge:
    """Return the badge of a map; of a verdict that this client does not know the words are its code."""
    check = explanation.faithfulness
    if check is None:
        return Badge("not checked", "unknown", NOT_CHECKED)
    words, tone = _BADGES.get(check.verdict, (check.verdict.replace("_", " "), "unknown"))
    return Badge(words, tone, f"{check.message[:1].upper()}{check.message[1:]}.")
