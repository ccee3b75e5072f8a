"""One video of a request on its way through the stages, and the errors of the stages."""

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor

from staa.errors import StaaError
from staa.serving.wire import VideoRequest
from staa.types import Box, Result
from staa_video import Clip

logger = logging.getLogger(__name__)
BUSY = "the videos of other requests took the time of this batch: send the request again"


@dataclass(slots=True, eq=False)
class Job:
    """Hold one video and what the stages have made of it so far. It can be pickled between two stages.

    It is the only mutable type in this package.
    """

    request_index: int
    """The number of its request in the batch."""
    request_id: str = ""
    """The id of the request in the server's log, and in the error text of an unknown failure."""
    caller_id: str = ""
    """The id that the caller gave the request (X-Request-Id); empty if it is not safe to print."""
    request: VideoRequest | None = None
    """What the request asks of this video; None if the request cannot be read."""
    clip: Clip | None = None
    """The times and numbers of the frames in the source, without their pixels."""
    pixels: Tensor | None = None
    """The pixels for the model, (1, T, 3, h, w)."""
    box: Box = (0, 0, 0, 0)
    result: Result | None = None
    why_not: str | None = None
    """Why it has no map although its request came to a route for explanations, in words; None: it has one."""
    error: StaaError | None = None
    device_failed: bool = False
    """Whether the error came from the accelerator, which may not work any more."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Stage -> wall time in seconds, in the order of the stages."""
    spans: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Stage -> its start and end, in nanoseconds of the wall clock."""

    @property
    def request_key(self) -> tuple[int, str]:
        """Return a key that all videos of one request share, and no video of another request has."""
        return self.request_index, self.request_id

    @property
    def is_card(self) -> bool:
        """Return whether the request asks for the model's card, so that there is no video."""
        return self.request is not None and self.request.describe

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Record how long the stage in the block took, if it succeeds."""
        clock, began = time.time_ns(), time.perf_counter()
        yield
        self.took(stage, clock, time.perf_counter() - began)

    def took(self, stage: str, clock: int, seconds: float) -> None:
        """Record a stage that began at `clock`, in nanoseconds of the wall clock, and lasted `seconds`."""
        self.seconds[stage] = seconds
        self.spans[stage] = clock, clock + int(seconds * 1e9)


def failed_requests(jobs: Sequence[Job]) -> set[tuple[int, str]]:
    """Return the keys of the requests with a failed video: the later stages skip all their videos."""
    return {job.request_key for job in jobs if job.error is not None}


@contextmanager
def errors_to(jobs: Sequence[Job]) -> Iterator[None]:
    """Catch any error of a stage, log it, and set it as the error of these jobs only."""
    try:
        yield
    except StaaError as error:
        # its trace would keep the body of the request, until Python looks for cycles
        error.__traceback__ = error.__cause__ = error.__context__ = None
        for job in jobs:
            job.error = error
            logger.info("request %s refused: %s %r", _names(job), error.code, str(error))
    except Exception as error:  # a caller's video may find any fault of ours, and must not take its neighbours along
        for job in jobs:
            logger.exception("request %s failed", _names(job))
            job.error = StaaError(f"the server failed on this request; its log says why under {job.request_id}")
            job.device_failed = isinstance(error, torch.AcceleratorError)


def _names(job: Job) -> str:
    return f"{job.request_id} (of the caller: {job.caller_id})" if job.caller_id else job.request_id
