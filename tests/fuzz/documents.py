"""JSON data, changed: an odd value in any place."""

import copy
import random
from collections.abc import Iterator
from typing import Any

VALUES: tuple[Any, ...] = (
    None, True, False, -1, 0, 1, 1.5, 1e308, float("nan"), float("inf"), 10**30, 2**31, 2**63, "", "1", "\ud800", "\0",
    "\n\x1b[2K", "x" * 3000, [], {}, [[]], [0], [None], {"a": 1}, [[0.1] * 3] * 3, [1e308] * 8, [[[[[]]]]],
)  # fmt: skip
"""What may come in place of a value."""


def odd(chance: random.Random) -> Any:
    """Return a value that is hardly ever right."""
    return copy.deepcopy(chance.choice(VALUES))


def places(document: Any, most: int = 3) -> Iterator[tuple[Any, Any]]:
    """Yield (what holds it, its key or number) of every value, of long lists the first few alone."""
    keys = (
        list(document)
        if isinstance(document, dict)
        else range(min(len(document), most))
        if isinstance(document, list)
        else []
    )
    for key in keys:
        yield document, key
        yield from places(document[key])


def replaced(chance: random.Random, document: Any) -> Any:
    """Return a document in which one to three values are odd, missing, or those of another place."""
    changed = copy.deepcopy(document)
    for _ in range(chance.choice([1, 1, 2, 3])):
        found = list(places(changed))
        if not found:
            return odd(chance)
        holder, key = chance.choice(found)
        match chance.choice(["odd", "odd", "gone", "moved", "more", "long"]):
            case "odd":
                holder[key] = odd(chance)
            case "gone":
                del holder[key]
            case "moved":
                other, place = chance.choice(found)
                holder[key] = copy.deepcopy(other[place])
            case "more" if isinstance(holder, dict):
                holder[chance.choice(["x", "", "__proto__", "\ud800"])] = odd(chance)
            case "long" if isinstance(holder[key], list):
                holder[key] = holder[key] * chance.choice([0, 2, 50])
            case _:
                holder[key] = odd(chance)
    return changed
