"""Carries out a request."""

from collections.abc import Iterator
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
                add(body, chunk)
            return Reply(response.status_code, response.headers, bytes(body))
    except httpx2.HTTPError as reason:
        return reason


def _timely(step: Send) -> Iterator[bytes]:
    """The chunks of the body, while there is time."""
    for chunk in step.upload.chunks() if step.upload else ():
        step.deadline.check()
        yield chunk


def add(body: bytearray, chunk: bytes) -> None:
    body += chunk
    if len(body) > MOST:
        msg = f"the reply has more than {MOST} bytes; is it a STAA server?"
        raise ReplyError(msg, code="reply_invalid", status=200)
