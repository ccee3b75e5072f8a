"""The most that FFmpeg may take in one block, for this process: its own switch, which PyAV does not show.

A frame, a packet or an index that is larger fails, as any allocation may, whatever a file states.
"""

import ctypes
import threading
from functools import cache
from pathlib import Path

_lock = threading.Lock()
_bound = 0


def bound(most: int) -> bool:
    """Let FFmpeg take blocks of `most` bytes; of several bounds the largest holds. Tells whether that can be done."""
    global _bound  # noqa: PLW0603 - FFmpeg has one for the process
    library = _libavutil()
    if library is None:
        return False
    with _lock:
        if most > _bound:
            library.av_max_alloc(ctypes.c_size_t(most))
            _bound = most
    return True


@cache
def _libavutil() -> ctypes.CDLL | None:
    """The very library that PyAV has loaded; Linux alone tells which."""
    try:
        lines = Path("/proc/self/maps").read_text().splitlines()
    except OSError:
        return None
    paths = [line.split(maxsplit=5)[5] for line in lines if "libavutil" in line]
    own = next((path for path in paths if "/av.libs/" in path), None)  # other packages may bring one as well
    return ctypes.CDLL(own or paths[0]) if paths else None
