"""Addresses: of servers, and of any kind as messages show them."""

import re
import ssl
from pathlib import Path

import httpx2

Verify = bool | str | Path | ssl.SSLContext
DEFAULT_URL = "http://127.0.0.1:8080"
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*:)?//+", re.IGNORECASE)
# What cannot be a user and the first part of a password: without a colon, or a machine that no user is named after.
_HOST = re.compile(r"[^:@]*|(localhost|\d+(\.\d+){3}|\[[^]@]*\])(:\d*)?", re.IGNORECASE)


def shown(url: str, *, query: bool = False) -> str:
    """An address without user, password, query and fragment, for messages, logs and files.

    With `query` it keeps that one, which may tell a video from others.
    A password ends at the last "@", whatever it holds: also "/", "?", "#" and "@", which should have been
    percent-encoded. Where host and port could as well be user and password, as in "cam:80/a@b", they are left out too.
    """
    begin = found.end() if (found := _SCHEME.match(url)) else 0
    scheme, rest = url[:begin], url[begin:]
    if not _HOST.fullmatch(re.split("[/?#]", rest, maxsplit=1)[0]):
        rest = rest.rpartition("@")[2]
    kept = re.split("#" if query else "[?#]", rest, maxsplit=1)[0]
    return scheme + kept


def checked(base_url: str) -> httpx2.URL:
    """The address as a URL, of http where it names no scheme, as in "localhost:8080"; its path ends in a slash.

    Raises:
        ValueError: it is none.
    """
    has_scheme = re.match(r"[A-Za-z][A-Za-z0-9+.-]*:/", base_url)
    try:
        url = httpx2.URL(base_url if has_scheme else f"http://{base_url}")
    except httpx2.InvalidURL:
        url = httpx2.URL()
    if url.scheme not in {"http", "https"} or not url.host:
        msg = f'a server\'s address looks like "{DEFAULT_URL}", got {shown(base_url)!r}'
        raise ValueError(msg)
    return url.copy_with(path=url.path.rstrip("/") + "/")


def trusted(verify: Verify) -> bool | ssl.SSLContext:
    """What to check certificates with.

    Raises:
        OSError: a file that is named cannot be read.
    """
    if not isinstance(verify, str | Path):
        return verify
    try:
        return ssl.create_default_context(cafile=verify)
    except ssl.SSLError as reason:
        msg = f"{verify} holds no certificate in PEM's form ({reason})"
        raise OSError(msg) from reason
    except OSError as reason:
        raise OSError(reason.errno, reason.strerror, str(verify)) from reason


def is_here(url: httpx2.URL) -> bool:
    """Whether the server is on this machine, where no proxy of the environment can reach it."""
    return url.host in {"127.0.0.1", "::1", "localhost"}


def management(url: httpx2.URL, given: str | None) -> str:
    """Where the management API is: as given, or on this machine one port above, as config.properties has it.

    Raises:
        ValueError: it is not known.
    """
    if given is not None:
        return str(checked(given))
    if not is_here(url):
        msg = (
            "the models of a server are listed by its management API, which is not for the network: give management_url"
            " where you may reach it, or ask ready(model) for one model"
        )
        raise ValueError(msg)
    return str(url.copy_with(port=(url.port or (443 if url.scheme == "https" else 80)) + 1, path="/"))
