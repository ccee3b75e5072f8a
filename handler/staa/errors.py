"""Everything that can go wrong, as one tree.

    StaaError                     500 internal
    ├── RequestError              400 request_invalid      the request cannot be read
    │   └── OptionError           400 option_invalid       an option is unknown, or its value is not allowed
    ├── TooLargeError             413                      a limit of the server is passed
    │   ├── TooManyBytesError     413 too_many_bytes
    │   ├── TooManyPixelsError    413 too_many_pixels      in one frame
    │   ├── TooManyFramesError    413 too_many_frames      to be decoded
    │   ├── TooLongError          413 too_long             seconds of video
    │   └── TooSlowError          413 too_slow             seconds spent on decoding, or on verifying a map
    ├── NotVideoError             415 not_a_video          no container with a video stream
    ├── DecodeError               422 video_undecodable    a video, but its frames cannot be read
    │   └── NoFramesError         422 no_frames            a video, but it holds no frame where asked
    ├── BusyError                 503 service_unavailable  the time of its batch was used up by others
    └── LoadError                 500 model_unloadable     settings, weights or family are not usable

The code is stable and part of the HTTP contract; the message says what came, what was expected and what to do.
"""

from typing import ClassVar


class StaaError(Exception):
    """Base of the tree: `status` is the HTTP status, `code` the stable name of the error."""

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
    """A limit of the server is passed."""

    status = 413
    code = "too_large"


class TooManyBytesError(TooLargeError):
    """The video has more bytes than the server takes."""

    code = "too_many_bytes"


class TooManyPixelsError(TooLargeError):
    """A frame has more pixels than the server takes."""

    code = "too_many_pixels"


class TooManyFramesError(TooLargeError):
    """More frames would have to be decoded than the server decodes."""

    code = "too_many_frames"


class TooLongError(TooLargeError):
    """The video lasts longer than the server takes."""

    code = "too_long"


class TooSlowError(TooLargeError):
    """Decoding, verifying a map, or all videos of a request take more wall time than the server spends on it."""

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
    """The container holds a video stream without a frame in the segment that was asked for."""

    code = "no_frames"


class BusyError(StaaError):
    """Other requests of the batch took its time; nothing is wrong with this one."""

    status = 503
    code = "service_unavailable"


class LoadError(StaaError):
    """The settings, the weights or the model family are not usable."""

    code = "model_unloadable"
