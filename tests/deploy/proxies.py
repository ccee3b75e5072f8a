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
import stat
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.made.programs import free_ports, program
from tests.made.waiting import until

ROOT = Path(__file__).resolve().parents[2]
CONFIGURATION = ROOT / "deploy" / "proxy"
MODULES = [Path(f"/usr/lib/nginx/modules/ngx_{name}_module.so") for name in ("http_js", "stream", "stream_js")]
KEY, NAME = "staa_a-key-for-tests", "tester"
AUTHORIZED = {"Authorization": f"Bearer {KEY}"}
NOBODY = 65534
ARRIVAL, AGE = (f'map "" ${name}_seconds {{ default' for name in ("arrival", "connection"))
FILE = dict.fromkeys(("limit_conn addresses", "limit_conn callers", ARRIVAL, AGE), "connections.conf")
"""Where a limit stands; else in limits.conf."""
UNHURRIED = {"limit_req zone=requests": "burst=10000 nodelay"}
"""Of limits.conf: none on the rate."""


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

    @property
    def certificate(self) -> Path:
        """Its certificate, which it has signed itself."""
        return self.folder / "etc" / "tls" / "tls.crt"

    def trust(self) -> ssl.SSLContext:
        """Return a context that trusts this proxy's certificate, and no other."""
        return ssl.create_default_context(cafile=str(self.certificate))

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

        def lines() -> list[dict[str, Any]]:
            return [line for line in map(json.loads, self.lines()) if line["request_id"] == request_id]

        return until(lines)[0]

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
    """Read a whole reply; no header of it comes twice."""
    headers = [(name.lower(), value) for name, value in response.getheaders()]
    assert len(dict(headers)) == len(headers), headers
    return Reply(response.status, dict(headers), response.read())


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


def bearer(key: str) -> dict[str, str]:
    """Return the header with a key."""
    return {"Authorization": f"Bearer {key}"}


def entry(name: str, key: str, *options: str) -> str:
    """Return the line of a key in the keys file."""
    return " ".join([name, hashlib.sha256(key.encode()).hexdigest(), *options])


def nginx() -> str:
    """Return the path of nginx; where it or its module is missing the test is skipped."""
    install = "apt-get install --no-install-recommends nginx libnginx-mod-http-js libnginx-mod-stream-js"
    for module in MODULES:
        if not module.exists():
            pytest.skip(f"there is no {module.name}: {install}")
    return program("nginx", install)


@contextlib.contextmanager
def running(
    *servers: int,
    health: int = 9,
    metrics: int = 9,
    limits: Mapping[str, str] | None = None,
    places: Mapping[str, int] | None = None,
    origins: str = "",
) -> Iterator[Proxy]:
    """Run the proxy before these ports until the block ends.

    Args:
        servers: Ports of inference APIs, one as shipped.
        health: Port of /ready and /live; nobody listens on 9.
        metrics: Port of /metrics.
        limits: Start of a line in limits.conf or connections.conf -> the value that it gets instead.
        places: Group of places in servers.conf -> how many it gets instead.
        origins: Lines of origins.conf.
    """
    binary = nginx()
    with tempfile.TemporaryDirectory(prefix="proxy-", dir=_open_to_all()) as name:
        folder = Path(name)
        folder.chmod(0o755)
        configuration = _install(folder, {8080: servers, 8083: (health,), 8082: (metrics,)}, limits or {}, places)
        port, inner, plain = free_ports(3)
        text = (configuration / "nginx.conf").read_text()
        text = text.replace("0.0.0.0:8443", f"127.0.0.1:{port}").replace("0.0.0.0:9180", f"127.0.0.1:{plain}")
        text = text.replace("127.0.0.1:8444", f"127.0.0.1:{inner}")
        (configuration / "nginx.conf").write_text(text)
        (configuration / "origins.conf").write_text(origins)
        user = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
        with (folder / "error.log").open("wb") as log:
            process = subprocess.Popen(
                [binary, "-e", "stderr", "-c", configuration / "nginx.conf"],
                stderr=log,
                **user,  # type: ignore[call-overload]
            )
        proxy = Proxy(port, plain, folder, process)
        try:
            _wait(proxy)
            yield proxy
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            process.wait(60)


def _open_to_all() -> str | None:
    """Return a folder for temporary files that whom nginx runs as may enter; None: the usual one."""
    usual = Path(tempfile.gettempdir()).resolve()
    closed = any(not folder.stat().st_mode & stat.S_IXOTH for folder in (usual, *usual.parents))
    return "/tmp" if os.geteuid() == 0 and closed else None  # noqa: S108  # everybody's, by its purpose


def _install(
    folder: Path,
    upstreams: Mapping[int, Sequence[int]],
    limits: Mapping[str, str],
    places: Mapping[str, int] | None,
) -> Path:
    """Copy the configuration with other paths, ports and limits, beside keys and a certificate; return its folder."""
    configuration, keys, tls, writable = (folder / part for part in ("etc/proxy", "etc/keys", "etc/tls", "tmp"))
    for each in (keys, tls, writable):
        each.mkdir(parents=True)
    shutil.copytree(CONFIGURATION, configuration)
    for path in configuration.glob("*.conf"):
        text = path.read_text().replace(" /tmp/", f" {writable}/")
        text = text.replace("/etc/staa/", f"{folder}/etc/").replace("/dev/stdout", f"{writable}/access.log")
        for port, others in upstreams.items():
            lines = " ".join(rf"server 127.0.0.1:{other} max_fails=0\1;" for other in others)
            text = re.sub(rf"server 127\.0\.0\.1:{port} max_fails=0( max_conns=\d+)?;", lines, text)
        for directive, value in limits.items():
            if FILE.get(directive, "limits.conf") == path.name:
                text, count = re.subn(rf"(?m)^{re.escape(directive)}.*;", f"{directive} {value};", text)
                assert count == 1, f"{directive} is {count} times in {path.name}"
        for group, number in (places or {}).items():
            text = re.sub(rf"(upstream {group} \{{[^}}]*max_conns=)\d+", rf"\g<1>{number}", text)
        path.write_text(text)
    (keys / "keys").write_text(f"{entry(NAME, KEY)}\n")
    certify(tls)
    if os.geteuid() == 0:
        os.chown(writable, NOBODY, NOBODY)
    return configuration


def certify(folder: Path) -> None:
    """Put a new certificate for 127.0.0.1, signed by itself, and its key in a folder."""
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=proxy -addext"
    made = [
        *command.split(),
        "subjectAltName=IP:127.0.0.1",
        "-keyout",
        f"{folder}/tls.key",
        "-out",
        f"{folder}/tls.crt",
    ]
    subprocess.run(made, check=True, capture_output=True)
    if os.geteuid() == 0:
        os.chown(folder / "tls.key", NOBODY, NOBODY)


def _wait(proxy: Proxy) -> None:
    def listens() -> bool:
        assert proxy.process.poll() is None, f"nginx did not start:\n{proxy.errors()}"
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", proxy.port), timeout=1):
            return True
        return False

    until(listens)
