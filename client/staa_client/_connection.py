"""The client of a command: from its options, the environment and the settings."""

from pathlib import Path

import typer

from staa_client._client import DEFAULT_TIMEOUT, Client
from staa_client._timeout import Timeout

_PLACES = {
    "COMMANDLINE": "--token and --token-file",
    "ENVIRONMENT": "STAA_TOKEN and STAA_TOKEN_FILE",
    "DEFAULT_MAP": "token and token_file in the settings",
}
"""Where an option may come from, the nearest first, and what two of them are called there."""


def connection(
    context: typer.Context,
    server: str,
    token: str | None,
    file: Path | None,
    authority: Path | None,
    timeout: float | None = None,
    management: str | None = None,
) -> Client:
    """A client, to be closed.

    Raises:
        ValueError: two tokens are equally near.
        OSError: the authority's file cannot be read.
    """
    waits = DEFAULT_TIMEOUT if timeout is None else Timeout(min(timeout, 5.0), timeout, timeout)
    nearest = _token(context, token, file)
    return Client(server, nearest, timeout=waits, management_url=management, verify=authority or True)


def _token(context: typer.Context, token: str | None, file: Path | None) -> str | Path | None:
    """Whichever of the two was said nearest: as an option, in the environment, or in the settings."""
    if token is None or file is None:
        return file if token is None else token
    places = list(_PLACES)
    found = [getattr(context.get_parameter_source(name), "name", "") for name in ("token", "token_file")]
    if found[0] == found[1]:
        msg = f"{_PLACES[found[0]]} give both a token and a file with one: leave one of them out"
        raise ValueError(msg)
    return token if places.index(found[0]) < places.index(found[1]) else file
