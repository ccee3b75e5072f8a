"""Sends a request within the deadline of the whole call."""

from collections.abc import Iterator
from contextlib import contextmanager

import httpx2

from staa_client.contract.document import MOST_BYTES
from staa_client.errors import ReplyError, StaaError
from staa_client.transport.attempts import Outcome, Reply
from staa_client.transport.body import ACCEPTED, Body, BodyError
from staa_client.transport.network import UNUSABLE, until
from staa_client.transport.steps import Send


def send(http: httpx2.Client, step: Send) -> Outcome:
    """Send a request, and read the whole reply before the deadline; `http` must come from `keep_to_deadline`.

    Raises:
        OSError: the video cannot be read.
        StaaError: the reply is too large or redirects to no address, or the client was closed.
    """
    check_open(http)
    content, timeout = None if step.upload is None else step.upload.chunks(), step.deadline.http()
    try:
        with (
            until(step.deadline),
            redirect_errors(),
            http.stream(step.method, step.url, headers=headers_of(step), content=content, timeout=timeout) as response,
            body_errors(response),
        ):
            body = Body(response, MOST_BYTES)
            for chunk in body.chunks():
                step.deadline.check()
                body.add(chunk)
            return Reply(response.status_code, response.headers, body.whole())
    except (httpx2.ReadTimeout, httpx2.WriteTimeout) as reason:
        return step.deadline.exceeded() if step.deadline.left <= 0 else reason
    except httpx2.HTTPError as reason:
        return reason
    except UNUSABLE as reason:
        return httpx2.ConnectError(str(reason))


def check_open(http: httpx2.Client | httpx2.AsyncClient) -> None:
    """Raise StaaError if the client was closed."""
    if http.is_closed:
        raise StaaError("this client was closed: make another, or close it later", code="client_closed")


def headers_of(step: Send) -> dict[str, str]:
    """Return the headers of a request, with the compression of its reply that is read."""
    return {**step.headers, **ACCEPTED}


@contextmanager
def redirect_errors() -> Iterator[None]:
    """Turn the error of httpx2 for a redirect to an address without a host into a ReplyError."""
    try:
        yield
    except ValueError as reason:
        if "to have an origin" not in str(reason):  # of the video, or of a name that cannot be looked up
            raise
        msg = "the server redirects to an address without a host; is it a STAA server?"
        raise ReplyError(msg, code="reply_invalid") from reason


@contextmanager
def body_errors(response: httpx2.Response) -> Iterator[None]:
    """Turn the error of a body into a ReplyError."""
    try:
        yield
    except BodyError as reason:
        msg = f"the reply cannot be read: {reason}; is it a STAA server?"
        raise ReplyError(msg, code="reply_invalid", status=response.status_code) from reason
