"""Holds how long a call may take."""

import threading
import time
from dataclasses import dataclass
from enum import Enum
from typing import Literal

import httpx2


@dataclass(frozen=True, slots=True)
class Timeout:
    """Holds the timeouts of a call in seconds; None waits for ever."""

    connect: float | None = 5.0
    """The most seconds to connect."""
    read: float | None = 120.0
    """The most seconds between two bytes, sent or received."""
    total: float | None = None
    """The most seconds for the whole call, with all attempts and the waits between them."""

    def __post_init__(self) -> None:
        for name in ("connect", "read", "total"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"a timeout is a positive number of seconds or None, got {name} = {value!r}")

    @classmethod
    def of(cls, given: "Timeouts") -> "Timeout":
        """Return a Timeout for what a caller gave: a number is used for connect, read and total; None sets no limit."""
        return given if isinstance(given, Timeout) else cls(given, given, given)


Timeouts = float | None | Timeout
"""The types that a caller may give as a timeout: see `Timeout.of`."""


class _Given(Enum):
    KEEP = "the client's own"

    def __repr__(self) -> str:
        return self.value


KEEP = _Given.KEEP
Keep = Literal[_Given.KEEP]
"""Stands for the client's own timeout, if a call names none; None cannot, since it waits for ever."""


@dataclass(frozen=True, slots=True)
class Deadline:
    """Holds a timeout that has begun, with its end."""

    timeout: Timeout
    ends: float
    """Its end, in seconds of `time.monotonic`; infinite if the timeout has no total."""

    @classmethod
    def of(cls, timeout: Timeout) -> "Deadline":
        """Return the deadline of a call that begins now."""
        return cls(timeout, float("inf") if timeout.total is None else time.monotonic() + timeout.total)

    @property
    def left(self) -> float:
        """Return the seconds until the end; negative after it."""
        return self.ends - time.monotonic()

    def http(self) -> httpx2.Timeout:
        """Return the timeouts for one attempt that begins now."""
        read = self.shortest(self.timeout.read)
        return httpx2.Timeout(connect=self.shortest(self.timeout.connect), read=read, write=read, pool=None)

    def shortest(self, limit: float | None) -> float | None:
        """Return the seconds until the end, or `limit` if that is less; None if that is too long for a socket."""
        shortest = min(max(self.left, 1e-3), float("inf") if limit is None else limit)
        return None if shortest > threading.TIMEOUT_MAX else shortest

    def check(self) -> None:
        """Raise httpx2.ReadTimeout after the end, the same error as for a server that is silent for too long."""
        if self.left < 0:
            raise self.exceeded()

    def exceeded(self) -> httpx2.ReadTimeout:
        """Return the error for a deadline that has passed."""
        return httpx2.ReadTimeout(f"the call took more than {self.timeout.total:g} s in total")
