"""Servers on real sockets: the fake one of the contract, and one that does to a connection whatever a test wants."""

import json
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import httpx2

from tests.client.conftest import document, server
from tests.client.servers import management

Fault = Callable[[socket.socket], None]


class FakeServer(BaseHTTPRequestHandler):
    """Hands real requests to the fake server; noise is refused as the contract says."""

    seen: ClassVar[list[tuple[str, dict[str, str]]]] = []

    def do_POST(self) -> None:
        """Answer one request."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        request = httpx2.Request("POST", f"http://server{self.path}", headers=dict(self.headers), content=body)
        self.seen.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
        reply = server(document(label="moves \u200d[31mdown"))(request)
        if body.startswith(b"noise"):
            reply = httpx2.Response(415, json={"error": {"code": "not_a_video", "message": "noise came, send a video"}})
        if self.path.endswith("/nosuch"):
            about = {"code": 404, "type": "ModelNotFoundException", "message": "Model not found: nosuch"}
            reply = httpx2.Response(404, json=about)
        self._send(reply)

    def do_GET(self) -> None:
        """Answer as the management API does."""
        self._send(management(httpx2.Request("GET", f"http://server{self.path}")))

    def _send(self, reply: httpx2.Response) -> None:
        self.send_response(reply.status_code)
        self.send_header("Content-Length", str(len(reply.content)))
        self.end_headers()
        self.wfile.write(reply.content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name is http.server's
        """Say nothing."""


class ProxyServer(FakeServer):
    """Serves one model, "actions", and lists it as the front proxy does."""

    is_odd: ClassVar[bool] = False
    seen: ClassVar[list[tuple[str, dict[str, str]]]] = []

    def do_POST(self) -> None:
        """Answer one request."""
        if self.path.split("/")[2] == "actions":
            return super().do_POST()
        self.rfile.read(int(self.headers["Content-Length"]))
        about = {"code": "model_not_found", "message": "this model is not served here: ask for another one"}
        return self._send(httpx2.Response(404, json={"error": about}))

    def do_GET(self) -> None:
        """Answer with the list of models."""
        one = {"name": "actions", "version": "2.0", "workers": 1, "ready": 1, "batch": 4, "waiting": 0}
        odd = one | {"name": "act$(touch evaluated)"}
        self._send(httpx2.Response(200, json={"models": [one, odd] if self.is_odd else [one]}))


class OddServer(ProxyServer):
    """Lists a model too whose name a shell would evaluate."""

    is_odd = True


@contextmanager
def http_server(handler: type[BaseHTTPRequestHandler], tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """Run a server, and yield its address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"{'http' if tls is None else 'https'}://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def fake_server() -> AbstractContextManager[str]:
    """Run a fake server of the contract, which gives its address."""
    return http_server(FakeServer)


def read_request(connection: socket.socket, data: bytes = b"") -> bytes:
    """Read a whole request, of which some data has come already, and return its body."""
    while b"\r\n\r\n" not in data:
        if not (chunk := connection.recv(1 << 16)):
            raise ConnectionResetError("the client went before its request was whole")
        data += chunk
    head, _, begin = data.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)content-length: (\d+)", head)
    body = bytearray(begin)
    while length and len(body) < int(length[1]) and (chunk := connection.recv(1 << 16)):
        body += chunk
    return bytes(body)


@contextmanager
def raw_server(fault: Fault) -> Iterator[tuple[str, list[int]]]:
    """Yield the address of a server that does this to every connection, and a list that grows with each."""
    asked: list[int] = []
    with closing(socket.create_server(("127.0.0.1", 0))) as door:

        def serve(connection: socket.socket) -> None:
            with connection:
                connection.settimeout(5)
                try:
                    fault(connection)
                except OSError:  # the client went
                    return

        def accept() -> None:
            while True:
                try:
                    connection, _ = door.accept()
                except OSError:  # closed
                    return
                asked.append(1)
                threading.Thread(target=serve, args=(connection,), daemon=True).start()

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{door.getsockname()[1]}", asked
        door.shutdown(socket.SHUT_RDWR)
        thread.join(5)


def answer_with(status: str, body: bytes = b"", *headers: str, length: int | None = None) -> Fault:
    """A server that reads the request, and answers so."""
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body) if length is None else length}", "Connection: close"]
    text = "\r\n".join([*head, *headers]).encode() + b"\r\n\r\n" + body

    def answer(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(text)

    return answer


def contract_error(code: str) -> bytes:
    """An error of the contract."""
    return json.dumps({"error": {"code": code, "message": "what came, what to do"}}).encode()


def torchserve_error(status: int, kind: str, message: str) -> bytes:
    """An error of TorchServe."""
    return json.dumps({"code": status, "type": kind, "message": message}).encode()


def drips(head: bytes, drop: bytes = b"a") -> Fault:
    """Return what a server does that reads the request, and answers this head, and then the same again and again."""

    def drip(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(head)
        while True:
            connection.sendall(drop)
            time.sleep(0.05)

    return drip


DRIP_HEAD = drips(b"HTTP/1.1 200 OK\r\nX-Long: ")
"""What a server does that never comes to the end of its head."""


def say_nothing(connection: socket.socket) -> None:
    """Read, and say nothing until the client goes."""
    read_request(connection)
    connection.recv(1)


LABELS = json.dumps({name: value for name, value in document().items() if name != "explanation"}).encode()
