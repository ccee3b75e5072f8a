"""What is served, and whether it is ready."""

from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote, urlencode

from staa_client import _failure, _wire
from staa_client._errors import (
    NotFoundError,
    ReplyError,
    ServerError,
    StaaError,
    TimedOutError,
    UnavailableError,
    UnreachableError,
)
from staa_client._retry import Retries
from staa_client._steps import Context, Pause, Steps, card, exchange
from staa_client._timeout import Deadline, Timeout

_NOT_YET = (UnreachableError, TimedOutError, UnavailableError, NotFoundError, ServerError)
"""What a server that is starting answers."""
_NO_SUCH = {"model_not_found", "model_version_not_found"}
"""TorchServe's codes for what it does not serve: it listens once its models are registered."""


@dataclass(frozen=True, slots=True)
class Served:
    """One version of a model on a server."""

    name: str
    version: str
    workers: int
    """Processes that are meant to answer."""
    ready: int
    """Those of them that would."""
    batch: int
    """Requests in one forward pass at most."""
    waiting: int
    """Requests in its queue."""


def models(context: Context, management_url: str, deadline: Deadline) -> Steps[tuple[Served, ...]]:
    """All versions of all models, asked from TorchServe's management API."""
    names: list[str] = []
    token = ""
    while True:
        query = urlencode({"limit": 100} | ({"next_page_token": token} if token else {}))
        page = yield from _managed(context, f"models?{query}", management_url, deadline)
        named, token = _page(page)
        names += named
        if not token:
            break
    found: list[Served] = []
    for name in names:
        versions = yield from _managed(context, f"models/{quote(name)}/all", management_url, deadline)
        found += _served(versions)
    return tuple(found)


def ready(context: Context, model: str, deadline: Deadline) -> Steps[bool]:
    """Whether a worker of the model answers; other trouble than being on the way up is raised."""
    try:
        yield from _asked(context, model, deadline)
    except _NOT_YET:
        return False
    return True


def wait_until_ready(context: Context, model: str, deadline: Deadline, every: float) -> Steps[None]:
    """Ask again and again until a worker of the model answers, or the server says that it has no such model."""
    while True:
        try:
            one = Timeout(deadline.timeout.connect, deadline.timeout.read, max(min(deadline.left, 10.0), 0.1))
            yield from _asked(context, model, Deadline.of(one))
        except _NOT_YET as reason:
            if reason.code in _NO_SUCH:
                raise
            if deadline.left < every:
                raise _late(model, deadline, reason) from reason
        else:
            return
        yield Pause(every)


def _asked(context: Context, model: str, deadline: Deadline) -> Steps[None]:
    yield from card(replace(context, retries=Retries(0)), model, deadline)


def _late(model: str, deadline: Deadline, reason: StaaError) -> TimedOutError:
    msg = f"{model} was not ready within {deadline.timeout.total:g} s; at last: {reason}"
    return TimedOutError(msg, code="not_ready")


def _managed(context: Context, path: str, url: str, deadline: Deadline) -> Steps[Any]:
    """What the management API answers, of the form that `Served` needs."""
    reply = yield from exchange(context, _wire.Call(path, {}), None, deadline, url=url, purpose="management")
    if reply.status != 200:
        raise _failure.error(reply.status, reply.headers, reply.body)
    return _wire.management(reply.body)


def _page(page: Any) -> tuple[list[str], str]:  # whatever JSON holds
    """Names on a page of the list of models, and the token of the next one."""
    try:
        return [str(one["modelName"]) for one in page["models"]], str(page.get("nextPageToken") or "")
    except _wire.BROKEN as reason:
        raise _not_torchserve(reason) from reason


def _not_torchserve(reason: Exception) -> ReplyError:
    msg = f"the management API's reply is not TorchServe's ({reason!r}); is it the management address?"
    return ReplyError(msg, code="reply_invalid", status=200)


def _served(versions: Any) -> list[Served]:  # whatever JSON holds
    """All versions of a model."""
    try:
        return [
            Served(
                str(one["modelName"]),
                str(one["modelVersion"]),
                int(one["minWorkers"]),
                sum(worker["status"] == "READY" for worker in one["workers"]),
                int(one["batchSize"]),
                int((one.get("jobQueueStatus") or {}).get("pendingRequests", 0)),
            )
            for one in versions
        ]
    except _wire.BROKEN as reason:
        raise _not_torchserve(reason) from reason
