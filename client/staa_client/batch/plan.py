"""Asks for many videos: a limited number at a time, in order; a run can be interrupted and go on later."""

import json
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

import numpy as np

from staa_client.batch.book import KEEPERS, open_answers
from staa_client.batch.journal import KnownAnswer
from staa_client.batch.key import Key, key_or_error
from staa_client.errors import FAILURES, Failure, StoreError
from staa_client.results.explanation import Answer, Explanation
from staa_client.results.result import Result
from staa_client.video.frames import Frames
from staa_client.video.source import Video

T = TypeVar("T")
Outcome = KnownAnswer | Answer | Failure
"""The outcome for one source."""
OnError = Literal["raise", "collect"]
AHEAD = 2
"""How many sources are taken in advance for each running request, so that a slow one does not delay the others."""
_NEUTRAL_OPTIONS = ("sample", "timeout", "maps")
"""Options that do not change the answer."""


@dataclass(frozen=True, slots=True)
class BatchItem:
    """Holds one source of a batch with its answer or error."""

    index: int
    """The number of the source; the first is 0."""
    source: str
    """The path or URL of the source as given, or else a digest of its bytes."""
    result: Answer | None
    """The answer; None if it failed."""
    error: Failure | None
    """The error, if it failed."""
    resumed: bool = False
    """Whether an earlier run wrote the answer to the output."""

    @property
    def explanation(self) -> Explanation:
        """Return the result with its maps.

        Raises:
            StaaError, OSError, ValueError, TypeError: the source failed; this is its `error`.
            TypeError: the batch asked for labels only, or its rules leave the source out.
        """
        if self.error is not None:
            raise self.error
        if isinstance(self.result, Result) and self.result.not_explained is not None:
            raise TypeError(f"{self.source} is not explained: {self.result.not_explained}")
        if not isinstance(self.result, Explanation):
            raise TypeError(f"{self.source} has labels only: batch(..., explain=True) asks for maps")
        return self.result


def answer_of(item: BatchItem) -> Answer | None:
    """Return the answer of an item, also one that the client's store could not take; None if there is none."""
    return item.error.answer if isinstance(item.error, StoreError) else item.result


@dataclass(frozen=True, slots=True)
class Plan:
    """Says what a batch asks, about which sources, and where the answers go."""

    sources: Iterable[Video]
    """The sources, which are iterated only as they are needed."""
    concurrency: int
    """The most requests at a time."""
    on_error: OnError
    """Whether the first error ends the batch ("raise"), or each error is in its item ("collect")."""
    output: Path | None
    """The file for the answers; None does not keep them."""
    progress: Callable[[int, int | None], None] | None
    """Called with the number of answers so far, and of sources, or None if that is not known."""
    request: str
    """What is asked about every source, as JSON text: model, labels or maps, and the options that change the answer."""

    @classmethod
    def of(
        cls,
        sources: Iterable[Video],
        model: str,
        explain: bool,
        options: Mapping[str, Any],
        concurrency: int,
        on_error: OnError,
        output: str | Path | None,
        progress: Callable[[int, int | None], None] | None,
    ) -> Self:
        """Return the plan of a batch, after all checks that need no server.

        Raises:
            TypeError: `sources` is a single video.
            ValueError: a value is not allowed, or the folder of the output does not exist.
        """
        if concurrency < 1:
            raise ValueError(f"concurrency is {concurrency}: expected 1 or more")
        path = checked_output(sources, on_error, output)
        asked = {
            name: value for name, value in sorted(options.items()) if name not in _NEUTRAL_OPTIONS and value is not None
        }
        request = json.dumps({"model": model, "explain": explain} | asked)
        return cls(sources, concurrency, on_error, path, progress, request)


def checked_output(sources: Iterable[Video], on_error: OnError, output: str | Path | None) -> Path | None:
    """Return the path of the output for many videos, after the checks of what is common to all that takes many.

    Raises:
        TypeError: `sources` is a single video, or none.
        ValueError: `on_error` is neither, or the output cannot take answers.
    """
    if _is_one_video(sources):
        raise TypeError(f"many videos are given as a list, got one {type(sources).__name__}: put it into a list")
    if not isinstance(sources, Iterable):
        raise TypeError(f"many videos are given as a list, got {type(sources).__name__}")
    if on_error not in {"raise", "collect"}:
        raise ValueError(f'on_error is {on_error!r}: expected "raise" or "collect"')
    path = None if output is None else Path(output).absolute()
    if path is not None and (path.suffix not in KEEPERS or not path.parent.is_dir()):
        raise ValueError(f"{path} cannot take answers: name a .jsonl or .parquet file in a folder that exists")
    return path


def _is_one_video(sources: object) -> bool:
    """Return whether `sources` is a single video, whose letters, lines or frames would be taken for videos."""
    if isinstance(sources, np.ndarray):
        return sources.ndim <= 4
    return isinstance(sources, str | bytes | bytearray | memoryview | PathLike | Frames) or hasattr(sources, "read")


class Tally:
    """Counts the answers of a batch, and calls `progress`, never from two threads at once."""

    def __init__(self, plan: Plan) -> None:
        self._progress = plan.progress
        self._total = len(plan.sources) if isinstance(plan.sources, Sized) else None
        self._done = 0
        self._turn = threading.Lock()

    def item(self, index: int, key: Key, answer: Outcome) -> BatchItem:
        """Count one more answer, and return the item for its source; threads may call this."""
        with self._turn:
            self._done += 1
            if self._progress is not None:
                self._progress(self._done, self._total)
        if isinstance(answer, KnownAnswer):
            return BatchItem(index, key.name, answer.answer, None, resumed=answer.resumed)
        if isinstance(answer, Result | Explanation):
            return BatchItem(index, key.name, answer, None)
        return BatchItem(index, key.name, None, answer)


def run(plan: Plan, ask: Callable[[Video], Answer]) -> Iterator[BatchItem]:
    """Yield the items in the order of the sources; closing the iterator waits for the running requests and keeps them.

    If the batch has an output and a source appears twice, the second one waits for the answer to the first one. It is
    asked again only if the first one failed.
    """
    tally = Tally(plan)
    with ExitStack() as stack:
        journal = stack.enter_context(open_answers(plan.output, plan.request))

        def work(
            index: int, key: Key, video: Video, error: Failure | None, same: Future[BatchItem] | None
        ) -> BatchItem:
            """Return the item of one source, from the journal or by asking."""
            if same is not None:
                wait([same])  # it was begun before this, so that no worker waits for one that cannot begin
            answer: Outcome | None = error if error is not None else journal.known(key)
            if answer is None:
                try:
                    answer = ask(video)
                except FAILURES as reason:
                    answer = reason
            if not isinstance(answer, KnownAnswer):
                journal.add(key, answer)
            return tally.item(index, key, answer)

        pool = ThreadPoolExecutor(plan.concurrency, "staa-batch")
        stack.callback(pool.shutdown, wait=True, cancel_futures=True)
        waiting: deque[tuple[Key, Future[BatchItem]]] = deque()
        for index, video in enumerate(plan.sources):
            key, source, error = key_or_error(video)
            same = None if plan.output is None else under_way(waiting, key)
            waiting.append((key, pool.submit(work, index, key, source, error, same)))
            if len(waiting) > AHEAD * plan.concurrency:
                yield item_or_raise(plan, waiting.popleft()[1].result())
        while waiting:
            yield item_or_raise(plan, waiting.popleft()[1].result())
        journal.finish()


def under_way(waiting: deque[tuple[Key, T]], key: Key) -> T | None:
    """Return the newest running work with the same key; None if there is none."""
    return next((work for other, work in reversed(waiting) if other == key), None)


def item_or_raise(plan: Plan, item: BatchItem) -> BatchItem:
    """Return the item, or raise its error if `on_error` is "raise"."""
    if item.error is not None and plan.on_error == "raise":
        raise item.error
    return item
