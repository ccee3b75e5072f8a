"""Asks for the timeline of a video in an event loop; it differs from `run` by `await` and a thread that decodes."""

import asyncio
import itertools
from collections import deque
from functools import partial
from typing import Any, Protocol

from staa_client.batch.async_run import in_thread
from staa_client.errors import StoreError
from staa_client.results.explanation import Answer
from staa_client.results.result import Result
from staa_client.timeline.maker import MapRequest, TimelineMaker, check_answer
from staa_client.timeline.result import Timeline
from staa_client.timeline.run import AHEAD, Job, without_frames
from staa_client.timeline.spans import Run
from staa_client.video.frames import Frames


class AsyncClientLike(Protocol):
    """The methods of a client that a timeline in an event loop needs; `staa_client.AsyncClient` has them."""

    async def predict(self, *args: Any, **options: Any) -> Result:
        """Return the labels of frames, by a model, with options."""

    async def explain(self, *args: Any, **options: Any) -> Answer:
        """Return the explanation of frames, by a model, with options; labels only, if its rules say so."""


async def run_async(client: AsyncClientLike, job: Job) -> Timeline:
    """Return the timeline of a video; cancelling it cancels the running requests."""
    maker = job.maker()
    asks = _Asks(client, job, maker)
    windows = job.windows(maker)
    waiting: deque[tuple[Frames, asyncio.Task[Answer]]] = deque()
    maps: dict[Run, asyncio.Task[Answer]] = {}
    found: dict[Run, Answer] = {}
    done = 0

    async def settle(most: int) -> None:
        """Wait for labels until at most so many windows wait, and ask for the maps of the spans that they end."""
        nonlocal done
        while len(waiting) > most:
            frames, answer = waiting[0]
            wanted = maker.add(frames, await answer)
            waiting.popleft()
            maps.update({each.run: asyncio.create_task(asks.map_of(each)) for each in wanted})
            done += 1
            job.tell(maker, done, frames.duration)
            for run in [run for run, answer in maps.items() if answer.done()]:  # an error is told at once
                found[run] = maps.pop(run).result()

    reading: asyncio.Future[Frames | None] | None = None
    try:
        for number in itertools.count():
            reading = asyncio.ensure_future(asyncio.to_thread(next, windows, None))
            frames = await asyncio.shield(reading)
            if frames is None:
                break
            waiting.append((frames, asyncio.create_task(asks.labels_of(number, frames))))
            await settle(AHEAD * job.settings.concurrency)
        await settle(0)
        maps.update({each.run: asyncio.create_task(asks.map_of(each)) for each in maker.finish()})
        found |= {run: await answer for run, answer in maps.items()}
    finally:
        tasks = [*(answer for _, answer in waiting), *maps.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if reading is not None and not reading.done():
            await asyncio.wait([reading])  # a generator cannot be closed while a thread is in it
        await asyncio.to_thread(windows.close)
    return maker.timeline(found, job.name, job.video, job.delay)


class _Asks:
    """Asks about windows, at most `concurrency` at a time; what the journal knows is not asked."""

    def __init__(self, client: AsyncClientLike, job: Job, maker: TimelineMaker) -> None:
        self._client, self._job, self._maker = client, job, maker
        self._slots = asyncio.Semaphore(job.settings.concurrency)

    async def labels_of(self, number: int, frames: Frames) -> Answer:
        """Return the labels of a window, from the journal or from the server."""
        job = self._job
        key = job.key_of(float(self._maker.starts[number]))
        if (known := await in_thread(partial(job.known, key))) is not None:
            return known
        async with self._slots:
            answer = await self._client.predict(frames, **job.labels_request())
        check_answer(job.card, answer)
        await in_thread(partial(job.journal.add, key, answer))
        return answer

    async def map_of(self, request: MapRequest) -> Answer:
        """Return the map of a run, from the journal or from the server; labels only, if the rules say so."""
        job = self._job
        key = job.key_of(float(self._maker.starts[request.run.best]), request.run.class_id)
        if (known := await in_thread(partial(job.known, key))) is not None:
            return known
        async with self._slots:
            try:
                answer = without_frames(await self._client.explain(request.frames, **job.map_request(request.run)))
            except StoreError as unkept:
                await in_thread(partial(job.journal.add, key, unkept))
                raise
        check_answer(job.card, answer)
        await in_thread(partial(job.journal.add, key, answer))
        return answer
