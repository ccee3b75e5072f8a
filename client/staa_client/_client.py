"""`Client`: asks, and waits for the answer."""

import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar, Unpack

import httpx2

from staa_client import _address, _batch, _steps
from staa_client import _status as status
from staa_client._address import Verify
from staa_client._card import Card
from staa_client._options import Maps, Options, WatchOptions, for_labels
from staa_client._result import Result
from staa_client._retry import Retries
from staa_client._send import send
from staa_client._source import Sample, Video
from staa_client._timeout import KEEP, Deadline, Keep, Timeout, Timeouts
from staa_client._token import TokenSource, provider
from staa_client._types import Explanation

if TYPE_CHECKING:
    from staa_client.watch import LiveSource, Watch

T = TypeVar("T")
DEFAULT_TIMEOUT = Timeout()


class Client:
    """Asks a STAA server; keeps its connections; may be shared by threads.

    Args:
        base_url: The server's address; without a scheme it is http; a path before /predictions is kept.
        token: Sent as `Authorization: Bearer`, where the server wants one: its text, a function that gives it, or the
            path of TorchServe's key_file.json or of a file with the bare token, read again when it changes. A function
            or file is asked before every attempt, and once more when the server refuses what it gave.
        timeout: Seconds, a number for the whole call or a `Timeout` of its parts; None waits for ever.
        max_retries: Further attempts when no connection is made, or when the server is busy (429, 503, and 502 with a
            Retry-After) and does not say why.
        backoff: Seconds before the first further attempt; doubles with each, less a random half.
        management_url: Where TorchServe's management API is, for `models`; on this machine it is found by itself.
        verify: Whose certificates are trusted: True those of the system, a path those in a PEM file, an ssl.SSLContext
            what it says, False everybody's.
        transport: How requests are sent, for tests and special networks.

    Every method raises an error of the tree in `StaaError`; OSError when a file cannot be opened; ValueError or
    TypeError when an argument cannot be sent; ImportError when an extra is missing.
    """

    def __init__(
        self,
        base_url: str = _address.DEFAULT_URL,
        token: TokenSource | None = None,
        *,
        timeout: Timeouts = DEFAULT_TIMEOUT,
        max_retries: int = 2,
        backoff: float = 0.5,
        management_url: str | None = None,
        verify: Verify = True,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        self._url = _address.checked(base_url)
        self._management = management_url
        self._timeout = Timeout.of(timeout)
        self._token = provider(token)
        self._http = httpx2.Client(
            transport=transport, verify=_address.trusted(verify), trust_env=not _address.is_here(self._url)
        )
        lasting = not isinstance(token, str)
        self._context = _steps.Context(str(self._url), Retries(max_retries, backoff), lasting, {})

    def predict(
        self,
        video: Video,
        model: str = "motions",
        *,
        top_k: int | None = None,
        start: float | None = None,
        end: float | None = None,
        sample: Sample = "server",
        timeout: Timeouts | Keep = KEEP,
    ) -> Result:
        """The labels of a video.

        Args:
            video: A path, a URL that the client fetches, the bytes of a file, a binary file object, or frames in
                memory: `Frames`, an array (T, H, W, 3) or an iterable of (H, W, 3), uint8 RGB.
            model: Its name, or "name/version".
            top_k: How many labels; the server's default is 5.
            start: Seconds of the source where the clip starts.
            end: Seconds of the source where it ends.
            sample: Who picks the frames that the model sees: "server"; "client", which sends only those frames, as
                JPEGs of the size that the model wants; or "auto", the client for files above 4 MB.
            timeout: For this call, instead of the client's.
        """
        options = {"top_k": top_k, "start": start, "end": end}
        return self._run(_steps.predict(self._context, video, model, options, sample, self._deadline(timeout)))

    def explain(
        self,
        video: Video,
        model: str = "motions",
        *,
        top_k: int | None = None,
        method: str | None = None,
        target: int | str | None = None,
        contrast: int | str | None = None,
        start: float | None = None,
        end: float | None = None,
        mass: float | None = None,
        verify: int | None = None,
        maps: Maps = "base64",
        sample: Sample = "server",
        timeout: Timeouts | Keep = KEEP,
    ) -> Explanation:
        """The labels of a video, with where and when the model looked, from one forward pass.

        Args:
            video: As in `predict`.
            model: Its name, or "name/version".
            top_k: How many labels; the server's default is 5.
            method: How the map is made; the server says which it has.
            target: Class id or label that the map speaks for; for methods that take it; the server says which it has.
            contrast: Class id or label to hold the target against: why this one and not that one; for methods that
                take it; the server says which it has.
            start: Seconds of the source where the clip starts.
            end: Seconds of the source where it ends.
            mass: Share of the attention that the dynamic threshold keeps, 0 to 1; the server's default is 0.7.
            verify: Has the server check the map with 2 to 16 points on its curves, each for 8 clips through the model:
                `faithfulness` of the result.
            maps: How the maps travel: "base64" (float16, small), "npz" (float32) or "json" (5 digits).
            sample: As in `predict`.
            timeout: For this call, instead of the client's.
        """
        options: dict[str, Any] = {"top_k": top_k, "method": method, "target": target, "contrast": contrast}
        options |= {"start": start, "end": end, "mass": mass, "verify": verify, "maps": maps}
        return self._run(_steps.explain(self._context, video, model, options, sample, self._deadline(timeout)))

    def batch(
        self,
        sources: Iterable[Video],
        model: str = "motions",
        *,
        explain: bool = True,
        concurrency: int = 4,
        on_error: _batch.OnError = "raise",
        output: str | Path | None = None,
        progress: Callable[[int, int | None], None] | None = None,
        **options: Unpack[Options],
    ) -> Iterator[_batch.BatchItem]:
        """Ask for many videos at once; what is yielded has the order of the sources, and memory stays bounded.

        Args:
            sources: Each as `predict` takes it.
            model: Its name, or "name/version".
            explain: With maps; False: labels only.
            concurrency: Requests under way at a time.
            on_error: "raise" ends with the first error, in the order of the sources; "collect" yields it in its place.
            output: A .jsonl or .parquet file (the extra `parquet`) that takes every answer as it comes. Where it is
                there already, what it holds is not asked again: a run that was interrupted goes on. What failed is, and
                a file that changed since.
            progress: Called with the number of answers, and of sources where that is known.
            options: As in `explain`.

        Raises:
            ValueError: `output` holds answers to another request.
            BlockingIOError: another run is writing `output`.
        """
        ask: Callable[[Video], _batch.Answer] = partial(self.explain, model=model, **options)
        if explain:
            _batch.check(options)
        else:
            ask = partial(self.predict, model=model, **for_labels(options))
        plan = _batch.Plan.of(sources, model, explain, options, concurrency, on_error, output, progress)
        return _batch.run(plan, ask)

    def watch(
        self,
        source: "LiveSource",
        model: str = "motions",
        *,
        window: float = 2.0,
        stride: float = 0.5,
        latency: Literal["drop", "keep"] = "drop",
        explain: bool = True,
        **options: Unpack[WatchOptions],
    ) -> "Watch":
        """Watch a camera, a stream or a file: windows of it, explained one after the other as they come.

        What is given is iterated, and stopped by `stop()` or at the end of a `with`; needs the extra `video`.

        Args:
            source: A camera's number; the URL of a stream (rtsp, http, tcp, udp, srt, rtmp); the path of a file; or any
                iterable of (seconds, (H, W, 3) uint8 RGB array) pairs.
            model: Its name, or "name/version".
            window: Seconds of the stream in each window.
            stride: Seconds from the start of one window to the start of the next.
            latency: "drop" lets only the newest window wait, and counts those that it overtakes; "keep" drops nothing
                of a file, and of a live source only what no longer fits.
            explain: With maps; False: labels only.
            options: Those of `staa_client.watch.watch` - how long scores are smoothed, errors, reconnecting, sizes -
                and those of `explain`.

        Raises:
            ValueError: an argument is out of its range.
            StreamError: while it is iterated, the source cannot be opened, or was lost for good.
        """
        from staa_client.watch import watch  # noqa: PLC0415  # loaded by those who watch

        rest: dict[str, Any] = dict(options)
        frames = rest.pop("frames", None) or (lambda: self.card(model).frames)
        ways: dict[str, Any] = {"window": window, "stride": stride, "latency": latency, "explain": explain}
        return watch(self, source, model, frames=frames, **ways, **rest)

    def card(self, model: str = "motions", *, timeout: Timeouts | Keep = KEEP) -> Card:
        """What a model says of itself: its labels, the frames that it wants, its methods, the server's limits."""
        return self._run(_steps.card(self._context, model, self._deadline(timeout)))

    def models(self, *, timeout: Timeouts | Keep = KEEP) -> tuple[status.Served, ...]:
        """Every version of every model, with its workers, from TorchServe's management API."""
        url = _address.management(self._url, self._management)
        return self._run(status.models(self._context, url, self._deadline(timeout)))

    def ready(self, model: str = "motions", *, timeout: Timeouts = 5.0) -> bool:
        """Whether a worker of the model answers within the timeout: not merely the server, and not behind a queue."""
        return self._run(status.ready(self._context, model, self._deadline(timeout)))

    def wait_until_ready(self, model: str = "motions", *, timeout: Timeouts = 120.0, every: float = 0.5) -> None:
        """Return once the model is ready.

        Args:
            model: Its name, or "name/version".
            timeout: Seconds until it must be.
            every: Seconds between two questions.

        Raises:
            NotFoundError: the server has no such model; said at once.
            TimedOutError: it is not; the message has the last reason.
        """
        self._run(status.wait_until_ready(self._context, model, self._deadline(timeout), every))

    def _deadline(self, timeout: Timeouts | Keep) -> Deadline:
        return Deadline.of(self._timeout if timeout is KEEP else Timeout.of(timeout))

    def _run(self, steps: _steps.Steps[T]) -> T:
        """Carry out the steps of a call, one after the other."""
        outcome: Any = None
        while True:
            try:
                step = steps.send(outcome)
            except StopIteration as end:
                value: T = end.value
                return value
            match step:
                case _steps.Send():
                    outcome = send(self._http, step)
                case _steps.Pause():
                    time.sleep(step.seconds)
                case _steps.Work():
                    outcome = step.do()
                case _steps.Token():
                    outcome = None if self._token is None else self._token(step.purpose)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
