"""Verifies a sample of the maps while no request waits, so that an operator sees how many of them are to be trusted."""

import atexit
import logging
import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from torch import Tensor

from staa.explainer import Explainer
from staa.serving.job import Job
from staa.serving.telemetry import Telemetry
from staa.types import Attribution

logger = logging.getLogger(__name__)
POINTS = 4
"""The points of a curve: the verdicts are much the same with more of them, which cost more."""
REST = 0.5
"""The seconds without a batch before a pass begins."""


class _ClosedError(Exception):
    """Says that the service ends, and the audit with it."""


class Audit:
    """Verify one map at a time, in a thread that lives as long as that takes.

    A batch that comes waits for one forward pass of one clip at most: the passes take the model's lock one by one, and
    none begins while a batch is under way, nor within REST seconds of it. What is drawn while a map waits or is being
    verified is left out, so that the pixels of one clip are kept, and two more clips of that size during a pass.
    """

    def __init__(
        self, explainer: Explainer, telemetry: Telemetry, share: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Take the model, what counts the verdicts, and the share of the maps to verify, 0 to 1."""
        self._explainer, self._telemetry, self._share, self._clock = explainer, telemetry, share, clock
        self._random = np.random.default_rng()
        self._changed = threading.Condition()
        self._batches = 0
        self._rests_since = clock()
        self._is_closed = False
        self._thread: threading.Thread | None = None

    @contextmanager
    def interrupted(self) -> Iterator[None]:
        """Let no pass begin while the block runs; any thread may enter."""
        with self._changed:
            self._batches += 1
        try:
            yield
        finally:
            with self._changed:
                self._batches -= 1
                self._rests_since = self._clock()
                self._changed.notify_all()

    def offer(self, jobs: Sequence[Job]) -> None:
        """Draw from the maps of answered jobs, other than those that were verified, and take one at most."""
        for job in jobs:
            if self._is_closed or (self._thread is not None and self._thread.is_alive()):
                return
            if job.error is None and job.result is not None and job.request is not None and job.pixels is not None:
                shown, verified = job.result.attribution, job.request.options.verify
                if shown is not None and not verified and self._random.random() < self._share:
                    self._begin(job.pixels, shown, refined=job.result.refinement is not None)

    def close(self) -> None:
        """End the thread; a pass that is under way is waited for."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join()
        atexit.unregister(self.close)

    def _begin(self, pixels: Tensor, shown: Attribution, *, refined: bool) -> None:
        if self._thread is None:
            atexit.register(self.close)  # a home that ends without `close` must not end within a pass
        self._thread = threading.Thread(target=self._run, args=(pixels, shown, refined), name="audit", daemon=True)
        self._thread.start()

    def _run(self, pixels: Tensor, shown: Attribution, refined: bool) -> None:  # of a thread
        """Verify the map `shown` of a clip with pixels (1, T, 3, H, W), and count the verdict."""
        explainer = self._explainer
        try:
            self._await_rest()
            pixels = pixels.to(explainer.device, explainer.dtype)
            logits = explainer.forward(pixels, []).logits[0]
            checked = explainer.verify(pixels, logits, shown, POINTS, 1, math.inf, self._await_rest, refined=refined)
            self._telemetry.count_verdict(shown.method, checked, "audit")
        except _ClosedError:
            pass
        except Exception:  # a fault of an audit must not end the process that answers requests
            logger.exception("a map could not be audited")

    def _await_rest(self) -> None:
        """Return once there has been no batch for REST seconds.

        Raises:
            _ClosedError: the audit was closed meanwhile.
        """
        with self._changed:
            while not self._is_closed:
                left = REST - (self._clock() - self._rests_since)
                if not self._batches and left <= 0:
                    return
                self._changed.wait(None if self._batches else left)
        raise _ClosedError
