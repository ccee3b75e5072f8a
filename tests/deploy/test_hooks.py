"""The commands of probes and of the hook before a stop, run as the kubelet runs them."""

import contextlib
import os
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.deploy.manifests import ROOT, overlay, pods
from tests.made.programs import free_ports, program
from tests.made.waiting import until

TEMPORARY = "/tmp"  # noqa: S108 in the pod
SECONDS = 5  # that the slow reply takes
Command = Callable[[int, Path], list[str]]  # port of the health endpoint, folder in the place of /tmp


def command(container: int, *path: str) -> Command:
    """Return a command of the pod, for another port and folder."""
    ((_, pod),) = pods(overlay("plain"))
    found = pod["spec"]["containers"][container]
    for key in (*path, "exec", "command"):
        found = found[key]
    if found[0].startswith("/app/"):  # the root of this project in the image; its port is an argument
        script = found[0].replace("/app", str(ROOT), 1)
        return lambda port, _: [script, *found[1:], str(port)]
    return lambda _, folder: [each.replace(TEMPORARY, str(folder)) for each in found]


class _Handler(BaseHTTPRequestHandler):
    def __init__(self, ready: bool, *connection: object) -> None:
        self._ready = ready
        super().__init__(*connection)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/live" or (self.path == "/ready" and self._ready) else 503)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def health(*, ready: bool) -> Iterator[int]:
    """Serve a health endpoint; yield its port."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, ready)) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


def test_a_probe_tells_ready_from_not_ready(tmp_path: Path) -> None:
    """The readiness probe passes on 200 alone; the liveness probe passes while the server is not ready."""
    readiness, liveness = command(0, "readinessProbe"), command(0, "livenessProbe")
    for ready in (True, False):
        with health(ready=ready) as port:
            done = [subprocess.run(each(port, tmp_path), check=False, timeout=60) for each in (readiness, liveness)]
            assert [each.returncode == 0 for each in done] == [ready, True]
    assert subprocess.run(readiness(port, tmp_path), stderr=subprocess.DEVNULL, check=False, timeout=60).returncode


def test_a_probe_does_not_wait_for_a_server_that_hangs(tmp_path: Path) -> None:
    """A server that takes the connection and says nothing fails the probe in time."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        began = time.monotonic()
        asked = command(0, "startupProbe")(silent.getsockname()[1], tmp_path)
        assert subprocess.run(asked, check=False, timeout=60).returncode == 124
        assert time.monotonic() - began < 20, "it would hang for ever"


@pytest.fixture
def nginx(tmp_path: Path) -> Iterator[tuple["subprocess.Popen[bytes]", int]]:
    """Run an nginx that answers slowly: its process, and its port."""
    binary = program("nginx", "apt-get install nginx")
    (port,) = free_ports()
    paths = " ".join(f"{kind}_temp_path {tmp_path}/x;" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    text = f"daemon off; pid {tmp_path}/nginx.pid; worker_processes 1; events {{}} http {{ access_log off; {paths} "
    text = ("user root; " if os.getuid() == 0 else "") + text  # the folder is its maker's alone
    text += f"server {{ listen 127.0.0.1:{port}; root {tmp_path}; limit_rate 1000; }} }}"
    (tmp_path / "nginx.conf").write_text(text)
    (tmp_path / "reply").write_bytes(b"x" * SECONDS * 1000)
    with subprocess.Popen([binary, "-e", "stderr", "-c", str(tmp_path / "nginx.conf")]) as process:
        try:
            until(lambda: (tmp_path / "nginx.pid").exists() or process.poll() is not None)
            assert process.poll() is None
            yield process, port
        finally:
            process.kill()


def refused(port: int) -> bool:
    """Return whether nobody listens on a port."""
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except ConnectionRefusedError:
        return True
    return False


def test_the_proxy_goes_on_for_a_while_and_finishes_what_it_has(
    tmp_path: Path, nginx: tuple["subprocess.Popen[bytes]", int]
) -> None:
    """The hook lets late requests in, then has nginx finish what it sends, takes nothing new, and ends with it."""
    process, port = nginx
    hook = [each.replace("sleep 5", "sleep 1") for each in command(1, "lifecycle", "preStop")(0, tmp_path)]
    running = subprocess.Popen(hook)
    with socket.create_connection(("127.0.0.1", port)) as caller:  # while the news is on its way
        caller.sendall(b"GET /reply HTTP/1.0\r\n\r\n")
        until(lambda: refused(port))
        assert running.poll() is None
        received = b"".join(iter(partial(caller.recv, 4096), b""))
    assert running.wait(30) == 0
    assert process.wait(30) == 0
    assert received.endswith(b"x" * SECONDS * 1000), "the reply in flight is whole"
