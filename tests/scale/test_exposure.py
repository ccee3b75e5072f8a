"""What of the second home can be reached, by whom, and what one gets without Ray's token."""

import contextlib
import http.client
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import psutil
import pytest
from ray.serve.generated.serve_pb2 import ASGIRequest  # type: ignore[attr-defined]  # made as it is imported

from tests.made.torchserve import Server, call

LOOPBACK = {"127.0.0.1", "::1", "::ffff:127.0.0.1"}


def family(server: Server) -> list[psutil.Process]:
    """Return the command and all processes of Ray."""
    command = psutil.Process(server.process.pid)
    return [command, *command.children(recursive=True)]


def listening(server: Server) -> Iterator[tuple[str, str, int]]:
    """Yield the name of a process, address and port of each socket that takes connections or datagrams."""
    for process in family(server):
        for each in process.net_connections("inet"):
            if each.status == psutil.CONN_LISTEN or (each.status == psutil.CONN_NONE and not each.raddr):
                yield process.name(), each.laddr.ip, each.laddr.port


def test_every_port_is_on_the_loopback(ray_server: Server) -> None:
    """Another machine reaches no process of Ray but one port of each replica, which Ray puts on all addresses."""
    found = list(listening(ray_server))
    assert len(found) > 10, "the store, the raylet, the agents, a worker each"
    outside = [name for name, ip, _ in found if ip not in LOOPBACK]
    assert {name[:17] for name in outside} == {"ray::ServeReplica"}
    assert len(outside) == sum("ServeReplica" in each.name() for each in family(ray_server)) >= 4


class Payload:
    """Run code where it is unpickled: make a file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        """Return what unpickling calls."""
        return Path.touch, (self._path,)


def token_of(process: psutil.Process, which: str) -> str:
    """Return the token that a process of Ray has, another one, or none."""
    return {"nothing": "", "another": "0" * 64, "the token": process.environ()["RAY_AUTH_TOKEN"]}[which]


def ask(address: str, method: str, message: bytes, token: str) -> grpc.StatusCode:
    """Call a method of one of Ray's ports; return how that ended."""
    key = [("authorization", f"Bearer {token}")] if token else []
    with grpc.insecure_channel(address) as channel:
        try:
            channel.unary_unary(method, bytes, bytes)(message, metadata=key, timeout=60)
        except grpc.RpcError as error:
            code: grpc.StatusCode = error.code()
            return code
    return grpc.StatusCode.OK


@pytest.mark.parametrize("sent", ["nothing", "another", "the token"])
def test_a_replica_unpickles_nothing_without_the_token(ray_server: Server, sent: str, tmp_path: Path) -> None:
    """By the port of a replica code runs for whoever has Ray's token, and for nobody else: that is what it opens."""
    replica = next(each for each in family(ray_server) if "ServeReplica" in each.name())
    sockets = replica.net_connections("inet")
    (port,) = [each.laddr.port for each in sockets if each.laddr.ip == "::" and each.status == psutil.CONN_LISTEN]
    request = ASGIRequest(pickled_request_metadata=pickle.dumps(Payload(tmp_path / "ran"))).SerializeToString()
    code = ask(f"127.0.0.1:{port}", "/ray.serve.ASGIService/HandleRequest", request, token_of(replica, sent))
    assert (code == grpc.StatusCode.UNAUTHENTICATED) == (sent != "the token")
    assert (tmp_path / "ran").exists() == (sent == "the token")


def test_there_is_no_dashboard(ray_server: Server) -> None:
    """What serves jobs, logs and the cluster's state by HTTP is not started: no port of Ray's has its routes."""
    assert 8265 not in {port for _, _, port in listening(ray_server)}
    assert not [each for each in family(ray_server) if each.name().startswith("ray::client")]


@pytest.mark.parametrize("path", ["/", "/api/jobs/", "/api/serve/applications/", "/api/healthz"])
def test_rays_agent_answers_nobody_without_the_token(ray_server: Server, path: str) -> None:
    """Who did not start Ray gets no job, log or deployment of its agents: figures of Ray, and that it is up."""
    refused = 0
    for port in (port for name, _, port in listening(ray_server) if "Agent" in name):
        with contextlib.suppress(http.client.HTTPException, OSError):  # gRPC is among them
            reply = call(f"http://127.0.0.1:{port}{path}", method="GET")
            told = reply.body.startswith((b"# HELP python_gc_objects", b"raylet: success"))
            assert told or reply.status in {401, 404}, (port, reply.body)
            refused += reply.status == 401
    assert refused or path == "/api/healthz"


@pytest.mark.parametrize("sent", ["nothing", "another", "the token"])
def test_nobody_joins_without_the_token(ray_server: Server, sent: str) -> None:
    """The cluster's first port, by which programs join it, answers whoever has the token, and nobody else."""
    replica = next(each for each in family(ray_server) if "ServeReplica" in each.name())
    words = [word for each in family(ray_server) for word in each.cmdline()]
    address = next(word.partition("=")[2] for word in words if word.startswith("--gcs-address="))
    code = ask(address, "/ray.rpc.NodeInfoGcsService/GetClusterId", b"", token_of(replica, sent))
    assert code == (grpc.StatusCode.OK if sent == "the token" else grpc.StatusCode.UNAUTHENTICATED)


def test_the_token_is_in_no_command_line_and_no_file(ray_server: Server) -> None:
    """Other users see command lines, and may read what lies in the temporary folder: the token is in neither."""
    worker = next(each for each in family(ray_server) if "ServeReplica" in each.name())
    token = worker.environ()["RAY_AUTH_TOKEN"]
    assert len(token) == 64
    assert not [each for each in family(ray_server) if token in " ".join(each.cmdline())]
    files = [path for path in ray_server.temporary.rglob("*") if path.is_file() and path.stat().st_size < 64 << 20]
    assert files
    assert [path.name for path in files if token.encode() in path.read_bytes()] == []


@pytest.mark.parametrize(
    "header",
    [
        "Serve-Multiplexed-Model-Id",
        "serve_multiplexed_model_id",
        "X-Session-Id",
        "X-Request-Timeout-Seconds",
        "X-Request-Disconnect-Disabled",
    ],
)
def test_no_caller_steers_rays_proxy(ray_server: Server, header: str) -> None:
    """The headers that Ray's proxy obeys have no effect: a request with them is answered as it is without."""
    value = {"X-Request-Timeout-Seconds": "0.000001", "X-Request-Disconnect-Disabled": "?1"}.get(header, "x" * 200)
    reply = ray_server.call("/predictions/motions", b"", {header: value, "X-Staa-Describe": "true"})
    assert reply.status == 200


def test_rays_own_routes_tell_no_more_than_a_name(ray_server: Server) -> None:
    """/-/routes and /-/healthz are Ray's, behind the front proxy, which has neither: a name, and that it is up."""
    assert call(f"{ray_server.inference}/-/healthz", method="GET").body == b"success"
    assert call(f"{ray_server.inference}/-/routes", method="GET").body == b'{"/":"staa"}'
    assert call(f"{ray_server.inference}/-/other", method="GET").status == 404
