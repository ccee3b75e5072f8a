"""The rows of a batch -> their results: one forward pass for all, or as many as their videos need."""

import logging
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol, TypeVar

import torch
from torch import Tensor

from staa.errors import BusyError, TooSlowError
from staa.explainer import Explainer
from staa.row import Row
from staa.types import Attribution, Forward, Options

logger = logging.getLogger(__name__)
T = TypeVar("T")
BUSY = "the videos of other requests took the time of this batch: send the request again"


class Guard(Protocol):
    """Runs a part of the work; what it raises becomes the error of its rows, and None is returned."""

    def __call__(self, rows: list[Row], work: Callable[[], T]) -> T | None:
        """Return what the work returns."""
        ...


@dataclass(frozen=True, slots=True)
class Passes:
    """How rows are answered."""

    explainer: Explainer
    batch: int
    """Rows of a forward pass, at most."""
    verify_seconds: float
    """Wall time for verifying the maps of all rows."""
    guarded: Guard

    def run(self, rows: list[Row], until: float) -> int:
        """Answer all rows in passes of a batch: more than one where requests hold several videos. Returns how many.

        No further pass is begun that could end too late, to judge by those before: TorchServe would kill this worker.
        Rows that a GPU does not hold together are answered one by one.
        """
        left, longest, passes = self.verify_seconds, 0.0, 0
        siblings = Counter(row.number for row in rows)
        groups = deque(rows[first : first + self.batch] for first in range(0, len(rows), self.batch))
        while groups:
            some, began = groups.popleft(), time.monotonic()
            if passes and began + longest > until:
                for row in some:
                    self.guarded([row], partial(_refuse, several=siblings[row.number] > 1))
                continue
            passes += 1
            verified = self._forward(some, left, until)
            if verified is None:
                logger.warning("the GPU's memory does not hold %d rows; trying them one by one", len(some))
                torch.cuda.empty_cache()
                groups.extendleft([row] for row in reversed(some))
            else:
                left -= verified
                longest = max(longest, time.monotonic() - began - verified)
        return passes

    def _forward(self, rows: list[Row], left: float, until: float) -> float | None:
        """One forward pass for all rows; attention is read for those that want a map. Then what is to be verified.

        Returns the seconds that verifying took, of those that are left for it; None where memory does not hold several.
        """
        clock, began = time.time_ns(), time.perf_counter()
        options = [row.request.options for row in rows if row.request]
        asked = {index: option.method for index, option in enumerate(options) if option.explain}
        pixels = [row.pixels for row in rows if row.pixels is not None]

        def run() -> Forward | None:
            try:
                return self.explainer.forward(torch.cat(pixels), asked)
            except torch.OutOfMemoryError:
                if len(rows) == 1:
                    raise
                return None

        forward = self.guarded(rows, run)
        if forward is None:
            return None if rows[0].error is None else 0
        maps = self._maps(forward, options)
        for index, row in enumerate(rows):
            self.guarded([row], partial(self._explain, row, index, forward, maps))
            row.took("forward", clock, time.perf_counter() - began)
        logits = forward.logits
        del forward, maps  # what was read of the pass is not needed while others run
        began = time.monotonic()
        for index, row in enumerate(rows):
            if options[index].explain and options[index].verify:
                self.guarded([row], partial(self._verify, row, logits[index], min(began + left, until)))
        return time.monotonic() - began

    def _maps(self, forward: Forward, options: list[Options]) -> dict[int, Attribution]:
        """All maps at once; none where one of them fails, so that each is tried by itself."""
        try:
            return dict(zip(forward.rows, self.explainer.attributions(forward, options), strict=True))
        except Exception:
            logger.exception("the maps of a batch failed together; trying them one by one")
            return {}

    def _explain(self, row: Row, index: int, forward: Forward, maps: dict[int, Attribution]) -> None:
        if row.request is None or row.clip is None:
            raise RuntimeError("a row that was forwarded has a request and a clip")
        options = row.request.options
        found = maps.get(index)
        if found is None and index in forward.rows:
            found = self.explainer.attribution(forward, index, options)
        row.result = self.explainer.result(forward.logits[index], row.clip, row.box, options, found)

    def _verify(self, row: Row, logits: Tensor, until: float) -> None:
        """Check the map of a row, in passes no larger than a batch, before all time for it is spent."""
        if row.request is None or row.result is None or row.pixels is None or row.result.attribution is None:
            return  # its map failed
        points, left = row.request.options.verify, until - time.monotonic()
        with row.timed("verify"):
            checked = self.explainer.verify(row.pixels, logits, row.result.attribution, points, self.batch, left)
        row.result = replace(row.result, faithfulness=checked)


def _refuse(*, several: bool) -> None:
    """Refuse a row whose pass would begin too late."""
    if several:
        raise TooSlowError("the videos of this request take too long together: send fewer in one request")
    raise BusyError(BUSY)
