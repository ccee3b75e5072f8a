"""What to do after an attempt: pure, so that both clients do the same."""

import random
from dataclasses import dataclass

import httpx2

from staa_client import _failure
from staa_client._errors import StaaError, TimedOutError, UnreachableError

_BUSY = {429, 503}
"""What turns a request away before anything was done for it."""
_LOST = 502
"""What a proxy says of a server that turned it away, and of one that broke off: Retry-After tells the first."""
_LONGEST = 30.0
_UNTRUSTED = "certificate verify failed"
"""OpenSSL's words."""
_WRONG = "use the name that its certificate is for, or have the certificate renewed"


@dataclass(frozen=True, slots=True)
class Reply:
    """What a server answered."""

    status: int
    headers: httpx2.Headers
    body: bytes


Outcome = Reply | httpx2.HTTPError


@dataclass(frozen=True, slots=True)
class Retries:
    """How often, and after how long, another attempt is made."""

    most: int = 2
    """Further attempts."""
    backoff: float = 0.5
    """Seconds before the first of them; doubles with each, less a random half."""

    def pause(self, outcome: Outcome, attempt: int) -> float | None:
        """Seconds to wait before the next attempt; None when there is none. The first attempt is number 0.

        Another attempt follows when no connection was made (unless as its certificate is not trusted), and when the
        server is busy and does not say why: then nothing was computed. After a 504 the work may still be under way, and
        after a 502 that does not ask for another one. The wait doubles each time, up to 30 s, less a random half, or
        is as the server asks.
        """
        if attempt >= self.most:
            return None
        if isinstance(outcome, httpx2.HTTPError):
            made = not isinstance(outcome, httpx2.ConnectError | httpx2.ConnectTimeout)
            if made or _UNTRUSTED in str(outcome):
                return None
            asked = ""
        else:
            busy = outcome.status in _BUSY or (outcome.status == _LOST and "retry-after" in outcome.headers)
            if not busy or _failure.says_why(outcome.body):
                return None
            asked = outcome.headers.get("retry-after", "")
        if asked.isascii() and asked.isdigit():
            return min(float(asked), _LONGEST)
        return min(self.backoff * 2.0**attempt, _LONGEST) * random.uniform(0.5, 1)


def answered(outcome: Outcome, url: str) -> Reply:
    """The reply of the last attempt.

    Raises:
        StaaError: there was none.
    """
    if isinstance(outcome, httpx2.HTTPError):
        raise _no_response(outcome, str(httpx2.URL(url).copy_with(userinfo=b""))) from outcome
    return outcome


def _no_response(reason: httpx2.HTTPError, url: str) -> StaaError:
    why = str(reason) or type(reason).__name__
    if isinstance(reason, httpx2.ConnectError | httpx2.ConnectTimeout):
        msg = f"no server answers at {url} ({why}); start one with ./serve.sh, or give the address of another"
        if _UNTRUSTED in why:
            msg = f"the server at {url} is not trusted ({why}); "
            signed = "self-signed" in why or "issuer" in why
            msg += (
                "name the file of who signs its certificate (verify=PATH, of the command --cacert)"
                if signed
                else _WRONG
            )
        return UnreachableError(msg, code="unreachable")
    if isinstance(reason, httpx2.TimeoutException):
        msg = f"no answer from {url} in time ({why}); send a shorter video, or give the client a longer timeout"
        return TimedOutError(msg, code="timed_out")
    msg = (
        f"the connection to {url} broke ({why}); either the server stopped, or the video is larger than it takes: "
        "see max_request_size and the server's log"
    )
    return UnreachableError(msg, code="connection_cut")
