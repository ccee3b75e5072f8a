"""Makes the client of a command from its options, the environment and the settings."""

import os
import sys
import tomllib
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer

from staa_client.cli.output.terminal import printable_line
from staa_client.cli.spelling import as_typed
from staa_client.client import DEFAULT_TIMEOUT, Client
from staa_client.transport.deadline import Timeout
from staa_client.transport.token import warn_if_others_read

_TOKEN_OPTIONS = {
    "COMMANDLINE": "--token and --token-file",
    "ENVIRONMENT": "STAA_TOKEN and STAA_TOKEN_FILE",
    "DEFAULT_MAP": "token and token_file in the settings",
}
"""Origin of an option, in order of priority -> the names of the two token options there."""


def connect(
    context: typer.Context,
    server: str,
    token: str | None,
    file: Path | None,
    authority: Path | None,
    timeout: float | None = None,
    management: str | None = None,
    store: Path | None = None,
) -> Client:
    """Return a client, which the caller must close.

    Raises:
        ValueError: two tokens have the same priority.
        OSError: the authority's file cannot be read, or the store cannot be written.
    """
    if (
        management is None
    ):  # also for commands without the option, as it says what is served in place of an unknown name
        management = os.environ.get("STAA_MANAGEMENT") or (context.default_map or {}).get("management")
    waits = DEFAULT_TIMEOUT if timeout is None else Timeout(min(timeout, 5.0), timeout, timeout)
    nearest = _nearest_token(context, token, file)
    with told_warnings():
        return Client(server, nearest, timeout=waits, management_url=management, verify=authority or True, store=store)


@contextmanager
def told_warnings() -> Iterator[list[str]]:
    """Print on the standard error, a line each, what is warned of during the block, when it is; give these texts."""
    told: list[str] = []

    def show_warning(message: Warning | str, *_: object, **__: object) -> None:
        told.append(str(message))
        sys.stderr.write(printable_line(f"staa: warning: {as_typed(str(message))}") + "\n")

    with warnings.catch_warnings():
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = show_warning
        yield told


def _nearest_token(context: typer.Context, token: str | None, file: Path | None) -> str | Path | None:
    """Return the token or the file with the higher priority: option, then environment, then settings.

    Raises:
        ValueError: both have the same priority.
    """
    if token is None or file is None:
        return file if token is None else token
    nearness = list(_TOKEN_OPTIONS)
    origins = [getattr(context.get_parameter_source(name), "name", "") for name in ("token", "token_file")]
    if origins[0] == origins[1]:
        raise ValueError(f"{_TOKEN_OPTIONS[origins[0]]} give both a token and a file with one: leave one of them out")
    return token if nearness.index(origins[0]) < nearness.index(origins[1]) else file


SETTING_TYPES: Mapping[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("server", "token", "token_file", "cacert", "model"), str),
    "timeout": (int, float),
    **dict.fromkeys(("management", "store"), str),
}
"""Keys of the settings file -> types of their values; the options of the command have the same names."""


def read_settings(path: Path | None = None) -> dict[str, Any]:
    """Return the values in the settings file; an empty dict if none was named and the default file does not exist.

    Raises:
        ValueError: the file is no TOML, or has an unknown key or a wrong value.
        OSError: a file that was named cannot be read.
    """
    named = path or (Path(text) if (text := os.environ.get("STAA_CONFIG")) else None)
    base = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    file = named or base / "staa" / "config.toml"
    if named is None and not file.is_file():
        return {}
    try:
        values = tomllib.loads(file.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as reason:
        msg = f'{file} is no TOML ({reason}); write lines such as server = "http://127.0.0.1:8080"'
        raise ValueError(msg) from reason
    addresses = [str(values[key]) for key in ("server", "management") if key in values]
    if "token" in values:
        warn_if_others_read(file, "a token", stacklevel=3)
    elif any("@" in address for address in addresses):
        warn_if_others_read(file, "a password", stacklevel=3)
    for key, value in values.items():
        if key not in SETTING_TYPES:
            raise ValueError(f"{file} has the unknown key {key!r}: expected some of {', '.join(SETTING_TYPES)}")
        if isinstance(value, bool) or not isinstance(value, SETTING_TYPES[key]):
            kind = f"a {type(value).__name__}" if key == "token" else repr(value)  # a secret stays one
            msg = f"{key} in {file} is {kind}: expected {'a number' if key == 'timeout' else 'text in quotes'}"
            raise ValueError(msg)  # noqa: TRY004  # a fault of the file, as every other
    return values
