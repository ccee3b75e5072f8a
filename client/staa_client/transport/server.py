"""Checks the address of a server, and sets the certificates and proxies for it."""

import importlib.util
import ipaddress
import re
import ssl
import warnings
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any
from urllib.request import getproxies, proxy_bypass

import httpx2

from staa_client.errors import InsecureWarning
from staa_client.transport.network import LIMITS
from staa_client.video.source import shown

Verify = bool | str | Path | ssl.SSLContext
"""The types for the certificates to trust: see `Client`."""
DEFAULT_URL = "http://127.0.0.1:8080"


def parse_address(base_url: str) -> httpx2.URL:
    """Return the address as a URL whose path ends in a slash; "localhost:8080" becomes "http://localhost:8080/".

    Raises:
        ValueError: it is no address, or has a query.
    """
    has_scheme = re.match(r"[A-Za-z][A-Za-z0-9+.-]*:/", base_url)
    try:
        url = httpx2.URL(base_url if has_scheme else f"http://{base_url}")
        url.raw_host.decode().encode("idna")  # as the look-up of the name does: a label of 64 letters is none
    except (httpx2.InvalidURL, UnicodeError):
        url = httpx2.URL()
    if url.scheme not in {"http", "https"} or not url.host or not (url.port or 80) < 2**16:
        raise ValueError(f'a server\'s address looks like "{DEFAULT_URL}", got {shown(base_url)!r}')
    if "?" in base_url or "#" in base_url:  # also with nothing behind it
        msg = (
            "a server's address ends before the ? or #: servers drop what follows; give options as arguments (top_k=3)"
        )
        raise ValueError(msg)
    return url.copy_with(path=url.path.rstrip("/") + "/")


def trust(verify: Verify) -> bool | ssl.SSLContext:
    """Return the value of httpx2's `verify` for the certificates to trust.

    Raises:
        OSError: a file that is named cannot be read.
    """
    if not isinstance(verify, str | Path):
        return verify
    try:
        return ssl.create_default_context(cafile=verify)
    except ssl.SSLError as reason:
        raise OSError(f"{verify} holds no certificate in PEM's form ({reason})") from reason
    except OSError as reason:
        raise OSError(reason.errno, reason.strerror, str(verify)) from reason


def connection(url: httpx2.URL, verify: Verify) -> dict[str, Any]:
    """Return the arguments of an HTTP client for a server: its certificates, whether to use a proxy, and its limits.

    It keeps no cookie: a server could set them without end, and each would go with every later request.

    Raises:
        OSError: a file with certificates cannot be read.
        ImportError: the environment names a SOCKS proxy, and the package for it is missing.
    """
    proxy, trust_env = proxy_of(url), not is_local(url)
    without_socks = importlib.util.find_spec("socksio") is None
    if proxy is not None and proxy.startswith("socks") and without_socks:
        msg = f"{url.host} is to be reached by the SOCKS proxy {shown(proxy)}, which the environment names (ALL_PROXY"
        msg += f" or the like), and that needs the package socksio: pip install socksio, or set NO_PROXY={url.host}"
        raise ImportError(msg)
    if proxy is None and without_socks and any(other.startswith("socks") for other in getproxies().values()):
        trust_env = False  # httpx2 would want the package for a proxy that it does not use
    return {"verify": trust(verify), "trust_env": trust_env, "limits": LIMITS, "cookies": _NoCookies()}


class _NoCookies(CookieJar):
    """Takes no cookie, and reads none: one of a strange form would be a warning."""

    def extract_cookies(self, response: object, request: object) -> None:
        """Do nothing."""


def proxy_of(url: httpx2.URL) -> str | None:
    """Return the proxy that the environment names for a server, as a URL; None if there is none."""
    if is_local(url) or proxy_bypass(url.host):
        return None
    proxies = getproxies()
    proxy = proxies.get(url.scheme) or proxies.get("all")
    return proxy if not proxy or "://" in proxy else f"http://{proxy}"


def is_local(url: httpx2.URL) -> bool:
    """Return whether the server is on this machine, which a proxy named in the environment could not reach."""
    host = url.host.rstrip(".").partition("%")[0]
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


def warn_of_plain_http(url: httpx2.URL, *, has_token: bool, transport: object = None) -> None:
    """Warn if a token, or a password of the address, would go over plain http to another machine.

    A transport through a socket of this machine (`uds`) leaves it to no network.
    """
    is_socket = getattr(getattr(transport, "_pool", None), "_uds", None) is not None
    if url.scheme != "http" or is_local(url) or is_socket or not (has_token or url.userinfo):
        return
    msg = f"the token goes to {url.host} over plain http, where everyone on the way can read it: use https"
    warnings.warn(msg, InsecureWarning, stacklevel=3)


def management_address(url: httpx2.URL, given: str | None) -> httpx2.URL:
    """Return the address of the management API: the given one, or for a server on this machine the next port.

    That is the port in config.properties, 8081 for a server at 8080.

    Raises:
        ValueError: the address is not known.
    """
    if given is not None:
        return parse_address(given)
    if not is_local(url):
        raise ValueError(
            "the models of a server are listed by its management API, which is not for the network: give management_url"
            " where you may reach it, or ask ready(model) for one model"
        )
    return url.copy_with(port=(url.port or (443 if url.scheme == "https" else 80)) + 1, path="/")
