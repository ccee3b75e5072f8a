"""Makes the connections of a client keep the deadline of a whole call."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final

import httpx2

from staa_client.transport.deadline import Deadline

LIMITS: Final = httpx2.Limits(max_connections=None, max_keepalive_connections=None)
"""A client's pool has no limit: a batch has its own, and a wait for the pool would look like a slow server."""
UNUSABLE: Final = (UnicodeError, OverflowError)
"""The errors, besides OSError, that the look-up of a host raises for an impossible name or port."""
_WRITE_BYTES = 1 << 16
"""The most bytes that are given to the network at a time."""
_deadline: ContextVar[Deadline | None] = ContextVar("deadline", default=None)
"""The deadline of the call that runs in this thread."""


def keep_to_deadline(http: httpx2.Client) -> httpx2.Client:
    """Make every network wait of a client end at the deadline of the call, and return the client.

    A timeout of httpx2 starts again with every byte, so it cannot bound a reply whose headers come very slowly.
    """
    for transport in (http._transport, *http._mounts.values()):  # noqa: SLF001  # it has no public seam for it
        pool: Any = getattr(transport, "_pool", None)  # a transport for tests has none
        if pool is not None and not isinstance(pool._network_backend, _Bounded):  # noqa: SLF001  # the same
            pool._network_backend = _Bounded(pool._network_backend)  # noqa: SLF001  # the same
    return http


@contextmanager
def until(deadline: Deadline) -> Iterator[None]:
    """Set the deadline for the clients of `keep_to_deadline` in this thread, during the block."""
    token = _deadline.set(deadline)
    try:
        yield
    finally:
        _deadline.reset(token)


def _left(timeout: float | None) -> float | None:
    """Return the seconds that one wait may take; raise httpx2.ReadTimeout if none are left."""
    deadline = _deadline.get()
    if deadline is None:
        return timeout
    deadline.check()
    return deadline.shortest(timeout)


class _Bounded:
    """Wraps a network backend of httpcore2, or one of its connections, so that every wait keeps the deadline."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def connect_tcp(self, host: str, port: int, timeout: float | None = None, **options: Any) -> "_Bounded":
        return _Bounded(self._inner.connect_tcp(host, port, _left(timeout), **options))

    def connect_unix_socket(self, path: str, timeout: float | None = None, **options: Any) -> "_Bounded":
        return _Bounded(self._inner.connect_unix_socket(path, _left(timeout), **options))

    def read(self, max_bytes: int, timeout: float | None = None) -> Any:
        return self._inner.read(max_bytes, _left(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for begin in range(0, len(buffer), _WRITE_BYTES):
            self._inner.write(buffer[begin : begin + _WRITE_BYTES], _left(timeout))

    def start_tls(self, ssl_context: Any, server_hostname: str | None, timeout: float | None = None) -> "_Bounded":
        return _Bounded(self._inner.start_tls(ssl_context, server_hostname, _left(timeout)))
