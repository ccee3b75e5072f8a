"""A real TorchServe, started the way everybody starts it, on free ports of the loopback."""

import contextlib
import http.client
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from staa_serve.inflight import count_waiting
from tests.made.programs import free_ports

ROOT = Path(__file__).resolve().parents[2]
FLAGS = ("--port", "--management-port", "--metrics-port", "--health-port")
PATIENCE = 240  # seconds for a start on a busy machine


@dataclass(frozen=True)
class Reply:
    """What came back for one request."""

    status: int
    headers: dict[str, str]  # names in lower case
    body: bytes


@dataclass
class Server:
    """A server of the contract that is up; where it has fewer ports than TorchServe, several of them are the same."""

    inference: str
    management: str  # empty where it has no management API
    metrics: str
    health: str
    log: Path  # all that it printed
    temporary: Path  # its TMPDIR
    process: "subprocess.Popen[bytes]"
    home: str = "torchserve"

    def call(
        self, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None, method: str = "POST"
    ) -> Reply:
        """Send one request to the inference port, on a connection of its own."""
        return call(f"{self.inference}{path}", body, headers, method)

    def metric(self, name: str) -> float:
        """Return the value of a counter (or of a histogram's _count or _sum), summed over its labels."""
        lines = call(f"{self.metrics}/metrics", method="GET").body.decode().splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith((f"{name} ", f"{name}{{")))

    def in_flight(self) -> int:
        """Return how many requests the server has begun to receive and not yet answered."""
        return count_waiting(urlsplit(self.inference).port or 0)

    def stop(self, by: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to stop, and return its exit code once it and all its children are gone."""
        family = psutil.Process(self.process.pid).children(recursive=True)
        self.process.send_signal(by)
        code = self.process.wait(120)
        _, alive = psutil.wait_procs(family, timeout=60)
        assert not [child for child in alive if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]
        assert not list(self.temporary.iterdir()), "its temporary folder is gone"
        return code


Running = Callable[..., AbstractContextManager[Server]]


def call(url: str, body: bytes = b"", headers: Mapping[str, str] | None = None, method: str = "POST") -> Reply:
    """Send one request on a connection of its own."""
    parts = urlsplit(url)
    with contextlib.closing(http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=120)) as connection:
        connection.request(method, parts.path, body, {"Content-Type": "application/octet-stream"} | dict(headers or {}))
        reply = connection.getresponse()
        return Reply(reply.status, {name.lower(): value for name, value in reply.getheaders()}, reply.read())


@contextlib.contextmanager
def start(store: Path, *names: str, options: tuple[str, ...] = ()) -> Iterator[Server]:
    """Run ./serve.sh on a folder of archives until the block ends; whatever happens, nothing of it is left."""
    ports = free_ports(len(FLAGS))
    flags = [f"{flag}={port}" for flag, port in zip(FLAGS, ports, strict=True)]
    # Not pytest's folder: its long name would make the path of the worker's socket too long on some systems.
    with tempfile.TemporaryDirectory(prefix="e2e-") as folder:
        log, temporary = Path(folder, "log"), Path(folder, "tmp")
        temporary.mkdir()
        with log.open("wb") as output:
            process = subprocess.Popen(
                [ROOT / "serve.sh", *flags, "--store", store, *options, *names],
                stdout=output,
                stderr=subprocess.STDOUT,
                env=os.environ | {"TMPDIR": str(temporary)},
            )
        inference, management, metrics, health = (f"http://127.0.0.1:{port}" for port in ports)
        with ended(process, log):
            ready(process, log, PATIENCE)
            yield Server(inference, management, metrics, health, log, temporary, process)


@contextlib.contextmanager
def ended(process: "subprocess.Popen[bytes]", log: Path) -> Iterator[None]:
    """End a server with the block, whatever happens; tell what it said where something fails."""
    try:
        yield
    except BaseException as error:
        error.add_note("the server said, at last:\n" + "\n".join(log.read_text(errors="replace").splitlines()[-60:]))
        raise
    finally:
        _end(process)


def ready(process: "subprocess.Popen[bytes]", log: Path, patience: float) -> None:
    """Return once a server has printed that it is ready."""
    deadline = time.monotonic() + patience
    while "ready after " not in log.read_text(errors="replace"):
        assert process.poll() is None, f"the server ended with exit code {process.returncode}"
        assert time.monotonic() < deadline, f"the server was not ready after {patience} s"
        time.sleep(0.1)


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Stop a server that its test has not stopped, twice asked so that it does not wait; end what does not obey."""
    if process.poll() is not None:
        return
    family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    for _ in range(2):
        process.send_signal(signal.SIGTERM)
        time.sleep(0.2)
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        for member in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                member.kill()
        process.wait(10)
