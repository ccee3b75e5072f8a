"""What TorchServe offers to who reaches its ports, as shipped: none faces a network, no code comes in."""

import contextlib
import http.client
import json
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

from tests.made.torchserve import Server, call


def names(server: Server) -> list[str]:
    """Return the models that are served."""
    return [
        model["modelName"] for model in json.loads(call(f"{server.management}/models", method="GET").body)["models"]
    ]


def ask(base: str, method: str, target: str) -> tuple[int, bytes]:
    """Send a request without a body, with the query that its target has; return status and body."""
    parts = urlsplit(base)
    with contextlib.closing(http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)) as connection:
        connection.request(method, target)
        reply = connection.getresponse()
        return reply.status, reply.read()


def test_every_port_is_on_the_loopback(server: Server) -> None:
    """Inference, management, metrics, health and gRPC listen on 127.0.0.1, and so does whatever else is opened."""
    family = [psutil.Process(server.process.pid), *psutil.Process(server.process.pid).children(recursive=True)]
    listening = {
        connection.laddr
        for member in family
        for connection in member.net_connections(kind="inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert len(listening) >= 6
    assert {address.ip for address in listening} <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}


@pytest.mark.parametrize("port", ["management", "inference"])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/models?url={archive}&model_name=other&initial_workers=1"),
        ("POST", "/models?url=http://127.0.0.1:1/other.mar"),
        ("DELETE", "/models/motions"),
        ("POST", "/workflows?url={archive}&workflow_name=other"),
        ("POST", "/workflows?url=http://127.0.0.1:1/other.war"),
    ],
)
def test_nobody_brings_or_takes_a_model(server: Server, archive: Path, port: str, method: str, path: str) -> None:
    """By the way of CVE-2023-43654 and by that of workflows: refused, and what is served stays as it is."""
    status, said = ask(getattr(server, port), method, path.format(archive=archive.as_uri()))
    assert 400 <= status < 500, said
    assert names(server) == ["motions"]
    assert call(f"{server.health}/ready", method="GET").status == 200


def test_the_port_of_requests_manages_nothing(server: Server) -> None:
    """The number of workers, which the management port sets for everybody who reaches it, is not set on this one."""
    status, said = ask(server.inference, "PUT", "/models/motions?min_worker=2&max_worker=2")
    assert 400 <= status < 500, said
    assert len(json.loads(call(f"{server.management}/models/motions", method="GET").body)[0]["workers"]) == 1
