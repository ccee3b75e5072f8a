"""config.properties: where the server listens, and what is handed on to TorchServe."""

import socket
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from errors import StartError

ADDRESSES = {"inference": "inference_address", "management": "management_address", "metrics": "metrics_address"}
HEALTH = ("health_address", "http://127.0.0.1:8083")  # serve.py's own, which a file made for TorchServe alone lacks


def read(path: Path) -> dict[str, str]:
    """Return the settings of a config.properties."""
    if not path.is_file():
        msg = f"there is no {path}. Name the settings by --config FILE."
        raise StartError(msg)
    lines = (line.strip() for line in path.read_text().splitlines())
    pairs = (line.partition("=") for line in lines if "=" in line and not line.startswith("#"))
    return {key.strip(): value.strip() for key, _, value in pairs}


def address(config: Mapping[str, str], key: str, port: int | None) -> str:
    """Return a listening address such as http://127.0.0.1:8080, with another port where one is asked for."""
    if key not in config:
        msg = f"config.properties does not set {key}. Set it, e.g. {key}=http://127.0.0.1:8080"
        raise StartError(msg)
    url = urlsplit(config[key])
    return f"{url.scheme}://{url.hostname}:{port or url.port}"


def reach(url: str) -> str:
    """Return the address by which this machine reaches a listening address."""
    return url.replace("//0.0.0.0:", "//127.0.0.1:")


def option(kind: str) -> str:
    """Return the command's option for the port of a kind of address."""
    return "--port" if kind == "inference" else f"--{kind}-port"


def check_free(urls: Mapping[str, str]) -> None:
    """Raise StartError if another process listens on one of the addresses: TorchServe says so late and less clearly."""
    for kind, url in urls.items():
        parts = urlsplit(url)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((parts.hostname, parts.port))
            except OSError as error:
                reason = f"cannot listen on {url} for {kind}: {error.strerror}. Choose another port: {option(kind)} P"
                raise StartError(reason) from None
