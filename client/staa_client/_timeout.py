"""How long a call may take."""

import time
from dataclasses import dataclass
from enum import Enum
from typing import Literal

import httpx2


@dataclass(frozen=True, slots=True)
class Timeout:
    """Seconds that a call waits; None waits for ever."""

    connect: float | None = 5.0
    """Until a connection stands."""
    read: float | None = 120.0
    """Between two bytes, sent or received."""
    total: float | None = None
    """For the whole call, with all attempts and the waits between them."""

    def __post_init__(self) -> None:
        for name in ("connect", "read", "total"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                msg = f"a timeout is a positive number of seconds or None, got {name} = {value!r}"
                raise ValueError(msg)

    @classmethod
    def of(cls, given: "Timeouts") -> "Timeout":
        """A number bounds connect, read and total alike; None bounds nothing."""
        return given if isinstance(given, Timeout) else cls(given, given, given)


Timeouts = float | None | Timeout
"""What a caller may give: see `Timeout.of`."""


class _Given(Enum):
    KEEP = "the client's own"

    def __repr__(self) -> str:
        return self.value


KEEP = _Given.KEEP
Keep = Literal[_Given.KEEP]
"""The timeout of a call that names none, since None is a timeout too."""


@dataclass(frozen=True, slots=True)
class Deadline:
    """A timeout that has begun."""

    timeout: Timeout
    ends: float
    """Of `time.monotonic`, infinite where there is no total."""

    @classmethod
    def of(cls, timeout: Timeout) -> "Deadline":
        """The call begins now."""
        return cls(timeout, float("inf") if timeout.total is None else time.monotonic() + timeout.total)

    @property
    def left(self) -> float:
        """Seconds until the end; negative behind it."""
        return self.ends - time.monotonic()

    def http(self) -> httpx2.Timeout:
        """What one attempt that begins now may wait."""
        left = max(self.left, 1e-3)

        def least(limit: float | None) -> float | None:
            both = min(left, float("inf") if limit is None else limit)
            return None if both == float("inf") else both

        read = least(self.timeout.read)
        return httpx2.Timeout(connect=least(self.timeout.connect), read=read, write=read, pool=read)

    def check(self) -> None:
        """Raise httpx2.ReadTimeout behind the end, as a server does that is silent for too long."""
        if self.left < 0:
            msg = f"the call took more than {self.timeout.total:g} s in total"
            raise httpx2.ReadTimeout(msg)
