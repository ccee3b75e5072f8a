"""Makes the timeline of one video or of many, for both clients, from their options."""

import asyncio
import math
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import ExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Unpack

import numpy as np

from staa_client.batch.async_run import in_thread
from staa_client.batch.book import Unkept
from staa_client.batch.journal import Journal
from staa_client.batch.key import Key, key_or_error
from staa_client.batch.plan import OnError, checked_output
from staa_client.errors import FAILURES, Failure
from staa_client.results.card import Card
from staa_client.timeline.async_run import AsyncClientLike, run_async
from staa_client.timeline.book import SpanBook, open_book
from staa_client.timeline.result import Timeline, TimelineItem
from staa_client.timeline.run import ClientLike, Job, Progress, local, run
from staa_client.timeline.settings import TimelineSettings
from staa_client.transport.options import TimelineOptions
from staa_client.video.lengths import untrained_words
from staa_client.video.pictures_of import delay_of
from staa_client.video.source import Video

_TO_THE_CALLER = 4
"""How many calls lie between the caller of a client's method and the check of the window, for its warning."""


def timeline(
    client: ClientLike,
    video: Video,
    model: str | None,
    card: Callable[[], Card],
    progress: Progress | None,
    **options: Unpack[TimelineOptions],
) -> Timeline:
    """Return the timeline of a video; see `Client.timeline`."""
    settings = TimelineSettings.of(options)
    jobs = _Jobs(model, settings, card(), progress, stacklevel=_TO_THE_CALLER)
    return jobs.checked(run(client, jobs.job(video)))


async def timeline_async(
    client: AsyncClientLike,
    video: Video,
    model: str | None,
    card: Callable[[], Awaitable[Card]],
    progress: Progress | None,
    **options: Unpack[TimelineOptions],
) -> Timeline:
    """Return the timeline of a video in an event loop; see `Client.timeline`."""
    settings = TimelineSettings.of(options)
    jobs = _Jobs(model, settings, await card(), progress, stacklevel=_TO_THE_CALLER)
    return jobs.checked(await run_async(client, await asyncio.to_thread(jobs.job, video)))  # which may download it


def timelines(
    client: ClientLike,
    videos: Iterable[Video],
    model: str | None,
    card: Callable[[], Card],
    progress: Progress | None,
    output: str | Path | None,
    on_error: OnError,
    **options: Unpack[TimelineOptions],
) -> Iterator[TimelineItem]:
    """Yield the timeline of each video, one after the other; see `Client.timelines`."""
    settings, path = TimelineSettings.of(options), checked_output(videos, on_error, output)

    def items() -> Iterator[TimelineItem]:
        jobs: _Jobs | None = None  # a run that finds all its answers in the output needs no server
        with open_book(path, settings.request(model)) as (book, journal):
            for index, video in enumerate(videos):
                key, source, error = key_or_error(video)
                item = _known(index, key, error, book)
                if item is None:
                    try:
                        jobs = jobs or _Jobs(model, settings, card(), progress, stacklevel=_TO_THE_CALLER - 1)
                        made = jobs.checked(run(client, jobs.job(source, key, journal)))
                    except FAILURES as reason:
                        item = _failed(index, key, reason, book)
                    else:
                        item = _made(index, key, made, book)
                yield _item_or_raise(item, on_error)

    return items()


def timelines_async(
    client: AsyncClientLike,
    videos: Iterable[Video],
    model: str | None,
    card: Callable[[], Awaitable[Card]],
    progress: Progress | None,
    output: str | Path | None,
    on_error: OnError,
    **options: Unpack[TimelineOptions],
) -> AsyncIterator[TimelineItem]:
    """Yield the timeline of each video in an event loop; see `Client.timelines`."""
    settings, path = TimelineSettings.of(options), checked_output(videos, on_error, output)

    async def items() -> AsyncIterator[TimelineItem]:
        jobs: _Jobs | None = None
        async with _opened(path, settings.request(model)) as (book, journal):
            for index, video in enumerate(videos):
                key, source, error = await in_thread(partial(key_or_error, video))
                item = await in_thread(partial(_known, index, key, error, book))
                if item is None:
                    try:
                        jobs = jobs or _Jobs(model, settings, await card(), progress, stacklevel=_TO_THE_CALLER - 1)
                        job = await asyncio.to_thread(jobs.job, source, key, journal)
                        made = jobs.checked(await run_async(client, job))
                    except FAILURES as reason:
                        item = _failed(index, key, reason, book)
                    else:
                        item = await in_thread(partial(_made, index, key, made, book))
                yield _item_or_raise(item, on_error)

    return items()


class _Jobs:
    """Makes the job of each video; that the model was not trained on its windows is warned about once, here."""

    def __init__(
        self, model: str | None, settings: TimelineSettings, card: Card, progress: Progress | None, stacklevel: int
    ) -> None:
        self._model, self._settings, self._card, self._progress = model, settings, card, progress
        self._stacklevel = stacklevel
        self._lengths = settings.lengths(card, stacklevel)
        self._is_told = bool(untrained_words(self._lengths[0], math.inf, card.clip_seconds, card.model.name))
        settings.check_for(card)  # a label or method that is none is told before the video is read

    def job(self, video: Video, key: Key | None = None, journal: object = None) -> Job:
        """Return the job of a video, which is downloaded if needed."""
        source, name = local(video)
        kept = journal if journal is not None else Unkept()
        about = (source, name, self._model, self._settings, self._card, *self._lengths, self._progress)
        return Job(*about, kept, key or Key(name, name), delay_of(source))  # type: ignore[arg-type]

    def checked(self, made: Timeline) -> Timeline:
        """Return a timeline, after a warning if its video is the first that is too short for the model."""
        said = untrained_words(made.window, float(np.ptp(made.parts)), made.clip_seconds, made.model.name)
        if said and not self._is_told:
            self._is_told = True
            warnings.warn(said, UserWarning, stacklevel=self._stacklevel)
        return made


@asynccontextmanager
async def _opened(path: Path | None, request: str) -> AsyncIterator[tuple[SpanBook | None, Unkept | Journal]]:
    """Open what `open_book` opens, in threads, since its files may be large."""
    stack = ExitStack()
    try:
        yield await in_thread(partial(stack.enter_context, open_book(path, request)))
    except BaseException as reason:
        await in_thread(partial(stack.__exit__, type(reason), reason, reason.__traceback__))
        raise
    await in_thread(stack.close)


def _known(index: int, key: Key, error: Failure | None, book: SpanBook | None) -> TimelineItem | None:
    """Return the item of a video that cannot be read, or is in the book already; None if it must be asked about."""
    if error is not None:
        return _failed(index, key, error, book)
    found = None if book is None else book.known(key)
    if book is None or found is None:
        return None
    return TimelineItem(index, key.name, found, None, resumed=key.identity not in book.written)


def _failed(index: int, key: Key, error: Failure, book: SpanBook | None) -> TimelineItem:
    """Return the item of a video without a timeline; the answers to its windows are kept for the next run."""
    if book is not None:
        book.is_whole = False
    return TimelineItem(index, key.name, None, error)


def _made(index: int, key: Key, made: Timeline, book: SpanBook | None) -> TimelineItem:
    """Return the item of a new timeline, which is written first."""
    if book is not None:
        book.add(key, made)
    return TimelineItem(index, key.name, made, None)


def _item_or_raise(item: TimelineItem, on_error: OnError) -> TimelineItem:
    """Return the item, or raise its error if `on_error` is "raise"."""
    if item.error is not None and on_error == "raise":
        raise item.error
    return item
