"""Raw requests, damaged, for a server: each an answer in the contract's form, never a failure of the server's own."""

import base64
import contextlib
import http.client
import io
import json
import random
import re
import socket
import ssl
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

from tests.deploy import proxies
from tests.fuzz.containers import make as damaged_video
from tests.fuzz.documents import replaced
from tests.fuzz.kinds import Check, Finding, Kind
from tests.fuzz.mutations import mutate
from tests.made import awkward, torchserve
from tests.made.videos import encode, images

HEAD = ["Host: fuzz", "Authorization: Bearer KEY", "Connection: close"]
PATHS = (
    "/predictions/motions", "/explanations/motions", "/v1/models/motions:predict", "/v1/models/motions:explain",
    "/v2/models/motions/infer", "/v2/models/motions/explain", "/predictions/motions/0.1.0",
)  # fmt: skip
ODD_PATHS = (
    "/ping",
    "/ready",
    "/models",
    "/predictions",
    "/predictions/%2e%2e/x",
    "/predictions/other",
    "/v2/health/live",
    "*",
)
ODD_HEADERS = (
    "Transfer-Encoding: chunked",
    "Content-Encoding: gzip",
    "Expect: 100-continue",
    "Content-Length: 0",
    "X-Staa-Maps: npz",
    "X-Staa-Maps: \xe9",
    "X-Staa-Top-K: 1e9",
    "X-Staa-Start: nan",
    "X-Staa-Describe: true",
    "X-Staa-Verify: 99",
    "X-Staa-Refine: 7.5",
    "Range: bytes=0-",
    "Content-Type: application/x-www-form-urlencoded",
    "Content-Type: text/plain; charset=%1b[2K",
    "Content-Type: video/mp4",
    "Content-Type: multipart/mixed; boundary=y",
    "Content-Type: multipart/form-data",
    "Upgrade: h2c",
    "Connection: X-Staa-Maps",
    "Accept: text/html",
    "X-Request-Id: " + "x" * 300,
    "X: " + "y" * 2900,
    "explain: True",
    "Content-Type: application/json; charset=utf-16",
)
PATIENCE = 60.0
"""Seconds until a whole request must be answered, on a busy machine."""
INCOMPLETE = 1.0
"""Seconds that are waited where the request says that more of it comes."""
OWN_FAILURES = {500, 502, 504, 507}
EVERY = 25


@dataclass(frozen=True, slots=True)
class Target:
    """Holds where requests go."""

    host: str
    port: int
    trust: ssl.SSLContext | None = None
    key: str = proxies.KEY
    contract: bool = True
    """Whether errors must have the contract's form: TorchServe's own port has another."""
    log: Path | None = None
    """What the server prints, where that is known."""

    def send(self, data: bytes, patience: float) -> bytes:
        """Send bytes; return all that comes until the other end closes or the time is up."""
        received, deadline = b"", time.monotonic() + patience
        with contextlib.ExitStack() as stack:
            connection = stack.enter_context(socket.create_connection((self.host, self.port), timeout=patience))
            if self.trust is not None:
                connection = stack.enter_context(self.trust.wrap_socket(connection, server_hostname=self.host))
            with contextlib.suppress(OSError):
                connection.sendall(data.replace(b"Bearer KEY", f"Bearer {self.key}".encode()))
                while (left := deadline - time.monotonic()) > 0:
                    connection.settimeout(left)
                    if not (part := connection.recv(1 << 16)):
                        break
                    received += part
        return received


@cache
def film() -> bytes:
    """Return a small good video."""
    return encode(images(20), rate=10)


@cache
def bodies() -> dict[str, tuple[str, bytes]]:
    """Return good bodies by the routes that they are for, each with its content type."""
    text = base64.b64encode(film()).decode()
    part = b'--b\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n%s\r\n'
    form = part % (b"video", b'; filename="a.mp4"', film()) + part % (b"top_k", b"", b"2") + b"--b--\r\n"
    tensor = {"name": "video", "shape": [1], "datatype": "BYTES", "data": [text]}
    return {
        "raw": ("application/octet-stream", film()),
        "form": ("multipart/form-data; boundary=b", form),
        "json": ("application/json", json.dumps({"video": text, "top_k": 3, "maps": "base64"}).encode()),
        "v1": ("application/json", json.dumps({"instances": [{"b64": text}], "top_k": 2}).encode()),
        "v2": ("application/json", json.dumps({"inputs": [tensor], "parameters": {"top_k": 1}}).encode()),
    }


def worded(method: str, path: str, headers: list[str], body: bytes, version: str = "HTTP/1.1") -> bytes:
    """Return a request as it is sent."""
    lines = [f"{method} {path} {version}", *HEAD, *headers, f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode("latin-1") + body


def make(chance: random.Random) -> bytes:
    """Damage a request: its video, its data, its body, its headers, its first line, or all of its bytes."""
    form = chance.choice(list(bodies()))
    content, body = bodies()[form]
    path, method, version = chance.choice(PATHS), "POST", "HTTP/1.1"
    path = chance.choice(PATHS[2:4]) if form == "v1" else chance.choice(PATHS[4:6]) if form == "v2" else path
    headers = [f"Content-Type: {content}"]
    which = chance.choice(["video", "data", "body", "body", "headers", "headers", "line", "bytes"])
    if which == "video":
        content, body = bodies()["raw"][0], damaged_video(chance)[:300_000]
        headers = [f"Content-Type: {content}"]
    elif which == "data" and content == "application/json":
        body = json.dumps(replaced(chance, json.loads(body))).encode()
    elif which in {"data", "body"}:
        body = mutate(chance, body, chance.choice(list(bodies().values()))[1])[:300_000]
    elif which == "headers":
        headers += chance.sample(ODD_HEADERS, chance.choice([1, 1, 2, 3]))
        headers = headers[chance.choice([0, 0, 1]) :]
    elif which == "line":
        method = chance.choice(
            ["POST", "GET", "PUT", "HEAD", "TRACE", "DELETE", "OPTIONS", "PATCH", "post", "X\0", "CONNECT"]
        )
        path = chance.choice([path, *ODD_PATHS, path + "?a=b", path + "/" + "9" * 2000, "//" + path, path.upper()])
        version = chance.choice(["HTTP/1.1", "HTTP/1.0", "HTTP/2.0", "HTTP/0.9", "HTTP/1.1 ", "FTP/1.1"])
    data = worded(method, path, headers, body, version)
    if which == "bytes":
        data = mutate(chance, data[:2000], bodies()["form"][1][:500]) + data[2000:]
    return data


def is_complete(data: bytes) -> bool:
    """Return whether a request is whole, as its head says, so that an answer must come."""
    head, end, body = data.partition(b"\r\n\r\n")
    lengths = re.findall(rb"(?im)^content-length:[ \t]*(\d+)\r?$", head)
    odd = re.search(rb"(?im)^(transfer-encoding|expect|upgrade)|\n\n|[^\r]\n|\0", head)
    return bool(end) and not odd and lengths == [str(len(body)).encode()] and head.startswith((b"POST ", b"PUT "))


def has_no_version(data: bytes) -> bool:
    """Return whether the first line names no version: that is HTTP/0.9, whose replies have no status and no header."""
    return re.match(rb"\S+ +[^ \r\n]+ *\r?\n", data) is not None


class Asker:
    """Sends requests, and holds the answers against the contract."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._good = worded("POST", "/predictions/motions", ["Content-Type: video/mp4"], awkward.film())
        self._count = 0
        self._right = self._answer()

    def __call__(self, data: bytes) -> str:
        """Send a request; raise Finding for a failure of the server's own, silence, or an error of another form."""
        whole = is_complete(data)
        began = time.monotonic()
        try:
            received = self._target.send(data, PATIENCE if whole else INCOMPLETE)
        except OSError as error:
            raise Finding(f"the server does not take a connection: {error!r}") from error
        if not received:
            if whole:
                raise Finding(f"no answer to a whole request in {time.monotonic() - began:.1f} s")
            return "waits for more"
        if has_no_version(data) and not received.startswith(b"HTTP/"):
            status, body = 400, received
        else:
            status, body = parsed(received, data[:4].decode("latin-1"))
        if status in OWN_FAILURES:
            log = self._target.log
            said = "" if log is None else "\n".join(log.read_text(errors="replace").splitlines()[-40:])
            raise Finding(f"{status}: {body[:300]!r}\n{said}")
        if self._target.contract and status >= 400 and not data.startswith(b"HEAD"):
            self._check_form(status, body)
        self._count += 1
        if self._count % EVERY == 0 and self._answer() != self._right:
            raise Finding("the next good request is answered with other labels")
        return str(status)

    def _answer(self) -> object:
        """Return the labels of a good video."""
        status, body = parsed(self._target.send(self._good, PATIENCE))
        if status != 200:
            raise Finding(f"a good request is answered with {status}: {body[:300]!r}")
        return [guess["label"] for guess in json.loads(body)["predictions"]]

    @staticmethod
    def _check_form(status: int, body: bytes) -> None:
        try:
            error = json.loads(body)["error"]
            fine = set(error) == {"code", "message"} and 20 < len(error["message"]) < 2000 and error["code"].islower()
        except (ValueError, LookupError, TypeError, AttributeError):
            fine = False
        if not fine:
            raise Finding(f"{status} in another form than the contract's: {body[:300]!r}")


class _Bytes:
    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, _mode: str) -> io.BytesIO:
        return io.BytesIO(self._data)


def parsed(received: bytes, method: str = "POST") -> tuple[int, bytes]:
    """Return status and body of a reply to a method; raise Finding where it is no HTTP."""
    try:
        response = http.client.HTTPResponse(_Bytes(received), method=method)  # type: ignore[arg-type]
        response.begin()
        return response.status, response.read()
    except http.client.HTTPException as error:
        raise Finding(f"no HTTP came: {received[:200]!r}") from error


@contextmanager
def started() -> Iterator[Target]:
    """Start a server of the default model behind the front proxy."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([torchserve.ROOT / "archive.sh", "motions", "--output", folder], check=True, capture_output=True)
        with torchserve.start(Path(folder), "motions") as server:
            ports = [urlsplit(url).port or 0 for url in (server.inference, server.health, server.metrics)]
            with proxies.running(ports[0], health=ports[1], metrics=ports[2], limits=proxies.UNHURRIED) as proxy:
                yield of_proxy(proxy, server.log)


def of_proxy(proxy: proxies.Proxy, log: Path | None = None) -> Target:
    """Return the target that is a proxy of the tests, before a server with this log."""
    return Target("127.0.0.1", proxy.port, proxy.trust(), log=log)


def of_url(url: str, key: str, authority: str | None) -> Target:
    """Return the target of an address; `authority` is a file with the certificate that is trusted."""
    parts = urlsplit(url)
    trust = ssl.create_default_context(cafile=authority) if parts.scheme == "https" else None
    return Target(parts.hostname or "", parts.port or 443, trust, key, contract=trust is not None)


def kind(target: Target | None = None) -> Kind:
    """Return the kind for a server that runs, or for one that is started."""

    @contextmanager
    def opened() -> Iterator[Check]:
        with contextlib.ExitStack() as stack:
            yield Asker(target or stack.enter_context(started()))

    return Kind("requests", make, opened, regressions)


def regressions() -> Iterator[tuple[str, bytes]]:
    """Yield what was found by hand."""
    part = b"--b\r\nContent-Disposition: form-data%s\r\n%s\r\nx\r\n--b--\r\n"
    form = "Content-Type: multipart/form-data; boundary=b"
    for name, about, more in (
        ("no_name", b"", b""),
        ("empty_name", b'; name=""', b""),
        ("bare_name", b"; name", b""),
        ("charset", b'; name="a"', b"Content-Type: text/plain; charset=%1b[2K\r\n"),
        ("transfer_encoding", b'; name="a"', b"Content-Transfer-Encoding: base64\r\n"),
        ("file_name", b"; name=\"a\"; filename*=UTF-8''%zz", b""),
    ):
        yield f"multipart_{name}", worded("POST", PATHS[0], [form], part % (about, more))
    for name, header in (
        ("no_boundary", "multipart/form-data"),
        ("empty_boundary", "multipart/form-data; boundary="),
        ("urlencoded", "application/x-www-form-urlencoded"),
    ):
        yield name, worded("POST", PATHS[1], [f"Content-Type: {header}"], b"a=%zz&b=%1b")
    yield "http_2", worded("GET", "/ping", [], b"", "HTTP/2.0")
    yield "no_version", b"POST /predictions/motions\xa0HTTP/1.1\r\nHost: fuzz\r\nContent-Length: 0\r\n\r\n"
    yield "trace", worded("TRACE", PATHS[4], [], b"")
    yield "deep", worded("POST", PATHS[0], ["Content-Type: application/json"], b"[" * 300_000)
    lists = b'{"video": [' + b",".join([b"[[]]"] * 100_000) + b"]}"
    yield "lists", worded("POST", PATHS[0], ["Content-Type: application/json"], lists)
    yield (
        "data_url",
        worded("POST", PATHS[0], ["Content-Type: application/json"], b'{"video": "data:video/mp4;base64,!"}'),
    )
