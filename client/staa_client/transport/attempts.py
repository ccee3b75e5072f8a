"""Decides what to do after an attempt; it does no I/O, so that both clients share it."""

import random
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import NamedTuple

import httpx2

from staa_client.contract import failure
from staa_client.errors import StaaError, TimedOutError, UnreachableError
from staa_client.transport.server import proxy_of
from staa_client.video.source import shown

_BUSY = {429, 503}
"""HTTP statuses of a server that refused a request before it did anything."""
_LOST = 502
"""The status of a proxy whose server refused the connection (then with Retry-After), or cut it during a request."""
_LONGEST = 30.0
"""The longest wait in seconds, unless the server asks for another one."""
LONGEST_PAUSE = 86_400.0
"""The longest wait in seconds that a server may ask for: a day."""
_UNTRUSTED = "certificate verify failed"
"""OpenSSL's error text for a certificate that is not trusted."""
_NO_AUTHORITY = "name the file of who signs its certificate (verify=PATH, of the command --cacert)"
_WRONG_CERTIFICATE = "use the name that its certificate is for, or have the certificate renewed"


class Reply(NamedTuple):
    """Holds the reply of a server as it came."""

    status: int
    headers: httpx2.Headers
    body: bytes


Outcome = Reply | httpx2.HTTPError
"""The outcome of an attempt."""


@dataclass(frozen=True, slots=True)
class Retries:
    """Says how often to try again, and after how long."""

    most: int = 2
    """The most attempts after the first one."""
    backoff: float = 0.5
    """Seconds before the second attempt, doubled for each later one; each wait is between half and all of it."""

    def __post_init__(self) -> None:
        if not (self.most >= 0 and 0 <= self.backoff < float("inf")):
            raise ValueError(f"max_retries and backoff are numbers from 0, got {self.most!r} and {self.backoff!r}")

    def pause(self, outcome: Outcome, attempt: int) -> float | None:
        """Return the seconds to wait before the next attempt; None if there is none. The first attempt is number 0.

        There is another attempt if no connection was made (unless the certificate is not trusted), or if the server is
        busy and gives no final reason: in both cases it has computed nothing. There is none after a 504, or a 502
        without Retry-After, since the server may still be computing. The wait is what the server asks for, and
        there is no further attempt if that is more than a day. Otherwise it doubles each time, up to 30 s, and a random
        part of up to a half is taken off: with a backoff of 0.5 the waits are 0.25 to 0.5 s, 0.5 to 1 s, 1 to 2 s. A
        call with less time left than the wait makes no further attempt.
        """
        if attempt >= self.most:
            return None
        if isinstance(outcome, httpx2.HTTPError):
            was_connected = not isinstance(outcome, httpx2.ConnectError | httpx2.ConnectTimeout)
            if was_connected or _UNTRUSTED in str(outcome):
                return None
            asked_for = None
        else:
            busy = outcome.status in _BUSY or (outcome.status == _LOST and "retry-after" in outcome.headers)
            if not busy or failure.is_final(outcome.body):
                return None
            asked_for = _retry_after(outcome.headers.get("retry-after", ""))
            if asked_for is not None and asked_for > LONGEST_PAUSE:
                return None
        doubled = min(self.backoff * 2.0 ** min(attempt, 100), _LONGEST)
        return doubled * random.uniform(0.5, 1) if asked_for is None else asked_for


def _retry_after(after: str) -> float | None:
    """Return the seconds of a Retry-After header, which is a number or a date; None if it is neither."""
    if after.isascii() and after.isdigit():
        return float(after)
    try:
        date = parsedate_to_datetime(after)
        return max((date.replace(tzinfo=date.tzinfo or UTC) - datetime.now(UTC)).total_seconds(), 0.0)
    except (ValueError, OverflowError):  # the second of a year or a zone without measure
        return None


def reply_or_raise(outcome: Outcome, url: httpx2.URL) -> Reply:
    """Return the reply of the last attempt.

    Raises:
        StaaError: there was no reply.
    """
    if isinstance(outcome, httpx2.HTTPError):
        raise _no_response(outcome, url.copy_with(userinfo=b"")) from outcome
    return outcome


def _no_response(reason: httpx2.HTTPError, url: httpx2.URL) -> StaaError:
    why = str(reason) or type(reason).__name__
    if isinstance(reason, httpx2.ConnectError | httpx2.ConnectTimeout):
        msg = f"no server answers at {url} ({why}); start one with ./serve.sh, or give the address of another"
        if (proxy := proxy_of(url)) is not None:
            msg = f"no server answers at {url} by the proxy {shown(proxy)}, which the environment names ({why}); set"
            msg += f" NO_PROXY={url.host} if it needs none, or give the address of another server"
        if _UNTRUSTED in why:
            advice = _NO_AUTHORITY if "self-signed" in why or "issuer" in why else _WRONG_CERTIFICATE
            msg = f"the server at {url} is not trusted ({why}); {advice}"
        return UnreachableError(msg, code="unreachable")
    if isinstance(reason, httpx2.TimeoutException):
        msg = f"no answer from {url} in time ({why}); send a shorter video, or give the client a longer timeout"
        return TimedOutError(msg, code="timed_out")
    msg = (
        f"the connection to {url} broke ({why}); either the server stopped, or the video is larger than it takes: "
        "see max_request_size and the server's log"
    )
    return UnreachableError(msg, code="connection_cut")
