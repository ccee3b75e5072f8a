"""Read config.properties: the addresses of the server, and the settings that are passed on to TorchServe."""

import ipaddress
import socket
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from staa_serve.log import StartError

ADDRESSES = {"inference": "inference_address", "management": "management_address", "metrics": "metrics_address"}
HEALTH = ("health_address", "http://127.0.0.1:8083")  # staa_serve's own, which a file made for TorchServe alone lacks


def read_settings(path: Path) -> dict[str, str]:
    """Return the settings of a config.properties."""
    if not path.is_file():
        raise StartError(f"there is no {path}. Name the settings by --config FILE.")
    lines = (line.strip() for line in path.read_text().splitlines())
    pairs = (line.partition("=") for line in lines if "=" in line and not line.startswith("#"))
    return {key.strip(): value.strip() for key, _, value in pairs}


def get_address(config: Mapping[str, str], key: str, port: int | None) -> str:
    """Return a listening address such as http://127.0.0.1:8080; `port` replaces its port, if it is given."""
    if key not in config:
        raise StartError(f"config.properties does not set {key}. Set it, e.g. {key}=http://127.0.0.1:8080")
    url = urlsplit(config[key])
    return f"{url.scheme}://{url.hostname}:{port or url.port}"


def reach(url: str) -> str:
    """Return the address to connect to from this machine for a listening address."""
    return url.replace("//0.0.0.0:", "//127.0.0.1:")


def exposure(urls: Mapping[str, str]) -> str:
    """Return what to say of who can reach these addresses: kind -> URL, of TorchServe's own ports."""
    exposed = [url for url in urls.values() if not _is_loopback(urlsplit(url).hostname or "")]
    if not exposed:
        return "these ports are for this machine alone; who else is to ask comes by the front proxy: docs/proxy.md"
    harm = (
        f"WARNING: others can reach {', '.join(exposed)}, where one request can end the server, hold it, or manage it."
    )
    return (
        f"{harm} Set these addresses in config.properties to 127.0.0.1; others come by the front proxy: docs/proxy.md"
    )


def _is_loopback(host: str) -> bool:
    """Return whether only this machine reaches an address; a name may be anything, but for localhost."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def port_option(kind: str) -> str:
    """Return the command-line option for the port of a kind of address."""
    return "--port" if kind == "inference" else f"--{kind}-port"


def check_free(urls: Mapping[str, str]) -> None:
    """Raise StartError if another process listens on an address; TorchServe's own error is late and unclear."""
    for kind, url in urls.items():
        parts = urlsplit(url)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((parts.hostname, parts.port))
            except OSError as error:
                what = f"cannot listen on {url} for {kind}: {error.strerror}"
                raise StartError(f"{what}. Choose another port: {port_option(kind)} P") from None
