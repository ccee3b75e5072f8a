"""A batch for an event loop."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable

from staa_client._batch import AHEAD, Answer, BatchItem, Book, Plan, checked, taken
from staa_client._journal import FAILURES, Failure
from staa_client._source import Video


async def arun(plan: Plan, ask: Callable[[Video], Awaitable[Answer]]) -> AsyncIterator[BatchItem]:
    """`run` for an event loop; closing it cancels what is under way."""
    book = Book(plan)
    door = asyncio.Semaphore(plan.concurrency)
    waiting: deque[asyncio.Task[BatchItem] | BatchItem] = deque()

    async def work(index: int, key: str, video: Video) -> BatchItem:
        async with door:
            try:
                answer: Answer | Failure = await ask(video)
            except FAILURES as error:
                answer = error
            return book.item(index, key, answer)

    try:
        for index, video in enumerate(plan.sources):
            name, source, error = taken(video)
            item = book.known(index, name) if error is None else book.item(index, name, error)
            waiting.append(item or asyncio.create_task(work(index, name, source)))
            if len(waiting) > AHEAD * plan.concurrency:
                yield checked(plan, await _settled(waiting.popleft()))
        while waiting:
            yield checked(plan, await _settled(waiting.popleft()))
        book.finish()
    finally:
        under_way = [one for one in waiting if isinstance(one, asyncio.Task)]
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)
        book.close()


async def _settled(one: "asyncio.Task[BatchItem] | BatchItem") -> BatchItem:
    return await one if isinstance(one, asyncio.Task) else one
