"""Makes an HTTP request from the options of a call."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

DESCRIBE = b'{"describe": true}'
"""The JSON body that asks for a model's card."""


NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
"""The name or the version of a model."""


@dataclass(frozen=True, slots=True)
class Call:
    """Holds a request without its body and content type."""

    path: str
    """The path below the server's URL, without a leading slash."""
    headers: Mapping[str, str]


def call(kind: str, model: str, options: Mapping[str, object]) -> Call:
    """Return the request for `kind` ("predictions" or "explanations") of a model, "name" or "name/version".

    Options that are None are not sent, so that the server uses its defaults.

    Raises:
        TypeError: the model's name is no text.
        ValueError: the model's name or an option cannot be sent.
    """
    if not isinstance(model, str):
        raise TypeError(f'a model is "name" or "name/version", got {type(model).__name__}')
    names = model.split("/")
    if len(names) > 2 or not all(NAME.fullmatch(name) for name in names):
        raise ValueError(f'a model is "name" or "name/version" of letters, digits, ".", "_" and "-", got {model!r}')
    headers: dict[str, str] = {}
    for name, value in options.items():
        if value is not None:
            headers["X-Staa-" + name.replace("_", "-").title()] = _header(name, value)
    return Call("/".join([kind, *map(quote, names)]), headers)


def _header(name: str, value: object) -> str:
    text = str(value)
    if not (text and text.isascii() and text.isprintable() and text == text.strip()):
        msg = f"option {name} travels in an HTTP header: printable ASCII, got {text!r}; a class can be named by its id"
        raise ValueError(msg)
    return text
