"""`Client` and `AsyncClient`: thin shells around the same pure functions; they differ by `await`."""

import asyncio
import itertools
import re
import time
from dataclasses import replace
from types import TracebackType
from typing import Literal, Self

import httpx2

from staa_client import _retry, _wire
from staa_client._source import Source, Video, async_chunks, chunks, length, source_of
from staa_client._types import Explanation, Result

DEFAULT_URL = "http://127.0.0.1:8080"
DEFAULT_TIMEOUT = httpx2.Timeout(120.0, connect=5.0)
"""Seconds: 5 to connect, 120 without a byte sent or received."""

Maps = Literal["base64", "npz", "json"]
Timeout = float | None | httpx2.Timeout


class Client:
    """Asks a STAA server; keeps its connections; may be shared by threads.

    Args:
        base_url: The server's address; without a scheme it is http; a path before /predictions is kept.
        token: Sent as `Authorization: Bearer`, where the server wants one.
        timeout: Seconds to connect and between two bytes, or an `httpx2.Timeout`; None waits for ever.
        max_retries: Further attempts when no connection is made, or when the server is busy (429, 502, 503, 504) and
            does not say why.
        backoff: Seconds before the first further attempt; doubles with each, less a random half.
        transport: How requests are sent, for tests and special networks.

    Every method raises an error of the tree in `StaaError`; OSError when a file cannot be opened; ValueError or
    TypeError when an argument cannot be sent.
    """

    def __init__(
        self,
        base_url: str = DEFAULT_URL,
        token: str | None = None,
        *,
        timeout: Timeout = DEFAULT_TIMEOUT,
        max_retries: int = 2,
        backoff: float = 0.5,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        url = _checked(base_url)
        self._http = httpx2.Client(
            base_url=url,
            headers=_authorization(token),
            timeout=timeout,
            transport=transport,
            trust_env=not _is_here(url),
        )
        self._retries = (max_retries, backoff)

    def predict(
        self,
        video: Video,
        model: str = "motions",
        *,
        top_k: int | None = None,
        start: float | None = None,
        end: float | None = None,
    ) -> Result:
        """The labels of a video.

        Args:
            video: A path, the bytes of a file, or a binary file object.
            model: Its name, or "name/version".
            top_k: How many labels; the server's default is 5.
            start: Seconds of the source where the clip starts.
            end: Seconds of the source where it ends.
        """
        call = _wire.call("predictions", model, {"top_k": top_k, "start": start, "end": end})
        return _wire.result(*self._post(call, source_of(video)))

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
    ) -> Explanation:
        """The labels of a video, with where and when the model looked, from one forward pass.

        Args:
            video: A path, the bytes of a file, or a binary file object.
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
        """
        options: dict[str, object] = {"top_k": top_k, "method": method, "target": target, "contrast": contrast}
        options |= {"start": start, "end": end, "mass": mass, "verify": verify, "maps": maps}
        call = _wire.call("explanations", model, options)
        source = source_of(video)
        return replace(_wire.explanation(*self._post(call, source)), source=source)

    def _post(self, call: _wire.Call, source: Source) -> tuple[int, httpx2.Headers, bytes]:
        for attempt in itertools.count():
            headers = {**call.headers, "Content-Length": str(length(source))}
            outcome: _retry.Outcome
            try:
                outcome = self._http.post(call.path, headers=headers, content=chunks(source))
            except httpx2.HTTPError as reason:
                outcome = reason
            if (seconds := _retry.pause(outcome, attempt, *self._retries)) is None:
                break
            time.sleep(seconds)
        return _retry.response(outcome, str(self._http.base_url))

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncClient:
    """`Client` for an event loop: the same arguments, names and errors; its methods are awaited."""

    def __init__(
        self,
        base_url: str = DEFAULT_URL,
        token: str | None = None,
        *,
        timeout: Timeout = DEFAULT_TIMEOUT,
        max_retries: int = 2,
        backoff: float = 0.5,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        url = _checked(base_url)
        self._http = httpx2.AsyncClient(
            base_url=url,
            headers=_authorization(token),
            timeout=timeout,
            transport=transport,
            trust_env=not _is_here(url),
        )
        self._retries = (max_retries, backoff)

    async def predict(
        self,
        video: Video,
        model: str = "motions",
        *,
        top_k: int | None = None,
        start: float | None = None,
        end: float | None = None,
    ) -> Result:
        """See `Client.predict`."""
        call = _wire.call("predictions", model, {"top_k": top_k, "start": start, "end": end})
        return _wire.result(*await self._post(call, source_of(video)))

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
    ) -> Explanation:
        """See `Client.explain`."""
        options: dict[str, object] = {"top_k": top_k, "method": method, "target": target, "contrast": contrast}
        options |= {"start": start, "end": end, "mass": mass, "verify": verify, "maps": maps}
        call = _wire.call("explanations", model, options)
        source = source_of(video)
        return replace(_wire.explanation(*await self._post(call, source)), source=source)

    async def _post(self, call: _wire.Call, source: Source) -> tuple[int, httpx2.Headers, bytes]:
        for attempt in itertools.count():
            headers = {**call.headers, "Content-Length": str(length(source))}
            outcome: _retry.Outcome
            try:
                outcome = await self._http.post(call.path, headers=headers, content=async_chunks(source))
            except httpx2.HTTPError as reason:
                outcome = reason
            if (seconds := _retry.pause(outcome, attempt, *self._retries)) is None:
                break
            await asyncio.sleep(seconds)
        return _retry.response(outcome, str(self._http.base_url))

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


def _checked(base_url: str) -> httpx2.URL:
    """The address as a URL, of http where it names no scheme, as in "localhost:8080"."""
    has_scheme = re.match(r"[A-Za-z][A-Za-z0-9+.-]*:/", base_url)
    try:
        url = httpx2.URL(base_url if has_scheme else f"http://{base_url}")
    except httpx2.InvalidURL:
        url = httpx2.URL()
    if url.scheme not in {"http", "https"} or not url.host:
        msg = f'a server\'s address looks like "{DEFAULT_URL}", got {base_url!r}'
        raise ValueError(msg)
    return url


def _is_here(url: httpx2.URL) -> bool:
    """Whether the server is on this machine, where no proxy of the environment can reach it."""
    return url.host in {"127.0.0.1", "::1", "localhost"}


def _authorization(token: str | None) -> dict[str, str]:
    return {} if token is None else {"Authorization": f"Bearer {token.strip()}"}
