"""`AsyncClient`: `Client` for an event loop; it differs by `await`."""

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar, Unpack

import httpx2

from staa_client import _address, _async_batch, _batch, _steps
from staa_client import _status as status
from staa_client._address import Verify
from staa_client._async_send import asend
from staa_client._card import Card
from staa_client._client import DEFAULT_TIMEOUT
from staa_client._options import Maps, Options, WatchOptions, for_labels
from staa_client._result import Result
from staa_client._retry import Retries
from staa_client._source import Sample, Video
from staa_client._timeout import KEEP, Deadline, Keep, Timeout, Timeouts
from staa_client._token import AsyncTokenSource, provider
from staa_client._types import Explanation

if TYPE_CHECKING:
    from staa_client.watch import AsyncWatch, LiveSource

T = TypeVar("T")


class AsyncClient:
    """`Client` for an event loop: the same arguments, names and errors; its methods are awaited.

    A function that gives the token may be a coroutine function.
    """

    def __init__(
        self,
        base_url: str = _address.DEFAULT_URL,
        token: AsyncTokenSource | None = None,
        *,
        timeout: Timeouts = DEFAULT_TIMEOUT,
        max_retries: int = 2,
        backoff: float = 0.5,
        management_url: str | None = None,
        verify: Verify = True,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self._url = _address.checked(base_url)
        self._management = management_url
        self._timeout = Timeout.of(timeout)
        self._token = provider(token)
        self._http = httpx2.AsyncClient(
            transport=transport, verify=_address.trusted(verify), trust_env=not _address.is_here(self._url)
        )
        lasting = not isinstance(token, str)
        self._context = _steps.Context(str(self._url), Retries(max_retries, backoff), lasting, {})

    async def predict(
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
        """See `Client.predict`."""
        options = {"top_k": top_k, "start": start, "end": end}
        return await self._run(_steps.predict(self._context, video, model, options, sample, self._deadline(timeout)))

    async def explain(
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
        """See `Client.explain`."""
        options: dict[str, Any] = {"top_k": top_k, "method": method, "target": target, "contrast": contrast}
        options |= {"start": start, "end": end, "mass": mass, "verify": verify, "maps": maps}
        return await self._run(_steps.explain(self._context, video, model, options, sample, self._deadline(timeout)))

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
    ) -> AsyncIterator[_batch.BatchItem]:
        """See `Client.batch`; iterate with `async for`."""
        ask: Callable[[Video], Awaitable[_batch.Answer]] = partial(self.explain, model=model, **options)
        if explain:
            _batch.check(options)
        else:
            ask = partial(self.predict, model=model, **for_labels(options))
        plan = _batch.Plan.of(sources, model, explain, options, concurrency, on_error, output, progress)
        return _async_batch.arun(plan, ask)

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
    ) -> "AsyncWatch":
        """See `Client.watch`; iterate with `async for`."""
        from staa_client.watch import watch_async  # noqa: PLC0415  # loaded by those who watch

        async def wanted() -> int:
            return (await self.card(model)).frames

        rest: dict[str, Any] = dict(options)
        frames = rest.pop("frames", None) or wanted
        ways: dict[str, Any] = {"window": window, "stride": stride, "latency": latency, "explain": explain}
        return watch_async(self, source, model, frames=frames, **ways, **rest)

    async def card(self, model: str = "motions", *, timeout: Timeouts | Keep = KEEP) -> Card:
        """See `Client.card`."""
        return await self._run(_steps.card(self._context, model, self._deadline(timeout)))

    async def models(self, *, timeout: Timeouts | Keep = KEEP) -> tuple[status.Served, ...]:
        """See `Client.models`."""
        url = _address.management(self._url, self._management)
        return await self._run(status.models(self._context, url, self._deadline(timeout)))

    async def ready(self, model: str = "motions", *, timeout: Timeouts = 5.0) -> bool:
        """See `Client.ready`."""
        return await self._run(status.ready(self._context, model, self._deadline(timeout)))

    async def wait_until_ready(self, model: str = "motions", *, timeout: Timeouts = 120.0, every: float = 0.5) -> None:
        """See `Client.wait_until_ready`."""
        await self._run(status.wait_until_ready(self._context, model, self._deadline(timeout), every))

    def _deadline(self, timeout: Timeouts | Keep) -> Deadline:
        return Deadline.of(self._timeout if timeout is KEEP else Timeout.of(timeout))

    async def _run(self, steps: _steps.Steps[T]) -> T:
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
                    outcome = await asend(self._http, step)
                case _steps.Pause():
                    await asyncio.sleep(step.seconds)
                case _steps.Work():
                    outcome = await asyncio.to_thread(step.do)
                case _steps.Token():
                    outcome = None if self._token is None else self._token(step.purpose)
                    if inspect.isawaitable(outcome):
                        outcome = await outcome

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()
