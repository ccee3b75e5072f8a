"""A stopwatch for what several threads do together."""

import threading
import time
from types import TracebackType


class Watch:
    """Runs while at least one thread is within it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._within = 0
        self._before = self._began = 0.0

    def __enter__(self) -> float:
        """Return the seconds that it has run."""
        with self._lock:
            now = time.monotonic()
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
                self._before += time.monotonic() - self._began
