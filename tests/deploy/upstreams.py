"""A stand-in for TorchServe on loopback, which keeps what it hears to the byte and answers as a test wants."""

import contextlib
import json
import socketserver
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http import HTTPStatus


@dataclass(frozen=True)
class Heard:
    """One request as it arrived."""

    line: str
    headers: tuple[tuple[str, str], ...]  # names in lower case, in their order
    body: bytes
    connection: int

    def values(self, name: str) -> list[str]:
        """Return the values of all headers of this name."""
        return [value for each, value in self.headers if each == name]


Answer = Callable[[Heard], bytes | None]
"""A request -> all bytes of the reply; None hangs up."""


def reply(body: bytes | dict[str, object], status: int = 200, *headers: str, close: bool = False) -> bytes:
    """Bytes of a reply with a Content-Length."""
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", f"content-length: {len(body)}"]
    lines += ["content-type: application/json", *headers, *(["connection: close"] if close else [])]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def torchserve(status: int, kind: str, message: str) -> Answer:
    """TorchServe's own errors, after which it closes."""
    return lambda _: reply({"code": status, "type": kind, "message": message}, status, close=True)


def good(heard: Heard) -> bytes:
    """Answer 200 with the length of the body."""
    return reply({"bytes": len(heard.body)}, 200, "x-request-id: of-torchserve", "pragma: no-cache", "expires: never")


@dataclass
class Upstream:
    """The stand-in; `answer` may be changed at any time."""

    port: int
    answer: Answer = good
    heard: list[Heard] = field(default_factory=list)
    connections: int = 0
    bytes: int = 0  # of request lines

    def forget(self) -> None:
        """Be as new: nothing heard, and a good answer."""
        self.answer = good
        self.heard.clear()
        self.connections = self.bytes = 0


class _Connection(socketserver.StreamRequestHandler):
    timeout = 30

    def handle(self) -> None:
        """Answer one request after the other."""
        upstream: Upstream = self.server.upstream  # type: ignore[attr-defined]
        upstream.connections += 1
        number = upstream.connections
        with contextlib.suppress(OSError):
            while (line := self.rfile.readline()) and self._one(upstream, line, number):
                pass

    def _one(self, upstream: Upstream, line: bytes, number: int) -> bool:
        upstream.bytes += len(line)
        headers = []
        while (text := self.rfile.readline()) not in {b"\r\n", b""}:
            name, _, value = text.decode("latin-1").partition(":")
            headers.append((name.lower(), value.strip()))
        length = next((int(value) for name, value in headers if name == "content-length"), 0)
        heard = Heard(line.decode("latin-1").strip(), tuple(headers), self.rfile.read(length), number)
        upstream.heard.append(heard)
        answer = upstream.answer(heard)
        if answer is None:
            return False
        self.wfile.write(answer)
        return b"connection: close" not in answer.partition(b"\r\n\r\n")[0]


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False  # a connection that waits for its next request would wait for ever
    request_queue_size = 128

    def handle_error(self, *_: object) -> None:
        """Say nothing of a proxy that has gone."""


@contextlib.contextmanager
def listening(answer: Answer = good, port: int = 0) -> Iterator[Upstream]:
    """Listen on loopback until the block ends."""
    with _Server(("127.0.0.1", port), _Connection) as server:
        upstream = Upstream(server.server_address[1], answer)
        server.upstream = upstream  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        try:
            yield upstream
        finally:
            server.shutdown()
