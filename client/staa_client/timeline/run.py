"""Asks for the timeline of a video: decodes it once, and sends the frames of its windows, several at a time."""

import math
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from typing import Any, Protocol

from staa_client.batch.book import Unkept
from staa_client.batch.journal import Journal
from staa_client.batch.key import Key
from staa_client.errors import StoreError
from staa_client.results.card import Card
from staa_client.results.explanation import Answer, Explanation
from staa_client.results.result import Result
from staa_client.timeline.maker import MapRequest, TimelineMaker, check_answer, mismatch
from staa_client.timeline.result import Timeline
from staa_client.timeline.settings import TimelineSettings
from staa_client.timeline.spans import Run
from staa_client.transport.deadline import Deadline, Timeout
from staa_client.transport.fetch import fetch
from staa_client.video.frames import Frames
from staa_client.video.origin import Origin
from staa_client.video.pictures_of import windows_of
from staa_client.video.source import Link, Source, Video, name_of, source_of

Progress = Callable[[float, float], None]
"""A function that takes the seconds of the video that are done, and all of them."""
AHEAD = 2
"""How many windows are decoded in advance for each request that may be under way."""
FETCH_SECONDS = 3600.0
"""The most seconds that the download of a video may take."""


class ClientLike(Protocol):
    """The methods of a client that a timeline needs; `staa_client.Client` has them, with more precise arguments."""

    def predict(self, *args: Any, **options: Any) -> Result:
        """Return the labels of frames, by a model, with options."""

    def explain(self, *args: Any, **options: Any) -> Answer:
        """Return the explanation of frames, by a model, with options; labels only, if its rules say so."""


@dataclass(frozen=True, slots=True)
class Job:
    """Holds one video, and how it is asked about; the same for a plain program and for an event loop."""

    video: Source
    name: str
    model: str | None
    """Its name; None is the default one."""
    settings: TimelineSettings
    card: Card
    window: float
    """The length of a window, seconds."""
    stride: float
    """From the start of one window to the start of the next, seconds."""
    progress: Progress | None
    journal: Journal | Unkept
    """What keeps the answers to the windows, so that an interrupted run goes on."""
    key: Key
    """By what the video is known in the journal."""
    delay: float = 0.0
    """Seconds from the start of the file, from which players count, to the first frame."""

    def maker(self) -> TimelineMaker:
        """Return what makes the timeline."""
        return TimelineMaker(self.settings, self.card, self.window, self.stride, part_of(self.video))

    def windows(self, maker: TimelineMaker) -> Any:  # a generator of Frames
        """Return the frames of each window, as they are decoded."""
        card, video = self.card, self.video
        origin = None if isinstance(video, Frames) else Origin(self.name, video)
        return windows_of(video, card.frames, card.scaled, card.interpolation, maker.segments, origin)

    def key_of(self, start: float, class_id: int | None = None) -> Key:
        """Return by what a window's labels, or its map for a class, are known in the journal.

        The labels depend on the window alone. So a run with other thresholds, or for other maps, asks for none twice.
        """
        what = "labels" if class_id is None else f"map of class {class_id} {self.settings.map_request}"
        return Key(self.key.name, f"{self.key.identity}#{start:.6f} for {self.window:.6f} s {what}", self.key.stamp)

    def known(self, key: Key) -> Answer | None:
        """Return the answer that the journal knows; None if it has none, or that of another model."""
        known = self.journal.known(key)
        return known.answer if known is not None and not mismatch(self.card, known.answer) else None

    @contextmanager
    def keeping(self, key: Key) -> Iterator[None]:
        """Put an answer that the client's store cannot take into the journal; the error is raised all the same."""
        try:
            yield
        except StoreError as unkept:
            self.journal.add(key, unkept)
            raise

    def labels_request(self) -> dict[str, Any]:
        """Return the options of a call for the labels of a window: all of them, as each has a curve."""
        return {"model": self.model, "top_k": len(self.card.labels), **self.settings.patience}

    def map_request(self, run: Run) -> dict[str, Any]:
        """Return the options of a call for the map of a run."""
        return {"model": self.model, **self.settings.call_for(self.card, run.class_id)}

    def tell(self, maker: TimelineMaker, done: int, duration: float) -> None:
        """Call `progress`, after so many windows have their labels."""
        if self.progress is not None:
            is_last = done == len(maker.starts)
            seconds = duration if is_last else float(maker.starts[done - 1]) + maker.stride
            self.progress(min(seconds, duration), duration)


def local(video: Video) -> tuple[Source, str]:
    """Return a video on this machine, downloaded if needed, and its name.

    Raises:
        OSError, ValueError, TypeError, StaaError: it cannot be read or downloaded, or is none.
    """
    given = source_of(video)
    waits = Timeout(total=FETCH_SECONDS)
    return fetch(given, Deadline.of(waits)) if isinstance(given, Link) else given, name_of(given)


def part_of(video: Source) -> tuple[float, float]:
    """Return the first and the last second that a video shows: all of a file, and of frames as far as they reach.

    Frames in memory that are spread over the whole video show all of it, also where the first is not quite at 0.
    """
    if not isinstance(video, Frames):
        return 0.0, math.inf
    first, last, steps = float(video.seconds[0]), float(video.seconds[-1]), len(video.seconds) - 1
    each = (last - first) / steps if steps else 1 / video.fps
    return first if first > 1.5 * each else 0.0, last + each if video.duration - last > 1.5 * each else math.inf


def without_frames(answer: Answer) -> Answer:
    """Return an answer that lets go of the frames of its window: those of a thousand spans would fill the memory."""
    return replace(answer, source=None) if isinstance(answer, Explanation) else answer


def run(client: ClientLike, job: Job) -> Timeline:
    """Return the timeline of a video; closing it on the way cancels what waits."""
    maker = job.maker()

    def labels_of(number: int, frames: Frames) -> Answer:
        """Return the labels of a window, from the journal or from the server."""
        key = job.key_of(float(maker.starts[number]))
        if (known := job.known(key)) is not None:
            return known
        answer = client.predict(frames, **job.labels_request())
        check_answer(job.card, answer)
        job.journal.add(key, answer)
        return answer

    def map_of(request: MapRequest) -> Answer:
        """Return the map of a run, from the journal or from the server; labels only, if the rules say so."""
        key = job.key_of(float(maker.starts[request.run.best]), request.run.class_id)
        if (known := job.known(key)) is not None:
            return known
        with job.keeping(key):
            answer = without_frames(client.explain(request.frames, **job.map_request(request.run)))
        check_answer(job.card, answer)
        job.journal.add(key, answer)
        return answer

    with ExitStack() as stack:
        pool = ThreadPoolExecutor(job.settings.concurrency, "staa-timeline")
        stack.callback(pool.shutdown, wait=True, cancel_futures=True)
        waiting: deque[tuple[Frames, Future[Answer]]] = deque()
        maps: dict[Run, Future[Answer]] = {}
        found: dict[Run, Answer] = {}
        done = 0

        def settle() -> None:
            """Wait for the labels of the oldest window, and ask for the maps of the spans that it ends."""
            nonlocal done
            frames, answer = waiting.popleft()
            maps.update({each.run: pool.submit(map_of, each) for each in maker.add(frames, answer.result())})
            done += 1
            job.tell(maker, done, frames.duration)
            for run in [run for run, answer in maps.items() if answer.done()]:  # an error is told at once
                found[run] = maps.pop(run).result()

        for number, frames in enumerate(stack.enter_context(closing(job.windows(maker)))):
            waiting.append((frames, pool.submit(labels_of, number, frames)))
            if len(waiting) > AHEAD * job.settings.concurrency:
                settle()
        while waiting:
            settle()
        maps.update({each.run: pool.submit(map_of, each) for each in maker.finish()})
        found |= {run: answer.result() for run, answer in maps.items()}
    return maker.timeline(found, job.name, job.video, job.delay)
