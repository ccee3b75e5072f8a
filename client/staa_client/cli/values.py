"""Gives the values that options take: they stand in the help, and a shell completes them."""

import os
import warnings
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import typer

from staa_client.cli.connection import SETTING_TYPES, read_settings
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
    named = context.parent.params.get("config") if context.parent is not None else None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # nothing is said while a shell completes
            first = _nearest(context, read_settings(named))
            address, authority = first("server") or DEFAULT_URL, first("cacert") or True
            waits: dict[str, Any] = {"timeout": _PATIENCE, "max_retries": 0}
            token, management = first("token", "token_file"), first("management")
            client = Client(address, token, management_url=management, verify=authority, **waits)
        with client:
            names = {model.name for model in client.models() if NAME.fullmatch(model.name)}  # a shell evaluates them
    except (StaaError, ValueError, TypeError, OSError, ImportError):
        return []
    return sorted(name for name in names if name.startswith(incomplete))


def _nearest(context: typer.Context, settings: Mapping[str, Any]) -> Callable[..., Any]:
    """Return a function that takes names of options, and returns what was typed, or else its value elsewhere."""
    sources = {name: getattr(context.get_parameter_source(name), "name", "") for name in context.params}
    typed = {name: value for name, value in context.params.items() if sources[name] == "COMMANDLINE"}
    environ = {name: os.environ.get(f"STAA_{name.upper()}") for name in SETTING_TYPES}

    def first(*names: str) -> Any:
        for level in (typed, environ, settings):
            for name in names:
                if value := level.get(name):
                    return Path(value) if name.endswith("_file") else value
        return None

    return first


def either(values: Iterable[str]) -> str:
    """Return values as a text such as "drop or keep"."""
    *others, last = values
    return f"{', '.join(others)} or {last}"
