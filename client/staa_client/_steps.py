"""A call as a sequence of steps, the same for both clients: the shells only carry each step out, and hand on what came.

A generator yields what is to be done - send a request, wait, work for a while, ask for a token - and is sent the
outcome. What it returns is the result of the call.
"""

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeAlias, TypeVar

import numpy as np

from staa_client import _failure, _retry, _wire
from staa_client._card import Card
from staa_client._fetch import fetched
from staa_client._frames import Frames
from staa_client._result import Result
from staa_client._retry import Outcome, Reply, Retries
from staa_client._sampling import choose
from staa_client._source import Link, Sample, Source, Upload, Video, name_of, sampled_here, source_of, upload_of
from staa_client._timeout import Deadline
from staa_client._token import Purpose, header
from staa_client._types import Explanation

T = TypeVar("T")
Answer = TypeVar("Answer", Result, Explanation)


@dataclass(frozen=True, slots=True)
class Send:
    """Send a request; its outcome is a Reply, or the httpx2.HTTPError that came instead."""

    method: str
    url: str
    headers: Mapping[str, str]
    upload: Upload | None
    deadline: Deadline


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait; the outcome is None."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Work:
    """Call a function that may take long; the outcome is what it returns."""

    do: Callable[[], Any]


@dataclass(frozen=True, slots=True)
class Token:
    """Ask for a token; the outcome is its text, or None where there is none."""

    purpose: Purpose


Steps: TypeAlias = Generator[Send | Pause | Work | Token, Any, T]


@dataclass(frozen=True, slots=True)
class Context:
    """What all calls of a client share."""

    url: str
    """Of the server, ending in a slash."""
    retries: Retries
    lasting: bool
    """Whether the token may be another one when asked for again."""
    cards: dict[str, Card]
    """Model -> what it said of itself."""


def exchange(
    context: Context,
    call: _wire.Call,
    upload: Upload | None,
    deadline: Deadline,
    *,
    url: str | None = None,
    purpose: Purpose = "inference",
) -> Steps[Reply]:
    """One request with all its attempts."""
    renewed = False
    attempt = 0
    where = url or context.url
    while True:
        token = yield Token(purpose)
        headers = {**call.headers, **({} if token is None else header(token))}
        if upload is not None:
            headers |= {"Content-Type": upload.kind, "Content-Length": str(len(upload))}
        outcome: Outcome = yield Send("GET" if upload is None else "POST", where + call.path, headers, upload, deadline)
        if isinstance(outcome, Reply) and _failure.refuses_token(outcome.status, outcome.body):
            if renewed or token is None or not context.lasting:
                return outcome
            renewed = True  # it may have changed a moment ago: once more, with what the provider says now
            continue
        seconds = context.retries.pause(outcome, attempt)
        if seconds is None or seconds >= deadline.left:
            return _retry.answered(outcome, where)
        attempt += 1
        yield Pause(seconds)


def card(context: Context, model: str, deadline: Deadline, *, fresh: bool = True) -> Steps[Card]:
    """What a model says of itself; asked for once where it need not be `fresh`."""
    if not fresh and model in context.cards:
        return context.cards[model]
    call = _wire.call("predictions", model, {})
    reply = yield from exchange(context, call, Upload(_wire.DESCRIBE, "application/json"), deadline)
    context.cards[model] = found = _wire.card(reply.status, reply.headers, reply.body)
    return found


def predict(
    context: Context, video: Video, model: str, options: Mapping[str, Any], sample: Sample, deadline: Deadline
) -> Steps[Result]:
    """The labels of a video."""
    call = _wire.call("predictions", model, options)
    _, _, found = yield from _asked(context, call, video, model, options, sample, deadline, _wire.result)
    return found


def explain(
    context: Context, video: Video, model: str, options: Mapping[str, Any], sample: Sample, deadline: Deadline
) -> Steps[Explanation]:
    """The labels and maps of a video."""
    call = _wire.call("explanations", model, options)
    source, name, found = yield from _asked(context, call, video, model, options, sample, deadline, _wire.explanation)
    return replace(found, source=source, name=name)


def _asked(
    context: Context,
    call: _wire.Call,
    video: Video,
    model: str,
    options: Mapping[str, Any],
    sample: Sample,
    deadline: Deadline,
    parse: Callable[[int, Mapping[str, str], bytes], Answer],
) -> Steps[tuple[Source, str, Answer]]:
    """The video at hand, its name, and the answer to it; its frames are sampled here where that is asked for.

    Where another model answers than the card in hand is of, as after a new version took over, the card is asked for
    anew; and where that one wants other frames, the video is sent once more with them.
    """
    given = source_of(video)
    source: Source = (yield Work(partial(fetched, given, deadline))) if isinstance(given, Link) else given
    if not sampled_here(source, sample):
        reply = yield from exchange(context, call, upload_of(source), deadline)
        return source, name_of(given), parse(reply.status, reply.headers, reply.body)
    wanted = yield from card(context, model, deadline, fresh=False)
    segment = options.get("start"), options.get("end")
    rest = _wire.call(call.path.partition("/")[0], model, dict(options) | {"start": None, "end": None})
    renewed = False
    while True:
        upload = yield Work(partial(_upload, source, wanted, *segment))
        reply = yield from exchange(context, rest, upload, deadline)
        found = parse(reply.status, reply.headers, reply.body)
        if found.model == wanted.model:
            return source, name_of(given), found
        if context.cards.get(model) is wanted:  # else another call was faster
            context.cards.pop(model, None)
        if renewed:  # two versions answer in turn
            return source, name_of(given), found
        renewed = True
        before, wanted = wanted, (yield from card(context, model, deadline, fresh=False))
        if wanted.input == before.input:
            return source, name_of(given), found


def _upload(source: Source, wanted: Card, start: float | None, end: float | None) -> Upload:
    return upload_of(_sampled(source, wanted, start, end))


def _sampled(source: Source, wanted: Card, start: float | None, end: float | None) -> Frames:
    """The frames that the model wants, scaled to what its server would scale them to."""
    from staa_client.video import resized, sampled  # noqa: PLC0415  # needs the extra only where a file is decoded

    if not isinstance(source, Frames):
        return sampled(source, wanted.frames, wanted.scaled, start, end, interpolation=wanted.interpolation)
    places = np.arange(len(source.images))
    if len(places) != wanted.frames or start is not None or end is not None:
        zero = 0.0 if start is not None or end is not None else float(source.seconds[0])  # a window of a longer source
        places = choose(source.seconds - zero, source.duration - zero, wanted.frames, start, end)
    images = np.stack(
        [resized(image, *wanted.scaled(*image.shape[:2]), wanted.interpolation) for image in source.images[places]]
    )
    return replace(source, images=images, seconds=source.seconds[places], indices=source.indices[places])
