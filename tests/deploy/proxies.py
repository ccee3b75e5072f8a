"""The front proxy itself: Debian's nginx with deploy/proxy, on free ports of the loopback, as an ordinary user."""

import contextlib
import hashlib
import http.client
import io
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
CONFIGURATION = ROOT / "deploy" / "proxy"
MODULE = Path("/usr/lib/nginx/modules/ngx_http_js_module.so")
KEY, NAME = "staa_a-key-for-tests", "tester"
AUTHORIZED = {"Authorization": f"Bearer {KEY}"}
NOBODY = 65534


@dataclass(frozen=True)
class Reply:
    """What a caller gets."""

    status: int
    headers: dict[str, str]  # names in lower case
    body: bytes

    @property
    def code(self) -> str:
        """The code of an error in the contract's form; fails where the body is no such error."""
        document = json.loads(self.body)
        assert set(document) == {"error"}
        assert set(document["error"]) == {"code", "message"}
        assert len(document["error"]["message"]) > 20
        assert self.headers["content-type"] == "application/json"
        return str(document["error"]["code"])


@dataclass
class Proxy:
    """A proxy that is up."""

    port: int  # TLS
    plain: int
    folder: Path  # etc/: what is mounted; tmp/: all that it writes
    process: "subprocess.Popen[bytes]"

    @property
    def url(self) -> str:
        """Where callers reach it."""
        return f"https://127.0.0.1:{self.port}"

    @property
    def keys(self) -> Path:
        """The keys file."""
        return self.folder / "etc" / "keys" / "keys"

    def trust(self) -> ssl.SSLContext:
        """Return a context that trusts this proxy's certificate, and no other."""
        return ssl.create_default_context(cafile=str(self.folder / "etc" / "tls" / "tls.crt"))

    def connect(self, *, tls: bool = True) -> socket.socket:
        """Open a connection that gives up after 20 s."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=20)
        return self.trust().wrap_socket(connection, server_hostname="127.0.0.1") if tls else connection

    def call(
        self,
        path: str = "/predictions/motions",
        body: Any = b"video",
        headers: Mapping[str, str] = AUTHORIZED,
        method: str = "POST",
        patience: float = 20,
    ) -> Reply:
        """Send one request on a connection of its own; `patience` in seconds."""
        connection = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=patience, context=self.trust())
        with contextlib.closing(connection):
            connection.request(method, path, body, dict(headers))
            return read(connection.getresponse())

    def inside(self, path: str, method: str = "GET") -> Reply:
        """Send one request to the port for probes and metrics."""
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.plain, timeout=20)) as connection:
            connection.request(method, path)
            return read(connection.getresponse())

    def send(self, data: bytes, *, tls: bool = True) -> bytes:
        """Send these bytes, and return all that comes back until the proxy closes or is silent for 1 s."""
        received = b""
        with self.connect(tls=tls) as connection:
            connection.sendall(data)
            connection.settimeout(1)
            with contextlib.suppress(OSError):
                while part := connection.recv(1 << 16):
                    received += part
        return received

    def log(self, request_id: str) -> dict[str, Any]:
        """Return the line of the access log for a request, which is written just after its reply."""
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            lines = [json.loads(line) for line in self.lines()]
            found: list[dict[str, Any]] = [line for line in lines if line["request_id"] == request_id]
            if found:
                return found[0]
            time.sleep(0.02)
        pytest.fail(f"there is no line for {request_id} in the access log")

    def lines(self) -> list[str]:
        """Return the lines of the access log."""
        return (self.folder / "tmp" / "access.log").read_text().splitlines()

    def errors(self) -> str:
        """Return the error log."""
        return (self.folder / "error.log").read_text()

    def allow(self, *lines: str) -> None:
        """Put these lines in the place of the keys file, as a mounted secret is replaced: at once."""
        new = self.keys.with_suffix(".new")
        new.write_text("".join(f"{line}\n" for line in lines))
        new.rename(self.keys)


def read(response: http.client.HTTPResponse) -> Reply:
    """Read a whole reply."""
    return Reply(response.status, {name.lower(): value for name, value in response.getheaders()}, response.read())


class _Bytes:
    """As much of a socket as http.client reads a reply from."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, _mode: str) -> io.BytesIO:
        return io.BytesIO(self._data)


def parse(data: bytes) -> Reply:
    """Return the first reply in bytes that `send` returned."""
    response = http.client.HTTPResponse(_Bytes(data))  # type: ignore[arg-type]
    response.begin()
    return read(response)


def entry(name: str, key: str, *options: str) -> str:
    """Return the line of a key in the keys file."""
    return " ".join([name, hashlib.sha256(key.encode()).hexdigest(), *options])


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def nginx() -> str:
    """Return the path of nginx; where it is missing the test is skipped, but on CI it fails."""
    found = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if found and MODULE.exists():
        return found
    reason = "nginx or its module is missing: apt-get install --no-install-recommends nginx libnginx-mod-http-js"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@contextlib.contextmanager
def running(
    *servers: int,
    health: int = 9,
    metrics: int = 9,
    limits: Mapping[str, str] | None = None,
    origins: str = "",
) -> Iterator[Proxy]:
    """Run the proxy before these ports until the block ends.

    Args:
        servers: Ports of inference APIs, one as shipped.
        health: Port of /ready and /live; nobody listens on 9.
        metrics: Port of /metrics.
        limits: Start of a line in limits.conf -> the value that it gets instead.
        origins: Lines of origins.conf.
    """
    binary = nginx()
    with tempfile.TemporaryDirectory(prefix="proxy-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        configuration = _install(folder, {8080: servers, 8083: (health,), 8082: (metrics,)}, limits or {})
        ports = free_port(), free_port()
        text = (configuration / "nginx.conf").read_text()
        text = text.replace("0.0.0.0:8443", f"127.0.0.1:{ports[0]}").replace("0.0.0.0:9180", f"127.0.0.1:{ports[1]}")
        (configuration / "nginx.conf").write_text(text)
        (configuration / "origins.conf").write_text(origins)
        user = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
        with (folder / "error.log").open("wb") as log:
            process = subprocess.Popen(
                [binary, "-e", "stderr", "-c", configuration / "nginx.conf"],
                stderr=log,
                **user,  # type: ignore[call-overload]
            )
        proxy = Proxy(*ports, folder, process)
        try:
            _wait(proxy)
            yield proxy
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            process.wait(10)


def _install(folder: Path, upstreams: Mapping[int, Sequence[int]], limits: Mapping[str, str]) -> Path:
    """Copy the configuration with other paths, ports and limits, beside keys and a certificate; return its folder."""
    configuration, keys, tls, writable = (folder / part for part in ("etc/proxy", "etc/keys", "etc/tls", "tmp"))
    for each in (keys, tls, writable):
        each.mkdir(parents=True)
    shutil.copytree(CONFIGURATION, configuration)
    for path in configuration.glob("*.conf"):
        text = path.read_text().replace(" /tmp/", f" {writable}/")
        text = text.replace("/etc/staa/", f"{folder}/etc/").replace("/dev/stdout", f"{writable}/access.log")
        for port, others in upstreams.items():
            lines = " ".join(f"server 127.0.0.1:{other} max_fails=0;" for other in others)
            text = text.replace(f"server 127.0.0.1:{port} max_fails=0;", lines)
        if path.name == "limits.conf":
            for directive, value in limits.items():
                text, count = re.subn(rf"(?m)^{re.escape(directive)}.*;", f"{directive} {value};", text)
                assert count == 1, f"{directive} is {count} times in limits.conf"
        path.write_text(text)
    (keys / "keys").write_text(f"{entry(NAME, KEY)}\n")
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=proxy -addext"
    made = [*command.split(), "subjectAltName=IP:127.0.0.1", "-keyout", f"{tls}/tls.key", "-out", f"{tls}/tls.crt"]
    subprocess.run(made, check=True, capture_output=True)
    for each in (writable, tls / "tls.key"):
        if os.geteuid() == 0:
            os.chown(each, NOBODY, NOBODY)
    return configuration


def _wait(proxy: Proxy) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and proxy.process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", proxy.port), timeout=1):
            return
        time.sleep(0.02)
    pytest.fail(f"nginx did not start:\n{proxy.errors()}")
