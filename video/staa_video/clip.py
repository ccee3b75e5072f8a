"""What a video becomes, and what may be spent on it: every field with its shape and unit, checked here only."""

import math
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from staa_video import errors

Scale = Callable[[NDArray[np.uint8], tuple[int, int]], NDArray[np.uint8]]
"""A function that takes a frame (H, W, 3) and the (width, height) of its source, and returns the frame to keep.

A frame may come smaller than its source, unless the function has an attribute `whole` that is true.
"""


@dataclass(frozen=True, slots=True)
class Limits:
    """Holds what may be spent on one video."""

    bytes: int = 64 * 2**20  # of the source
    pixels: int = 4096 * 2304  # of one frame
    duration: float = 600.0  # seconds of video
    frames: int = 20_000  # decoded, on the way to the wanted ones too
    seconds: float = 30.0  # of wall time
    threads: int = 4  # of FFmpeg; each holds frames of its own, and what is damaged looks different with another number
    memory: int = 2**30  # bytes, over what a process at rest has; held by `pool` alone

    @property
    def packets(self) -> int:
        """Return how many packets a video may have, decoded or not: each one takes some memory."""
        return max(200_000, 10 * self.frames)

    @property
    def samples(self) -> int:
        """Return the largest allowed product of samples (of all tracks) and edits in a file.

        FFmpeg takes 24 to 60 bytes of memory for each sample and edit.
        """
        return max(8_000_000, 400 * self.frames)


LIMITS = Limits()
MOST_NOTES = 8
"""The most notes of one clip."""
MOST_NOTE_CHARACTERS = 200
"""The most characters of one note."""
IN_THE_CLIENT = ', or let the client choose the frames (sample="client")'
"""What to do about a video that is too large for a server, as the end of a message."""
UNLIMITED = Limits(sys.maxsize, 2**30, math.inf, sys.maxsize, math.inf)
"""Limits for a video that the caller trusts: only the size of one frame is bounded."""


class Budget:
    """Holds the limits of one video while it is decoded, and the time when they are used up.

    Args:
        limits: what may be spent.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._deadline = time.monotonic() + limits.seconds

    def check_time(self) -> None:
        """Raise TooSlowError once the time is up."""
        if time.monotonic() > self._deadline:
            msg = f"decoding took more than {self.limits.seconds:g} s: send a shorter or smaller one{IN_THE_CLIENT}"
            raise errors.TooSlowError(msg)

    def check_packets(self, count: int, size: int) -> None:
        """Raise TooLargeError if there are more than the allowed `count` packets, or `size` bytes in all of them.

        The size of the file does not bound `size`: a container may store packets compressed, or list the same bytes
        of the file for several packets.
        """
        if size > self.limits.bytes:
            msg = f"the frames of the video have more than {self.limits.bytes} bytes: encode it anew"
            raise errors.TooManyBytesError(msg)
        if count > self.limits.packets:
            msg = f"the video has more than {self.limits.packets} frames: cut it, or lower its frame rate"
            raise errors.TooManyFramesError(msg)

    def check_frames(self, count: int) -> None:
        """Raise TooManyFramesError if `count` frames are more than may be decoded."""
        if count > self.limits.frames:
            msg = (
                f"{count} frames would have to be decoded, at most {self.limits.frames} are: send fewer{IN_THE_CLIENT}"
            )
            raise errors.TooManyFramesError(msg)

    def check_pixels(self, width: int, height: int) -> None:
        """Raise TooManyPixelsError if a frame of this size has more pixels than allowed."""
        if width * height > self.limits.pixels:
            msg = f"a frame of {width}x{height} has more than {self.limits.pixels} pixels: scale it down{IN_THE_CLIENT}"
            raise errors.TooManyPixelsError(msg)


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """Holds frames sampled from one video, with the time and number of each in the source."""

    frames: NDArray[np.uint8]
    """(T, H, W, 3) RGB, in display orientation."""
    seconds: NDArray[np.float64]
    """(T,) source time of each frame, ascending; the source's first frame is at 0."""
    indices: NDArray[np.int64]
    """(T,) number of each frame in the source, ascending; the first frame is 0."""
    fps: float
    """Mean frame rate of the source, frames per second."""
    duration: float
    """Length of the whole source, seconds."""
    size: tuple[int, int] | None = None
    """(width, height) of the source in pixels, if the frames were scaled; None means that they were not."""
    notes: tuple[str, ...] = ()
    """What was done to the source beyond plain decoding, a sentence each, such as "HDR (PQ) tone-mapped to SDR"."""

    def __post_init__(self) -> None:
        if self.frames.ndim != 4 or self.frames.shape[-1] != 3 or self.frames.dtype != np.uint8:
            raise ValueError(f"frames must be (T, H, W, 3) uint8, got {self.frames.shape} {self.frames.dtype}")
        one_a_frame = (len(self.frames),)
        if self.seconds.shape != one_a_frame or self.indices.shape != one_a_frame:
            msg = f"{one_a_frame = } times and indices are wanted, got {self.seconds.shape = }, {self.indices.shape = }"
            raise ValueError(msg)
        if len(self.frames) == 0 or np.any(np.diff(self.seconds) < 0) or np.any(np.diff(self.indices) < 0):
            msg = f"at least one frame, times and indices ascending, got {self.seconds = }, {self.indices = }"
            raise ValueError(msg)
        if not (self.fps > 0 and self.duration >= 0):
            raise ValueError(f"fps must be positive and duration not negative, got {self.fps = }, {self.duration = }")
        if self.size is not None and (len(self.size) != 2 or min(self.size) < 1):
            raise ValueError(f"the size of the source is (width, height), pixels, got {self.size = }")
        if self.notes != bounded_notes(self.notes):
            msg = f"up to {MOST_NOTES} different notes of up to {MOST_NOTE_CHARACTERS} characters, got {self.notes = }"
            raise ValueError(msg)

    def bare(self) -> "Clip":
        """Return the same clip without its pixels: the reply needs only its times, numbers and size."""
        return replace(self, frames=np.empty((len(self.frames), 0, 0, 3), np.uint8), size=self.source)

    @property
    def source(self) -> tuple[int, int]:
        """Return (width, height) of the source, pixels, whatever was done to the frames."""
        height, width = self.frames.shape[1:3]
        return self.size or (width, height)


def bounded_notes(notes: Iterable[str]) -> tuple[str, ...]:
    """Return notes within their bounds: each once, printable and cut to its length, and not too many of them."""
    shown = ("".join(sign if sign.isprintable() else " " for sign in note)[:MOST_NOTE_CHARACTERS] for note in notes)
    return tuple(dict.fromkeys(note for note in shown if note.strip()))[:MOST_NOTES]
