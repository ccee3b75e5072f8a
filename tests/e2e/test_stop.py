"""How serve.sh stops: asked, asked twice, or killed."""

import http.client
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from tests.e2e.stubs import SLOW, stub
from tests.made.waiting import until

if TYPE_CHECKING:
    from tests.made.torchserve import Running


@pytest.fixture
def slow(tmp_path: Path) -> Path:
    """Return a folder with the archive of a handler that sleeps for as many seconds as it is sent."""
    return stub(tmp_path, SLOW)


def test_stop_answers_what_is_in_flight_and_leaves_nothing(slow: Path, running: "Running") -> None:
    """At SIGTERM requests in a worker and in the queue get their answers; an idle connection holds nothing up."""
    with running(slow, "stub") as server, ThreadPoolExecutor() as pool:
        idle = http.client.HTTPConnection(server.inference.removeprefix("http://"), timeout=60)
        idle.request("POST", "/predictions/stub", b"0.05", {"Content-Type": "application/octet-stream"})
        assert idle.getresponse().read() == b"answered"
        requests = [pool.submit(server.call, "/predictions/stub", seconds) for seconds in (b"1.5", b"1.5")]
        until(lambda: server.in_flight() == 2)
        assert server.stop() == 0
        idle.close()
        assert [request.result().body for request in requests] == [b"answered"] * 2
        assert "2 request(s) in flight" in server.log.read_text()
        assert "cut off" not in server.log.read_text()


def test_a_killed_serve_leaves_no_process(slow: Path, running: "Running") -> None:
    """SIGKILL, after which no code of staa_serve runs, ends Java and the workers too, also one that is at work."""
    with running(slow, "stub") as server, ThreadPoolExecutor() as pool:
        family = psutil.Process(server.process.pid).children(recursive=True)
        busy = pool.submit(server.call, "/predictions/stub", b"60")
        until(lambda: server.in_flight() == 1)
        server.process.kill()
        assert len(family) >= 3  # Java, a worker, and the guard
        alive = psutil.wait_procs(family, timeout=60)[1]
        for child in alive:
            child.kill()
        assert not alive
        assert isinstance(busy.exception(), OSError | http.client.HTTPException)


def test_stop_is_bounded(slow: Path, running: "Running") -> None:
    """A client that never finishes its request holds Ctrl-C up for the time of --drain and no longer."""
    with running(slow, "stub", options=("--drain=1",)) as server:
        host, port = server.inference.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as half:
            half.sendall(b"POST /predictions/stub HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf")
            until(lambda: server.in_flight() == 1)
            began = time.monotonic()
            assert server.stop(by=signal.SIGINT) == 0
        assert time.monotonic() - began > 1
        assert "1 request(s) not finished after 1 s are cut off" in server.log.read_text()
