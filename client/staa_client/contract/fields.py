"""Reads single values of a reply: texts that can be shown, and numbers within what they stand for."""

import math
import re
import unicodedata
from typing import Any, Final

MOST_TEXT: Final = 1000
"""The most characters of a label, a name or a message."""
_MOST_DEPTH: Final = 16
_JOINERS: Final = {"\u200c", "\u200d"}
"""The two invisible characters that words of some scripts need."""
TEXTS: Final = {"rule": 2000}
"""Name of a field -> the most characters that it may have, if these are more."""
INTEGERS: Final = {
    "class_id": (0, 2**31 - 1),
    "classes": (0, 2**31 - 1),
    "clips": (0, 2**31 - 1),
    "frames": (1, 1024),
    "height": (1, 2**16 - 1),
    "refine": (0, 1000),
    "verify": (0, 1000),
    "width": (1, 2**16 - 1),
}
"""Name of a field -> the least and the most that it may be."""
NUMBERS: Final = {
    **dict.fromkeys(("score", "probability", "blurred", "map", "random", "centre"), (0.0, 1.0)),
    "duration": (0.0, 1e9),
    "fps": (0.0, 1e6),
    "lead": (0.0, 2.0),
    "seconds": (0.0, 1e9),
}
"""The same for numbers that need not be whole."""
_ROUNDING: Final = 1e-3


def is_harmless(text: str) -> bool:
    """Return whether a text has no control, line break, bidirectional mark or other invisible character in it."""
    return all(sign in _JOINERS or unicodedata.category(sign) not in {"Cc", "Cf", "Cs", "Zl", "Zp"} for sign in text)


def read_text(value: Any, name: str = "text", most: int = MOST_TEXT) -> str:
    """Return a text that fits on a line and can be written as UTF-8; raise ValueError for anything else."""
    if not isinstance(value, str) or len(value) > most or not is_harmless(value):
        raise ValueError(f"{name} is {value!r:.60}: expected at most {most} printable characters")
    return value


def read_integer(value: Any, name: str, least: int, most: int) -> int:
    """Return a whole number within bounds; raise ValueError for anything else."""
    is_whole = type(value) is int or (isinstance(value, float) and value.is_integer())
    if not is_whole or not least <= value <= most:
        raise ValueError(f"{name} is {value!r:.60}: expected a whole number from {least} to {most}")
    return int(value)


def read_number(value: Any, name: str, least: float, most: float) -> float:
    """Return a number within bounds, but for their rounding; raise ValueError for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{name} is {value!r:.60}: expected a number")
    if not least - _ROUNDING <= value <= most + _ROUNDING:
        raise ValueError(f"{name} is {value!r:.60}: expected {least:g} to {most:g}")
    return float(value)


def read_field(kind: type, name: str, value: Any) -> Any:
    """Return the value of a field that is a text, a number or a truth, by its type and name."""
    if kind is str:
        return read_text(value, name, TEXTS.get(name, MOST_TEXT))
    if kind is int:
        return read_integer(value, name, *INTEGERS[name])
    if kind is float:
        return read_number(value, name, *NUMBERS[name])
    if not isinstance(value, bool):
        raise ValueError(f"{name} is {value!r:.60}: expected true or false")  # noqa: TRY004  # of a reply
    return value


def read_plain(value: Any, depth: int = 0) -> Any:
    """Return JSON data of fields that are not known, if it can be written again; raise ValueError otherwise."""
    if depth > _MOST_DEPTH:
        raise ValueError(f"a field that is deeper than {_MOST_DEPTH} levels")
    if isinstance(value, dict):
        return {read_plain(key): read_plain(inner, depth + 1) for key, inner in value.items()}
    if isinstance(value, list):
        return [read_plain(inner, depth + 1) for inner in value]
    if isinstance(value, str):
        value.encode()  # a lone surrogate is a UnicodeEncodeError, which is a ValueError
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{value} is no number")
    if isinstance(value, int) and value.bit_length() > 64:
        raise ValueError("a number of more than 64 bits")
    return value


def one_line(text: str, most: int = MOST_TEXT) -> str:
    """Return a text of an error on one line, without what controls a terminal, cut to `most` characters."""
    line = " ".join(text[: 4 * most].split())
    shown = "".join(sign if is_harmless(sign) else "?" for sign in line)
    return shown if len(shown) <= most else shown[: most - 3] + "..."


def error_code(value: Any, otherwise: str) -> str:
    """Return the code of an error if it is one of the contract's form, else another."""
    return value if isinstance(value, str) and re.fullmatch(r"[a-z][a-z0-9_]{0,63}", value) else otherwise
