"""Watches a camera, a stream or a file: explains one window of it after the other as they come.

A thread reads the source into a ring buffer and cuts windows from it; the thread that iterates asks the server. A
bounded queue of windows is between the two.
"""

from typing import Any, Protocol, Unpack

from staa_client.results.explanation import Answer
from staa_client.results.result import Result
from staa_client.transport.options import StreamOptions
from staa_client.video.frames import Frames
from staa_client.watch.capture import Capture
from staa_client.watch.iterators import AsyncWatch, Count, CountAsync, Watch
from staa_client.watch.settings import Latency, WatchSettings
from staa_client.watch.sight import SightMaker
from staa_client.watch.stream import LiveSource


class ClientLike(Protocol):
    """The methods of a client that a watch needs; `staa_client.Client` has them, with more precise arguments."""

    def explain(self, *args: Any, **options: Any) -> Answer:
        """Return the explanation of frames, or labels if rules leave them out, by a model, with options."""

    def predict(self, *args: Any, **options: Any) -> Result:
        """Return the labels of frames, by a model, with options."""


class AsyncClientLike(Protocol):
    """The methods of a client that a watch in an event loop needs; `staa_client.AsyncClient` has them."""

    async def explain(self, *args: Any, **options: Any) -> Answer:
        """Return the explanation of frames, or labels if rules leave them out, by a model, with options."""

    async def predict(self, *args: Any, **options: Any) -> Result:
        """Return the labels of frames, by a model, with options."""


def watch(
    client: ClientLike,
    source: LiveSource,
    model: str | None = None,
    *,
    frames: Count,
    window: float | None = None,
    stride: float | None = None,
    latency: Latency = "drop",
    explain: bool = True,
    **options: Unpack[StreamOptions],
) -> Watch:
    """Watch a source: explain one window of it after the other as they come. Reading begins with the first `next`.

    Args:
        client: The client, whose `explain` or `predict` is called.
        source: A camera's number; the URL of a stream (rtsp, http, tcp, udp, srt, rtmp); the path of a file; or any
            iterable of (seconds, (H, W, 3) uint8 RGB array) pairs with ascending seconds, which a thread draws from.
        model: Its name, or "name/version"; None leaves it to the client.
        frames: How many frames the model takes, or a function that returns this or the model's card, called before
            reading begins. A window holds at most so many frames, those nearest to evenly spread times.
        window: Seconds of stream time in each window. None: as long as the clips that the model was trained on, if
            `frames` returns a card that says it, otherwise 2 s. A window of another length is warned about.
        stride: Seconds of stream time from the start of one window to the start of the next; None: a quarter of it.
        latency: What happens if the server is slower than the source. "drop" keeps only the newest window waiting and
            counts the dropped ones; a recording is played at its own pace. With "keep" a file or an iterable waits, so
            nothing is dropped. A camera or a stream cannot wait: if `max_pending` windows wait, the oldest of them is
            dropped and counted.
        explain: Whether to ask for maps; False asks for labels only.
        smooth: How many windows are averaged for `Sight.smoothed`.
        on_error: "collect" yields temporary errors as sights with an `error`: the server is busy, fails, is late, or is
            away after it has answered once. Other errors, and with "raise" all errors, are raised and end the watch.
        reconnect: Whether to open a live source again if it ends or fails. The first wait is 0.5 s, and each later one
            twice as long, up to 30 s; a random part of up to a half is taken off. If the source cannot be opened at
            the start, an error is raised at once.
        reconnect_max: The most attempts in a row to open it again; None for no limit.
        stall: Seconds to wait for a live source to open, and for each of its frames, before it counts as lost.
        max_pending: The most windows that may wait with "keep". Windows share frames. So the memory is less than
            `longest` ** 2 * 3 bytes for each of at most `frames` + 2 frames, for every window that waits or overlaps
            and one more.
        longest: The most pixels of the longer edge of a frame; larger frames are scaled down when they are read.
        av_options: FFmpeg's options for opening the source, such as {"rtsp_transport": "udp"} (over TCP otherwise) or
            {"video_size": "1280x720", "framerate": "30"} for a camera.
        options: The options from `smooth` on, and those of `client.explain`, or of `client.predict` if `explain` is
            False.

    Raises:
        TypeError: an option is unknown.
        ValueError: an argument is out of its range, or an option concerns maps but only labels are asked for.

    The iteration raises StreamError if a live source cannot be opened or is lost, ImportError if the package `av` is
    missing, OSError if a file cannot be opened, and the errors of the client.
    """
    _check(frames)
    settings = WatchSettings.of(options, window=window, stride=stride, latency=latency, explain=explain)

    def ask(video: Frames) -> Answer:
        call = client.explain if explain else client.predict
        return call(video, model, **settings.call)

    return Watch(ask, Capture(source, settings), SightMaker(settings), frames)


def watch_async(
    client: AsyncClientLike,
    source: LiveSource,
    model: str | None = None,
    *,
    frames: CountAsync,
    window: float | None = None,
    stride: float | None = None,
    latency: Latency = "drop",
    explain: bool = True,
    **options: Unpack[StreamOptions],
) -> AsyncWatch:
    """Watch as `watch` does, in an event loop: requests are awaited, and so is `frames` if it is a function."""
    _check(frames)
    settings = WatchSettings.of(options, window=window, stride=stride, latency=latency, explain=explain)

    async def ask(video: Frames) -> Answer:
        call = client.explain if explain else client.predict
        return await call(video, model, **settings.call)

    return AsyncWatch(ask, Capture(source, settings), SightMaker(settings), frames)


def _check(frames: Count | CountAsync) -> None:
    """Raise ValueError if a window would have less than one frame."""
    if isinstance(frames, int) and frames < 1:
        raise ValueError(f"a window holds 1 frame or more, got {frames = }")
