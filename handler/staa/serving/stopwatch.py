"""A stopwatch that several threads share."""

import threading
import time
from collections.abc import Callable
from types import TracebackType


class Stopwatch:
    """Runs while at least one thread is in its `with` block: two threads in it for the same second count one second."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Take a clock, which returns seconds that never run backwards."""
        self._clock = clock
        self._lock = threading.Lock()
        self._within = 0
        self._before = self._began = 0.0

    def __enter__(self) -> float:
        """Start or go on, and return the seconds that it has run so far."""
        with self._lock:
            now = self._clock()
            if not self._within:
                self._began = now
            self._within += 1
            return self._before + now - self._began

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._within -= 1
            if not self._within:
                self._before += self._clock() - self._began
