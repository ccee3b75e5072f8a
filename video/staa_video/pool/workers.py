"""A pool of processes that decode: one video each at a time, with bounds of memory and time that the kernel holds."""

import contextlib
import logging
import queue
import threading
import weakref
from collections import deque
from collections.abc import Iterator
from typing import Any, Self

from staa_video.clip import LIMITS, Clip, Limits, Scale
from staa_video.pool.worker import Worker

logger = logging.getLogger(__name__)

_START, _END = "start", "end"
READ = "staa_video.frames_archive:clip_of"
"""What reads a source in a child: a video, or an archive of frames."""


class Pool:
    """Decodes in children, so that no video can hurt another one, or the process that asks.

    A child holds PyAV, numpy and Pillow, and nothing of its parent. It is started when it is first needed, or by
    `start`, and ends with its parent. A child that dies, hangs or outgrows its bounds is replaced at once, and its
    video refused. Safe to call from many threads; a pool that is pickled is one without children, which starts its own.

    Args:
        workers: the most children, each of which decodes one video at a time.
        limits: the largest limits of a video; `memory` is what a child may take over what it has at rest.
        read: "module:function" that turns a source into a clip in the child, as `frames_archive.clip_of` does.
    """

    def __init__(self, workers: int, limits: Limits = LIMITS, read: str = READ) -> None:
        if workers < 1:
            raise ValueError(f"a pool needs a worker, got {workers = }")
        self._workers, self._limits, self._read = workers, limits, read
        self._lock = threading.Condition()
        self._idle: deque[Worker | Exception] = deque()
        self._all: set[Worker] = set()
        self._busy: set[Worker] = set()
        self._starting = 0  # asked for, and not there yet
        self._told = False
        self._closed = False
        self._orders: queue.SimpleQueue[Worker | str] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._end = weakref.finalize(self, self._orders.put, _END)

    def __reduce__(self) -> tuple[Any, ...]:
        return Pool, (self._workers, self._limits, self._read)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pids(self) -> list[int]:
        """Return the process ids of the children that are there."""
        with self._lock:
            return [worker.pid for worker in self._all]

    @property
    def lacks(self) -> list[str]:
        """Return what this system could not bound in the children, in words; of those that are ready."""
        with self._lock:
            return sorted({lack for worker in self._all for lack in worker.lacks or ()})

    def start(self) -> None:
        """Start all children and wait until they are ready.

        Raises:
            RuntimeError: one cannot be started.
        """
        with self._lock:
            for _ in range(self._workers - len(self._all) - self._starting):
                self._order(_START)
        with contextlib.ExitStack() as taken:
            for _ in range(self._workers):
                self._ready(taken.enter_context(self._taken()))

    def decode(
        self,
        source: bytes | bytearray,
        frames: int,
        start: float | None = None,
        end: float | None = None,
        limits: Limits = LIMITS,
        scale: Scale | None = None,
    ) -> Clip:
        """Decode a video, or an archive of frames, in a child: the same as `decoder.decode` or `frames_archive.unpack`.

        `scale` runs here, on each frame as soon as it comes, while the child decodes the next one. Waits while all
        children are busy; the time of the limits begins afterwards. Large pictures whose colours are converted come
        smaller, also without `scale`; `Clip.size` is that of the source.

        Raises:
            TooMuchMemoryError: the child needed more memory than `limits.memory` of the pool.
            TooSlowError: it was not done after `limits.seconds`; within a second it is ended and this is raised.
            DecodeError: it broke down.
            RuntimeError: no child can be started, or the pool is closed.
            Everything else that `decoder.decode` and `frames_archive.unpack` raise.
        """
        with self._taken() as worker:
            self._ready(worker)
            return worker.decode(source, frames, start, end, limits, scale)

    def close(self) -> None:
        """End all children; videos that are being decoded fail."""
        with self._lock:
            self._closed = True
            self._lock.notify_all()
        self._end()
        if self._thread is not None:
            self._thread.join()

    @contextlib.contextmanager
    def _taken(self) -> Iterator[Worker]:
        """Take an idle child; put it back afterwards, or have it replaced."""
        worker = self._take()
        try:
            yield worker
        finally:
            with self._lock:
                self._busy.discard(worker)
                if self._closed:
                    worker.close()
                elif worker.is_fit:
                    self._idle.append(worker)
                else:
                    self._order(worker)
                self._lock.notify()

    def _take(self) -> Worker:
        with self._lock:
            while True:
                while not self._idle and not self._closed:
                    if len(self._all) + self._starting < self._workers:
                        self._order(_START)
                    self._lock.wait()
                if self._closed:
                    raise RuntimeError("the pool is closed")
                worker = self._idle.pop()
                if not isinstance(worker, Worker):
                    break
                if not worker.ended_idle:
                    self._busy.add(worker)
                    return worker
                self._order(worker)
        raise RuntimeError("no process for decoding can be started") from worker

    def _ready(self, worker: Worker) -> None:
        """Wait until a child is ready; log once what this system cannot bound."""
        worker.wait_until_ready()
        with self._lock:
            told, self._told = self._told, True
        if worker.lacks and not told:
            logger.warning("processes that decode are not bounded in all: %s", "; ".join(worker.lacks))

    def _order(self, what: Worker | str) -> None:
        """Have a child started, in place of another where one is given; the lock is held.

        The kernel ends a child with the thread that started it. So one thread, which lives as long as the pool, starts
        all of them.
        """
        if self._thread is None:
            arguments = weakref.ref(self), self._orders, self._all, self._busy
            self._thread = threading.Thread(target=_keep, args=arguments, name="pool", daemon=True)
            self._thread.start()
        self._starting += 1
        self._orders.put(what)

    def _carry_out(self, what: Worker | str) -> None:
        """Start a child, in place of another where one is given."""
        new: Worker | Exception
        try:
            new = Worker(self._limits, self._read)
        except Exception as error:  # noqa: BLE001 - who waits for it is told
            new = error
        with self._lock:
            self._starting -= 1
            if isinstance(new, Worker):
                self._all.add(new)
            if isinstance(what, Worker):
                self._all.discard(what)
            self._idle.appendleft(new)  # behind those that are ready
            self._lock.notify()
        if isinstance(what, Worker):
            what.close()


def _keep(
    pool: "weakref.ref[Pool]", orders: "queue.SimpleQueue[Worker | str]", workers: set[Worker], busy: set[Worker]
) -> None:
    """Start the children of a pool, as long as there is one; then end them."""
    while (order := orders.get()) != _END:
        if (owner := pool()) is None:
            break
        owner._carry_out(order)  # noqa: SLF001 - the pool's own thread
        del owner
    for worker in workers:
        if worker in busy:  # the thread that has it closes it
            worker.end()
        else:
            worker.close()
