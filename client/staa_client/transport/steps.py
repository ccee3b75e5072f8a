"""Defines calls as generators of steps, which the sync and the async client share.

A generator yields a step (send a request, wait, call a function, get a token). The client does the step and sends the
outcome into the generator. The return value of the generator is the result of the call.
"""

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeAlias, TypeVar

import httpx2

from staa_client import contract
from staa_client.contract import failure
from staa_client.results.card import Card
from staa_client.results.explanation import Answer, AnswerT
from staa_client.transport import attempts
from staa_client.transport.attempts import Outcome, Reply, Retries
from staa_client.transport.deadline import KEEP, Deadline, Keep, Timeout, Timeouts
from staa_client.transport.token import Purpose, authorization
from staa_client.video.source import Source, Upload

T = TypeVar("T")
Options: TypeAlias = Mapping[str, Any]
"""The options of a request; None leaves an option to the server."""


@dataclass(frozen=True, slots=True)
class Send:
    """The step of sending a request; its outcome is a Reply, or the httpx2.HTTPError that was raised."""

    method: str
    url: str
    headers: Mapping[str, str]
    upload: Upload | None
    """The body; None for a request without one."""
    deadline: Deadline
    """The time when the whole reply must have come."""


@dataclass(frozen=True, slots=True)
class Pause:
    """The step of waiting; its outcome is None."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Work:
    """The step of calling a function that may take long; its outcome is the returned value."""

    do: Callable[[], Any]


@dataclass(frozen=True, slots=True)
class Token:
    """The step of getting a token; its outcome is the text, or None if there is none."""

    purpose: Purpose


Steps: TypeAlias = Generator[Send | Pause | Work | Token, Any, T]
"""The steps of a call that returns a T."""


@dataclass(frozen=True, slots=True, eq=False)
class Exchange(Generic[AnswerT]):
    """Holds an answer with what was asked and sent for it."""

    model: str
    """Its name as it was asked for."""
    options: Options
    """The options of the request, without those that are None."""
    name: str
    """The name of the video."""
    source: Source
    upload: Upload
    """The body of the request."""
    request_id: str | None
    """The id of the request in the server's log."""
    answer: AnswerT


@dataclass(frozen=True, slots=True)
class Context:
    """Holds what all calls of a client share, and the deadline of this call."""

    url: httpx2.URL
    """The address of the server, ending in a slash."""
    management_url: str | None
    """The address of the management API, if the caller gave one."""
    deadline: Deadline
    """The deadline of this call. The client's own context has one that never ends, with the client's timeout."""
    retries: Retries
    token_may_change: bool
    """Whether the token can change, so that it is read again if the server refuses it."""
    cards: dict[str, Card] = field(default_factory=dict)
    """Name of a model -> its card."""
    keep: Callable[[Exchange[Answer]], None] | None = None
    """Called with each answer of `explain` before it is returned; None keeps nothing."""
    only_model: list[str] = field(default_factory=list)
    """The name of the only model that is served, once it was asked in place of the default one."""

    def begin(self, timeout: Timeouts | Keep) -> "Context":
        """Return the context of a call that begins now, with its own timeout or that of the client."""
        chosen = self.deadline.timeout if timeout is KEEP else Timeout.of(timeout)
        return replace(self, deadline=Deadline.of(chosen))


def exchange(
    context: Context, call: contract.Call, upload: Upload | None, purpose: Purpose = "inference"
) -> Steps[Reply]:
    """Send a request, with all its attempts, and return the reply to the last one.

    Raises:
        StaaError: no server answered.
    """
    renewed = False
    attempt = 0
    while True:
        token = yield Token(purpose)
        headers = {**call.headers, **({} if token is None else authorization(token))}
        if upload is not None:
            headers |= {"Content-Type": upload.kind, "Content-Length": str(upload.size)}
        verb = "GET" if upload is None else "POST"
        outcome: Outcome = yield Send(verb, f"{context.url}{call.path}", headers, upload, context.deadline)
        if isinstance(outcome, Reply) and failure.refuses_token(outcome.status, outcome.body):
            if renewed or token is None or not context.token_may_change:
                return outcome
            renewed = True  # it may have changed a moment ago: once more, with what the provider says now
            continue
        seconds = context.retries.pause(outcome, attempt)
        if seconds is None or seconds >= context.deadline.left:
            return attempts.reply_or_raise(outcome, context.url)
        attempt += 1
        yield Pause(seconds)
