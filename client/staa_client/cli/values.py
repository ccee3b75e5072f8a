"""Gives the values that options take: they stand in the help, and a shell completes them."""

import os
from collections.abc import Callable, Iterable

import typer

from staa_client.client import Client
from staa_client.contract.request import NAME
from staa_client.errors import StaaError
from staa_client.pictures.colours import SCALES
from staa_client.transport.server import DEFAULT_URL
from staa_client.video.source import SAMPLES

METHODS = ("staa", "staa_class", "rollout", "paper")
"""The methods of attribution in the HTTP contract; a server may have fewer, and its card says which."""
ENCODINGS = ("base64", "npz", "json")
"""The encodings of maps."""
COLORMAPS = tuple(SCALES)
LATENCIES = ("drop", "keep")
WHERE = tuple(SAMPLES)
_PATIENCE = 2.0
"""Seconds that a shell waits for the names of models at most."""


def complete(values: Iterable[str]) -> Callable[[str], list[str]]:
    """Return a function that completes what was typed so far to some of the values."""
    known = tuple(values)

    def begun(incomplete: str) -> list[str]:
        return [value for value in known if value.startswith(incomplete)]

    return begun


def complete_model(context: typer.Context, incomplete: str) -> list[str]:
    """Complete the name of a model by asking the server which it has; nothing if it does not say it in time."""
    server = context.params.get("server") or os.environ.get("STAA_SERVER") or DEFAULT_URL
    token = context.params.get("token") or os.environ.get("STAA_TOKEN")
    management = context.params.get("management") or os.environ.get("STAA_MANAGEMENT")
    authority = context.params.get("cacert") or os.environ.get("STAA_CACERT") or True
    try:
        with Client(
            server, token, management_url=management, verify=authority, timeout=_PATIENCE, max_retries=0
        ) as client:
            names = {model.name for model in client.models() if NAME.fullmatch(model.name)}  # a shell evaluates them
    except (StaaError, ValueError, TypeError, OSError, ImportError):
        return []
    return sorted(name for name in names if name.startswith(incomplete))


def either(values: Iterable[str]) -> str:
    """Return values as a text such as "drop or keep"."""
    *others, last = values
    return f"{', '.join(others)} or {last}"
