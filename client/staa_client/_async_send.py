"""Carries out a request for an event loop."""

import asyncio

import httpx2

from staa_client._retry import Outcome, Reply
from staa_client._send import add
from staa_client._steps import Send


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
            async for chunk in response.aiter_bytes():
                add(body, chunk)
            return Reply(response.status_code, response.headers, bytes(body))
    except TimeoutError:
        return httpx2.ReadTimeout(f"the call took more than {step.deadline.timeout.total:g} s in total")
    except httpx2.HTTPError as reason:
        return reason
