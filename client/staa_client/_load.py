"""Explanations that were saved, back from their files."""

from pathlib import Path

from staa_client import _wire
from staa_client._errors import ReplyError
from staa_client._types import Explanation


def load(path: str | Path) -> Explanation:
    """An explanation from a `.json` or `.npz` that `Explanation.save` wrote, or from a reply of the server in a file.

    Raises:
        ReplyError: the file holds something else.
        OSError: it cannot be read.
    """
    data = Path(path).read_bytes()
    try:
        return _wire.explanation(200, {}, data)
    except ReplyError as reason:
        msg = (
            f"{path} is no saved result, or a damaged one: load takes a .json or .npz as save writes it, or a reply of "
            "/explanations as it came"
        )
        raise ReplyError(msg, code="reply_invalid") from reason
