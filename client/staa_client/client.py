"""Asks a server, and waits for each answer."""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar, Unpack, overload

import httpx2

from staa_client import _late
from staa_client.batch import plan as batch_plan
from staa_client.evidence.replay import TOLERANCE, Replay, replay
from staa_client.evidence.store import Store
from staa_client.results.card import Card
from staa_client.results.explanation import Answer, Explanation
from staa_client.results.result import Result
from staa_client.transport import ask, server, status
from staa_client.transport import steps as call_steps
from staa_client.transport.attempts import LONGEST_PAUSE, Retries
from staa_client.transport.deadline import KEEP, Deadline, Keep, Timeout, Timeouts
from staa_client.transport.network import keep_to_deadline
from staa_client.transport.options import (
    Maps,
    Options,
    RuledOptions,
    Rules,
    TimelineOptions,
    WatchOptions,
    checked_options,
    options_for_labels,
    rules_text,
    take_frames,
)
from staa_client.transport.send import check_open, send
from staa_client.transport.server import Verify
from staa_client.transport.token import TokenSource, token_provider
from staa_client.video.source import Sample, Video

if TYPE_CHECKING:
    from staa_client.timeline.result import Timeline, TimelineItem
    from staa_client.watch.iterators import Watch
    from staa_client.watch.stream import LiveSource


T = TypeVar("T")
DEFAULT_TIMEOUT = Timeout()


class Client:
    """Asks a STAA server. It keeps connections open, and several threads may share it.

    Args:
        base_url: The address of the server; the default scheme is http, and a path before /predictions is kept.
        token: The token, if the server needs one, sent as `Authorization: Bearer`: a text, a function that returns it,
            or a Path of TorchServe's key_file.json or of a file with the token only. A function or file is read before
            every attempt, and once more if the server refuses the token.
        timeout: Seconds: a number for the whole call, or a `Timeout` for its parts; None waits for ever.
        max_retries: How often to try again if there is no connection, or if the server is busy (429, 503, and 502 with
            a Retry-After) and gives no reason that is final.
        backoff: Seconds before the second attempt, doubled for each later one; each wait is between half and all of it.
        management_url: The address of TorchServe's management API; not needed on its machine, or for the front proxy.
        verify: The certificates to trust: True those of the system, a path those in a PEM file, an ssl.SSLContext its
            own, False all.
        store: A file that takes a line for each explanation: what was asked, of which video, and the answer. `replay`
            asks again by such a line.
        transport: Sends the requests, for tests and special networks.

    Every method can raise a `StaaError`; OSError if a file cannot be opened; ValueError or TypeError if an argument is
    not valid; ImportError if an extra is not installed. A token for another machine over plain http, or in
    a file that others can read, is an `InsecureWarning` when the client is made.
    """

    def __init__(
        self,
        base_url: str = server.DEFAULT_URL,
        token: TokenSource | None = None,
        *,
        timeout: Timeouts = DEFAULT_TIMEOUT,
        max_retries: int = 2,
        backoff: float = 0.5,
        management_url: str | None = None,
        verify: Verify = True,
        store: str | Path | None = None,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        url, retries = server.parse_address(base_url), Retries(max_retries, backoff)
        for address in (url, *([] if management_url is None else [server.parse_address(management_url)])):
            server.warn_of_plain_http(address, has_token=token is not None, transport=transport)
        for_ever = Deadline(Timeout.of(timeout), float("inf"))
        keep = None if store is None else Store(store).add
        self._context = call_steps.Context(url, management_url, for_ever, retries, not isinstance(token, str), {}, keep)
        self._token = token_provider(token)
        self._http = keep_to_deadline(httpx2.Client(transport=transport, **server.connection(url, verify)))

    def predict(
        self,
        video: Video,
        model: str | None = None,
        *,
        top_k: int | None = None,
        start: float | None = None,
        end: float | None = None,
        sample: Sample = "server",
        timeout: Timeouts | Keep = KEEP,
    ) -> Result:
        """Return the labels of a video.

        Args:
            video: A path, a URL that the client fetches, the bytes of a file, a binary file object, or frames in
                memory: `Frames`, an array (T, H, W, 3) or an iterable of (H, W, 3), uint8 RGB.
            model: Its name, or "name/version"; None: "motions", or the only model of a server without it.
            top_k: How many labels; the server's default is 5.
            start: Start of the clip, in seconds of the source.
            end: End of the clip, in seconds of the source.
            sample: Who chooses the frames that the model sees: "server"; "client", which sends only those frames, as
                JPEGs of the size that the model takes; or "auto", which is "client" for files above 4 MB.
            timeout: The timeout of this call, instead of the client's.
        """
        options = {"top_k": top_k, "start": start, "end": end}
        return self._run(ask.predict(self._context.begin(timeout), video, model, options, sample))

    @overload
    def explain(
        self, video: Video, model: str | None = None, *, explain_when: None = None, **options: Unpack[Options]
    ) -> Explanation: ...

    @overload
    def explain(
        self, video: Video, model: str | None = None, *, explain_when: Rules | None, **options: Unpack[Options]
    ) -> Answer: ...

    def explain(
        self,
        video: Video,
        model: str | None = None,
        *,
        top_k: int | None = None,
        method: str | None = None,
        target: int | str | None = None,
        contrast: int | str | None = None,
        start: float | None = None,
        end: float | None = None,
        mass: float | None = None,
        verify: int | None = None,
        refine: int | None = None,
        explain_when: Rules | None = None,
        maps: Maps = "base64",
        sample: Sample = "server",
        timeout: Timeouts | Keep = KEEP,
    ) -> Answer:
        """Return the labels of a video, with where and when the model looked, from one forward pass.

        With `explain_when` it is a Result if no rule names the video: its `not_explained` says why there is no map.

        Args:
            video: As in `predict`.
            model: As in `predict`.
            top_k: How many labels; the server's default is 5.
            method: The method of attribution. `card` lists the methods of the model. The default is "staa_class" if
                `target`, `contrast` or `refine` is given, which only class methods take, and otherwise "staa".
            target: The class, by number or label, that the map explains; the default is the best class.
            contrast: A second class, by number or label: the map then shows why the target and not this class. The
                default is the best class, if the target is another one; "none" compares to no class.
            start: Start of the clip, in seconds of the source.
            end: End of the clip, in seconds of the source.
            mass: Share of the attention that the dynamic threshold keeps, 0 to 1; the server's default is 0.7.
            verify: Asks the server to check the map, with 2 to 16 points on the curves; each point needs 8 clips
                through the model. The check is `faithfulness` of the result.
            refine: Asks the server to choose the best of several class maps, by a test with 8 to 32 clips of which
                parts are hidden. The choice is `refinement` of the result.
            explain_when: Rules about the best label that say whether a map is made: "score_below=0.6" (its score),
                "margin_below=0.2" (it less the second), "label_in=LABEL|LABEL" (labels or numbers), or "always". Of
                several, in a list or joined by ";", any is enough.
            maps: The encoding of the maps: "base64" (float16, small), "npz" (float32) or "json" (5 digits).
            sample: As in `predict`.
            timeout: The timeout of this call, instead of the client's.
        """
        options: dict[str, Any] = {"top_k": top_k, "method": method, "target": target, "contrast": contrast}
        options |= {"start": start, "end": end, "mass": mass, "verify": verify, "refine": refine, "maps": maps}
        options["explain_when"] = rules_text(explain_when)
        return self._run(ask.explain(self._context.begin(timeout), video, model, options, sample))

    def batch(
        self,
        sources: Iterable[Video],
        model: str | None = None,
        *,
        explain: bool = True,
        concurrency: int = 4,
        on_error: batch_plan.OnError = "raise",
        output: str | Path | None = None,
        progress: Callable[[int, int | None], None] | None = None,
        **options: Unpack[RuledOptions],
    ) -> Iterator[batch_plan.BatchItem]:
        """Ask for many videos, several at a time, and yield their items in the order of the sources.

        Memory stays bounded if the caller does not keep the items. An explanation of a URL or of bytes holds the whole
        video (`Explanation.source`), so a list of such items needs memory for all videos; one of a path does not.

        Args:
            sources: The videos, each as `predict` takes it.
            model: As in `predict`.
            explain: Whether to ask for maps; False asks for labels only.
            concurrency: The most requests at a time.
            on_error: "raise" ends the batch with the first error, in the order of the sources; "collect" yields items
                with their errors.
            output: A .jsonl or .parquet file (the extra `parquet`) where every answer is written as it comes. If the
                file exists, its answers are not asked again, so that an interrupted run goes on. Failed sources and
                files that have changed since are asked again.
            progress: Called with the number of answers so far, and of sources, or None if that is not known.
            options: As in `explain`.

        Raises:
            ValueError: `output` holds answers to another request.
            BlockingIOError: another run is writing `output`.
        """
        options = checked_options(options)
        call: Callable[[Video], Answer] = partial(self.explain, model=model, **options)
        if not explain:
            call = partial(self.predict, model=model, **options_for_labels(options))
        name = model or ask.DEFAULT_MODEL
        plan = batch_plan.Plan.of(sources, name, explain, options, concurrency, on_error, output, progress)
        return batch_plan.run(plan, call)

    def watch(
        self,
        source: "LiveSource",
        model: str | None = None,
        *,
        window: float | None = None,
        stride: float | None = None,
        latency: Literal["drop", "keep"] = "drop",
        explain: bool = True,
        **options: Unpack[WatchOptions],
    ) -> "Watch":
        """Watch a camera, a stream or a file: explain one window of it after the other as they come.

        Iterate over the result to get the windows; `stop()` or the end of a `with` block stops it. Needs the extra
        `video`.

        Args:
            source: A camera's number; the URL of a stream (rtsp, http, tcp, udp, srt, rtmp); the path of a file; or any
                iterable of (seconds, (H, W, 3) uint8 RGB array) pairs.
            model: As in `predict`.
            window: As in `timeline`.
            stride: As in `timeline`.
            latency: If the server is slower than the source: "drop" asks only for the newest window and counts the
                windows that it drops; "keep" asks for all windows of a file, and drops windows of a live source only
                when `max_pending` of them wait.
            explain: Whether to ask for maps; False asks for labels only.
            options: Those of `staa_client.watch.watch` (smoothing of scores, errors, reconnecting, sizes) and those of
                `explain`.

        Raises:
            ValueError: an argument is out of its range.
            StreamError: during iteration, if the source cannot be opened or is lost for good.
        """
        given = take_frames(options)

        def card() -> Card:
            found = self.card(model)
            return found if given is None else replace(found, frames=given)

        settings: dict[str, Any] = {"window": window, "stride": stride, "latency": latency, "explain": explain}
        return _late.load("watch")(self, source, model, frames=card, **settings, **options)  # type: ignore[no-any-return]

    def replay(
        self, line: str, video: Video, *, tolerance: float = TOLERANCE, timeout: Timeouts | Keep = KEEP
    ) -> Replay:
        """Ask again what a line of a store says was asked, and compare: the video, the model, the labels and the map.

        Args:
            line: "FILE:NUMBER", the file of a store and the number of a line in it, from 1; or "FILE:REQUEST_ID".
            video: The video that was explained.
            tolerance: By how much scores may differ, and by how much the cosine of the two maps may be less than 1.
            timeout: As in `predict`.

        Raises:
            ValueError: there is no such line, or it cannot be read.
        """
        return self._run(replay(self._context.begin(timeout), line, video, tolerance))

    def timeline(
        self,
        video: Video,
        model: str | None = None,
        *,
        progress: Callable[[float, float], None] | None = None,
        **options: Unpack[TimelineOptions],
    ) -> "Timeline":
        """Return the timeline of a video of any length: its spans, each with a label and the map of its best window.

        The video is decoded once, here (the extra `video`), and the frames of one window after the other are sent.

        Args:
            video: As in `predict`.
            model: As in `predict`.
            progress: Called with the seconds of the video that are done, and all of them.
            options: See `staa_client.transport.options.TimelineOptions`; `window` and `stride` are in seconds.

        Raises:
            ValueError: an argument is out of its range, or the source is no video.
        """
        given = (self, video, model, lambda: self.card(model), progress)
        return _late.load("timeline")(*given, **options)  # type: ignore[no-any-return]

    def timelines(
        self,
        videos: Iterable[Video],
        model: str | None = None,
        *,
        output: str | Path | None = None,
        on_error: batch_plan.OnError = "raise",
        progress: Callable[[float, float], None] | None = None,
        **options: Unpack[TimelineOptions],
    ) -> "Iterator[TimelineItem]":
        """Yield the timeline of each video, one video after the other.

        Args:
            videos: The videos, each as `predict` takes it.
            model: As in `predict`.
            output: A .jsonl or .parquet file (the extra `parquet`), where every span is a line or row. What it holds is
                not asked again, also not the windows of a video within which a run was interrupted.
            on_error: As in `batch`.
            progress: As in `timeline`, for the present video.
            options: As in `timeline`.

        Raises:
            ValueError: `output` holds answers to another request.
            BlockingIOError: another run is writing `output`.
        """
        given = (self, videos, model, lambda: self.card(model), progress, output, on_error)
        return _late.load("timelines")(*given, **options)  # type: ignore[no-any-return]

    def card(self, model: str | None = None, *, timeout: Timeouts | Keep = KEEP) -> Card:
        """Return the card of a model: its labels, the frames that it takes, its methods, and the server's limits."""
        return self._run(ask.card(self._context.begin(timeout), model))

    def models(self, *, timeout: Timeouts | Keep = KEEP) -> tuple[status.Served, ...]:
        """Return the models that are served, with their workers, from the front proxy or the management API."""
        return self._run(status.models(self._context.begin(timeout)))

    def ready(self, model: str | None = None, *, timeout: Timeouts = 5.0) -> bool:
        """Return whether a worker of the model answers within `timeout` seconds.

        It is False if only the server's frontend answers, or if a long queue delays the answer.
        """
        return self._run(ask.ready(self._context.begin(timeout), model))

    def wait_until_ready(self, model: str | None = None, *, timeout: Timeouts = 120.0, every: float = 0.5) -> None:
        """Return once the model is ready.

        Args:
            model: As in `predict`.
            timeout: The most seconds to wait.
            every: Seconds between two attempts.

        Raises:
            NotFoundError: the server has no such model; this is raised at once.
            TimedOutError: the model is not ready in time; the message has the last reason.
        """
        self._run(ask.wait_until_ready(self._context.begin(timeout), model, every))

    def _run(self, steps: call_steps.Steps[T]) -> T:
        """Do the steps of a call, one after the other, and return its result."""
        check_open(self._http)
        outcome: Any = None
        while True:
            try:
                step = steps.send(outcome)
            except StopIteration as end:
                value: T = end.value
                return value
            match step:
                case call_steps.Send():
                    outcome = send(self._http, step)
                case call_steps.Pause():
                    time.sleep(min(step.seconds, LONGEST_PAUSE))
                case call_steps.Work():
                    outcome = step.do()
                case call_steps.Token():
                    outcome = self._token(step.purpose)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __repr__(self) -> str:
        return f"<Client of {self._context.url.copy_with(userinfo=b'')}{' (closed)' if self._http.is_closed else ''}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
