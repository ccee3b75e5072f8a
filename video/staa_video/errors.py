"""Everything that can be wrong with a video, as one tree; `staa.errors` adds the errors of a model and its server.

    StaaError                     500 internal
    ├── RequestError              400 request_invalid      what was asked cannot be read
    │   └── OptionError           400 option_invalid       an option is unknown, or its value is not allowed
    ├── TooLargeError             413                      a limit is passed
    │   ├── TooManyBytesError     413 too_many_bytes
    │   ├── TooManyPixelsError    413 too_many_pixels      in one frame
    │   ├── TooManyFramesError    413 too_many_frames      to be decoded
    │   ├── TooLongError          413 too_long             seconds of video
    │   ├── TooMuchMemoryError    413 too_much_memory      to decode it, in a process of its own
    │   └── TooSlowError          413 too_slow             seconds spent on decoding, or on choosing or verifying a map
    ├── NotVideoError             415 not_a_video          no container with a video stream
    └── DecodeError               422 video_undecodable    a video, but its frames cannot be read
        └── NoFramesError         422 no_frames            a video, but it holds no frame where asked

The package itself knows neither HTTP nor models. But the server answers with these very errors, and its client raises
them too, so each has the HTTP status and the stable code that the contract gives it. For the same reason TooSlowError
also covers the server's check of a map. The message says what came, what was expected and what to do.
"""

from typing import ClassVar


class StaaError(Exception):
    """The base of all errors: `status` is the HTTP status of a server's reply, `code` the stable name of the error."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal"


class RequestError(StaaError):
    """The request cannot be read."""

    status = 400
    code = "request_invalid"


class OptionError(RequestError):
    """An option is unknown, belongs to another method, or its value is not allowed."""

    code = "option_invalid"


class TooLargeError(StaaError):
    """The video is over a limit."""

    status = 413
    code = "too_large"


class TooManyBytesError(TooLargeError):
    """The video has more bytes than allowed."""

    code = "too_many_bytes"


class TooManyPixelsError(TooLargeError):
    """A frame has more pixels than allowed."""

    code = "too_many_pixels"


class TooManyFramesError(TooLargeError):
    """More frames would have to be decoded than allowed for one video."""

    code = "too_many_frames"


class TooLongError(TooLargeError):
    """The video is longer than allowed."""

    code = "too_long"


class TooMuchMemoryError(TooLargeError):
    """Decoding needs more memory than it may take."""

    code = "too_much_memory"


class TooSlowError(TooLargeError):
    """Decoding, choosing or verifying a map, or all videos of a request together take more wall time than allowed."""

    code = "too_slow"


class NotVideoError(StaaError):
    """The bytes are no container with a video stream."""

    status = 415
    code = "not_a_video"


class DecodeError(StaaError):
    """The container holds a video whose frames cannot be read."""

    status = 422
    code = "video_undecodable"


class NoFramesError(DecodeError):
    """The container has a video stream, but no frame in the segment that was asked for."""

    code = "no_frames"
