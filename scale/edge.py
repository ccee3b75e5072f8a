"""What Ray's HTTP proxy asks before it passes a request on, and how its own answers are worded.

Ray calls `middlewares` where RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH is "scale.edge.middlewares". A request is
refused here before its body is kept: Ray's proxy keeps all that comes.
"""

import asyncio
import os
import re
import time

from starlette.middleware import Middleware
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MOST_BYTES = int(os.environ.get("STAA_MOST_BYTES") or 96 << 20)
"""The most bytes of a request; as max_request_size of the first home."""
MOST_BYTES_UNDER_WAY = int(os.environ.get("STAA_MOST_BYTES_UNDER_WAY") or 384 << 20)
"""The most bytes of all requests under way at one proxy; each is kept about four times on its way through Ray."""
PATIENCE = 120
"""Seconds for another Door to start where one is lost with its node; nobody waits if there are several."""
QUERY = (
    "the address has a query, which the server would not read: send options as headers X-Staa-<Name>, multipart fields "
    "or JSON keys"
)
TOO_MANY_BYTES = (
    f"the request has more than the {MOST_BYTES} bytes that are taken: send a shorter or smaller video, or frames "
    "sampled by the client"
)
ALL_UNDER_WAY = (
    "all memory for requests under way is taken; nothing was computed: wait as long as Retry-After says, then send the "
    "request again"
)
LOST = (
    "the server cannot be reached, it is starting or being replaced, or a part of it ended while it had the request: "
    "wait as long as Retry-After says, then send the request again"
)
UNKNOWN_ROUTE = (
    "there is nothing at this path: expected /predictions/MODEL, /explanations/MODEL, /models, /ping, /ready or "
    "KServe's /v1/models/MODEL:predict, :explain, /v2/models/MODEL/infer, /explain, without %, // or .. in it"
)
_FOR_RAY = re.compile(
    rb"serve[-_]multiplexed[-_]model[-_]id|x[-_]session[-_]id|x-request-(timeout-seconds|disconnect.*)"
)
"""Headers by which a caller could choose a process, or a timeout: Ray's proxy would obey them."""


def middlewares() -> list[Middleware]:
    """Return what Ray puts around its HTTP proxy."""
    return [Middleware(Edge)]


def failure(status: int, code: str, message: str) -> Response:
    """Return an error in the form of the HTTP contract."""
    again = {"Retry-After": "1"} if status == 503 else None
    return JSONResponse({"error": {"code": code, "message": message}}, status, again)


class Edge:
    """Bound the bytes of each request and of all together, refuse queries, and word the answers of Ray itself."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.under_way = 0
        """The bytes of all requests that are kept now."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or let Ray answer it."""
        answer = self._refuse(scope) if scope["type"] == "http" else self._app
        if answer is not None:
            await answer(scope, receive, send)
            return
        headers = [(name, value) for name, value in scope["headers"] if not _FOR_RAY.fullmatch(name.lower())]
        await _Exchange(self, receive, send).run(self._app, {**scope, "headers": headers})

    def _refuse(self, scope: Scope) -> Response | None:
        """Return why a request is not taken, as far as its head tells."""
        if scope["query_string"]:
            return failure(400, "query_refused", QUERY)
        if re.search(rb"%|//", scope["raw_path"]):
            return failure(404, "route_unknown", UNKNOWN_ROUTE)
        length = dict(scope["headers"]).get(b"content-length", b"0")
        if length.isdigit() and int(length) > MOST_BYTES:
            return failure(413, "too_many_bytes", TOO_MANY_BYTES)
        if length.isdigit() and self.under_way + int(length) > MOST_BYTES_UNDER_WAY:
            return failure(503, "service_unavailable", ALL_UNDER_WAY)
        return None


class _Exchange:
    """One request and its reply; if its Door is lost, another one gets the request."""

    def __init__(self, edge: Edge, receive: Receive, send: Send) -> None:
        self._edge, self._receive, self._send = edge, receive, send
        self._parts: list[Message] = []
        """The body as it came, which is kept until the reply begins."""
        self._passed = self._bytes = 0
        self._refusal: Response | None = None
        self._has_begun = self._is_ours = self._is_gone = False

    async def run(self, app: ASGIApp, scope: Scope) -> None:
        """Let Ray answer, and answer where it says nothing, as the process that had the request is lost."""
        until = time.monotonic() + (PATIENCE if scope["method"] in {"POST", "PUT"} else 0)
        try:
            while True:
                self._passed, self._is_ours = 0, False
                await app(scope, self._next, self._pass)
                if self._has_begun or self._refusal or self._is_gone or time.monotonic() > until:
                    break
                await asyncio.sleep(0.5)
        finally:
            self._edge.under_way -= self._bytes
        if not self._has_begun:
            await (self._refusal or failure(503, "service_unavailable", LOST))(scope, self._receive, self._send)

    async def _next(self) -> Message:
        """Return the next part of the body; once it is too much, Ray is told that the caller has gone."""
        self._passed += 1
        if self._passed <= len(self._parts):
            return self._parts[self._passed - 1]
        message = await self._receive()
        self._is_gone = message["type"] == "http.disconnect"
        self._parts.append(message)
        count = len(message.get("body", b""))
        self._bytes += count
        self._edge.under_way += count
        if self._bytes > MOST_BYTES:
            self._refusal = failure(413, "too_many_bytes", TOO_MANY_BYTES)
        elif self._edge.under_way > MOST_BYTES_UNDER_WAY:
            self._refusal = failure(503, "service_unavailable", ALL_UNDER_WAY)
        return {"type": "http.disconnect"} if self._refusal else message

    async def _pass(self, message: Message) -> None:
        """Send a part of the reply, unless it is one of Ray's own in plain text."""
        if message["type"] == "http.response.start":
            headers: dict[bytes, bytes] = dict(message.get("headers", ()))
            is_text = b"text/plain" in headers.get(b"content-type", b"")
            self._is_ours = self._refusal is not None or (message["status"] >= 404 and is_text)
        if self._is_ours:
            return
        self._has_begun = True
        await self._send(message)
