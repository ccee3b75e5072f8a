"""How the server is looked after and stopped, with a TorchServe that does not answer in its place."""

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from staa_serve.health import Health
from staa_serve.log import Log, StartError
from staa_serve.server import Server, Stop
from staa_serve.workers import Workers

ROOT = Path(__file__).resolve().parents[2]
QUICK = 10  # seconds on a busy machine; the management API is given 15 to answer


class Asked(Stop):
    """A stop that is asked for by a test and not by a signal."""

    def __init__(self) -> None:
        self.asked = 0


@pytest.fixture
def stop() -> Asked:
    """Return what a test asks to stop by."""
    return Asked()


@pytest.fixture
def silent() -> Iterator[dict[str, str]]:
    """Return addresses that take connections and never say anything."""
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        ports = {"inference": one.getsockname()[1], "management": other.getsockname()[1]}
        yield {kind: f"http://127.0.0.1:{port}" for kind, port in ports.items()}


@pytest.fixture
def process() -> Iterator["subprocess.Popen[bytes]"]:
    """Return a process in the place of TorchServe's."""
    with subprocess.Popen(["sleep", "60"]) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture
def health() -> Health:
    """Return what is known of a server that has served its model."""
    known = Health(["m"], alive=lambda: True, stopping=lambda: False)
    known.workers = {"m": Workers(1, 1)}
    return known


@pytest.fixture
def server(
    process: "subprocess.Popen[bytes]", silent: dict[str, str], health: Health, stop: Asked, tmp_path: Path
) -> Iterator[Server]:
    """Return a server whose management API takes requests and does not answer, polled."""
    logs = {"said": Log.at(tmp_path / "ts_log.log"), "worker_said": Log.at(tmp_path / "model_log.log")}
    server = Server(process, silent, health, stop, **logs)
    with server.polling():
        yield server


def test_a_management_api_that_hangs_does_not_hold_a_stop_up(server: Server, stop: Asked) -> None:
    """A stop that is asked for while an answer is long in coming begins at once, with the time that is served on."""
    time.sleep(0.3)  # the question has been put
    threading.Timer(0.3, setattr, (stop, "asked", 1)).start()
    began = time.monotonic()
    server.supervise(limit=60)
    server.keep_serving(0.1)
    server.drain(10, front=0)
    assert 0.3 < time.monotonic() - began < QUICK


def test_a_management_api_that_hangs_does_not_hold_a_stop_of_a_start_up(
    server: Server, health: Health, stop: Asked
) -> None:
    """The same while the models load: whoever asks to stop then does not wait for an answer."""
    health.workers = {"m": Workers(0, 0)}
    threading.Timer(0.3, setattr, (stop, "asked", 1)).start()
    began = time.monotonic()
    assert not server.wait_ready(limit=60)
    assert time.monotonic() - began < QUICK


def test_a_frontend_that_ends_is_seen_while_an_answer_hangs(server: Server, process: "subprocess.Popen[bytes]") -> None:
    """TorchServe's end is an error at once, whatever is still asked of it."""
    threading.Timer(0.3, process.kill).start()
    began = time.monotonic()
    with pytest.raises(StartError, match="ended by itself, exit code -9"):
        server.supervise(limit=60)
    assert time.monotonic() - began < QUICK


# Prints how often it was asked to stop after each signal that it is sent by itself.
_SIGNALS = """
import os, signal
from staa_serve.server import Stop
stop = Stop()
for name in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    os.kill(os.getpid(), name)
    print(stop.asked, end=" ")
"""


@pytest.mark.parametrize(
    ("ignored", "said"), [("", "1 2 3"), ("HUP", "1 2 2"), ("INT", "1 1 2"), ("HUP INT TERM", "0 0 0")]
)
def test_a_signal_that_is_ignored_from_the_start_stays_ignored(ignored: str, said: str) -> None:
    """`nohup ./serve.sh &` goes on when its terminal closes, and a script's job at the script's Ctrl-C."""
    trap = f"trap '' {ignored}; " if ignored else ""
    # What this test itself was started to ignore is of no account.
    default = "import os, signal, sys\nfor number in (1, 2, 15): signal.signal(number, signal.SIG_DFL)\n"
    shell = ["sh", "-c", f'{trap}exec "$0" -c "$1"', sys.executable, _SIGNALS]
    done = subprocess.run(
        [sys.executable, "-c", f"{default}os.execvp(sys.argv[1], sys.argv[1:])", *shell],
        env=os.environ | {"PYTHONPATH": str(ROOT / "deploy")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stdout.strip(), done.stderr) == (said, "")
