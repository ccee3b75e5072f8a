"""A batch for an event loop."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import TypeVar

from staa_client._batch import AHEAD, Answer, BatchItem, Book, Plan, checked, taken
from staa_client._journal import FAILURES, Failure
from staa_client._key import Key
from staa_client._source import Video

T = TypeVar("T")


async def arun(plan: Plan, ask: Callable[[Video], Awaitable[Answer]]) -> AsyncIterator[BatchItem]:
    """`run` for an event loop; closing it cancels what is under way. Files are read and written beside the loop."""
    book = Book(plan)
    door = asyncio.Semaphore(plan.concurrency)
    waiting: deque[asyncio.Task[BatchItem] | BatchItem] = deque()

    async def work(index: int, key: Key, video: Video) -> BatchItem:
        async with door:
            try:
                answer: Answer | Failure = await ask(video)
            except FAILURES as error:
                answer = error
            return book.item(index, key, answer)

    try:
        await _beside(book.open)
        for index, video in enumerate(plan.sources):
            key, source, error = await _beside(partial(taken, video))
            item = book.known(index, key) if error is None else book.item(index, key, error)
            waiting.append(item or asyncio.create_task(work(index, key, source)))
            if len(waiting) > AHEAD * plan.concurrency:
                yield checked(plan, await _settled(waiting.popleft()))
        while waiting:
            yield checked(plan, await _settled(waiting.popleft()))
        await _beside(book.finish)
    finally:
        under_way = [one for one in waiting if isinstance(one, asyncio.Task)]
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)
        await _beside(book.close)


async def _beside(do: Callable[[], T]) -> T:
    """What a function returns that a thread calls; who is cancelled waits for its end first, as it goes on writing."""
    work = asyncio.get_running_loop().run_in_executor(None, do)  # a task, as of to_thread, ends with the loop's others
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


async def _settled(one: "asyncio.Task[BatchItem] | BatchItem") -> BatchItem:
    return await one if isinstance(one, asyncio.Task) else one
