"""Tells the errors of several videos; that nothing answers at the server's address is told once for all of them."""

import sys

from staa_client.cli.output.terminal import printable_line
from staa_client.cli.spelling import as_typed
from staa_client.errors import StaaError, TimedOutError, UnreachableError

_NO_SERVER = "unreachable"
"""The code of the error that is the same for every video."""


class Complaints:
    """Tells the errors of several videos, a line each, and says which exit code they make."""

    def __init__(self) -> None:
        self._was_asked = False
        self._unasked = 0

    def add(self, source: str, error: Exception | None, *, resumed: bool = False) -> None:
        """Take the outcome for a video, and tell the error if there is one.

        Args:
            source: The name of the video.
            error: The error; None if it has an answer.
            resumed: Whether an earlier run got the answer.
        """
        if not resumed and not isinstance(error, UnreachableError | TimedOutError):
            self._was_asked = True
        if isinstance(error, StaaError) and error.code == _NO_SERVER:
            self._unasked += 1
            if self._unasked > 1:
                return
        if error is not None:
            complain(source, error)

    def finish(self, failed: int) -> int:
        """Tell how many videos had the error that was told once; return the exit code if so many videos failed."""
        if self._unasked > 1:
            sys.stderr.write(f"staa: no server answered for {self._unasked} videos in all\n")
        return 0 if not failed else 1 if self._was_asked else 3


def complain(what: str, why: Exception | None) -> None:
    """Print on one line what happened to a video or a file."""
    sys.stderr.write(printable_line(f"staa: {what}: " + as_typed(" ".join(str(why).split()))) + "\n")
