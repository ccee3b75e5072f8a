"""The health endpoint by itself: what it says of what is known, and to whom."""

import http.client
import json
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from staa_serve.health import Health, serve
from staa_serve.workers import Workers

Ask = Callable[..., tuple[int, Any]]


@dataclass
class Known:
    """What the endpoint is told; a test changes it."""

    alive: bool = True
    stopping: bool = False
    health: Health = field(init=False)

    def __post_init__(self) -> None:
        self.health = Health(["a", "b"], alive=lambda: self.alive, stopping=lambda: self.stopping)


@pytest.fixture
def known() -> Known:
    """Return what the endpoint is told: a server that has begun to load two models."""
    return Known()


@pytest.fixture
def port(known: Known) -> Iterator[int]:
    """Serve what is known; yield the port."""
    with serve(known.health, "http://127.0.0.1:0") as port:
        yield port


@pytest.fixture
def ask(port: int) -> Ask:
    """Return what sends one request and returns (status, content)."""

    def send(path: str, method: str = "GET") -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            connection.request(method, path)
            reply = connection.getresponse()
            assert reply.getheader("Content-Type") == "application/json"
            assert reply.getheader("Cache-Control") == "no-store"
            body = reply.read()
            return reply.status, json.loads(body) if body else None
        finally:
            connection.close()

    return send


def code(answer: tuple[int, Any]) -> tuple[int, str]:
    """Return status and code of an error in the contract's form."""
    status, content = answer
    assert set(content) == {"error"}
    assert set(content["error"]) == {"code", "message"}
    return status, content["error"]["code"]


def test_ready_needs_a_worker_of_every_model(known: Known, ask: Ask) -> None:
    """One READY worker a model is enough, one model without any is not, and the message names it."""
    assert code(ask("/ready")) == (503, "not_ready")
    known.health.workers = {"a": Workers(1, 2), "b": Workers(0, 1)}
    assert code(ask("/ready")) == (503, "not_ready")
    assert ask("/ready")[1]["error"]["message"].startswith("b has no READY worker (of 1)")
    known.health.workers = {"a": Workers(1, 2), "b": Workers(1, 1)}
    models = {"a": {"ready": 1, "workers": 2}, "b": {"ready": 1, "workers": 1}}
    assert ask("/ready") == (200, {"ready": True, "models": models})


def test_ready_is_false_when_asked_to_stop_and_live_is_not(known: Known, ask: Ask) -> None:
    """A server that drains takes no new requests, and must not be killed for it."""
    known.health.workers = {"a": Workers(1, 1), "b": Workers(1, 1)}
    known.stopping = True
    assert code(ask("/ready")) == (503, "draining")
    assert ask("/live") == (200, {"live": True})
    known.alive = False
    assert code(ask("/live")) == (503, "dead")


def test_models_are_told_whatever_their_state(known: Known, ask: Ask) -> None:
    """What is served is said with its workers, also while one has none, and while the server drains."""
    known.health.workers = {"a": Workers(1, 2, "1.0", 4, 3), "b": Workers(0, 1)}
    known.stopping = True
    first = {"name": "a", "version": "1.0", "workers": 2, "ready": 1, "batch": 4, "waiting": 3}
    second = {"name": "b", "version": "", "workers": 1, "ready": 0, "batch": 0, "waiting": 0}
    assert ask("/models") == (200, {"models": [first, second]})


def test_what_is_no_probe_is_answered_in_the_same_form(ask: Ask) -> None:
    """Another path is 404 and another method 501, as the contract's errors; HEAD has no body; queries are ignored."""
    assert code(ask("/models/a")) == (404, "not_found")
    assert code(ask("/ready", "POST")) == (501, "bad_request")
    assert ask("/live", "HEAD") == (200, None)
    assert ask("/live?verbose=1") == (200, {"live": True})


def test_one_who_never_finishes_keeps_nobody_waiting(port: int, ask: Ask) -> None:
    """A connection that sends half a request, or nothing, does not hold up the others."""
    with socket.create_connection(("127.0.0.1", port)) as half, socket.create_connection(("127.0.0.1", port)):
        half.sendall(b"GET /live HT")
        assert ask("/live") == (200, {"live": True})
