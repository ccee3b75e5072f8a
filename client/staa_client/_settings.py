"""What the command takes from a file: `~/.config/staa/config.toml`, or the file that STAA_CONFIG names."""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

KEYS: Mapping[str, type | tuple[type, ...]] = {
    "server": str,
    "token": str,
    "token_file": str,
    "cacert": str,
    "model": str,
    "timeout": (int, float),
    "management": str,
}
"""Keys of the file -> what their values are; the options of the command have the same names."""


def settings(path: Path | None = None) -> dict[str, Any]:
    """The values in the file; none where the usual place is empty.

    Raises:
        ValueError: the file is no TOML, or has a key or a value that means nothing here.
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
    for key, value in values.items():
        if key not in KEYS:
            msg = f"{file} has the unknown key {key!r}: expected some of {', '.join(KEYS)}"
            raise ValueError(msg)
        if isinstance(value, bool) or not isinstance(value, KEYS[key]):
            kind = f"a {type(value).__name__}" if key == "token" else repr(value)  # a secret stays one
            msg = f"{key} in {file} is {kind}: expected {'a number' if key == 'timeout' else 'text in quotes'}"
            raise ValueError(msg)  # noqa: TRY004  # a fault of the file, as every other
    return values
