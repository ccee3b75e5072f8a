"""The two iterators of sights, for a plain loop and for an event loop; they differ by `await`."""

import asyncio
import contextlib
import threading
import time
import weakref
from collections.abc import Awaitable, Callable
from typing import Self

from staa_client.errors import StaaError
from staa_client.results.card import Card
from staa_client.results.explanation import Answer, noted
from staa_client.video.frames import Frames
from staa_client.video.lengths import ClipSeconds
from staa_client.watch.capture import Capture, EndError
from staa_client.watch.sight import Sight, SightMaker
from staa_client.watch.windows import Window

Ask = Callable[[Frames], Answer]
AskAsync = Callable[[Frames], Awaitable[Answer]]
Count = int | Callable[[], int | Card]
"""How many frames a window holds; or a function that returns it, or the model's card, before reading begins."""
CountAsync = int | Callable[[], Awaitable[int | Card]]


class Watch:
    """An iterator of sights, which `watch` returns. The end of its `with` block or an error that it raises stops it."""

    def __init__(self, ask: Ask, capture: Capture, maker: SightMaker, frames: Count) -> None:
        self._ask = ask
        self._capture = capture
        self._maker = maker
        self._frames = frames
        self._turn = threading.Lock()
        weakref.finalize(self, capture.stop)  # where it is forgotten, or the program ends, unstopped

    def __repr__(self) -> str:
        length = "the length that the card says" if self.window is None else f"{self.window:g} s"
        return f"<Watch of windows of {length}, {self.dropped} dropped>"

    @property
    def dropped(self) -> int:
        """Return how many windows were dropped so far."""
        return self._capture.pending.dropped

    @property
    def window(self) -> float | None:
        """Return the seconds of a window; None before the first one if the card is to say them."""
        return self._capture.settings.window

    @property
    def stride(self) -> float | None:
        """Return the seconds from one window's start to the next; None before the first one if the card is to say."""
        return self._capture.settings.stride

    @property
    def clip_seconds(self) -> ClipSeconds | None:
        """Return the shortest and the longest clip that the model was trained on, as far as its card was read."""
        return self._capture.clip_seconds

    @property
    def reconnects(self) -> int:
        """Return how often the source was opened again so far."""
        return self._capture.reconnects

    @property
    def failed(self) -> int:
        """Return how many sights had an error so far."""
        return self._maker.failed

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Sight:
        try:
            with self._turn:
                if not self._capture.is_started:
                    self._capture.start(self._frames if isinstance(self._frames, int) else self._frames())
                window, dropped = self._capture.pending.take()
                note = self._capture.check(window)
                frames = window.frames(self._capture.origin)
                answer: Answer | StaaError
                try:
                    answer = noted(self._ask(frames), note)
                except StaaError as error:
                    answer = error
                self._capture.raise_if_stopped()  # it may have been stopped while the server worked
                return self._maker.sight(window, frames, dropped, answer, time.monotonic())
        except EndError:
            self.stop()
            raise StopIteration from None
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End the iteration, the capture thread and the source within about a second, even if a read blocks.

        It may be called more than once and from any thread. The thread that iterates still waits for a running request,
        and drops its answer. An iterable of the caller is not interrupted: its thread ends at the next frame.
        """
        self._capture.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class AsyncWatch:
    """An iterator of sights for an event loop, which `watch_async` returns. Only one task may iterate over it."""

    def __init__(self, ask: AskAsync, capture: Capture, maker: SightMaker, frames: CountAsync) -> None:
        self._ask = ask
        self._capture = capture
        self._maker = maker
        self._frames = frames
        weakref.finalize(self, capture.stop)  # where it is forgotten, or the program ends, unstopped

    def __repr__(self) -> str:
        length = "the length that the card says" if self.window is None else f"{self.window:g} s"
        return f"<AsyncWatch of windows of {length}, {self.dropped} dropped>"

    @property
    def dropped(self) -> int:
        """Return how many windows were dropped so far."""
        return self._capture.pending.dropped

    @property
    def window(self) -> float | None:
        """Return the seconds of a window; None before the first one if the card is to say them."""
        return self._capture.settings.window

    @property
    def stride(self) -> float | None:
        """Return the seconds from one window's start to the next; None before the first one if the card is to say."""
        return self._capture.settings.stride

    @property
    def clip_seconds(self) -> ClipSeconds | None:
        """Return the shortest and the longest clip that the model was trained on, as far as its card was read."""
        return self._capture.clip_seconds

    @property
    def reconnects(self) -> int:
        """Return how often the source was opened again so far."""
        return self._capture.reconnects

    @property
    def failed(self) -> int:
        """Return how many sights had an error so far."""
        return self._maker.failed

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Sight:
        try:
            if not self._capture.is_started:
                self._capture.start(self._frames if isinstance(self._frames, int) else await self._frames())
            window, dropped = await self._next_window()
            note = self._capture.check(window)
            frames = window.frames(self._capture.origin)
            answer: Answer | StaaError
            try:
                answer = noted(await self._ask(frames), note)
            except StaaError as error:
                answer = error
            self._capture.raise_if_stopped()  # it may have been stopped while the server worked
            return self._maker.sight(window, frames, dropped, answer, time.monotonic())
        except EndError:
            await self.stop()
            raise StopAsyncIteration from None
        except Exception:
            await self.stop()
            raise

    async def _next_window(self) -> tuple[Window, int]:
        """Return the next window, and how many were dropped before it; no thread is used to wait for it."""
        loop, there = asyncio.get_running_loop(), asyncio.Event()

        def tell() -> None:
            with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
                loop.call_soon_threadsafe(there.set)

        pending = self._capture.pending
        pending.listener = tell
        try:
            while (taken := pending.poll()) is None:
                await there.wait()
                there.clear()
        finally:
            pending.listener = None
        return taken

    async def stop(self) -> None:
        """Do what `Watch.stop` does, without blocking the event loop."""
        await asyncio.to_thread(self._capture.stop)

    aclose = stop

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()
