"""What a child of a pool runs in the place of a decoder: each does what a decoder that was taken over could do."""

import ctypes
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from staa_video import frames_archive
from staa_video.clip import Clip, Limits, Scale
from staa_video.errors import DecodeError


def read(
    source: BinaryIO, frames: int, start: float | None, end: float | None, limits: Limits, scale: Scale | None
) -> Clip:
    """Do what the source says, by the name of a function below; decode it where it is a video."""
    word = source.read(32).decode(errors="replace")
    if word in ATTACKS:
        ATTACKS[word]()
        raise DecodeError("nothing happened")
    if word in CLIPS:
        if scale is None:
            raise RuntimeError("a child always has one")
        return CLIPS[word](scale)
    return frames_archive.clip_of(source, frames, start, end, limits, scale)


def segfault() -> None:
    """Read from address 0."""
    ctypes.string_at(0)


def hang() -> None:
    """Sleep inside one call of C, which no check between two packets sees."""
    ctypes.CDLL(None).sleep(3600)
    while True:
        time.sleep(60)


def spin() -> None:
    """Burn CPU time."""
    while True:
        pass


def allocate() -> None:
    """Take memory without end, and use it."""
    taken = []
    while True:
        taken.append(np.ones(2**20, np.uint8))


def allocate_in_c() -> None:
    """Take memory without end, and use what a null pointer points to when there is none left."""
    malloc = ctypes.CDLL(None).malloc
    malloc.restype = ctypes.c_void_p
    while True:
        ctypes.memset(malloc(ctypes.c_size_t(2**22)), 1, 2**22)


def die() -> None:
    """End without a word."""
    os._exit(3)


def stumble() -> None:
    """Raise what no decoder of this package raises."""
    raise LookupError("nobody\x1b[2Kexpected this")


def looked_around() -> str:
    """Return what this process has, and what it was let do, in one line."""
    tries: dict[str, Callable[[], Any]] = {
        "open": lambda: Path("/etc/passwd").read_text(),
        "write": lambda: Path("/tmp/staa-escaped").write_text("x"),  # noqa: S108 - it must not be
        "socket": socket.socket,
        "unix": lambda: socket.socket(socket.AF_UNIX),
        "run": lambda: subprocess.run(["/bin/true"], check=True),
        "fork": os.fork,
        "kill": lambda: os.kill(os.getppid(), signal.SIGTERM),
        "list": lambda: [*Path("/").iterdir()],
        "grow": lambda: os.ftruncate(3, 2**40),
        "ptrace": lambda: _called("ptrace", 16, os.getppid(), 0, 0),
        "execute": lambda: _called("mprotect", 0, 4096, 7),
    }
    done = []
    for name, attempt in tries.items():
        try:
            attempt()
        except PermissionError:
            continue
        except OSError as error:
            done.append(f"{name} ({error.strerror})")
        else:
            done.append(name)
    thread = threading.Thread(target=lambda: done.append("thread"))
    thread.start()
    thread.join()
    loaded = sorted({name.partition(".")[0] for name in sys.modules} & {"torch", "staa", "transformers", "ts"})
    return f"did {' '.join(done)}; loaded {' '.join(loaded)}; environment {' '.join(sorted(os.environ))}"


def _called(name: str, *arguments: int) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    if getattr(library, name)(*map(ctypes.c_long, arguments)):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def look_around() -> None:
    """Tell what could be done."""
    raise DecodeError(looked_around())


def _clip(scale: Scale, height: int = 4, width: int = 6, **fields: Any) -> Clip:
    token = scale(np.full((height, width, 3), 7, np.uint8), (width, height))
    facts: dict[str, Any] = {"seconds": np.zeros(1), "indices": np.zeros(1, np.int64), "fps": 25.0, "duration": 1.0}
    return Clip(token[None], **facts | fields)


ATTACKS: dict[str, Callable[[], None]] = {
    each.__name__: each for each in (segfault, hang, spin, allocate, allocate_in_c, die, stumble, look_around)
}
CLIPS: dict[str, Callable[[Scale], Clip]] = {
    "honest": _clip,
    "many": lambda scale: [_clip(scale) for _ in range(100)][-1],
    "huge": lambda scale: _clip(scale, 4000, 4000),
    "nan": lambda scale: _clip(scale, duration=float("inf")),
    "wrong": lambda scale: _clip(scale, seconds=np.zeros(1), size=(10**9, 1)),
}
