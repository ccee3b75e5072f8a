"""Writes a file beside its place first, so that after an error there is no file, or the old one is unchanged.

Explanations and timelines are saved so. The files of a batch have drafts with names of their own, see `batch.journal`,
since there only one run writes at a time.
"""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def drafted(path: Path) -> Iterator[Path]:
    """Give the path of a draft, which replaces the file at the end of the block; an error deletes the draft.

    A link stays one: the file that it leads to is replaced.

    Args:
        path: The file.

    Raises:
        OSError: it cannot be written; the error names the file, and not its draft.
    """
    target = path.resolve()
    draft = target.with_name(f".{secrets.token_hex(8)}.part")
    try:
        yield draft
        draft.replace(target)
    except OSError as reason:
        if str(reason.filename).startswith(str(draft)):  # what was asked for, not its draft
            reason.filename, reason.filename2 = str(path), None
        raise
    finally:
        draft.unlink(missing_ok=True)
