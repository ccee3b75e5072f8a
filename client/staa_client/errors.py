"""The errors between the client and the server, as one tree.

    StaaError
    ├── UnreachableError         no server answers, or it cut the connection       unreachable, connection_cut
    ├── TimedOutError            the server took longer than the client's timeout  timed_out
    ├── SourceError              the address that a video is fetched from          source_unreachable
    ├── StreamError              a camera or stream that is watched  stream_unreachable, stream_lost, stream_unreadable
    ├── ReplyError               a 200, or a file, that is not the contract's      reply_invalid
    ├── StoreError               an answer came, and cannot be kept                store_failed
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
gave one), `message` and `request_id` (None where the server gave none). A call of a client that was closed raises
StaaError itself, code client_closed. A file that cannot be read, or is cut while it is sent, raises OSError, an
argument of a wrong kind TypeError or ValueError, a missing optional package ImportError.

A token that others can read is no error: `InsecureWarning`, a category of Python's warnings, says so.
"""

from functools import partial
from typing import Any, Final


class StaaError(Exception):
    """The base of all errors of this client."""

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
        rebuild = partial(type(self), code=self.code, status=self.status, request_id=self.request_id)
        return rebuild, (self.message,)


class UnreachableError(StaaError):
    """Says that no server answers at the address, or that it cut the connection."""


class TimedOutError(StaaError):
    """Says that the server took longer than the client's timeout."""


class SourceError(StaaError):
    """Says that the video cannot be fetched from its own address, which is not the server's."""


class StreamError(StaaError):
    """Says that a camera or a stream cannot be opened, is no video, or was lost for good."""


class ReplyError(StaaError):
    """Says that a reply of 200, or a file that was loaded, does not follow the HTTP contract."""


class StoreError(StaaError):
    """Says that an explanation came, and could not be written into the store of the client; it is not lost."""

    def __init__(
        self,
        message: str,
        *,
        answer: Any,
        code: str = "store_failed",
        status: int | None = None,
        request_id: str | None = None,
    ) -> None:
        super().__init__(message, code=code, status=status, request_id=request_id)
        self.answer: Final = answer
        """The Explanation, or the Result of a video that its rules leave out."""

    def __reduce__(self) -> tuple[object, ...]:
        rebuild = partial(type(self), answer=self.answer, code=self.code, request_id=self.request_id)
        return rebuild, (self.message,)


class StatusError(StaaError):
    """Says that the server refused the request or failed; the base of the errors with an HTTP status."""


class RequestError(StatusError):
    """Says that the request or an option is wrong: 400 and other 4xx."""


class AuthError(StatusError):
    """Says that the token is missing or refused: 401, 403, or a 400 of TorchServe."""


class NotFoundError(StatusError):
    """Says that there is no such model: 404."""


class TooLargeError(StatusError):
    """Says that the video has too many bytes, pixels, frames or seconds: 413."""


class NotVideoError(StatusError):
    """Says that the file is no video: 415."""


class DecodeError(StatusError):
    """Says that the frames of the video cannot be read: 422."""


class UnavailableError(StatusError):
    """Says that the server is busy or not ready: 429, 502, 503, 504."""


class ServerError(StatusError):
    """Says that the server failed: 500 and other 5xx."""


_BY_STATUS: dict[int, type[StatusError]] = {
    **dict.fromkeys((401, 403), AuthError),
    404: NotFoundError,
    413: TooLargeError,
    415: NotVideoError,
    422: DecodeError,
    **dict.fromkeys((429, 502, 503, 504), UnavailableError),
}
TOKEN_CODES = {"invalid_key", "token_authorization"}
"""TorchServe's codes for a token that is wrong, expired or missing; it sends them with the status 400."""


def error_of(status: int, code: str, message: str, request_id: str | None) -> StatusError:
    """Return the error of the class that belongs to an HTTP status and a code."""
    by_status = _BY_STATUS.get(status, ServerError if status >= 500 else RequestError)
    kind = AuthError if code in TOKEN_CODES else RequestError if code == "unsupported_content_type" else by_status
    return kind(message, code=code, status=status, request_id=request_id)


class InsecureWarning(UserWarning):
    """Says that a token can be read by others: on its way to the server, or in the settings file."""

    def __init__(self, message: str) -> None:
        super().__init__(message)


Failure = StaaError | OSError | ValueError | TypeError
"""An error that concerns one source of a batch only."""
FAILURES: Final = (StaaError, OSError, ValueError, TypeError)
"""The classes of `Failure`, for `except`."""
