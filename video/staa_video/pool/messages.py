"""What the two ends of a pool say to each other: JSON after its length, and a byte for each picture that was taken.

Nothing is pickled. The child is given bytes of strangers and may have been taken over by them, so what it says is read
as data, up to a length and a time, and NaN and infinity are no numbers in it.
"""

import json
import socket
import struct
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

from staa_video.clip import Limits

TAKEN, STOP = b"\1", b"\0"
"""The parent's answer to a picture: it was copied out of its slot, or no more are wanted."""
SLOTS = 2
"""How many pictures lie in the shared memory at a time: the child makes one while the parent copies the other."""
LENGTH = struct.Struct("!I")
CHANNELS = 3


class PictureSizeError(ValueError):
    """A picture does not fit into its slot."""


class Job(NamedTuple):
    """Says what a child is to decode; the bytes of the source lie in the memory that both ends share."""

    size: int
    """Bytes of the source."""
    frames: int
    start: float | None
    end: float | None
    whole: bool
    """Whether pictures are wanted in the size of the source."""
    limits: Mapping[str, Any]
    """The fields of `Limits`."""


def slot_bytes(limits: Limits) -> int:
    """Return the bytes of the largest picture, which one slot can hold."""
    return CHANNELS * int(limits.pixels)


def send(channel: socket.socket, message: Mapping[str, Any]) -> None:
    """Send a message."""
    body = json.dumps(message).encode()
    channel.sendall(LENGTH.pack(len(body)) + body)


def receive(channel: socket.socket, most: int = 2**31, until: float | None = None) -> dict[str, Any]:
    """Return the next message.

    Args:
        channel: where it comes from.
        most: bytes that it may have.
        until: when it must be there, in seconds of the monotonic clock; None waits for ever.

    Raises:
        EOFError: the other end is closed.
        TimeoutError: it did not come in time.
        ValueError: it is no JSON object, or longer than allowed.
    """
    (length,) = LENGTH.unpack(exactly(channel, LENGTH.size, until))
    if length > most:
        raise ValueError(f"a message of {length} bytes came, at most {most} are read")
    message = json.loads(exactly(channel, length, until), parse_constant=None if until is None else _refuse)
    if not isinstance(message, dict):
        raise ValueError(f"an object was expected, got {type(message).__name__}")  # noqa: TRY004 - it came as JSON
    return message


def exactly(channel: socket.socket, size: int, until: float | None = None) -> bytes:
    """Return so many bytes; raises EOFError or TimeoutError, as `receive` does."""
    got = bytearray()
    while len(got) < size:
        if until is not None:
            left = until - time.monotonic()
            if left <= 0:
                raise TimeoutError
            channel.settimeout(min(left, 1e6))
        try:
            piece = channel.recv(size - len(got))
        except ConnectionError as error:
            raise EOFError from error
        if not piece:
            raise EOFError
        got += piece
    return bytes(got)


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is no number here")
