"""Many videos at once: bounded, in order, and resumable."""

import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

from staa_client._journal import FAILURES, Failure, Journal
from staa_client._key import Key, keyed
from staa_client._lock import Lock
from staa_client._options import Options
from staa_client._result import Result
from staa_client._source import Video
from staa_client._types import Explanation

OnError = Literal["raise", "collect"]
Answer = Result | Explanation
AHEAD = 2
"""Sources that are taken beyond those under way, as a multiple of them: a slow one does not hold up the others."""
_UNTOLD = ("sample", "timeout", "maps")
"""Options that leave the answer what it is."""


@dataclass(frozen=True, slots=True)
class BatchItem:
    """One source of a batch, with its answer."""

    index: int
    """Its place among the sources."""
    source: str
    """Its path or URL as given, else a digest of its bytes."""
    result: Answer | None
    """None where it failed."""
    error: Failure | None
    """Why it failed."""
    resumed: bool = False
    """Whether the answer was in the output already."""

    @property
    def explanation(self) -> Explanation:
        """The result with its maps; the error is raised where there is none, TypeError where labels were asked for."""
        if self.error is not None:
            raise self.error
        if not isinstance(self.result, Explanation):
            msg = f"{self.source} has labels only: batch(..., explain=True) asks for maps"
            raise TypeError(msg)
        return self.result


def check(options: Options) -> None:
    """TypeError where an option is not one."""
    unknown = sorted(set(options) - set(Options.__annotations__))
    if unknown:
        msg = f"unknown options {', '.join(unknown)}: expected some of {', '.join(Options.__annotations__)}"
        raise TypeError(msg)


@dataclass(frozen=True, slots=True)
class Plan:
    """A batch that is about to run."""

    sources: Iterable[Video]
    concurrency: int
    on_error: OnError
    output: Path | None
    progress: Callable[[int, int | None], None] | None
    request: str
    """What is asked of every source."""

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
        """Check what can be checked before anything is asked.

        Raises:
            ValueError: a value is not allowed, or the folder of the output does not exist.
        """
        if concurrency < 1:
            msg = f"concurrency is {concurrency}: expected 1 or more"
            raise ValueError(msg)
        if on_error not in {"raise", "collect"}:
            msg = f'on_error is {on_error!r}: expected "raise" or "collect"'
            raise ValueError(msg)
        path = None if output is None else Path(output).absolute()
        if path is not None and (path.suffix not in {".jsonl", ".parquet"} or not path.parent.is_dir()):
            msg = f"{path} cannot take answers: name a .jsonl or .parquet file in a folder that exists"
            raise ValueError(msg)
        told = {name: value for name, value in sorted(options.items()) if name not in _UNTOLD and value is not None}
        request = json.dumps({"model": model, "explain": explain} | told)
        return cls(sources, concurrency, on_error, path, progress, request)

    @property
    def total(self) -> int | None:
        """How many sources there are, where that is known."""
        return len(self.sources) if isinstance(self.sources, Sized) else None


class Book:
    """What becomes of the answers: a journal, a Parquet file at the end, and news of the progress.

    `open` comes first and `close` last; in between nobody else writes the output.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.done = 0
        self.journal: Journal | None = None
        self.lock: Lock | None = None
        self.parquet = plan.output if plan.output is not None and plan.output.suffix == ".parquet" else None

    def open(self) -> None:
        """Read what was answered before.

        Raises:
            BlockingIOError: another run has the output.
            OSError, ValueError: as `Journal`.
        """
        if self.plan.output is None:
            return
        path = self.plan.output
        self.lock = Lock(path)
        if self.parquet is not None:
            from staa_client import _parquet  # noqa: PLC0415  # an optional extra

            path = _parquet.journal_of(path, self.plan.request)
        self.journal = Journal(path, self.plan.request)

    def known(self, index: int, key: Key) -> BatchItem | None:
        """The item that needs no asking."""
        found = None if self.journal is None else self.journal.read(key)
        if found is None:
            return None
        self.tell()
        return BatchItem(index, key.name, found, None, resumed=True)

    def item(self, index: int, key: Key, answer: Answer | Failure) -> BatchItem:
        """Write an answer down."""
        if self.journal is not None:
            self.journal.add(key, answer)
        self.tell()
        found = (answer, None) if isinstance(answer, Result | Explanation) else (None, answer)
        return BatchItem(index, key.name, *found)

    def tell(self) -> None:
        """One more is done."""
        self.done += 1
        if self.plan.progress is not None:
            self.plan.progress(self.done, self.plan.total)

    def finish(self) -> None:
        """All sources have an answer."""
        if self.parquet is not None and self.journal is not None:
            from staa_client import _parquet  # noqa: PLC0415  # an optional extra

            self.journal.close()
            _parquet.settle(self.parquet)

    def close(self) -> None:
        """What is written stays."""
        try:
            if self.journal is not None:
                self.journal.close()
        finally:
            if self.lock is not None:
                self.lock.release()


def taken(video: Video) -> tuple[Key, Video, Failure | None]:
    """A source's key, the source, and what is wrong with it before anything is asked."""
    try:
        return *keyed(video), None
    except FAILURES as error:
        name = f"{type(video).__name__} that cannot be read"
        return Key(name, name), video, error


def run(plan: Plan, ask: Callable[[Video], Answer]) -> Iterator[BatchItem]:
    """Answers in the order of the sources; closing the iterator waits for what is under way, and writes it down."""
    book = Book(plan)
    with ExitStack() as stack:
        stack.callback(book.close)
        book.open()
        pool = ThreadPoolExecutor(plan.concurrency, "staa-batch")
        stack.callback(pool.shutdown, wait=True, cancel_futures=True)
        waiting: deque[Future[BatchItem] | BatchItem] = deque()

        def work(index: int, key: Key, video: Video) -> BatchItem:
            try:
                answer: Answer | Failure = ask(video)
            except FAILURES as error:
                answer = error
            return book.item(index, key, answer)

        for index, video in enumerate(plan.sources):
            key, source, error = taken(video)
            item = book.known(index, key) if error is None else book.item(index, key, error)
            waiting.append(item or pool.submit(work, index, key, source))
            if len(waiting) > AHEAD * plan.concurrency:
                yield checked(plan, waiting.popleft())
        while waiting:
            yield checked(plan, waiting.popleft())
        book.finish()


def checked(plan: Plan, one: "Future[BatchItem] | BatchItem") -> BatchItem:
    """The item, or its error where that ends the batch."""
    item = one.result() if isinstance(one, Future) else one
    if item.error is not None and plan.on_error == "raise":
        raise item.error
    return item
