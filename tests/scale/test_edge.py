"""What Ray's HTTP proxy asks before it passes a request on, without a Ray."""

import asyncio
import json
from typing import Any

import pytest

from scale import edge
from scale.edge import Edge

Messages = list[dict[str, Any]]


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Answer with the length of the body, and the names of the headers."""
    length, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        length += len(message["body"])
        more = message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    names = [name.decode() for name, _ in scope["headers"]]
    await send({"type": "http.response.body", "body": json.dumps({"length": length, "headers": names}).encode()})


def ask(
    app: Any, *parts: bytes, path: str = "/predictions/m", query: bytes = b"", headers: dict[str, str] | None = None
) -> tuple[int, Any, dict[str, str]]:
    """Return the status, the body and the headers of the reply of one request whose body comes in parts."""
    received = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
    received.append({"type": "http.request", "body": b"", "more_body": False})
    sent: Messages = []

    async def receive() -> Any:
        return received.pop(0)

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    pairs = [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
    scope = {"type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "headers": pairs}
    asyncio.run(app({**scope, "query_string": query}, receive, send))
    told = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], json.loads(b"".join(message.get("body", b"") for message in sent[1:])), told


def test_a_request_passes() -> None:
    """Its body comes whole, and no byte of it counts afterwards."""
    app = Edge(echo)
    status, reply, _ = ask(app, b"abc", b"de")
    assert (status, reply["length"]) == (200, 5)
    assert app.under_way == 0


@pytest.mark.parametrize(
    ("path", "query", "status", "code"),
    [
        ("/predictions/m", b"top_k=1", 400, "query_refused"),
        ("/predictions/%6d", b"", 404, "route_unknown"),
        ("/predictions//m", b"", 404, "route_unknown"),
    ],
)
def test_an_address_is_taken_as_it_stands(path: str, query: bytes, status: int, code: str) -> None:
    """What could be read in two ways is refused."""
    told = ask(Edge(echo), path=path, query=query)
    assert (told[0], told[1]["error"]["code"]) == (status, code)


@pytest.mark.parametrize("length", [None, "17"])
def test_a_large_request_is_refused(monkeypatch: pytest.MonkeyPatch, length: str | None) -> None:
    """Whether it says how long it is or not; nothing of it counts afterwards."""
    monkeypatch.setattr(edge, "MOST_BYTES", 16)
    app = Edge(echo)
    status, reply, _ = ask(app, b"12345678", b"123456789", headers={"content-length": length} if length else {})
    assert (status, reply["error"]["code"]) == (413, "too_many_bytes")
    assert app.under_way == 0


@pytest.mark.parametrize("length", [None, "9"])
def test_memory_does_not_fill(monkeypatch: pytest.MonkeyPatch, length: str | None) -> None:
    """A request beyond what all may have together is asked to come again, and the next small one is answered."""
    monkeypatch.setattr(edge, "MOST_BYTES_UNDER_WAY", 16)
    app = Edge(echo)
    app.under_way = 8
    status, reply, headers = ask(app, b"123456789", headers={"content-length": length} if length else {})
    assert (status, reply["error"]["code"], headers["retry-after"]) == (503, "service_unavailable", "1")
    assert ask(app, b"1234")[0] == 200


def test_a_caller_does_not_steer_ray() -> None:
    """Headers that Ray's proxy would obey do not reach it."""
    headers = {"serve_multiplexed_model_id": "a", "x-session-id": "b", "x-request-timeout-seconds": "0", "x-staa": "c"}
    _, reply, _ = ask(Edge(echo), headers=headers)
    assert reply["headers"] == ["x-staa"]


@pytest.mark.parametrize("status", [None, 404, 500, 503])
def test_rays_own_answers_are_worded(monkeypatch: pytest.MonkeyPatch, status: int | None) -> None:
    """Ray's plain texts, and its silence where a process is lost, become errors of the contract."""

    async def answer(_scope: Any, _receive: Any, send: Any) -> None:
        if status:
            head = {"type": "http.response.start", "status": status, "headers": [(b"content-type", b"text/plain")]}
            await send(head)
            await send({"type": "http.response.body", "body": b"The actor died unexpectedly"})

    monkeypatch.setattr(edge, "PATIENCE", -1)
    told = ask(Edge(answer), b"abc")
    assert (told[0], told[1]["error"]["code"], told[2]["retry-after"]) == (503, "service_unavailable", "1")


def test_another_door_gets_the_request() -> None:
    """Where one is lost that has read a part of it, or all; its body comes whole again, and counts once."""
    lost = [1, 3]

    async def answer(scope: Any, receive: Any, send: Any) -> None:
        if lost:
            for _ in range(lost.pop(0)):
                await receive()
        else:
            await echo(scope, receive, send)

    app = Edge(answer)
    assert ask(app, b"abc", b"de")[1]["length"] == 5
    assert not lost
    assert app.under_way == 0


def test_a_caller_who_went_is_not_waited_for() -> None:
    """Nothing is asked again for nobody."""
    calls = []

    async def answer(_scope: Any, receive: Any, _send: Any) -> None:
        calls.append((await receive())["type"])

    async def receive() -> dict[str, str]:
        return {"type": "http.disconnect"}

    async def send(_message: Any) -> None:
        pass

    scope = {"type": "http", "method": "POST", "path": "/a", "raw_path": b"/a", "headers": [], "query_string": b""}
    asyncio.run(Edge(answer)(scope, receive, send))
    assert calls == ["http.disconnect"]


def test_ray_takes_it() -> None:
    """Ray calls `middlewares` by its name, and wants Starlette's own kind."""
    from ray.serve._private.http_util import validate_http_proxy_callback_return

    (middleware,) = validate_http_proxy_callback_return(edge.middlewares())
    assert middleware.cls is Edge  # type: ignore[comparison-overlap]
