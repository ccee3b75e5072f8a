"""Asks a model about a video or about itself, as steps that the sync and the async client share."""

import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TypeVar

from staa_client import contract
from staa_client.contract import failure
from staa_client.contract.fields import one_line
from staa_client.errors import NotFoundError, ServerError, StaaError, TimedOutError, UnavailableError, UnreachableError
from staa_client.results.card import Card
from staa_client.results.explanation import Answer, AnswerT
from staa_client.results.result import Result
from staa_client.transport import status
from staa_client.transport.attempts import Reply, Retries
from staa_client.transport.deadline import Deadline
from staa_client.transport.fetch import fetch
from staa_client.transport.options import plain_options, with_class_method
from staa_client.transport.steps import Context, Exchange, Options, Pause, Steps, Work, exchange
from staa_client.video.frames import Frames
from staa_client.video.pictures_of import frames_for, has_extra
from staa_client.video.source import Link, Sample, Source, Upload, Video, is_sampled_here, name_of, source_of, upload_of

T = TypeVar("T")
DEFAULT_MODEL = "motions"
"""The model that is asked if none is named; a server without it is asked for the only one that it has."""
NO_SUCH = {"model_not_found", "model_version_not_found"}
"""The codes for an unknown model. They are final, since TorchServe listens only after all models are registered."""
_NOT_YET = (UnreachableError, TimedOutError, UnavailableError, NotFoundError, ServerError)
"""Errors that can come while a server starts."""


def card(context: Context, model: str | None) -> Steps[Card]:
    """Return the card of a model, asked for anew; None is the default one."""
    return _of_served(context, model, lambda name: _card(context, name, fresh=True))


def _card(context: Context, model: str, *, fresh: bool = False) -> Steps[Card]:
    """Return the card of a model; unless it must be `fresh`, the server is asked only once."""
    if not fresh and model in context.cards:
        return context.cards[model]
    call = contract.call("predictions", model, {})
    reply = yield from exchange(context, call, Upload(contract.DESCRIBE, "application/json"))
    context.cards[model] = contract.card(*reply)
    return context.cards[model]


def predict(context: Context, video: Video, model: str | None, options: Options, sample: Sample) -> Steps[Result]:
    """Return the labels of a video."""

    def parse(reply: Reply, *_of: object) -> Result:
        return contract.result(*reply)

    return (yield from _ask(context, "predictions", video, model, options, sample, parse)).answer


def explain(context: Context, video: Video, model: str | None, options: Options, sample: Sample) -> Steps[Answer]:
    """Return the labels and maps of a video; an option about a class asks for a class map, if no method is named.

    Without rules in the options it is an Explanation.
    """
    read = contract.explanation if options.get("explain_when") is None else contract.answer

    def parse(reply: Reply, source: Source, name: str) -> Answer:
        return read(*reply, source, name)

    exchanged = yield from _ask(context, "explanations", video, model, with_class_method(options), sample, parse)
    if context.keep is not None:
        yield Work(partial(context.keep, exchanged))
    return exchanged.answer


def _ask(
    context: Context,
    kind: str,
    video: Video,
    model: str | None,
    options: Options,
    sample: Sample,
    parse: Callable[[Reply, Source, str], AnswerT],
) -> Steps[Exchange[AnswerT]]:
    """Ask about a video, after all checks that need no server; sample its frames here if that is asked for."""
    options = plain_options(options)
    contract.call(kind, DEFAULT_MODEL if model is None else model, options)
    source, name, upload = yield Work(partial(_take, video, sample, context.deadline))
    given = {option: value for option, value in options.items() if value is not None}

    def send(served: str, call: contract.Call, body: Upload) -> Steps[Exchange[AnswerT]]:
        """Send the video or its frames once, and return the answer."""
        hashed = body if context.keep is None else replace(body, digests=[])
        reply = yield from _exchange(context, call, hashed)
        answer: AnswerT = yield Work(partial(parse, reply, source, name))
        return Exchange(served, given, name, source, hashed, failure.request_id(reply.headers), answer)

    def ask(served: str) -> Steps[Exchange[AnswerT]]:
        if upload is None:
            return _ask_by_frames(context, kind, source, served, options, send)
        return send(served, contract.call(kind, served, options), upload)

    exchanged: Exchange[AnswerT] = yield from _of_served(context, model, ask)
    return exchanged


def _ask_by_frames(
    context: Context,
    kind: str,
    source: Source,
    model: str,
    options: Options,
    send: Callable[[str, contract.Call, Upload], Steps[Exchange[AnswerT]]],
) -> Steps[Exchange[AnswerT]]:
    """Send only the frames that the model takes.

    They are chosen by the model's card. If another version of the model answers than that of the card, a new card is
    read; if its model takes other frames, the video is sent again with those.
    """
    model_card = yield from _card(context, model)
    segment = options.get("start"), options.get("end")
    call = contract.call(kind, model, dict(options) | {"start": None, "end": None})
    renewed = False
    while True:
        upload = yield Work(partial(_sample, source, model_card, *segment))
        exchanged = yield from send(model, call, upload)
        if exchanged.answer.model == model_card.model:
            return exchanged
        if context.cards.get(model) is model_card:  # else another call was faster
            context.cards.pop(model, None)
        if renewed:  # two versions answer in turn
            return exchanged
        renewed = True
        before, model_card = model_card, (yield from _card(context, model))
        if model_card.input == before.input:
            return exchanged


def _exchange(context: Context, call: contract.Call, upload: Upload) -> Steps[Reply]:
    """Return the reply to a request; any but 200 is raised here and not in a step, so that a caller can catch it."""
    reply = yield from exchange(context, call, upload)
    if reply.status != 200:
        raise failure.error(*reply)
    return reply


def _of_served(context: Context, model: str | None, ask: Callable[[str], Steps[T]]) -> Steps[T]:
    """Ask a model: the one that is named, or else the default one, or the only one that is served.

    Raises:
        NotFoundError: the model is not served; the message names those that are, if the server tells them.
    """
    only = context.only_model
    name = model if model is not None else only[0] if only else DEFAULT_MODEL
    try:
        return (yield from ask(name))
    except NotFoundError as reason:
        if reason.code not in NO_SUCH:
            raise
        served = yield from _served_names(context)
        names = {known.partition("/")[0] for known in served}
        if not served:
            raise
        if model is not None or len(names) > 1 or names == {name}:
            which = "none is named, and " if model is None else ""
            msg = f"{which}no model {name} is served here; served here: {one_line(', '.join(served))}"
            raise NotFoundError(msg, code=reason.code, status=reason.status, request_id=reason.request_id) from reason
        only[:] = names
    return (yield from ask(only[0]))


def _served_names(context: Context) -> Steps[tuple[str, ...]]:
    """Return "name/version" of all models that are served; nothing if the server does not tell them."""
    try:
        served = yield from status.models(replace(context, retries=Retries(0)))
    except (StaaError, ValueError):
        return ()
    return tuple(sorted({f"{one.name}/{one.version}" if one.version else one.name for one in served}))


def _take(video: Video, sample: Sample, deadline: Deadline) -> tuple[Source, str, Upload | None]:
    """Read or download a video if needed; return it, its name, and the body if the whole video is to be sent."""
    given = source_of(video)
    source = fetch(given, deadline) if isinstance(given, Link) else given
    here = is_sampled_here(source, sample) and (has_extra() or not isinstance(source, Frames))
    return source, name_of(given), None if here else upload_of(source)


def _sample(source: Source, model_card: Card, start: float | None, end: float | None) -> Upload:
    return upload_of(frames_for(source, model_card.frames, model_card.scaled, model_card.interpolation, start, end))


def ready(context: Context, model: str | None) -> Steps[bool]:
    """Return whether a worker of the model answers; an error that does not belong to a starting server is raised."""
    try:
        yield from card(replace(context, retries=Retries(0)), model)
    except _NOT_YET:
        return False
    return True


def wait_until_ready(context: Context, model: str | None, every: float) -> Steps[None]:
    """Ask again and again until a worker of the model answers, or the server says that it has no such model.

    Raises:
        ValueError: `every` is not a valid time.
    """
    if not 0 <= every <= threading.TIMEOUT_MAX:
        raise ValueError(f"every is a number of seconds from 0, got {every!r}")
    once, deadline = replace(context, retries=Retries(0)), context.deadline
    while True:
        try:
            question = replace(deadline.timeout, total=max(min(deadline.left, 10.0), 0.1))
            yield from card(once.begin(question), model)
        except _NOT_YET as reason:
            if reason.code in NO_SUCH:
                raise
            if deadline.left < every:
                msg = f"{model or DEFAULT_MODEL} was not ready within {deadline.timeout.total:g} s; at last: {reason}"
                raise TimedOutError(msg, code="not_ready") from reason
        else:
            return
        yield Pause(every)
