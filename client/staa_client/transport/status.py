"""Asks which models are served, and whether they are ready."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote, urlencode

from staa_client import contract
from staa_client.contract import failure, reply
from staa_client.errors import NotFoundError, ReplyError, ServerError, TimedOutError, UnavailableError, UnreachableError
from staa_client.transport.attempts import Retries
from staa_client.transport.server import management_address
from staa_client.transport.steps import Context, Pause, Steps, card, exchange

_NOT_YET = (UnreachableError, TimedOutError, UnavailableError, NotFoundError, ServerError)
"""Errors that can come while a server starts."""
_NO_SUCH = {"model_not_found", "model_version_not_found"}
"""TorchServe's codes for an unknown model. They are final, since it listens only after all models are registered."""

_MOST_PAGES, _PAGE = 100, 100
"""The most pages of names of models, and the most names that are asked for on a page."""


@dataclass(frozen=True, slots=True)
class Served:
    """Holds the state of one version of a model."""

    name: str
    version: str
    workers: int
    """The number of worker processes that should run."""
    ready: int
    """The number of workers that are ready."""
    batch: int
    """The most requests in one forward pass."""
    waiting: int
    """The number of requests in the queue."""


def models(context: Context) -> Steps[tuple[Served, ...]]:
    """Return all versions of all models, asked from TorchServe's management API.

    Raises:
        ValueError: the address of the management API is not known.
        ReplyError: there is another API at the address, or its list of pages does not end.
    """
    management = replace(context, url=management_address(context.url, context.management_url))
    names: list[str] = []
    token, seen = "", set[str]()
    while True:
        query = urlencode({"limit": _PAGE} | ({"next_page_token": token} if token else {}))
        page = yield from _managed(management, f"models?{query}")
        with _torchserve_alone():
            names += [str(model["modelName"]) for model in page["models"]]
            token = str(page.get("nextPageToken") or "")
            "".join((*names, token)).encode()  # a lone surrogate cannot stand in an address
            if token in seen or len(seen) >= _MOST_PAGES or len(names) > _MOST_PAGES * _PAGE:
                raise ValueError("its list of pages does not end")
        if not token:
            break
        seen.add(token)
    served: list[Served] = []
    for name in names:
        versions = yield from _managed(management, f"models/{quote(name)}/all")
        with _torchserve_alone():
            served += [_served(version) for version in versions]
    return tuple(served)


def ready(context: Context, model: str) -> Steps[bool]:
    """Return whether a worker of the model answers; an error that does not belong to a starting server is raised."""
    try:
        yield from card(replace(context, retries=Retries(0)), model)
    except _NOT_YET:
        return False
    return True


def wait_until_ready(context: Context, model: str, every: float) -> Steps[None]:
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
            if reason.code in _NO_SUCH:
                raise
            if deadline.left < every:
                msg = f"{model} was not ready within {deadline.timeout.total:g} s; at last: {reason}"
                raise TimedOutError(msg, code="not_ready") from reason
        else:
            return
        yield Pause(every)


def _managed(context: Context, path: str) -> Steps[Any]:
    """Return the JSON data in a reply of the management API."""
    reply = yield from exchange(context, contract.Call(path, {}), None, "management")
    if reply.status != 200:
        raise failure.error(*reply)
    return contract.management(reply.body)


@contextmanager
def _torchserve_alone() -> Iterator[None]:
    """Turn all errors from a reply that is not of TorchServe's management API into ReplyError."""
    try:
        yield
    except reply.BROKEN as reason:
        msg = f"the management API's reply is not TorchServe's ({reason!r}); is it the management address?"
        raise ReplyError(msg, code="reply_invalid", status=200) from reason


def _served(version: Any) -> Served:  # whatever JSON holds
    """Return a version of a model from its description by the management API."""
    return Served(
        str(version["modelName"]),
        str(version["modelVersion"]),
        int(version["minWorkers"]),
        sum(worker["status"] == "READY" for worker in version["workers"]),
        int(version["batchSize"]),
        int((version.get("jobQueueStatus") or {}).get("pendingRequests", 0)),
    )
