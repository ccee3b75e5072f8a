"""Gets a token from a string, a function, or a file that is read again when it changes."""

import contextlib
import json
import os
import stat
import warnings
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Literal

from staa_client.errors import InsecureWarning

TokenSource = str | Path | Callable[[], str]
"""A token, the path of a file that holds it, or a function that returns it."""
AsyncTokenSource = TokenSource | Callable[[], Awaitable[str]]
"""The same for `AsyncClient`, where the function may be a coroutine function."""
Purpose = Literal["inference", "management"]
"""The purpose of a token; TorchServe has a key for each."""


class TokenFile:
    """Reads TorchServe's key_file.json, or a file that holds only the token."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read: tuple[object, str] = (None, "")

    def text(self) -> str:
        """Return the text of the file; it is read again only if the file has changed.

        Raises:
            OSError: it cannot be read.
        """
        facts = os.stat(self._path)  # noqa: PTH116  # of what a link points to at this moment
        stamp = facts.st_mtime_ns, facts.st_size, facts.st_ino
        if stamp != self._read[0]:
            data = self._path.read_bytes()
            self._read = stamp, data.decode("utf-8", "replace")  # what is no text is refused where it becomes a header
        return self._read[1]


def token_provider(source: AsyncTokenSource | None) -> "Callable[[Purpose], str | Awaitable[str] | None]":
    """Return a function that returns the token (None if there is none); it is called before every attempt.

    Raises:
        TypeError: the source has a wrong type.
    """
    if isinstance(source, Path):
        with contextlib.suppress(OSError):  # it may come later
            warn_if_others_read(source, "a token", stacklevel=4)
        file = TokenFile(source)
        return lambda purpose: token_in(file.text(), purpose)
    if source is None or isinstance(source, str):
        return lambda _: source
    if not callable(source):
        raise TypeError(f"a token is its text, a function that gives it, or a Path, got {type(source).__name__}")
    return lambda _: source()


def warn_if_others_read(file: Path, secret: str, *, stacklevel: int) -> None:
    """Warn if others than its owner can read a file that holds a secret.

    Raises:
        OSError: there is no such file.
    """
    mode = file.stat().st_mode
    if os.name == "posix" and stat.S_ISREG(mode) and mode & 0o077:
        msg = f"{file} holds {secret}, and others can read it (mode {mode & 0o777:04o}): chmod 600 {file}"
        warnings.warn(msg, InsecureWarning, stacklevel=stacklevel)


def token_in(text: str, purpose: Purpose) -> str:
    """Return the token in the text of a file.

    Raises:
        ValueError: it is JSON, but not a key file of TorchServe.
    """
    if not text.lstrip().startswith("{"):
        return text
    try:
        key = json.loads(text)[purpose]["key"]
    except (ValueError, KeyError, TypeError, RecursionError) as reason:
        msg = f"the token file is neither a token nor TorchServe's key_file.json with a key for {purpose} ({reason!r})"
        raise ValueError(msg) from reason
    return str(key)


def authorization(token: str) -> Mapping[str, str]:
    """Return the header that carries a token.

    Raises:
        TypeError: the token is no text.
        ValueError: the token has characters that a header cannot have.
    """
    if not isinstance(token, str):
        raise TypeError(f"a token is text, got {type(token).__name__} of the function that gives it")
    bare = token.strip()
    if not (bare and bare.isascii() and bare.isprintable()):
        raise ValueError("the token is empty, or holds signs that no header can carry; is it the right file?")
    return {"Authorization": f"Bearer {bare}"}
