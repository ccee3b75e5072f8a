"""The health port of a real server: what /ready and /live say while it starts, loses a worker, and stops."""

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from tests.e2e.stubs import SLOW, stub
from tests.made.programs import free_ports
from tests.made.torchserve import call
from tests.made.waiting import until

if TYPE_CHECKING:
    from tests.made.torchserve import Running, Server

FRAGILE = SLOW.replace("pass", "assert not os.path.exists({flag!r}), 'the disk is gone'").replace(
    "import time", "import os\nimport time"
)


def ready(health: str) -> str:
    """Return what /ready says in one word."""
    try:
        reply = call(f"{health}/ready", method="GET")
    except OSError:
        return "refused"
    content = json.loads(reply.body)
    if reply.status == 200:
        assert content["ready"] is True
        return "ready"
    assert reply.status == 503
    assert content["error"]["message"]
    return str(content["error"]["code"])


@contextlib.contextmanager
def watching(health: str) -> Iterator[list[str]]:
    """Ask /ready 20 times a second until the block ends; give a list of its answers, each change once."""
    said: list[str] = []
    done = threading.Event()

    def watch() -> None:
        while not done.is_set():
            if (now := ready(health)) != (said[-1] if said else None):
                said.append(now)
            time.sleep(0.05)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield said
    finally:
        done.set()
        thread.join()


def workers(server: "Server") -> list[dict[str, Any]]:
    """Return the workers that the management API lists."""
    found: list[dict[str, Any]] = json.loads(call(f"{server.management}/models/stub", method="GET").body)[0]["workers"]
    return found


def test_ready_is_true_while_a_worker_is_and_false_before_between_and_after(tmp_path: Path, running: "Running") -> None:
    """/ready is 200 only with a READY worker and 503 at once at SIGTERM; requests of then and after are answered."""
    port = free_ports()[0]
    health = f"http://127.0.0.1:{port}"
    options = (f"--health-port={port}", "--quiet=3")
    with watching(health) as said, running(stub(tmp_path, SLOW), "stub", options=options) as server:
        until(lambda: said[-1] == "ready")

        first = workers(server)[0]["pid"]
        psutil.Process(int(first)).kill()
        until(lambda: said[-1] == "not_ready")
        until(lambda: said[-1] == "ready")
        assert workers(server)[0]["pid"] != first
        assert server.call("/predictions/stub", b"0").body == b"answered"

        with ThreadPoolExecutor() as pool:
            before = [pool.submit(server.call, "/predictions/stub", b"0.7") for _ in range(4)]
            until(lambda: server.in_flight() == 4)
            stopping = pool.submit(server.stop)
            until(lambda: said[-1] == "draining")
            assert call(f"{health}/live", method="GET").status == 200
            after = [pool.submit(server.call, "/predictions/stub", b"0.1") for _ in range(3)]
            assert [request.result().body for request in before + after] == [b"answered"] * 7
            assert stopping.result() == 0
        until(lambda: said[-1] == "refused")
        assert said == ["refused", "not_ready", "ready", "not_ready", "ready", "draining", "refused"]
        assert "serving on for 3 s" in server.log.read_text()


def test_a_frontend_that_dies_ends_the_server_with_a_failure(tmp_path: Path, running: "Running") -> None:
    """When Java is killed the exit code is 1, the log says so, and no worker is left."""
    with running(stub(tmp_path, SLOW), "stub") as server:
        family = psutil.Process(server.process.pid).children(recursive=True)
        (java,) = (child for child in family if child.name() == "java")
        assert len(family) >= 3  # Java, a worker, and the guard
        java.kill()
        assert server.process.wait(60) == 1
        assert "serve: error: TorchServe ended by itself, exit code -9" in server.log.read_text()
        assert not psutil.wait_procs(family, timeout=60)[1]


def test_a_model_that_stays_lost_ends_the_server_with_a_failure(tmp_path: Path, running: "Running") -> None:
    """When no worker comes back for --lost seconds the exit code is 1 and the log says why."""
    flag = tmp_path / "flag"
    folder = stub(tmp_path, FRAGILE.format(flag=str(flag)))
    with running(folder, "stub", options=("--lost=2",)) as server:
        flag.touch()
        psutil.Process(int(workers(server)[0]["pid"])).kill()
        assert server.process.wait(60) == 1
        assert "serve: error: stub: no READY worker for 2 s (longer: --lost S)" in server.log.read_text()
