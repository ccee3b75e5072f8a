"""The stage from the bytes of a video to the pixels of a model; it needs no model, so it can run in any process."""

import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

import torch

from staa.errors import BusyError, TooSlowError
from staa.prepare import scaled
from staa.serving.job import BUSY, Job, errors_to, failed_requests
from staa.serving.settings import Settings
from staa.serving.stopwatch import Stopwatch
from staa.signature import Signature
from staa_video import Clip, Limits
from staa_video.clip import Scale
from staa_video.frames_archive import clip_of


class Decode(Protocol):
    """Turns the bytes of a video into a clip, within limits."""

    def __call__(
        self,
        source: bytes | bytearray,
        frames: int,
        start: float | None,
        end: float | None,
        limits: Limits,
        scale: Scale | None,
        /,
    ) -> Clip:
        """Return `frames` frames of the segment [start, end), each scaled as soon as it is decoded."""
        ...


@dataclass(frozen=True, slots=True)
class Decoding:
    """Turn the videos of jobs into pixels.

    This stage can be pickled, with a pool as its `decode` too: who unpickles it starts children of its own.
    """

    signature: Signature
    settings: Settings
    device: torch.device | str = "cpu"
    """The device of the pixels."""
    dtype: torch.dtype = torch.float32
    """The floating type of the pixels."""
    decode: Decode = clip_of
    """What decodes: in this process, or in children of it, as `staa_video.pool.Pool.decode` does."""
    clock: Callable[[], float] = time.monotonic

    def run(self, jobs: Sequence[Job], pool: Executor, until: float = math.inf) -> None:
        """Decode the videos of many requests in a pool of threads, in the order of the jobs.

        The videos of one request share its time limit, which runs while any of them is decoded. Once one of them has
        failed, its others are not decoded. `until` is a time of the clock: a video that is not decoded by then fails.
        """
        stopwatches = {job.request_key: Stopwatch(self.clock) for job in jobs}
        failed = failed_requests(jobs)

        def work(job: Job) -> None:
            if job.request_key in failed:
                return
            with stopwatches[job.request_key] as spent:
                self.run_one(job, self.settings.limits.seconds - spent, until - self.clock())
            if job.error is not None:
                failed.add(job.request_key)

        list(pool.map(work, jobs))

    def run_one(self, job: Job, seconds: float | None = None, batch_seconds: float = math.inf) -> None:
        """Set a job's pixels, box and clip, or its error, and drop the bytes of its video.

        Args:
            job: the job of one video.
            seconds: the seconds that its request has left; None is the whole time of a request.
            batch_seconds: the seconds that its batch has left.
        """
        if job.is_card or job.error is not None:
            return
        with errors_to([job]):
            self._decode(job, self.settings.limits.seconds if seconds is None else seconds, batch_seconds)

    def _decode(self, job: Job, seconds: float, batch_seconds: float) -> None:
        """Decode and prepare a video; each frame is scaled as soon as it is decoded, to save memory."""
        if job.request is None:
            raise RuntimeError("a request that could not be read has an error, and is not decoded")
        options = job.request.options
        self.settings.check(options)
        self.signature.check(options)
        job.request.when.check(self.signature.labels)
        with job.timed("decode"):
            if batch_seconds <= 0:
                raise BusyError(BUSY)
            if seconds <= 0:
                raise TooSlowError(
                    "the videos took all of the time that they have together: send fewer, or shorter ones"
                )
            limits = replace(self.settings.limits, seconds=round(min(seconds, batch_seconds), 2))
            count, scale = self.signature.grid.frames, partial(scaled, self.signature.recipe)
            try:
                clip = self.decode(job.request.video, count, options.start, options.end, limits, scale)
            except TooSlowError as error:
                raise BusyError(BUSY) if batch_seconds < seconds else error from None
        with job.timed("prepare"):
            job.pixels, (job.box,) = self.signature.prepare([clip], self.device, self.dtype)
        job.clip = clip.bare()
        job.request = replace(job.request, video=b"")
