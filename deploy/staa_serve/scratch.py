"""Make the folder for all that a server writes while it runs, and remove those of servers that were killed."""

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

PREFIX = "staa-serve-"
_LOCK = "lock"  # in each folder; the server holds a lock on it for as long as it lives


@contextlib.contextmanager
def make_folder() -> Iterator[Path]:
    """Make an empty folder that goes at the end of the block; first remove those whose servers are gone.

    A server that is killed leaves its folder, with the unpacked archives, hundreds of MB. Its lock goes with it.
    """
    _remove_abandoned(Path(tempfile.gettempdir()))
    with tempfile.TemporaryDirectory(prefix=PREFIX) as name:
        folder = Path(name)
        new = folder / f"{_LOCK}.new"
        with new.open("wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            new.rename(folder / _LOCK)  # so that nobody ever sees it without its owner
            yield folder


def _remove_abandoned(parent: Path) -> None:
    """Remove this user's folders whose lock nobody holds; one without a lock may be of a server that starts."""
    for folder in parent.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            if folder.lstat().st_uid != os.geteuid():
                continue
            lock = os.open(folder / _LOCK, os.O_RDWR | os.O_NOFOLLOW)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder)
            finally:
                os.close(lock)
