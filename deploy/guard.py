"""End a process group when this process ends, however it ends: after SIGKILL, too, when none of its code can run."""

import contextlib
import subprocess
from collections.abc import Iterator

# The pipe's other end is held by this process alone: the read returns when it is gone. Builtins only, so no PATH;
# `kill -KILL --` is an error in dash.
_WAIT = 'read -r _; kill -s KILL -- "-$1"'


@contextlib.contextmanager
def guard(group: int) -> Iterator[None]:
    """Have a shell outlive this process and kill the group; a block that is left calls it off.

    It works on every POSIX system, unlike prctl(PR_SET_PDEATHSIG), and reaches the whole group, not one child.
    """
    command = ["/bin/sh", "-c", _WAIT, "staa-guard", str(group)]
    quiet = subprocess.DEVNULL
    # A session of its own: a Ctrl-C of the terminal must not end it.
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=quiet, stderr=quiet, start_new_session=True
    ) as waiting:
        try:
            yield
        finally:
            waiting.kill()  # before the pipe is closed
