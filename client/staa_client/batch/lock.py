"""Locks a file, so that only one run at a time writes it."""

import contextlib
import os
import sys
from pathlib import Path

if sys.platform == "win32":
    import msvcrt

    def _try_lock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

    def _unlock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _try_lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _unlock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_UN)  # said aloud: a process that was forked meanwhile has the file open too


class Lock:
    """Locks a file until `release` or the end of the process, also after a crash.

    The lock is on a second file next to it, NAME.lock, since the file itself may be replaced. `release` deletes it.

    Args:
        path: The file; it need not exist.

    Raises:
        BlockingIOError: another run has locked it.
        OSError: it cannot be locked.
    """

    def __init__(self, path: Path) -> None:
        self._lock_path = path.with_name(path.name + ".lock")
        self._descriptor: int | None = None
        while self._descriptor is None:
            descriptor = os.open(self._lock_path, os.O_RDWR | os.O_CREAT, 0o666)
            try:
                _lock_or_raise(descriptor, path)
                if _is_named(descriptor, self._lock_path):
                    self._descriptor = descriptor
                # else who had it removed it a moment ago: what is locked is no longer what others will open
            finally:
                if self._descriptor is None:
                    os.close(descriptor)

    def release(self) -> None:
        """Unlock the file; a second call does nothing."""
        if self._descriptor is None:
            return
        descriptor, self._descriptor = self._descriptor, None
        if sys.platform != "win32":
            self._lock_path.unlink(missing_ok=True)  # while it is locked: whoever opened it before sees that it is gone
        _unlock(descriptor)
        os.close(descriptor)
        if sys.platform == "win32":
            with contextlib.suppress(PermissionError):  # another run has opened it, and has it now
                self._lock_path.unlink(missing_ok=True)


def _lock_or_raise(descriptor: int, path: Path) -> None:
    """Lock an open file; raise an OSError that says what to do if that fails."""
    try:
        _try_lock(descriptor)
    except (BlockingIOError, PermissionError) as reason:  # Windows says the second
        raise BlockingIOError(f"another run is writing {path}: wait for its end, or name another file") from reason
    except OSError as reason:
        raise OSError(f"{path} cannot be locked against other runs ({reason}): name a file on another disk") from reason


def _is_named(descriptor: int, path: Path) -> bool:
    """Return whether the open file is still the file at this path."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
