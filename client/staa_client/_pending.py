"""What waits between capture and the model: bounded, and what is dropped is counted."""

import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")
_TURN = 0.2  # seconds; a wait without end keeps Ctrl-C waiting on Windows


class EndError(Exception):
    """There is nothing more to take."""


class Pending(Generic[T]):
    """A queue of at most `size` between two threads, which ends once, with an error or without."""

    def __init__(self, size: int) -> None:
        self.dropped = 0
        """How many were put and never taken, in all."""
        self.listener: Callable[[], None] | None = None
        """Called whenever there is something to take, or the end; for event loops."""
        self._size = size
        self._items: deque[T] = deque()
        self._changed = threading.Condition()
        self._since = 0
        self._ended = False
        self._error: BaseException | None = None

    def put(self, item: T, *, wait: bool) -> None:
        """Append one; where it is full, wait or drop the oldest. Nothing happens after the end."""
        with self._changed:
            while wait and len(self._items) >= self._size and not self._ended:
                self._changed.wait(_TURN)
            if self._ended:
                return
            while len(self._items) >= self._size:
                self._items.popleft()
                self.dropped += 1
                self._since += 1
            self._items.append(item)
        self._tell()

    def end(self, error: BaseException | None = None, *, discard: bool = False) -> None:
        """There will be no more; what waits can still be taken, unless discarded. The first end counts."""
        with self._changed:
            if discard:
                self._items.clear()
                self._error = None
            elif not self._ended:
                self._error = error
            self._ended = True
        self._tell()

    def poll(self) -> tuple[T, int] | None:
        """The oldest, and how many were dropped since the one before it; None when nothing waits.

        Raises:
            EndError: the end, and nothing waits.
            BaseException: the error of the end, once.
        """
        with self._changed:
            if self._items:
                item, since, self._since = self._items.popleft(), self._since, 0
                self._changed.notify_all()
                return item, since
            if not self._ended:
                return None
            error, self._error = self._error, None
        raise error or EndError

    def take(self) -> tuple[T, int]:
        """`poll`, waiting for as long as nothing is there."""
        while (found := self.poll()) is None:
            with self._changed:
                if not self._items and not self._ended:
                    self._changed.wait(_TURN)
        return found

    def _tell(self) -> None:
        with self._changed:
            self._changed.notify_all()
            listener = self.listener
        if listener is not None:
            listener()
