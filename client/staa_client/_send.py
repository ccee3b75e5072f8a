"""Carries out a request for either client."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Final

import httpx2

from staa_client._errors import ReplyError
from staa_client._retry import Outcome, Reply
from staa_client._steps import Send

MOST: Final = 512 * 2**20
"""Bytes that a reply may have."""


def send(http: httpx2.Client, step: Send) -> Outcome:
    """Send it, and read the whole reply before the deadline."""
    content = None if step.upload is None else _timely(step)
    try:
        with http.stream(
            step.method, step.url, headers=step.headers, content=content, timeout=step.deadline.http()
        ) as response:
            body = bytearray()
            for chunk in response.iter_bytes():
                step.deadline.check()
                _add(body, chunk)
            return Reply(response.status_code, response.headers, bytes(body))
    except httpx2.HTTPError as reason:
        return reason


async def asend(http: httpx2.AsyncClient, step: Send) -> Outcome:
    """Send it, and read the whole reply before the deadline."""
    content = None if step.upload is None else step.upload.async_chunks()
    left = step.deadline.left
    try:
        async with (
            asyncio.timeout(None if left == float("inf") else left),
            http.stream(
                step.method, step.url, headers=step.headers, content=content, timeout=step.deadline.http()
            ) as response,
        ):
            body = bytearray()
            async for chunk in _bytes(response):
                _add(body, chunk)
            return Reply(response.status_code, response.headers, bytes(body))
    except TimeoutError:
        return httpx2.ReadTimeout(f"the call took more than {step.deadline.timeout.total:g} s in total")
    except httpx2.HTTPError as reason:
        return reason


def _timely(step: Send) -> Iterator[bytes]:
    """The chunks of the body, while there is time."""
    for chunk in step.upload.chunks() if step.upload else ():
        step.deadline.check()
        yield chunk


def _bytes(response: httpx2.Response) -> AsyncIterator[bytes]:
    return response.aiter_bytes()


def _add(body: bytearray, chunk: bytes) -> None:
    body += chunk
    if len(body) > MOST:
        msg = f"the reply has more than {MOST} bytes; is it a STAA server?"
        raise ReplyError(msg, code="reply_invalid", status=200)
