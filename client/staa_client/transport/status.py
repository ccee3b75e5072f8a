"""Asks which models are served: the front proxy, or TorchServe's management API."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote, urlencode

from staa_client import contract
from staa_client.contract import failure
from staa_client.contract.document import read_document
from staa_client.contract.fields import read_integer, read_text
from staa_client.contract.reply import BROKEN
from staa_client.errors import ReplyError, StaaError
from staa_client.transport.server import is_local, management_address
from staa_client.transport.steps import Context, Steps, exchange

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
    """Return all models: as the front proxy lists them, or with all versions from TorchServe's management API.

    Raises:
        ValueError: the server does not list its models, and the address of the management API is not known.
        ReplyError: there is another API at the address, or its list of pages does not end.
    """
    if context.management_url is None:
        listed = yield from _listed(context)
        if listed is not None:
            return listed
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


def _listed(context: Context) -> Steps[tuple[Served, ...] | None]:
    """Return the models that the server itself lists, as the front proxy does; None if it has no such list.

    Raises:
        StaaError: it refuses the question, as of a wrong key, or there is no server.
    """
    try:
        reply = yield from exchange(context, contract.Call("models", {}), None)
    except StaaError:
        if is_local(context.url) and context.url.scheme == "http":  # its management API may answer
            return None  # over https the reason is to be told, such as a certificate that nobody trusts
        raise
    if reply.status == 200:
        with suppress(*BROKEN):
            return tuple(map(_of_proxy, read_document(reply.body)["models"])) or None
    if reply.status in {401, 403, 429} or reply.status >= 500:
        raise failure.error(*reply)
    return None


def _of_proxy(model: Any) -> Served:  # whatever JSON holds
    """Return a model from the front proxy's list."""
    name, version = (read_text(model[field], field) for field in ("name", "version"))
    workers, ready, batch, waiting = (
        read_integer(model[field], field, 0, 2**31) for field in ("workers", "ready", "batch", "waiting")
    )
    return Served(name, version, workers, ready, batch, waiting)


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
    except BROKEN as reason:
        msg = f"the management API's reply is not TorchServe's ({reason!r}); is it the management address?"
        raise ReplyError(msg, code="reply_invalid", status=200) from reason


def _served(version: Any) -> Served:  # whatever JSON holds
    """Return a version of a model from its description by the management API."""
    return Served(
        read_text(version["modelName"], "modelName"),
        read_text(version["modelVersion"], "modelVersion"),
        int(version["minWorkers"]),
        sum(worker["status"] == "READY" for worker in version["workers"]),
        int(version["batchSize"]),
        int((version.get("jobQueueStatus") or {}).get("pendingRequests", 0)),
    )
