"""Reads a source in a thread, and queues its windows for the model; the queue is bounded and counts dropped windows."""

import math
import threading
import warnings
from collections import deque
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from typing import Generic, TypeVar

from staa_client.results.card import Card
from staa_client.video.lengths import WINDOW, ClipSeconds, untrained_words
from staa_client.watch.address import origin_of
from staa_client.watch.settings import WatchSettings
from staa_client.watch.stream import LiveSource, StopSignal, stream_frames
from staa_client.watch.windows import Window, WindowBuffer

T = TypeVar("T")
_TURN = 0.2  # seconds; a wait without end keeps Ctrl-C waiting on Windows


class EndError(Exception):
    """Says that the queue has ended and is empty."""


class WindowQueue(Generic[T]):
    """A queue of at most `size` windows between two threads; it can end, with or without an error."""

    def __init__(self, size: int) -> None:
        self.dropped = 0
        """How many items were put and never taken, so far."""
        self.listener: Callable[[], None] | None = None
        """Called when there is an item to take, or at the end, for event loops."""
        self._size = size
        self._items: deque[T] = deque()
        self._changed = threading.Condition()  # its own lock may be taken again by who has it
        self._dropped_before = 0
        self._ended = False
        self._error: BaseException | None = None

    def put(self, item: T, *, wait: bool) -> None:
        """Append an item; if the queue is full, wait or drop the oldest item. After the end, do nothing."""
        with self._changed:
            while wait and len(self._items) >= self._size and not self._ended:
                self._changed.wait(_TURN)
            if self._ended:
                return
            if len(self._items) >= self._size:
                self._items.popleft()
                self.dropped += 1
            self._items.append(item)
            self._tell()

    def end(self, error: BaseException | None = None, *, discard: bool = False) -> None:
        """End the queue; unless `discard`, its items can still be taken. Only the first call counts."""
        with self._changed:
            if discard:
                self._items.clear()
                self._error = None
            elif not self._ended:
                self._error = error
            self._ended = True
            self._tell()

    def poll(self) -> tuple[T, int] | None:
        """Return the oldest item, and how many were dropped between the last one and it; None if the queue is empty.

        Raises:
            EndError: the queue has ended and is empty.
            BaseException: it has ended with this error, which is raised once.
        """
        with self._changed:
            if self._items:
                since, self._dropped_before = self.dropped - self._dropped_before, self.dropped
                self._changed.notify_all()
                return self._items.popleft(), since
            if not self._ended:
                return None
            error, self._error = self._error, None
        raise error or EndError

    def take(self) -> tuple[T, int]:
        """Wait until there is an item or the end, and return what `poll` does."""
        with self._changed:
            while (taken := self.poll()) is None:
                self._changed.wait(_TURN)
        return taken

    def _tell(self) -> None:
        self._changed.notify_all()
        if self.listener is not None:
            self.listener()


_PATIENCE = 2.0  # seconds that `stop` waits for the thread; only a caller's own iterator can take longer


class Capture:
    """Reads a source in its own thread, from `start` to `stop`, and puts the windows into the queue `pending`."""

    def __init__(self, source: LiveSource, settings: WatchSettings) -> None:
        self.origin = origin_of(source, settings.longest)  # a mistake in it is told here, not by the thread
        """Of what the windows are."""
        self._source = source
        self.settings = settings
        """The options; window and stride are numbers once it is started."""
        self.clip_seconds: ClipSeconds | None = None
        """How long the clips are that the model was trained on, as its card says it."""
        self._model = "the model"
        self._stop = StopSignal()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self.pending: WindowQueue[Window] = WindowQueue(settings.max_pending if settings.keeps else 1)
        self.reconnects = 0
        """How often the source was opened again so far."""

    @property
    def is_started(self) -> bool:
        """Return whether `start` was called."""
        return self._thread is not None

    def start(self, wanted: int | Card) -> None:
        """Start the thread; a second call does nothing.

        Args:
            wanted: How many frames a window holds at most; or the model's card, which also says how long it should be.
        """
        with self._lock:
            if self._thread is None and not self._stop:
                frames = wanted if isinstance(wanted, int) else wanted.frames
                self.clip_seconds = None if isinstance(wanted, int) else wanted.clip_seconds
                self._model = "the model" if isinstance(wanted, int) else wanted.model.name
                window, stride = self.settings.lengths(self.clip_seconds, self._model)
                self.settings = replace(self.settings, window=window, stride=stride)
                buffer = WindowBuffer(window, stride, frames)
                self._thread = threading.Thread(target=self._run, args=(buffer,), name="staa-watch", daemon=True)
                self._thread.start()

    def check(self, window: Window) -> str:
        """Return that the model was trained on other clips than a window is, or "".

        Warn if the only window of a source is shorter than all of them; `start` has warned of the length asked for.
        """
        asked, length = self.settings.window or WINDOW, window.end - window.start
        said, told = (untrained_words(asked, shown, self.clip_seconds, self._model) for shown in (length, math.inf))
        if said != told:
            warnings.warn(said, UserWarning, stacklevel=3)
        return said

    def stop(self) -> None:
        """End the thread and all that it opened, at any time and from any thread; waiting windows are discarded."""
        self._stop.stop()
        self.pending.end(discard=True)
        with self._lock:
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(_PATIENCE)

    def raise_if_stopped(self) -> None:
        """Raise EndError if the capture was stopped."""
        if self._stop:
            raise EndError

    def _run(self, buffer: WindowBuffer) -> None:
        error: BaseException | None = None
        try:
            with closing(stream_frames(self._source, self.settings, self._stop)) as frames:
                for frame in frames:
                    self.reconnects = frame.reconnects
                    for window in buffer.push(frame):
                        self.pending.put(window, wait=self.settings.keeps and not frame.live)
                for window in buffer.finish():
                    self.pending.put(window, wait=True)  # the last one overtakes nobody
        except BaseException as reason:  # noqa: BLE001  # whoever iterates raises it
            error = reason
        self.pending.end(error)
