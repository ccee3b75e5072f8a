"""The fake server of the contract on a real socket, for what starts a process or speaks HTTP itself."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import httpx2

from tests.client.conftest import document, server


class Door(BaseHTTPRequestHandler):
    """Hands real requests to the fake server; noise is refused as the contract says."""

    seen: ClassVar[list[tuple[str, dict[str, str]]]] = []

    def do_POST(self) -> None:
        """Answer one request."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        request = httpx2.Request("POST", f"http://server{self.path}", headers=dict(self.headers), content=body)
        self.seen.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
        reply = server(document(label="moves \x1b[31mdown"))(request)
        if body.startswith(b"noise"):
            reply = httpx2.Response(415, json={"error": {"code": "not_a_video", "message": "noise came, send a video"}})
        if self.path.endswith("/nosuch"):
            about = {"code": 404, "type": "ModelNotFoundException", "message": "Model not found: nosuch"}
            reply = httpx2.Response(404, json=about)
        self.send_response(reply.status_code)
        self.send_header("Content-Length", str(len(reply.content)))
        self.end_headers()
        self.wfile.write(reply.content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name is http.server's
        """Say nothing."""


@contextmanager
def door() -> Iterator[str]:
    """The address of a server on loopback."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Door) as house:
        thread = threading.Thread(target=house.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{house.server_port}"
        house.shutdown()
        thread.join()
