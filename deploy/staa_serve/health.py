"""Answer probes: GET /ready and GET /live, on a port of the loopback address, say whether to send requests here.

GET /models says what is served, also while a model has no worker. All answers come from what is already known, so they
cost nothing, however many there are.
"""

import contextlib
import json
import socketserver
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import urlsplit

from staa_serve.workers import Workers

Answer = tuple[HTTPStatus, dict[str, Any]]


class Health:
    """Holds the state of the server. `Server.poll_workers` sets `workers`: name of a model -> its workers."""

    def __init__(self, names: Sequence[str], *, alive: Callable[[], bool], stopping: Callable[[], bool]) -> None:
        self.workers: Mapping[str, Workers] = dict.fromkeys(names, Workers(0, 0))
        self._alive = alive
        self._stopping = stopping

    def ready(self) -> Answer:
        """Answer 200 while every model has a READY worker and no stop was asked for, and 503 otherwise."""
        if self._stopping():
            return _unavailable("draining", "the server was asked to stop: it finishes what it has. Ask another one.")
        for name, workers in self.workers.items():
            if not workers.ready:
                message = f"{name} has no READY worker (of {workers.total}): it is loading, or is being restarted."
                return _unavailable("not_ready", f"{message} Ask again in a second; the log says what it does.")
        models = {name: {"ready": known.ready, "workers": known.total} for name, known in self.workers.items()}
        return HTTPStatus.OK, {"ready": True, "models": models}

    def models(self) -> Answer:
        """Answer 200 with each model, its version, and its workers as of the last poll."""
        served = [
            {
                "name": name,
                "version": known.version,
                "workers": known.total,
                "ready": known.ready,
                "batch": known.batch,
                "waiting": known.waiting,
            }
            for name, known in self.workers.items()
        ]
        return HTTPStatus.OK, {"models": served}

    def live(self) -> Answer:
        """Answer 200 while TorchServe's frontend runs, and 503 otherwise."""
        if self._alive():
            return HTTPStatus.OK, {"live": True}
        return _unavailable("dead", "TorchServe's frontend has ended, and this process is about to. Start it again.")

    def answer(self, path: str) -> Answer:
        """Return the answer to a GET of this path."""
        routes = {"/ready": self.ready, "/live": self.live, "/models": self.models}
        if path in routes:
            return routes[path]()
        return HTTPStatus.NOT_FOUND, _error("not_found", f"there is no {path!r} here; ask for /ready, /live or /models")


def _error(code: str, message: str) -> dict[str, Any]:
    """Return an error in the form of the HTTP contract."""
    return {"error": {"code": code, "message": message}}


def _unavailable(code: str, message: str) -> Answer:
    """Return a 503 with its reason."""
    return HTTPStatus.SERVICE_UNAVAILABLE, _error(code, message)


class _Handler(BaseHTTPRequestHandler):
    """Handles one connection with the answers of `Health`."""

    timeout = 5  # seconds for a request to come in

    def __init__(self, health: Health, *connection: Any) -> None:
        self._health = health
        super().__init__(*connection)

    def do_GET(self) -> None:
        self._reply(*self._health.answer(self.path.partition("?")[0]))

    do_HEAD = do_GET  # noqa: N815 the name that the standard library looks for

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer other methods, and what is not HTTP, with an error in the same form as all others."""
        said = explain or message or HTTPStatus(code).phrase
        self._reply(HTTPStatus(code), _error("bad_request", f"{said}; expected GET /ready or GET /live"))

    def _reply(self, status: HTTPStatus, content: dict[str, Any]) -> None:
        body = json.dumps(content).encode() + b"\n"
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def version_string(self) -> str:
        return "staa-serve"

    def log_message(self, *_: object) -> None:
        """Log nothing: a line for each probe would be noise."""


class _Server(socketserver.ThreadingTCPServer):
    """Serves the probes. Unlike http.server's own server, it does not look up the host name of the loopback address."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, *_: object) -> None:
        """Log nothing about a client that closed its connection before the answer."""


@contextlib.contextmanager
def serve(health: Health, url: str) -> Iterator[int]:
    """Answer requests at an address such as http://127.0.0.1:8083 until the block ends; give its port."""
    address = urlsplit(url)
    with _Server((address.hostname or "", address.port or 0), partial(_Handler, health)) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True).start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
