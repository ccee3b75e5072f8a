"""Watching a camera, a stream or a file: windows of it, explained one after the other as they come.

A thread reads the source into a ring buffer and cuts windows out of it; whoever iterates asks the server. A bounded
number of windows waits between the two.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from staa_client._capture import Capture, Latency, Windows
from staa_client._errors import StreamError
from staa_client._frames import Frames
from staa_client._iterators import AsyncWatch, Watch
from staa_client._result import Result
from staa_client._sight import Answer, OnError, Report, Sight
from staa_client._stream import LiveSource, Reading
from staa_client._types import Explanation

__all__ = ["AsyncWatch", "Latency", "LiveSource", "OnError", "Sight", "StreamError", "Watch", "watch", "watch_async"]


class Asks(Protocol):
    """What is needed of a client: `staa_client.Client` has it, with more precise arguments."""

    def explain(self, *args: Any, **options: Any) -> Explanation:
        """The explanation of frames, by a model, with options."""

    def predict(self, *args: Any, **options: Any) -> Result:
        """The labels of frames, by a model, with options."""


class AsksAsync(Protocol):
    """What is needed of a client in an event loop: `staa_client.AsyncClient` has it."""

    async def explain(self, *args: Any, **options: Any) -> Explanation:
        """The explanation of frames, by a model, with options."""

    async def predict(self, *args: Any, **options: Any) -> Result:
        """The labels of frames, by a model, with options."""


def watch(
    client: Asks,
    source: LiveSource,
    model: str = "motions",
    *,
    frames: int | Callable[[], int],
    window: float = 2.0,
    stride: float = 0.5,
    latency: Latency = "drop",
    explain: bool = True,
    smooth: int = 3,
    on_error: OnError = "collect",
    reconnect: bool = True,
    reconnect_max: int | None = 20,
    stall: float = 10.0,
    max_pending: int = 16,
    longest: int = 480,
    av_options: Mapping[str, str] | None = None,
    **options: Any,
) -> Watch:
    """Watch a source: windows of it, explained one after the other as they come. Reading begins with the first sight.

    Args:
        client: Who is asked, with its `explain` or `predict`.
        source: A camera's number; the URL of a stream (rtsp, http, tcp, udp, srt, rtmp); the path of a file; or any
            iterable of (seconds, (H, W, 3) uint8 RGB array) pairs with ascending seconds, which a thread draws from.
        model: Its name, or "name/version".
        frames: How many frames the model takes: a window holds at most as many, those nearest to evenly spread times.
            Or a function that says so, called before reading begins.
        window: Seconds of stream time in each window.
        stride: Seconds of stream time from the start of one window to the start of the next.
        latency: "drop" lets only the newest window wait, counts those that it overtakes, and plays a recording at its
            own pace. "keep" drops nothing of a file or an iterable, which wait; a camera or a stream cannot, so that
            once `max_pending` windows wait the oldest of them is dropped, and counted.
        explain: Ask for maps; False asks for labels only.
        smooth: Windows whose scores are averaged in `Sight.smoothed`.
        on_error: "collect" hands on errors that pass as sights with an `error`: a server that is busy, fails, is late,
            or is away after it has answered once. Other errors, and all with "raise", are raised and end the watch.
        reconnect: Open a live source anew when it ends or fails, after 0.5 s, then twice that each time up to 30 s,
            less a random half. One that cannot be opened at the start is an error at once.
        reconnect_max: Attempts in a row before it is given up; None for no end.
        stall: Seconds to wait for a live source to open, and for each of its frames, before it counts as lost.
        max_pending: Windows that may wait with "keep". They share their frames: memory stays below `longest` ** 2 * 3
            bytes times `frames` + 2 times the windows that wait, that overlap, and one.
        longest: Pixels that the longer side of a frame has at most; larger ones are made smaller when they are read.
        av_options: FFmpeg's options for opening the source, such as {"rtsp_transport": "udp"} (over TCP otherwise) or
            {"video_size": "1280x720", "framerate": "30"} for a camera.
        options: Those of `client.explain`, or of `client.predict` with `explain=False`.

    Raises:
        ValueError: an argument is out of its range.

    While it iterates it raises StreamError where a live source cannot be opened or was lost, ImportError where the
    package `av` is missing, OSError where a file cannot be opened, and what the client raises.
    """
    windows = Windows(window, stride, latency, max_pending)
    reading = Reading(longest, window, latency == "drop", reconnect, reconnect_max, stall, av_options or {})
    capture, report = Capture(source, windows, reading), Report(smooth, on_error)

    def ask(video: Frames) -> Answer:
        return client.explain(video, model, **options) if explain else client.predict(video, model, **options)

    count = _fixed(frames) if isinstance(frames, int) else frames
    return Watch(ask, capture, report, count)


def _fixed(frames: int) -> Callable[[], int]:
    if frames < 1:
        msg = f"a window holds 1 frame or more, got {frames = }"
        raise ValueError(msg)
    return lambda: frames


def watch_async(
    client: AsksAsync,
    source: LiveSource,
    model: str = "motions",
    *,
    frames: int | Callable[[], Awaitable[int]],
    window: float = 2.0,
    stride: float = 0.5,
    latency: Latency = "drop",
    explain: bool = True,
    smooth: int = 3,
    on_error: OnError = "collect",
    reconnect: bool = True,
    reconnect_max: int | None = 20,
    stall: float = 10.0,
    max_pending: int = 16,
    longest: int = 480,
    av_options: Mapping[str, str] | None = None,
    **options: Any,
) -> AsyncWatch:
    """`watch` for an event loop: the same arguments; requests are awaited, and so is `frames` if it is a function."""
    windows = Windows(window, stride, latency, max_pending)
    reading = Reading(longest, window, latency == "drop", reconnect, reconnect_max, stall, av_options or {})
    capture, report = Capture(source, windows, reading), Report(smooth, on_error)

    async def ask(video: Frames) -> Answer:
        if explain:
            return await client.explain(video, model, **options)
        return await client.predict(video, model, **options)

    count = _fixed_async(frames) if isinstance(frames, int) else frames
    return AsyncWatch(ask, capture, report, count)


def _fixed_async(frames: int) -> Callable[[], Awaitable[int]]:
    count = _fixed(frames)

    async def fixed() -> int:
        return count()

    return fixed
