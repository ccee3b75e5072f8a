"""One video of a request on its way through the handler."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from torch import Tensor

from staa.errors import StaaError
from staa.types import Box, Clip, Result
from staa.wire import Request


@dataclass(slots=True)
class Row:
    """What has become of one video of a batch so far; the only type here that changes."""

    number: int
    """The place of its request in the batch."""
    request: Request | None = None
    clip: Clip | None = None
    pixels: Tensor | None = None
    """(1, T, 3, h, w)."""
    box: Box = (0, 0, 0, 0)
    result: Result | None = None
    error: StaaError | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    """Stage -> wall time, in the order of the stages."""
    spans: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Stage -> its start and end, nanoseconds of the wall clock."""

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Note how long a stage took, where it succeeded."""
        clock, began = time.time_ns(), time.perf_counter()
        yield
        self.took(stage, clock, time.perf_counter() - began)

    def took(self, stage: str, clock: int, seconds: float) -> None:
        """Note a stage that began at `clock`, nanoseconds of the wall clock, and lasted so long."""
        self.seconds[stage] = seconds
        self.spans[stage] = clock, clock + int(seconds * 1e9)
