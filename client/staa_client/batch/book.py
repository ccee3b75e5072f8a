"""Opens the file for the answers of a batch; the ending of its name chooses the format."""

import importlib
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

from staa_client.batch.journal import Journal, KnownAnswer
from staa_client.batch.key import Key
from staa_client.batch.lock import Lock
from staa_client.errors import Failure
from staa_client.results.explanation import Answer

KEEPERS: Mapping[str, tuple[str, str]] = {
    ".jsonl": ("staa_client.batch.journal", "Journal"),
    ".parquet": ("staa_client.batch.parquet", "parquet_journal"),
}
"""The ending of an output -> the module and name of its opener, imported only when used: Parquet needs an extra."""


class Unkept:
    """Stands for the journal of a batch without an output; it keeps nothing."""

    def known(self, _key: Key) -> KnownAnswer | None:
        """Return None: there is no known answer."""

    def add(self, _key: Key, _answer: Answer | Failure) -> None:
        """Do nothing with the answer."""

    def finish(self) -> None:
        """Do nothing."""


@contextmanager
def open_answers(output: Path | None, request: str) -> Iterator[Journal | Unkept]:
    """Open the answers of a batch, and lock the output until the `with` block ends.

    Args:
        output: A .jsonl or .parquet file; None keeps no answer.
        request: What the batch asks about every source, as text.

    Raises:
        BlockingIOError: another run is writing the output.
        ImportError: the output is a .parquet file and the package `pyarrow` is missing.
        OSError, ValueError: as `Journal` raises them.
    """
    if output is None:
        yield Unkept()
        return
    lock = Lock(output)
    try:
        module, name = KEEPERS[output.suffix]
        with closing(getattr(importlib.import_module(module), name)(output, request)) as journal:
            yield journal
    finally:
        lock.release()
