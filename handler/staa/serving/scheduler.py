"""The stage from pixels to results: one forward pass for a batch, or more if its requests hold several videos."""

import logging
import math
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from staa.errors import BusyError, StaaError, TooSlowError
from staa.explainer import Explainer, ranked, with_choice
from staa.serving.job import BUSY, Job, errors_to, failed_requests
from staa.types import Attribution, Forward, Options

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Scheduler:
    """Answer jobs in groups within time limits, or one by one if a group does not fit the GPU's memory."""

    explainer: Explainer
    batch_size: int
    """The most jobs in a forward pass."""
    verify_seconds: float = math.inf
    """The most wall time, in seconds, to refine and verify the maps of all jobs."""
    clock: Callable[[], float] = time.monotonic

    def run(self, jobs: Sequence[Job], until: float = math.inf) -> int:
        """Set the result or error of every decoded job, in their order; return how many forward passes were needed.

        More than one pass is needed if requests hold several videos. `until` is a time of the clock: no pass starts
        that would end later if it took as long as the longest so far. Jobs that do not fit the GPU's memory together
        are tried one by one. The jobs of a request are skipped if one of its videos has failed.
        """
        failed = failed_requests(jobs)
        ready = [job for job in jobs if job.request_key not in failed and job.pixels is not None]
        verify_seconds, longest, passes = self.verify_seconds, 0.0, 0
        siblings = Counter(job.request_key for job in ready)
        groups = deque(ready[first : first + self.batch_size] for first in range(0, len(ready), self.batch_size))
        while groups:
            group, began = groups.popleft(), self.clock()
            if passes and began + longest > until:
                for job in group:
                    with errors_to([job]):
                        raise _too_late(several=siblings[job.request_key] > 1)
                continue
            passes += 1
            verified = self._forward(group, verify_seconds, until)
            if verified is None:
                logger.warning("the GPU's memory does not hold %d videos; trying them one by one", len(group))
                torch.cuda.empty_cache()
                groups.extendleft([job] for job in reversed(group))
            else:
                verify_seconds -= verified
                longest = max(longest, self.clock() - began - verified)
        return passes

    def _forward(self, jobs: list[Job], verify_seconds: float, until: float) -> float | None:
        """Run one forward pass for all jobs, set their results, and then refine and verify the maps that ask for it.

        Attention is read only for the jobs that want a map. Whether the rules of a job want it is known after the pass:
        what was read of one that they leave out is dropped, and nothing is made of it.

        Args:
            jobs: the jobs of this pass.
            verify_seconds: the seconds that are left of the batch to refine and verify maps.
            until: the time of the clock when the batch must end.

        Returns:
            How many of `verify_seconds` were used; None if the GPU's memory does not hold several jobs at once.
        """
        clock, began = time.time_ns(), time.perf_counter()
        options = [job.request.options for job in jobs if job.request is not None]
        methods = {index: option.method for index, option in enumerate(options) if option.explain}
        forward: Forward | None = None
        with errors_to(jobs):
            try:
                forward = self.explainer.forward(self._on_device(jobs), methods)
            except torch.OutOfMemoryError:
                if len(jobs) == 1:
                    raise
        if forward is None:
            return None if jobs[0].error is None else 0
        rows = self._follow_rules(jobs, forward)
        maps = self._maps(forward, rows, options)
        candidates: dict[int, dict[str, Attribution]] = {}
        for index, job in enumerate(jobs):
            with errors_to([job]):
                self._explain(job, index, forward, maps, with_map=index in rows)
                if index in rows and options[index].refine:
                    candidates[index] = self.explainer.candidates(forward, index, options[index])
            job.took("forward", clock, time.perf_counter() - began)
        logits = forward.logits
        del forward, maps  # what was read of the pass is not needed while others run
        verifying = self.clock()
        for index, job in enumerate(jobs):
            last = min(verifying + verify_seconds, until)
            with errors_to([job]):
                if index in candidates:
                    self._refine(job, candidates[index], last)
                if index in rows and options[index].verify:
                    self._verify(job, logits[index], last)
        return self.clock() - verifying

    def _on_device(self, jobs: list[Job]) -> Tensor:
        """Return the pixels of all jobs in one tensor, on the device and in the dtype of the model."""
        pixels = [job.pixels.to(self.explainer.device, self.explainer.dtype) for job in jobs if job.pixels is not None]
        return torch.cat(pixels)

    def _follow_rules(self, jobs: list[Job], forward: Forward) -> tuple[int, ...]:
        """Return the rows of a pass that are explained, and say in the job of each other one why it is not."""
        signature, rows = self.explainer.signature, []
        for row in forward.rows:
            job = jobs[row]
            with errors_to([job]):
                if job.request is not None and not job.request.when.always:
                    probabilities = signature.probabilities(forward.logits[row])
                    best = ranked(forward.logits[row])[:2]
                    job.why_not = job.request.when.why_not(probabilities, best, signature.labels)
                if job.why_not is None:
                    rows.append(row)
        return tuple(rows)

    def _maps(self, forward: Forward, rows: tuple[int, ...], options: list[Options]) -> dict[int, Attribution]:
        """Return the maps of some rows, computed together; an empty dict if that fails: then each is computed alone."""
        try:
            explained = forward if rows == forward.rows else forward.only(rows)
            return dict(zip(rows, self.explainer.attributions(explained, options), strict=True))
        except Exception:
            logger.exception("the maps of a batch failed together; trying them one by one")
            return {}

    def _explain(self, job: Job, index: int, forward: Forward, maps: dict[int, Attribution], *, with_map: bool) -> None:
        """Set the result of one job: its labels, and its map if it has one."""
        if job.request is None or job.clip is None:
            raise RuntimeError("a job that was forwarded has a request and a clip")
        options = job.request.options
        shown = maps.get(index)
        if shown is None and with_map:
            shown = self.explainer.attribution(forward, index, options)
        job.result = self.explainer.result(forward.logits[index], job.clip, job.box, options, shown)

    def _refine(self, job: Job, candidates: dict[str, Attribution], until: float) -> None:
        """Replace the map of a job by the best of its candidates, before the time `until`."""
        if job.request is None or job.result is None:
            return
        options, left = job.request.options, until - self.clock()
        with job.timed("refine"):
            chosen = self.explainer.choose(self._on_device([job]), candidates, options.refine, self.batch_size, left)
        job.result = with_choice(job.result, *chosen, options.mass)

    def _verify(self, job: Job, logits: Tensor, until: float) -> None:
        """Check the map of a job, in forward passes no larger than a batch, before the time `until`."""
        if job.request is None or job.result is None or job.pixels is None or job.result.attribution is None:
            return  # its map failed
        points, left = job.request.options.verify, until - self.clock()
        with job.timed("verify"):
            checked = self.explainer.verify(
                self._on_device([job]),
                logits,
                job.result.attribution,
                points,
                self.batch_size,
                left,
                refined=job.result.refinement is not None,
            )
        job.result = replace(job.result, faithfulness=checked)


def _too_late(*, several: bool) -> StaaError:
    """Return the error of a job whose forward pass would begin too late; `several`: its request has other videos."""
    if several:
        return TooSlowError("the videos of this request take too long together: send fewer in one request")
    return BusyError(BUSY)
