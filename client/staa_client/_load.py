"""Explanations that were saved, back from their files."""

from pathlib import Path

from staa_client import _wire
from staa_client._types import Explanation


def load(path: str | Path) -> Explanation:
    """An explanation from a `.json` or `.npz` that `Explanation.save` wrote, or from a reply of the server in a file.

    Raises:
        ReplyError: the file holds something else.
        OSError: it cannot be read.
    """
    return _wire.explanation(200, {}, Path(path).read_bytes())
