"""Everything that can go wrong between the client and the server, as one tree.

    StaaError
    ├── UnreachableError         no server answers, or it cut the connection       unreachable, connection_cut
    ├── TimedOutError            the server took longer than the client's timeout  timed_out
    ├── SourceError             the address that a video is fetched from         source_unreachable
    ├── StreamError             a camera or stream that is watched   stream_unreachable, stream_lost, stream_unreadable
    ├── ReplyError               a 200, or a file, that is not the contract's      reply_invalid
    └── StatusError              the server said no
        ├── RequestError         400 and other 4xx: the request or an option is wrong
        ├── AuthError            401, 403, or a token that TorchServe refuses
        ├── NotFoundError        404: no such model
        ├── TooLargeError        413: too many bytes, pixels, frames or seconds
        ├── NotVideoError        415: not a video
        ├── DecodeError          422: a video whose frames cannot be read
        ├── UnavailableError     429, 502, 503, 504: busy or not ready
        └── ServerError          500 and other 5xx: a fault of the server

Every error has `status` (HTTP status, None where no server answered), `code` (a stable name: the server's own where it
gave one), `message` and `request_id` (None where the server gave none). A file that cannot be opened raises OSError, an
argument of a wrong kind TypeError or ValueError, a missing optional package ImportError.
"""

from typing import Final


class StaaError(Exception):
    """Base of the tree."""

    def __init__(self, message: str, *, code: str, status: int | None = None, request_id: str | None = None) -> None:
        super().__init__(message)
        self.message: Final = message
        self.code: Final = code
        self.status: Final = status
        self.request_id: Final = request_id

    def __str__(self) -> str:
        where = "" if self.status is None else f"{self.status} "
        which = "" if self.request_id is None else f" (request {self.request_id})"
        return f"{where}{self.code}: {self.message}{which}"

    def __reduce__(self) -> tuple[object, ...]:
        # Exception's own way forgets keyword arguments, and errors cross process pools.
        return _rebuild, (type(self), self.message, self.code, self.status, self.request_id)


def _rebuild(kind: type[StaaError], message: str, code: str, status: int | None, request_id: str | None) -> StaaError:
    return kind(message, code=code, status=status, request_id=request_id)


class UnreachableError(StaaError):
    """No server answers at the address, or it cut the connection."""


class TimedOutError(StaaError):
    """The server took longer than the client's timeout."""


class SourceError(StaaError):
    """The video cannot be fetched from its own address, which is not the server's."""


class StreamError(StaaError):
    """A camera or a stream cannot be opened, is no video, or was lost for good."""


class ReplyError(StaaError):
    """The server answered 200 with something that is not the contract's, or a file that is loaded holds it."""


class StatusError(StaaError):
    """The server said no."""


class RequestError(StatusError):
    """400 and other 4xx: the request or an option is wrong."""


class AuthError(StatusError):
    """401, 403, or a token that TorchServe refuses."""


class NotFoundError(StatusError):
    """404: no such model."""


class TooLargeError(StatusError):
    """413: too many bytes, pixels, frames or seconds."""


class NotVideoError(StatusError):
    """415: not a video."""


class DecodeError(StatusError):
    """422: a video whose frames cannot be read."""


class UnavailableError(StatusError):
    """429, 502, 503, 504: busy or not ready."""


class ServerError(StatusError):
    """500 and other 5xx: a fault of the server."""


_BY_STATUS: dict[int, type[StatusError]] = {
    401: AuthError,
    403: AuthError,
    404: NotFoundError,
    413: TooLargeError,
    415: NotVideoError,
    422: DecodeError,
    429: UnavailableError,
    502: UnavailableError,
    503: UnavailableError,
    504: UnavailableError,
}
TOKEN_CODES = {"invalid_key", "token_authorization"}
"""TorchServe's names for a token that is wrong, too old or missing; it answers 400."""


def error_of(status: int, code: str, message: str, request_id: str | None) -> StatusError:
    """The error of the tree for this status and code."""
    kind = _BY_STATUS.get(status, ServerError if status >= 500 else RequestError)
    if code in TOKEN_CODES:
        kind = AuthError
    return kind(message, code=code, status=status, request_id=request_id)
