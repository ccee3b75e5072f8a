"""The thread that reads a source and cuts it into windows."""

import math
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from staa_client._grab import place_of
from staa_client._pending import EndError, Pending
from staa_client._ring import Ring, Window
from staa_client._stream import Halt, LiveSource, Reading, shots

Latency = Literal["drop", "keep"]
_PATIENCE = 2.0  # seconds that `stop` waits for the thread; only a caller's own iterator can take longer


@dataclass(frozen=True, slots=True)
class Windows:
    """Which windows are cut, and how many may wait."""

    window: float
    """Seconds of stream time in each."""
    stride: float
    """Seconds of stream time from the start of one to the start of the next."""
    latency: Latency
    """Whether only the newest waits, or all do."""
    max_pending: int
    """How many may wait with "keep"."""

    def __post_init__(self) -> None:
        for name in ("window", "stride"):
            value = getattr(self, name)
            if not (isinstance(value, int | float) and 0 < value < math.inf):
                msg = f"{name} is a positive number of seconds, got {value!r}"
                raise ValueError(msg)
        if self.latency not in {"drop", "keep"}:
            msg = f'latency is "drop" (only the newest window waits) or "keep" (all do), got {self.latency!r}'
            raise ValueError(msg)
        if self.max_pending < 1:
            msg = f"at least one window must be able to wait, got {self.max_pending = }"
            raise ValueError(msg)


class Capture:
    """Reads a source in a thread of its own, from `start` to `stop`; what it found waits in `pending`."""

    def __init__(self, source: LiveSource, windows: Windows, reading: Reading) -> None:
        if isinstance(source, int | str | Path):
            place_of(source, {})  # a mistake in it is told here, not by the thread
        self._source = source
        self._windows = windows
        self._reading = reading
        self._halt = Halt()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self.pending: Pending[Window] = Pending(1 if windows.latency == "drop" else windows.max_pending)
        self.reconnects = 0

    @property
    def is_started(self) -> bool:
        """Whether `start` was called."""
        return self._thread is not None

    def start(self, frames: int) -> None:
        """Begin, once: `frames` is what a window holds at most."""
        with self._lock:
            if self._thread is None and not self._halt:
                self._thread = threading.Thread(target=self._run, args=(frames,), name="staa-watch", daemon=True)
                self._thread.start()

    def stop(self) -> None:
        """End the thread and whatever it opened, at any time, from any thread; what waits is discarded."""
        self._halt.stop()
        self.pending.end(discard=True)
        with self._lock:
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(_PATIENCE)

    def check(self) -> None:
        """Raise EndError where it was stopped."""
        if self._halt:
            raise EndError

    def _run(self, frames: int) -> None:
        ring = Ring(self._windows.window, self._windows.stride, frames)
        found = shots(self._source, self._reading, self._halt)
        keeps, error = self._windows.latency == "keep", None
        try:
            for shot in found:
                self.reconnects = shot.reconnects
                for window in ring.push(shot):
                    self.pending.put(window, wait=keeps and not shot.live)
            for window in ring.finish():
                self.pending.put(window, wait=True)  # the last one overtakes nobody
        except BaseException as reason:  # noqa: BLE001  # whoever iterates raises it
            error = reason
        finally:
            found.close()
            self.pending.end(error)
