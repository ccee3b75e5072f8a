"""Asks a server from an event loop: the same as `Client`, but its methods are awaited."""

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar, Unpack, overload

import httpx2

from staa_client import _late
from staa_client.batch import async_run
from staa_client.batch import plan as batch_plan
from staa_client.client import DEFAULT_TIMEOUT
from staa_client.contract.document import MOST_BYTES
from staa_client.evidence.replay import TOLERANCE, Replay, replay
from staa_client.evidence.store import Store
from staa_client.results.card import Card
from staa_client.results.explanation import Answer, Explanation
from staa_client.results.result import Result
from staa_client.transport import ask, server, status
from staa_client.transport import steps as call_steps
from staa_client.transport.attempts import Outcome, Reply, Retries
from staa_client.transport.body import Body
from staa_client.transport.deadline import KEEP, Deadline, Keep, Timeout, Timeouts
from staa_client.transport.network import UNUSABLE
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
from staa_client.transport.send import body_errors, check_open, headers_of, redirect_errors
from staa_client.transport.server import Verify
from staa_client.transport.steps import Send
from staa_client.transport.token import AsyncTokenSource, token_provider
from staa_client.video.source import Sample, Upload, Video

if TYPE_CHECKING:
    from staa_client.timeline.result import Timeline, TimelineItem
    from staa_client.watch.iterators import AsyncWatch
    from staa_client.watch.stream import LiveSource


T = TypeVar("T")
_MOST_THREADS = 1024
"""The most threads that read, fetch or decode at a time. With so many no call waits for another one; in the few threads
of an event loop, some pipes without data would block all calls. Threads are started only when they are needed."""


class AsyncClient:
    """Asks a STAA server from an event loop, with the arguments and errors of `Client`; its methods are awaited.

    A function that gives the token may be a coroutine function; a plain function is called in the event loop, so it
    must not block. Files, pipes and iterables of frames are read in threads.
    """

    def __init__(
        self,
        base_url: str = server.DEFAULT_URL,
        token: AsyncTokenSource | None = None,
        *,
        timeout: Timeouts = DEFAULT_TIMEOUT,
        max_retries: int = 2,
        backoff: float = 0.5,
        management_url: str | None = None,
        verify: Verify = True,
        store: str | Path | None = None,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        url, retries = server.parse_address(base_url), Retries(max_retries, backoff)
        for address in (url, *([] if management_url is None else [server.parse_address(management_url)])):
            server.warn_of_plain_http(address, has_token=token is not None, transport=transport)
        for_ever = Deadline(Timeout.of(timeout), float("inf"))
        keep = None if store is None else Store(store).add
        self._context = call_steps.Context(url, management_url, for_ever, retries, not isinstance(token, str), {}, keep)
        self._token, self._is_file = token_provider(token), isinstance(token, Path)
        self._http = httpx2.AsyncClient(transport=transport, **server.connection(url, verify))
        self._threads = ThreadPoolExecutor(_MOST_THREADS, "staa-call")

    async def predict(
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
        """See `Client.predict`."""
        options = {"top_k": top_k, "start": start, "end": end}
        return await self._run(ask.predict(self._context.begin(timeout), video, model, options, sample))

    @overload
    async def explain(
        self, video: Video, model: str | None = None, *, explain_when: None = None, **options: Unpack[Options]
    ) -> Explanation: ...

    @overload
    async def explain(
        self, video: Video, model: str | None = None, *, explain_when: Rules | None, **options: Unpack[Options]
    ) -> Answer: ...

    async def explain(
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
        """See `Client.explain`."""
        options: dict[str, Any] = {"top_k": top_k, "method": method, "target": target, "contrast": contrast}
        options |= {"start": start, "end": end, "mass": mass, "verify": verify, "refine": refine, "maps": maps}
        options["explain_when"] = rules_text(explain_when)
        return await self._run(ask.explain(self._context.begin(timeout), video, model, options, sample))

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
    ) -> AsyncIterator[batch_plan.BatchItem]:
        """See `Client.batch`; iterate with `async for`."""
        options = checked_options(options)
        call: Callable[[Video], Awaitable[Answer]] = partial(self.explain, model=model, **options)
        if not explain:
            call = partial(self.predict, model=model, **options_for_labels(options))
        plan = batch_plan.Plan.of(
            sources, model or ask.DEFAULT_MODEL, explain, options, concurrency, on_error, output, progress
        )
        return async_run.run_async(plan, call)

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
    ) -> "AsyncWatch":
        """See `Client.watch`; iterate with `async for`."""
        given = take_frames(options)

        async def card() -> Card:
            found = await self.card(model)
            return found if given is None else replace(found, frames=given)

        settings: dict[str, Any] = {"window": window, "stride": stride, "latency": latency, "explain": explain}
        iterator: AsyncWatch = _late.load("watch_async")(self, source, model, frames=card, **settings, **options)
        return iterator

    async def replay(
        self, line: str, video: Video, *, tolerance: float = TOLERANCE, timeout: Timeouts | Keep = KEEP
    ) -> Replay:
        """See `Client.replay`."""
        return await self._run(replay(self._context.begin(timeout), line, video, tolerance))

    async def timeline(
        self,
        video: Video,
        model: str | None = None,
        *,
        progress: Callable[[float, float], None] | None = None,
        **options: Unpack[TimelineOptions],
    ) -> "Timeline":
        """See `Client.timeline`."""
        given = (self, video, model, lambda: self.card(model), progress)
        made: Timeline = await _late.load("timeline_async")(*given, **options)
        return made

    def timelines(
        self,
        videos: Iterable[Video],
        model: str | None = None,
        *,
        output: str | Path | None = None,
        on_error: batch_plan.OnError = "raise",
        progress: Callable[[float, float], None] | None = None,
        **options: Unpack[TimelineOptions],
    ) -> "AsyncIterator[TimelineItem]":
        """See `Client.timelines`; iterate with `async for`."""
        given = (self, videos, model, lambda: self.card(model), progress, output, on_error)
        items: AsyncIterator[TimelineItem] = _late.load("timelines_async")(*given, **options)
        return items

    async def card(self, model: str | None = None, *, timeout: Timeouts | Keep = KEEP) -> Card:
        """See `Client.card`."""
        return await self._run(ask.card(self._context.begin(timeout), model))

    async def models(self, *, timeout: Timeouts | Keep = KEEP) -> tuple[status.Served, ...]:
        """See `Client.models`."""
        return await self._run(status.models(self._context.begin(timeout)))

    async def ready(self, model: str | None = None, *, timeout: Timeouts = 5.0) -> bool:
        """See `Client.ready`."""
        return await self._run(ask.ready(self._context.begin(timeout), model))

    async def wait_until_ready(
        self, model: str | None = None, *, timeout: Timeouts = 120.0, every: float = 0.5
    ) -> None:
        """See `Client.wait_until_ready`."""
        await self._run(ask.wait_until_ready(self._context.begin(timeout), model, every))

    async def _run(self, steps: call_steps.Steps[T]) -> T:
        """Do the steps of a call, one after the other, and return its result."""
        outcome: Any = None
        while True:
            try:
                step = steps.send(outcome)
            except StopIteration as end:
                value: T = end.value
                return value
            match step:
                case call_steps.Send():
                    outcome = await self._send(step)
                case call_steps.Pause():
                    await asyncio.sleep(step.seconds)
                case call_steps.Work():
                    outcome = await self._beside_the_loop(step.do)
                case call_steps.Token():
                    give = partial(self._token, step.purpose)
                    outcome = await self._beside_the_loop(give) if self._is_file else give()
                    if inspect.isawaitable(outcome):
                        outcome = await outcome

    async def _send(self, step: Send) -> Outcome:
        """Send a request, and read the whole reply before the deadline.

        Raises:
            OSError: the video cannot be read.
            StaaError: the reply is too large or redirects to no address, or the client was closed.
        """
        check_open(self._http)
        content = None if step.upload is None else self._chunks(step.upload)
        request: dict[str, Any] = {"headers": headers_of(step), "content": content, "timeout": step.deadline.http()}
        left = step.deadline.left
        limit = asyncio.timeout(None if left == float("inf") else left)
        try:
            with redirect_errors():
                async with limit, self._http.stream(step.method, step.url, **request) as response:
                    with body_errors(response):
                        body = Body(response, MOST_BYTES)
                        async for chunk in body.chunks_async():
                            body.add(chunk)
                        return Reply(response.status_code, response.headers, body.whole())
        except TimeoutError:
            if limit.expired():
                return step.deadline.exceeded()
            raise  # of a file
        except httpx2.HTTPError as reason:
            return reason
        except UNUSABLE as reason:
            return httpx2.ConnectError(str(reason))

    async def _chunks(self, upload: Upload) -> AsyncIterator[bytes]:
        """Yield the bytes to send; a file is read in a thread, since its disk may be slow or not respond."""
        chunks = upload.chunks()
        while chunk := await self._beside_the_loop(partial(next, chunks, b"")):
            yield chunk

    async def _beside_the_loop(self, do: Callable[[], T]) -> T:
        """Call a function in a thread, since it may take long, and return its result."""
        check_open(self._http)
        return await asyncio.get_running_loop().run_in_executor(self._threads, do)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()
        self._threads.shutdown(wait=False)

    def __repr__(self) -> str:
        return (
            f"<AsyncClient of {self._context.url.copy_with(userinfo=b'')}{' (closed)' if self._http.is_closed else ''}>"
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()
