"""What can be fuzzed: how an input of each kind is made from a number, and what it is held against."""

import random
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

Check = Callable[[bytes], str]
"""Tries an input, and returns what became of it: a word or two, such as the code of an error; raises Finding."""


class Finding(Exception):  # noqa: N818  # it is no error of this program
    """What must not be: a crash, a hang, an error in no tree, a wrong answer to the next good request."""


@dataclass(frozen=True, slots=True)
class Kind:
    """Holds a kind of inputs."""

    name: str
    make: Callable[[random.Random], bytes]
    """Makes an input by chance."""
    opened: Callable[[], AbstractContextManager[Check]]
    """Gives the check during a block, with all that it needs."""
    regressions: Callable[[], Iterator[tuple[str, bytes]]] = field(default=lambda: iter(()))
    """Names and inputs that were findings once."""

    def input(self, seed: int, number: int) -> bytes:
        """Return the input of a number: the same for the same seed."""
        return self.make(random.Random(f"{self.name} {seed} {number}"))


@dataclass(frozen=True, slots=True)
class Folder:
    """Writes findings to a folder, each with the command that repeats it."""

    path: Path

    def keep(self, kind: str, name: str, data: bytes, told: str, command: str) -> Path:
        """Write an input, and beside it what became of it and how to repeat that; return the input's path."""
        self.path.mkdir(parents=True, exist_ok=True)
        file = self.path / f"{kind}-{name}.bin"
        file.write_bytes(data)
        file.with_suffix(".txt").write_text(f"{told}\n\nto repeat it: {command}\nor: {_by_file(kind, file)}\n")
        return file


def _by_file(kind: str, file: Path) -> str:
    return f"python -m tests.fuzz --only {kind} --file {file}"
