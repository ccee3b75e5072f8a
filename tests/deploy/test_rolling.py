"""A rolling update loses no request: two real servers behind one nginx, one of them replaced under load."""

import contextlib
import json
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.made import videos
from tests.made.programs import free_ports, program
from tests.made.torchserve import ROOT, Server, call, start

QUIET = 4  # seconds that an old server goes on after it was asked to stop
LATE = 2  # seconds until the news of that has reached everybody
# What a Service does, and no more: no request is sent twice, no server is left out by itself.
CONFIG = """
daemon off; pid {folder}/pid; error_log {folder}/error.log; worker_processes 1;
events {{ worker_connections 256; }}
http {{
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi; client_max_body_size 96m;
  log_format served '{{"time": $msec, "status": "$status", "server": "$upstream_addr"}}';
  access_log {folder}/served.log served;
  upstream staa {{ {servers} }}
  server {{
    listen 127.0.0.1:{port};
    location / {{ proxy_pass http://staa; proxy_next_upstream off; proxy_read_timeout 150s; }}
  }}
}}
"""


@dataclass
class Front:
    """An nginx in front of servers: what a Service is for pods."""

    folder: Path
    port: int

    @property
    def url(self) -> str:
        """Return the address that callers use."""
        return f"http://127.0.0.1:{self.port}"

    def point(self, *servers: Server) -> None:
        """Send new requests to these servers."""
        listed = " ".join(f"server {urlsplit(each.inference).netloc} max_fails=0;" for each in servers)
        (self.folder / "nginx.conf").write_text(CONFIG.format(folder=self.folder, port=self.port, servers=listed))

    def served(self) -> list[dict[str, str | float]]:
        """Return time, status and server of every request so far."""
        return [json.loads(line) for line in (self.folder / "served.log").read_text().splitlines()]


@contextlib.contextmanager
def front(folder: Path, *servers: Server) -> Iterator[tuple[Front, "subprocess.Popen[bytes]"]]:
    """Run nginx in front of servers."""
    made = Front(folder, free_ports()[0])
    made.point(*servers)
    command = [
        program("nginx", "apt-get install nginx"),
        "-p",
        str(folder),
        "-e",
        str(folder / "error.log"),
        "-c",
        str(folder / "nginx.conf"),
    ]
    with subprocess.Popen(command) as process:
        try:
            for _ in range(100):
                with contextlib.suppress(OSError):
                    call(f"{made.url}/ping", method="GET")
                    break
                time.sleep(0.1)
            yield made, process
        finally:
            process.terminate()


@dataclass
class Load:
    """Clients that ask one request after the other until they are told to stop."""

    url: str
    body: bytes
    clients: int
    pause: float  # seconds of a client between an answer and the next request
    statuses: Counter[int | str] = field(default_factory=Counter)
    done: threading.Event = field(default_factory=threading.Event)

    def _client(self, number: int) -> None:
        path = "/explanations/motions" if number % 2 else "/predictions/motions"
        while not self.done.wait(self.pause):
            try:
                reply = call(f"{self.url}{path}", self.body)
                whole = reply.status == 200 and bool(json.loads(reply.body)["predictions"])
                self.statuses[reply.status if whole or reply.status != 200 else "not whole"] += 1
            except (OSError, ValueError, KeyError) as error:  # the promise is that there is none: every kind counts
                self.statuses[repr(error)] += 1

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Ask until the block ends, and wait for the last answers."""
        clients = [threading.Thread(target=self._client, args=(number,)) for number in range(self.clients)]
        for each in clients:
            each.start()
        try:
            yield
        finally:
            self.done.set()
            for each in clients:
                each.join(timeout=150)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the archive of the default model, if these tests are asked for."""
    folder = tmp_path_factory.mktemp("store")
    subprocess.run([ROOT / "archive.sh", "motions", "--output", folder], check=True, capture_output=True)
    return folder


@pytest.mark.deploy
@pytest.mark.parametrize(("clients", "pause"), [(4, 0.0), (1, 0.4)], ids=["busy", "now and then"])
def test_a_server_is_replaced_under_load_and_no_request_is_lost(
    store: Path, tmp_path: Path, clients: int, pause: float
) -> None:
    """As a rollout does it: a new server is ready, then an old one is asked to stop, and the news of it comes late.

    Now and then is the harder one: a server with nothing in flight could stop at once, before the news has come.
    """
    options = (f"--quiet={QUIET}", "--drain=60")
    with contextlib.ExitStack() as stack:
        old, other = (stack.enter_context(start(store, "motions", options=options)) for _ in range(2))
        made, nginx = stack.enter_context(front(tmp_path, old, other))
        load = Load(made.url, videos.encode(videos.images(20)), clients, pause)
        with load.running():
            time.sleep(3)
            new = stack.enter_context(start(store, "motions", options=options))  # maxSurge 1: ready before another goes
            asked = time.time()

            def tell() -> None:
                made.point(other, new)
                nginx.send_signal(signal.SIGHUP)  # reload

            threading.Timer(LATE, tell).start()
            assert old.stop() == 0
            took = time.time() - asked
            time.sleep(3)
        served = made.served()
    at = {urlsplit(each.inference).netloc: name for name, each in (("old", old), ("other", other), ("new", new))}
    by = Counter(at[str(each["server"])] for each in served)
    late = sum(float(each["time"]) > asked for each in served if at[str(each["server"])] == "old")
    total = f"{sum(load.statuses.values())} requests {dict(by)}, {late} by the old server after it was asked to stop"
    print(f"\n{total}; answers {dict(load.statuses)}; it was gone after {took:.1f} s")  # noqa: T201 the figures
    assert set(load.statuses) == {200}, load.statuses
    assert len(by) == 3, "all three have served"
    assert late, "the old server went on while the news was on its way"
    assert QUIET <= took < 30
