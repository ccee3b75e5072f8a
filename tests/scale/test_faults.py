"""What a home on two nodes loses when its processes are killed, replaced and scaled: nothing but what ran there.

Each video has a size of its own, which its reply repeats: so a reply of another request would be noticed.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest
import yaml

from scale.served import STORE
from tests.made import videos
from tests.made.programs import free_ports
from tests.made.torchserve import ROOT, call

pytestmark = pytest.mark.deploy
PATIENCE = 150
CLIENTS = 6
VIDEOS = {
    (64 + 16 * number, 48): videos.encode(videos.images(16, 48, 64 + 16 * number), rate=25) for number in range(CLIENTS)
}
REDEPLOY = """
import sys, ray
from ray import serve
from scale.app import Arguments, app
ray.init(sys.argv[1], log_to_driver=False)
serve.run(app(Arguments.model_validate_json(sys.argv[2])), name="staa")
"""


@dataclass
class Home:
    """A home that is up on a cluster of two nodes."""

    url: str
    address: str
    raylet: int
    environ: dict[str, str]
    arguments: dict[str, object]

    def processes(self, stage: str) -> list[psutil.Process]:
        """Return the processes of a stage that run now, by the titles that Ray gives them."""
        found = []
        for process in psutil.process_iter(["cmdline", "environ"]):
            with contextlib.suppress(psutil.Error):
                title, environ = " ".join(process.info["cmdline"] or ()), process.info["environ"] or {}
                if (
                    f"ServeReplica:staa:{stage}" in title
                    and environ.get("RAY_AUTH_TOKEN") == self.environ["RAY_AUTH_TOKEN"]
                ):
                    found.append(process)
        return found

    def wait_until(self, is_so: Callable[[], bool]) -> None:
        """Wait for something, and fail if it does not come about."""
        deadline = time.monotonic() + PATIENCE
        while not is_so():
            assert time.monotonic() < deadline
            time.sleep(0.25)

    def is_ready(self) -> bool:
        """Return whether all stages run."""
        return call(f"{self.url}/ready", method="GET").status == 200

    def redeploy(self, **changes: object) -> None:
        """Deploy the application anew while it runs, as a new version would be."""
        arguments = json.dumps({**self.arguments, **changes}, default=str)
        command = [sys.executable, "-c", REDEPLOY, self.address, arguments]
        done = subprocess.run(command, env=self.environ, capture_output=True, text=True, check=False, cwd=ROOT)
        assert done.returncode == 0, done.stderr


@dataclass
class Load:
    """Clients that ask without a pause; what they were answered."""

    statuses: Counter[int] = field(default_factory=Counter)
    crossed: list[object] = field(default_factory=list)
    unworded: list[bytes] = field(default_factory=list)
    messages: Counter[str] = field(default_factory=Counter)

    @property
    def lost(self) -> int:
        """Return how many requests were not answered with their result."""
        return self.statuses.total() - self.statuses[200]


@contextlib.contextmanager
def load(home: Home) -> Iterator[Load]:
    """Ask in several threads while the block runs."""
    told, stop = Load(), threading.Event()

    def ask(size: tuple[int, int], video: bytes) -> None:
        while not stop.is_set():
            reply = call(f"{home.url}/explanations/motions", video)
            told.statuses[reply.status] += 1
            if reply.status == 200:
                clip = json.loads(reply.body)["clip"]
                if (clip["width"], clip["height"]) != size:
                    told.crossed.append((size, clip))
                continue
            told.messages[reply.body.decode()] += 1
            if not reply.body.startswith(b'{"error":{"code":"service_unavailable"'):
                told.unworded.append(reply.body)

    threads = [threading.Thread(target=ask, args=each) for each in VIDEOS.items()]
    for thread in threads:
        thread.start()
    try:
        home.wait_until(lambda: told.statuses[200] >= CLIENTS)
        yield told
        answered = told.statuses[200]
        home.wait_until(lambda: told.statuses[200] >= answered + 2 * CLIENTS)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not told.crossed
    assert not told.unworded


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """Serve the default model, with two Decoders, on a cluster of two nodes."""
    store, (port,) = tmp_path_factory.mktemp("store"), free_ports()
    (store / "motions").symlink_to(STORE / "motions")
    (store / "motions.yaml").write_text((STORE / "motions.yaml").read_text())
    environ = os.environ | {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": os.urandom(32).hex(), "PYTHONPATH": str(ROOT)}
    arguments: dict[str, object] = {"models": ["motions"], "store": str(store), "decoders": [2, 2]}
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True))
        environ |= {"TMPDIR": folder, "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH": "scale.edge.middlewares"}
        environ |= {"RAY_ENABLE_ZERO_COPY_TORCH_TENSORS": "1", "RAY_worker_niceness": "0"}
        environ |= {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}  # Ray keeps to the loopback
        # A lost node is known after 4 s instead of some 60: the wait for it is Ray's.
        environ |= {f"RAY_health_check_{key}": "2000" for key in ("initial_delay_ms", "period_ms", "timeout_ms")}
        environ |= {"RAY_health_check_failure_threshold": "2"}
        nodes = subprocess.Popen(
            [sys.executable, "-m", "tests.made.ray_cluster", folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            env=environ,
        )
        assert nodes.stdin
        assert nodes.stdout
        stack.callback(nodes.wait, 60)
        stack.callback(nodes.stdout.close)
        stack.callback(nodes.stdin.close)
        told = next(json.loads(line) for line in nodes.stdout if line.startswith(b"{"))
        command = [sys.executable, "-m", "scale", "--address", told["address"], "--port", str(port), "--decoders", "2"]
        log = tmp_path_factory.mktemp("log") / "log"
        with log.open("wb") as output:
            server = subprocess.Popen(
                [*command, "--store", store], cwd=ROOT, env=environ, stdout=output, stderr=subprocess.STDOUT
            )
        stack.callback(server.wait, 120)
        stack.callback(server.send_signal, signal.SIGTERM)
        home = Home(f"http://127.0.0.1:{port}", told["address"], told["raylet"], environ, arguments)
        try:
            home.wait_until(lambda: b"ready after" in log.read_bytes() or server.poll() is not None)
            assert server.poll() is None
            yield home
        except BaseException as error:
            error.add_note(log.read_text())
            raise


@pytest.mark.parametrize("stage", ["Decoder", "Model", "Door"])
def test_a_killed_process(home: Home, stage: str) -> None:
    """No more requests are lost than there are clients, and another process takes its place."""
    with load(home) as told:
        victim = home.processes(stage)[0]
        victim.kill()
        home.wait_until(lambda: victim.pid not in [each.pid for each in home.processes(stage)] and home.is_ready())
    assert told.lost <= CLIENTS
    assert set(told.statuses) <= {200, 503}


def test_a_rolling_replacement_loses_nothing(home: Home) -> None:
    """A new version takes the place of all stages under load: every request is answered with its result."""
    before = {each.pid for each in home.processes("Model")}
    config = yaml.safe_load(Path(str(home.arguments["store"]), "motions.yaml").read_text())
    Path(str(home.arguments["store"]), "motions.yaml").write_text(yaml.safe_dump({**config, "batchSize": 2}))
    with load(home) as told:
        home.redeploy()
        home.wait_until(home.is_ready)
    assert not told.lost
    assert before.isdisjoint({each.pid for each in home.processes("Model")})


def test_decoders_come_and_go(home: Home) -> None:
    """From one to three under load, and back to one without."""
    home.redeploy(
        decoders=[1, 3], scaling={"upscale_delay_s": 1, "downscale_delay_s": 2, "target_ongoing_requests": 0.5}
    )
    with load(home) as told:
        home.wait_until(lambda: len(home.processes("Decoder")) == 3)
    assert not told.lost
    home.wait_until(lambda: len(home.processes("Decoder")) == 1)


def test_a_lost_node(home: Home) -> None:
    """What ran on the other node goes on; what was lost there starts again here."""
    home.redeploy()
    home.wait_until(home.is_ready)
    with load(home) as told:
        os.kill(home.raylet, signal.SIGKILL)
        time.sleep(5)
        home.wait_until(home.is_ready)
    assert told.lost <= CLIENTS
    assert set(told.statuses) <= {200, 503}
