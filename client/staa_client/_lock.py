"""A file that one run at a time may write."""

import os
import sys
from pathlib import Path

if sys.platform == "win32":
    import msvcrt

    def _take(number: int) -> None:
        msvcrt.locking(number, msvcrt.LK_NBLCK, 1)

    def _release(number: int) -> None:
        msvcrt.locking(number, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _take(number: int) -> None:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _release(number: int) -> None:
        fcntl.flock(number, fcntl.LOCK_UN)  # said aloud: a process that was forked meanwhile has the file open too


class Lock:
    """A file that is locked from now on until `release`, or until the process ends, however it ends.

    What is locked is a file beside it, NAME.lock, as the file itself may be replaced; it goes with the lock.

    Args:
        path: The file; it need not exist.

    Raises:
        BlockingIOError: another run has it.
        OSError: it cannot be locked.
    """

    def __init__(self, path: Path) -> None:
        self._beside = path.with_name(path.name + ".lock")
        self._number: int | None = None
        while self._number is None:
            number = os.open(self._beside, os.O_RDWR | os.O_CREAT, 0o666)
            try:
                _locked(number, path)
                same = _is(number, self._beside)
            except BaseException:
                os.close(number)
                raise
            if same:
                self._number = number
            else:  # who had it removed it a moment ago: what is locked is no longer what others will open
                os.close(number)

    def release(self) -> None:
        """Let others have it; more than once does nothing."""
        if self._number is None:
            return
        number, self._number = self._number, None
        if sys.platform != "win32":
            self._beside.unlink(missing_ok=True)  # while it is locked: whoever opened it before sees that it is gone
        _release(number)
        os.close(number)
        if sys.platform == "win32":
            try:
                self._beside.unlink(missing_ok=True)
            except PermissionError:  # another run has opened it, and has it now
                return


def _locked(number: int, path: Path) -> None:
    try:
        _take(number)
    except (BlockingIOError, PermissionError) as reason:  # Windows says the second
        msg = f"another run is writing {path}: wait for its end, or name another file"
        raise BlockingIOError(msg) from reason
    except OSError as reason:
        msg = f"{path} cannot be locked against other runs ({reason}): name a file on another disk"
        raise OSError(msg) from reason


def _is(number: int, path: Path) -> bool:
    """Whether an open file is the one that has this name."""
    try:
        return os.path.samestat(os.fstat(number), path.stat())
    except FileNotFoundError:
        return False
