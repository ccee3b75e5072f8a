"""Spells the options in messages as they are typed on the command line, since the client and the server say `top_k`."""

import re
from typing import Final

_OPTIONS: Final = (
    *("top_k", "start", "end", "method", "target", "contrast", "mass", "verify", "refine", "maps", "sample"),
    *("timeout", "window", "stride", "latency", "smooth", "concurrency", "alpha", "colormap", "focus", "token"),
    "explain_when",
)
"""The options of a call that the command has under the same name, but for its hyphens."""
_NAME: Final = rf"(?<![\w.\-])(?<!the )({'|'.join(_OPTIONS)})"
_RULES: Final = (
    (re.compile(rf"{_NAME}=\"?([\w.]+)\"?"), lambda found: f"{_typed(found[1])} {found[2]}"),  # top_k=3
    (re.compile(rf"(?:\ba )?{_NAME}(?= is )"), lambda found: _typed(found[1])),  # top_k is 9: expected ...
    (re.compile(rf"{_NAME}(?=[\w, ]* are about )"), lambda found: _typed(found[1])),  # mass, method are about maps
    (re.compile(rf"(?<=the option ){_NAME}"), lambda found: _typed(found[1])),  # the option verify does it
    (re.compile(rf"(?<=the options ){_NAME} and {_NAME}"), lambda found: f"{_typed(found[1])} and {_typed(found[2])}"),
    (re.compile(r"\btop_k\b"), lambda _: "--top-k"),
    (re.compile(r"\bmanagement_url\b"), lambda _: "--management ADDRESS"),
    (re.compile(r"\bbase_url\b"), lambda _: "--server"),
    (re.compile(r"\bready\(model\)"), lambda _: "staa ready MODEL"),
    (re.compile(r"\bgive options as arguments "), lambda _: "give options by their names "),
)
"""What a message may say -> what it says on the command line, tried in this order."""


def as_typed(message: str) -> str:
    """Return a message with its options as they are typed: "top_k is 9" becomes "--top-k is 9".

    Only what is said of an option is changed, as many of their names are words of every day.
    """
    for pattern, words in _RULES:
        message = pattern.sub(words, message)
    return message


def _typed(name: str) -> str:
    return "--" + name.replace("_", "-")
