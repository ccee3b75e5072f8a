"""Where a token comes from: a string, a function, or a file that is read again when it changes."""

import json
import os
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Literal

TokenSource = str | Path | Callable[[], str]
AsyncTokenSource = TokenSource | Callable[[], Awaitable[str]]
Purpose = Literal["inference", "management"]
"""TorchServe has a key for each."""


class TokenFile:
    """TorchServe's key_file.json, or a file that holds the token and nothing else."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read: tuple[object, str] = (None, "")

    def text(self) -> str:
        """The file's text, read again when the file has changed.

        Raises:
            OSError: it cannot be read.
        """
        about = os.stat(self._path)  # noqa: PTH116  # of what a link points to at this moment
        stamp = about.st_mtime_ns, about.st_size, about.st_ino
        if stamp != self._read[0]:
            self._read = stamp, self._path.read_text("utf-8")
        return self._read[1]


def provider(source: AsyncTokenSource | None) -> "Callable[[Purpose], str | Awaitable[str]] | None":
    """What gives the token for a request, asked before every attempt; None where there is none."""
    if source is None:
        return None
    if isinstance(source, Path):
        file = TokenFile(source)
        return lambda purpose: from_file(file.text(), purpose)
    if isinstance(source, str):
        return lambda _: source
    return lambda _: source()


def from_file(text: str, purpose: Purpose) -> str:
    """The token in the text of a file.

    Raises:
        ValueError: it is JSON, but not TorchServe's.
    """
    if not text.lstrip().startswith("{"):
        return text
    try:
        key = json.loads(text)[purpose]["key"]
    except (ValueError, KeyError, TypeError) as reason:
        msg = f"the token file is neither a token nor TorchServe's key_file.json with a key for {purpose} ({reason!r})"
        raise ValueError(msg) from reason
    return str(key)


def header(token: str) -> Mapping[str, str]:
    """The header that carries it.

    Raises:
        ValueError: it cannot stand in a header.
    """
    bare = token.strip()
    if not (bare and bare.isascii() and bare.isprintable()):
        raise ValueError("the token is empty, or holds signs that no header can carry; is it the right file?")
    return {"Authorization": f"Bearer {bare}"}
