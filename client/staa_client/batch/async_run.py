"""Runs a batch in an event loop."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack
from functools import partial
from typing import TypeVar

from staa_client.batch.book import open_answers
from staa_client.batch.journal import KnownAnswer
from staa_client.batch.key import Key, key_or_error
from staa_client.batch.plan import AHEAD, BatchItem, Outcome, Plan, Tally, item_or_raise, under_way
from staa_client.errors import FAILURES, Failure
from staa_client.results.explanation import Answer
from staa_client.video.source import Video

T = TypeVar("T")


async def run_async(plan: Plan, ask: Callable[[Video], Awaitable[Answer]]) -> AsyncIterator[BatchItem]:
    """Yield what `run` yields, in an event loop; closing the iterator cancels the running requests.

    Files are read and written in threads; `plan.progress` is called in the event loop.
    """
    tally, stack = Tally(plan), ExitStack()
    slots = asyncio.Semaphore(plan.concurrency)
    waiting: deque[tuple[Key, asyncio.Task[BatchItem]]] = deque()

    async def work(
        index: int, key: Key, video: Video, error: Failure | None, same: asyncio.Task[BatchItem] | None
    ) -> BatchItem:
        """Return the item of one source, from the journal or from the server."""
        if same is not None:
            await asyncio.wait([same])
        answer: Outcome | None = error if error is not None else await in_thread(partial(journal.known, key))
        if answer is None:
            async with slots:
                try:
                    answer = await ask(video)
                except FAILURES as reason:
                    answer = reason
        if not isinstance(answer, KnownAnswer):
            await in_thread(partial(journal.add, key, answer))
        return tally.item(index, key, answer)

    try:
        journal = await in_thread(partial(stack.enter_context, open_answers(plan.output, plan.request)))
        for index, video in enumerate(plan.sources):
            key, source, error = await in_thread(partial(key_or_error, video))
            # nothing is awaited from here until it is among what waits, so that no end of the batch can miss it
            same = None if plan.output is None else under_way(waiting, key)
            waiting.append((key, asyncio.create_task(work(index, key, source, error, same))))
            if len(waiting) > AHEAD * plan.concurrency:
                yield item_or_raise(plan, await waiting[0][1])
                waiting.popleft()
        while waiting:
            yield item_or_raise(plan, await waiting[0][1])
            waiting.popleft()
        await in_thread(journal.finish)
    finally:
        tasks = [task for _, task in waiting]
        for task in tasks:
            task.cancel()
        try:
            await _to_its_end(asyncio.gather(*tasks, return_exceptions=True))
        finally:
            await in_thread(stack.close)


def in_thread(do: Callable[[], T]) -> Awaitable[T]:
    """Call a function in a thread and return its result; it always runs to its end."""
    # no task, as of to_thread, which ends with the loop's others
    return _to_its_end(asyncio.get_running_loop().run_in_executor(None, do))


async def _to_its_end(work: asyncio.Future[T]) -> T:
    """Return the result of `work`; if this task is cancelled, wait for its end first, since it writes a file."""
    cancelled: asyncio.CancelledError | None = None
    while not work.done():
        try:
            await asyncio.wait([work])
        except asyncio.CancelledError as reason:
            cancelled = reason
    if cancelled is not None:
        work.exception()  # told by nobody
        raise cancelled
    return work.result()
