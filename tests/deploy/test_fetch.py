"""The init container that fetches archives: what it takes, what it refuses, what it leaves behind."""

import hashlib
import os
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "deploy" / "kubernetes" / "components" / "fetch" / "fetch.py"
ARCHIVE = b"PK an archive " * 1000
DIGEST = hashlib.sha256(ARCHIVE).hexdigest()


@dataclass
class Store:
    """A store on the loopback, and what it was asked."""

    certificate: Path
    port: int = 0
    asked: list[tuple[str, str | None]] = field(default_factory=list)  # path, Authorization

    def line(self, path: str = "/motions.mar", digest: str = DIGEST) -> str:
        """Return the line of a list for an archive here."""
        return f"motions.mar {digest} https://localhost:{self.port}{path}\n"


class _Handler(BaseHTTPRequestHandler):
    def __init__(self, store: Store, *connection: object) -> None:
        self._store = store
        super().__init__(*connection)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        self._store.asked.append((self.path, self.headers["Authorization"]))
        elsewhere = {
            "/plain": f"http://localhost:{self._store.port}/motions.mar",
            "/other": f"https://127.0.0.1:{self._store.port}/motions.mar",
        }
        if self.path in elsewhere:
            self.send_response(302)
            self.send_header("Location", elsewhere[self.path])
            self.end_headers()
        elif self.path == "/motions.mar":
            self.send_response(200)
            self.send_header("Content-Length", str(len(ARCHIVE)))
            self.end_headers()
            self.wfile.write(ARCHIVE)
        elif self.path == "/short":
            self.send_response(200)
            self.send_header("Content-Length", str(len(ARCHIVE)))
            self.end_headers()
            self.wfile.write(ARCHIVE[:100])
        else:
            self.send_error(404)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Serve an archive by https on a free port, under both names of the loopback."""
    certificate, key = tmp_path / "tls.crt", tmp_path / "tls.key"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    told = Store(certificate)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, told)) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        told.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield told
        finally:
            server.shutdown()
            thread.join()


def run(store: Store, text: str, folder: Path, authorization: str = "") -> "subprocess.CompletedProcess[str]":
    """Fetch what a list names, by a Python that has nothing but its standard library."""
    folder.mkdir(exist_ok=True)
    listed = folder.parent / "archives.txt"
    listed.write_text(text)
    environ = {"PATH": os.environ["PATH"], "SSL_CERT_FILE": str(store.certificate)}
    if authorization:
        environ["AUTHORIZATION"] = authorization
    command = [sys.executable, "-I", "-S", str(SCRIPT), str(listed), str(folder)]
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)


def test_an_archive_is_fetched_once(store: Store, tmp_path: Path) -> None:
    """An archive arrives whole under its name; when it is there already, nothing is asked."""
    folder = tmp_path / "models"
    text = "# a comment\n\n" + store.line()
    assert run(store, text, folder, "Bearer x").returncode == 0
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {"motions.mar": ARCHIVE}
    assert store.asked == [("/motions.mar", "Bearer x")]
    done = run(store, text, folder)
    assert done.returncode == 0
    assert "motions.mar is there" in done.stdout
    assert len(store.asked) == 1


def test_a_changed_archive_is_fetched_again(store: Store, tmp_path: Path) -> None:
    """A file that lies there under the name with another content is replaced."""
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "motions.mar").write_bytes(b"old")
    assert run(store, store.line(), folder).returncode == 0
    assert (folder / "motions.mar").read_bytes() == ARCHIVE


@pytest.mark.parametrize(
    ("path", "digest", "said"),
    [
        ("/motions.mar", "0" * 64, f"its SHA-256 is {DIGEST}, expected {'0' * 64}"),
        ("/missing", DIGEST, "404"),
        ("/short", DIGEST, "SHA-256"),
        ("/plain", DIGEST, "expected https"),
    ],
)
def test_what_is_not_the_archive_is_refused(store: Store, tmp_path: Path, path: str, digest: str, said: str) -> None:
    """Another content, nothing, a part, or a way without TLS: it fails, says why, and leaves no file."""
    folder = tmp_path / "models"
    done = run(store, store.line(path, digest), folder)
    assert done.returncode == 1
    assert said in done.stderr
    assert not list(folder.iterdir())


def test_an_unknown_authority_is_refused(store: Store, tmp_path: Path) -> None:
    """A store whose certificate nobody vouches for is not believed."""
    store.certificate = tmp_path / "none"
    done = run(store, store.line(), tmp_path / "models")
    assert done.returncode == 1
    assert "certificate verify failed" in done.stderr


def test_the_authorization_stays_with_its_host(store: Store, tmp_path: Path) -> None:
    """A redirect to another host is followed without the authorization."""
    assert run(store, store.line("/other"), tmp_path / "models", "Bearer x").returncode == 0
    assert store.asked == [("/other", "Bearer x"), ("/motions.mar", None)]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# only a comment\n",
        f"motions.mar {DIGEST} http://localhost/motions.mar\n",
        f"../motions.mar {DIGEST} https://localhost/motions.mar\n",
        "motions.mar https://localhost/motions.mar\n",
    ],
)
def test_a_wrong_list_is_refused(store: Store, tmp_path: Path, text: str) -> None:
    """An empty list, a way without TLS, a path for a name or no checksum: nothing is asked, and the code is 2."""
    done = run(store, text, tmp_path / "models")
    assert done.returncode == 2
    assert "expected" in done.stderr or "names no archive" in done.stderr
    assert not store.asked
