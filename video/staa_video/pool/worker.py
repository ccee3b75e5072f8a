"""One child of a pool, as its parent sees it: started, given a source, listened to, judged when it dies.

Nothing that a child says is believed. Sizes are held against the limits before memory is read; pixels are read where
they lie, by sizes that are the parent's own, and whatever the child writes meanwhile, they are pixels; an error is one
of those that a video can have; a text is cut and made printable. A child that breaks the rules is ended, and the video
is refused.
"""

import contextlib
import fcntl
import json
import logging
import math
import mmap
import os
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from staa_video import errors
from staa_video.clip import MOST_NOTE_CHARACTERS, MOST_NOTES, Clip, Limits, Scale
from staa_video.pool import messages

logger = logging.getLogger(__name__)

START_SECONDS = 60.0
"""How long a child may take to start, on a busy machine."""
LATE_SECONDS = 5.0
"""How long is waited for it at least by who first uses it, however long ago it was started."""
GRACE = 0.3
"""Seconds that a child has beyond those of the limits, to say by itself that they are over."""
STOP_SECONDS = 0.5
"""How long a child may take to leave a job whose pictures nobody wants any more."""
MOST_TURNS = 4
"""How often a child may decode the frames of a video anew; the decoder does at most once."""
EDGE = 2**16
"""No edge of a picture has so many pixels."""
NEAR = 0.8
"""The part of the allowed memory from which on a child that died is taken to have died of it."""
TOO_SLOW = "decoding took more than {:g} s: send a shorter or smaller video"
TOO_MUCH = "decoding took more than {} MiB of memory: scale the video down, or encode it anew as H.264"
_MOST_BYTES = 10_000 + 12 * MOST_NOTES * MOST_NOTE_CHARACTERS  # of a message, of which a frame takes 100 more
_PACKAGES = "staa_video", "av", "numpy", "PIL"
_START = "import sys, json; sys.path[:0] = json.loads(sys.argv.pop(1))\nfrom staa_video.pool.child import main\n"
_BROKEN = "the video cannot be read: encode it anew, as H.264 in MP4"
_ERRORS = {
    each.code: each
    for each in vars(errors).values()
    if isinstance(each, type) and issubclass(each, errors.StaaError) and each.status < 500
}


class Worker:
    """Holds one child and what it shares with it. Used by one thread at a time.

    Args:
        limits: the largest limits of a video, and the memory that the child may take over what it has at rest.
        read: "module:function" that turns a source into a clip in the child.
    """

    lacks: list[str] | None = None
    """What the child's system could not bound; None until it is ready."""

    def __init__(self, limits: Limits, read: str) -> None:
        self._limits, self._slot = limits, messages.slot_bytes(limits)
        self._channel, its = socket.socketpair()
        self._source, self._pictures = _memory("staa-source"), _memory("staa-pictures")
        self._files = [self._source, self._pictures]
        os.ftruncate(self._pictures, messages.SLOTS * self._slot)
        _seal(self._pictures)
        self._seen = np.frombuffer(mmap.mmap(self._pictures, 0), np.uint8)
        files = (its.fileno(), self._source, self._pictures)
        arguments = [json.dumps(_paths(read)), json.dumps(asdict(limits)), read, *map(str, (*files, os.getpid()))]
        command = [sys.executable, "-I", "-S", "-B", "-X", "utf8", "-c", _START + "main(sys.argv[1:])", *arguments]
        kept = {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}
        environment = {
            "OPENBLAS_NUM_THREADS": "1",
            "MALLOC_ARENA_MAX": "2",
            "MALLOC_MMAP_THRESHOLD_": "33554432",
            "MALLOC_TRIM_THRESHOLD_": "67108864",
        } | kept
        try:
            with its:
                self._process = subprocess.Popen(  # noqa: S603 - this very interpreter
                    command, stdin=-3, stdout=-3, env=environment, cwd="/", pass_fds=files, start_new_session=True
                )
        except OSError:
            self._close_files()
            raise
        # until it runs its own program, the child's memory counts as its parent's, in its peak too
        self._inherited = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        self._until = time.monotonic() + START_SECONDS
        self._rest = (0, 0)  # bytes of address space and of memory, once it was ready
        self._fit = True

    @property
    def pid(self) -> int:
        """Return the child's process id."""
        return self._process.pid

    @property
    def is_fit(self) -> bool:
        """Return whether the child lives, and can take another source."""
        return self._fit

    @property
    def ended_idle(self) -> bool:
        """Return whether the child was ready, and has ended since: by another's hand, and no video is to blame."""
        return self.lacks is not None and self._process.poll() is not None

    def wait_until_ready(self) -> None:
        """Wait for the child, if it has not said before that it is ready.

        Raises:
            RuntimeError: it has not become ready.
        """
        if self.lacks is not None:
            return
        try:
            # Who comes long after the start finds the message there: that it is late to ask is not the child's fault.
            until = max(self._until, time.monotonic() + LATE_SECONDS)
            self.lacks = [str(lack) for lack in messages.receive(self._channel, 10_000, until)["ready"]]
        except (EOFError, TimeoutError, ValueError, KeyError, TypeError) as error:
            self._fit = False
            raise RuntimeError("a process for decoding did not start; what it wrote stands above") from error
        self._rest = self._sizes()

    def decode(
        self,
        source: bytes | bytearray,
        frames: int,
        start: float | None,
        end: float | None,
        limits: Limits,
        scale: Scale | None,
    ) -> Clip:
        """Decode in the child; the arguments and errors are those of `decoder.decode`.

        Raises:
            TooMuchMemoryError, TooSlowError, DecodeError: the child outgrew its memory or time, or broke down.
        """
        until = time.monotonic() + limits.seconds + GRACE
        with self._judged(limits):
            _write(self._source, source)
            self._bound_time(limits)
            self._channel.settimeout(None)
            messages.send(
                self._channel, messages.Job(len(source), frames, start, end, scale is None, asdict(limits))._asdict()
            )
        kept: list[NDArray[np.uint8] | None] = []
        while True:
            with self._judged(limits):
                message = messages.receive(self._channel, _MOST_BYTES + 100 * frames, until)
                if "picture" not in message:
                    clip = _clip(_accepted(message, limits), kept, frames)
                    break
                height, width, size = self._picture(message, len(kept), frames)
            begin, shape = len(kept) % messages.SLOTS * self._slot, (height, width, messages.CHANNELS)
            image = self._seen[begin : begin + math.prod(shape)].reshape(shape)  # the child may still write to it
            try:
                kept.append(np.array(image if scale is None else scale(image, size)))
            except BaseException:
                self._stop()
                raise
            with self._judged(limits):
                self._channel.sendall(messages.TAKEN)
        self._look_after()
        return clip

    @contextlib.contextmanager
    def _judged(self, limits: Limits) -> Iterator[None]:
        """Turn what a child does wrong into the error of its video."""
        try:
            yield
        except errors.StaaError as error:
            self._fit = self._fit and not isinstance(error, errors.TooMuchMemoryError)
            self._look_after()
            raise
        except TimeoutError:
            self._fit = False
            raise errors.TooSlowError(TOO_SLOW.format(limits.seconds)) from None
        except (EOFError, ConnectionError):
            self._fit = False
            raise self._verdict(limits) from None
        except (ValueError, KeyError, TypeError, ArithmeticError, RecursionError):
            self._fit = False
            logger.exception("the process %d that decoded a video broke the rules, and is ended", self.pid)
            raise errors.DecodeError(_BROKEN) from None

    def _picture(self, message: Mapping[str, Any], expected: int, frames: int) -> tuple[int, int, tuple[int, int]]:
        """Check what is said of a picture: return its height and width, and the (width, height) of its source."""
        height, width, (across, down) = message["height"], message["width"], message["size"]
        if message["picture"] != expected or expected >= MOST_TURNS * frames:
            raise ValueError(f"picture {message['picture']!r} came, expected {expected} of {frames} frames")
        if any(type(edge) is not int or not 1 <= edge < EDGE for edge in (height, width, across, down)):
            raise ValueError(f"a picture of {width!r}x{height!r} came, of a source of {across!r}x{down!r}")
        if height * width * messages.CHANNELS > self._slot:
            raise ValueError(f"a picture of {width}x{height} came, more than fits into its slot")
        return height, width, (across, down)

    def _stop(self) -> None:
        """Let the child leave the rest of its job; a child that does not at once is no longer fit."""
        until = time.monotonic() + STOP_SECONDS
        try:
            self._channel.sendall(messages.STOP)
            while "picture" in messages.receive(self._channel, 2**20, until):
                self._channel.sendall(messages.STOP)
        except (EOFError, OSError, ValueError):
            self._fit = False
        self._look_after()

    def _bound_time(self, limits: Limits) -> None:
        """Bound the child's CPU time, for the case that its parent is not there to end it."""
        if math.isinf(limits.seconds) or not hasattr(resource, "prlimit"):  # Linux has it
            return
        used = sum(map(int, Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[11:13]))
        most = used / os.sysconf("SC_CLK_TCK") + limits.seconds * (1 + max(1, int(limits.threads))) + 1
        _, hard = resource.prlimit(self.pid, resource.RLIMIT_CPU)
        soft = math.ceil(most) if hard == resource.RLIM_INFINITY else min(math.ceil(most), hard)
        resource.prlimit(self.pid, resource.RLIMIT_CPU, (soft, hard))

    def _sizes(self) -> tuple[int, int]:
        """Return the bytes of the child's address space and of its memory; 0 where the system does not tell."""
        try:
            size, resident = Path(f"/proc/{self.pid}/statm").read_text().split()[:2]
        except OSError:
            return 0, 0
        return int(size) * resource.getpagesize(), int(resident) * resource.getpagesize()

    def _look_after(self) -> None:
        """Drop the source; a child whose address space has grown for good is no longer fit."""
        os.ftruncate(self._source, 0)
        self._fit = self._fit and self._sizes()[0] <= self._rest[0] + self._limits.memory // 4

    def _verdict(self, limits: Limits) -> errors.StaaError:
        """Return the error of the video that a child died of, by the signal that ended it and its peak of memory."""
        try:
            _, status, usage = os.wait4(self.pid, 0)
        except ChildProcessError:
            raise RuntimeError("the pool was closed while a video was decoded") from None
        self._process.returncode = code = os.waitstatus_to_exitcode(status)
        ended = "the process %d that decoded a video ended: exit code %d, peak of memory %d KiB"
        logger.warning(ended, self.pid, code, usage.ru_maxrss)
        if code == -signal.SIGXCPU:
            return errors.TooSlowError(TOO_SLOW.format(limits.seconds))
        most = self._rest[1] + NEAR * self._limits.memory
        if code == -signal.SIGKILL or usage.ru_maxrss > max(self._inherited, most / 1024):
            return errors.TooMuchMemoryError(TOO_MUCH.format(self._limits.memory // 2**20))
        return errors.DecodeError("the decoder broke down on this video: encode it anew, as H.264 in MP4")

    def end(self) -> None:
        """End the child; may be called by another thread than the one that decodes."""
        self._fit = False
        if self._process.poll() is None:
            self._process.kill()

    def close(self) -> None:
        """End the child, wait until it is gone, and give back what was shared with it."""
        self.end()
        self._process.wait()
        self._close_files()

    def _close_files(self) -> None:
        self._channel.close()
        self._seen = np.empty(0, np.uint8)
        while self._files:
            os.close(self._files.pop())


def _accepted(message: Mapping[str, Any], limits: Limits) -> Mapping[str, Any]:
    """Return the last message of a job; raise the error that it tells."""
    if "error" in message:
        kind, text = _ERRORS[message["error"]], _printable(message["message"])
        if kind is errors.TooMuchMemoryError and not text:
            text = TOO_MUCH.format(limits.memory // 2**20)
        raise kind(text)
    if "fault" in message:
        logger.error("a video could not be decoded:\n%s", "\n".join(map(_printable, message["fault"].splitlines())))
        raise errors.DecodeError(_BROKEN)
    return message


def _clip(message: Mapping[str, Any], kept: list[NDArray[np.uint8] | None], frames: int) -> Clip:
    """Return the clip of the pictures that were kept, as the child ordered them."""
    order, about = message["pictures"], dict(message["clip"])
    if len(order) != frames or any(type(number) is not int or not 0 <= number < len(kept) for number in order):
        raise ValueError(f"{len(kept)} pictures came for {frames} frames, and are ordered otherwise")
    last = {number: place for place, number in enumerate(order)}
    images = np.empty(0, np.uint8)
    for place, number in enumerate(order):
        image = kept[number]
        if image is None:
            raise ValueError(f"picture {number} is wanted after its last place")
        images = images if place else np.empty((frames, *image.shape), np.uint8)
        if image.shape != images.shape[1:]:
            raise ValueError(f"pictures have different shapes: {image.shape} and {images.shape[1:]}")
        images[place] = image
        if last[number] == place:  # the memory of those that are copied is not needed twice
            kept[number] = None
    about["seconds"] = np.array(about["seconds"], np.float64)
    about["indices"] = np.array(about["indices"], np.int64)
    if any(type(edge) is not int or not 1 <= edge < EDGE for edge in about["size"] or ()):
        raise ValueError(f"a source of {about['size']!r} pixels came")
    for name, value in about.items():
        if isinstance(value, list):
            about[name] = tuple(_printable(item) if isinstance(item, str) else item for item in value)
    return Clip(images, **about)


def _printable(text: str) -> str:
    """Return a text of a child as one line that can be logged and shown, of 1000 characters at most."""
    return "".join(letter if letter.isprintable() else " " for letter in text[:1000])


def _paths(read: str) -> list[str]:
    """Return where a child finds what it imports: the folders that this process has it from."""
    found: dict[str, None] = {}
    for name in (*_PACKAGES, read.partition(":")[0].partition(".")[0]):
        spec = find_spec(name)
        if spec is None:
            raise ModuleNotFoundError(f"no module {name!r}: a process for decoding needs it")
        places = [*(spec.submodule_search_locations or ())] or [spec.origin or ""]
        found[str(Path(places[0]).absolute().parent)] = None
    return list(found)


def _memory(name: str) -> int:
    """Open a file in memory; a temporary one where the system has none such."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def _seal(file: int) -> None:
    """Fix the size of a file in memory for good: who reads what was cut off by another process would be ended.

    Where the system has no seals this is not so; it has no bounds for a child that is taken over either.
    """
    if hasattr(fcntl, "F_ADD_SEALS"):
        fcntl.fcntl(file, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)


def _write(file: int, source: bytes | bytearray) -> None:
    """Make these bytes the content of a file."""
    os.ftruncate(file, 0)
    view, place = memoryview(source), 0
    while place < len(view):
        place += os.pwrite(file, view[place:], place)
