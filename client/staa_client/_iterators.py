"""The two iterators of sights: one for a loop of its own, one for an event loop; they differ by `await`."""

import asyncio
import contextlib
import threading
import time
import weakref
from collections.abc import Awaitable, Callable
from typing import Self

from staa_client._capture import Capture
from staa_client._errors import StaaError
from staa_client._frames import Frames
from staa_client._pending import EndError
from staa_client._ring import Window
from staa_client._sight import Answer, Report, Sight

Ask = Callable[[Frames], Answer]
AskAsync = Callable[[Frames], Awaitable[Answer]]


class Watch:
    """An iterator of sights; `watch` makes it. Leaving its `with` block, or an error that it raises, stops it."""

    def __init__(self, ask: Ask, capture: Capture, report: Report, count: Callable[[], int]) -> None:
        self._ask = ask
        self._capture = capture
        self._report = report
        self._count = count
        self._turn = threading.Lock()
        weakref.finalize(self, capture.stop)  # where it is forgotten, or the program ends, unstopped

    @property
    def dropped(self) -> int:
        """Windows dropped so far."""
        return self._capture.pending.dropped

    @property
    def reconnects(self) -> int:
        """How often the source was opened anew so far."""
        return self._capture.reconnects

    @property
    def failed(self) -> int:
        """Sights with an error so far."""
        return self._report.failed

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Sight:
        try:
            with self._turn:
                if not self._capture.is_started:
                    self._capture.start(self._count())
                window, dropped = self._capture.pending.take()
                frames = window.frames()
                answer: Answer | StaaError
                try:
                    answer = self._ask(frames)
                except StaaError as error:
                    answer = error
                self._capture.check()  # it may have been stopped while the server worked
                return self._report.sight(window, frames, dropped, answer, time.monotonic())
        except EndError:
            self.stop()
            raise StopIteration from None
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End the iteration, the capture thread and the source, within about a second, even where reading blocks.

        May be called more than once and from any thread; a request under way is waited for by whoever iterates, and its
        answer dropped. The caller's own iterator is not interrupted: its thread ends with the next frame.
        """
        self._capture.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class AsyncWatch:
    """`Watch` for an event loop; `watch_async` makes it. One task iterates."""

    def __init__(
        self,
        ask: AskAsync,
        capture: Capture,
        report: Report,
        count: Callable[[], Awaitable[int]],
    ) -> None:
        self._ask = ask
        self._capture = capture
        self._report = report
        self._count = count
        weakref.finalize(self, capture.stop)  # where it is forgotten, or the program ends, unstopped

    @property
    def dropped(self) -> int:
        """Windows dropped so far."""
        return self._capture.pending.dropped

    @property
    def reconnects(self) -> int:
        """How often the source was opened anew so far."""
        return self._capture.reconnects

    @property
    def failed(self) -> int:
        """Sights with an error so far."""
        return self._report.failed

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Sight:
        try:
            if not self._capture.is_started:
                self._capture.start(await self._count())
            window, dropped = await self._taken()
            frames = window.frames()
            answer: Answer | StaaError
            try:
                answer = await self._ask(frames)
            except StaaError as error:
                answer = error
            self._capture.check()  # it may have been stopped while the server worked
            return self._report.sight(window, frames, dropped, answer, time.monotonic())
        except EndError:
            await self.stop()
            raise StopAsyncIteration from None
        except Exception:
            await self.stop()
            raise

    async def _taken(self) -> tuple[Window, int]:
        """The next window, without a thread that waits for it."""
        loop, there = asyncio.get_running_loop(), asyncio.Event()

        def tell() -> None:
            with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
                loop.call_soon_threadsafe(there.set)

        pending = self._capture.pending
        pending.listener = tell
        try:
            while (found := pending.poll()) is None:
                await there.wait()
                there.clear()
        finally:
            pending.listener = None
        return found

    async def stop(self) -> None:
        """`Watch.stop`, without holding up the loop."""
        await asyncio.to_thread(self._capture.stop)

    aclose = stop

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()
