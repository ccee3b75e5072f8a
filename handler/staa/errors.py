"""Everything that can go wrong, as one tree.

    StaaError                     500 internal
    ├── RequestError              400 request_invalid      the request cannot be read
    │   └── OptionError           400 option_invalid       an option is unknown, or its value is not allowed
    ├── ContentTypeError          415 unsupported_content_type  the body is of a type that is not read
    ├── TooLargeError             413                      a limit of the server is passed
    │   ├── TooManyBytesError     413 too_many_bytes
    │   ├── TooManyPixelsError    413 too_many_pixels      in one frame
    │   ├── TooManyFramesError    413 too_many_frames      to be decoded
    │   ├── TooLongError          413 too_long             seconds of video
    │   ├── TooMuchMemoryError    413 too_much_memory      to decode it, in a process of its own
    │   └── TooSlowError          413 too_slow             seconds spent on decoding, or on verifying a map
    ├── NotVideoError             415 not_a_video          no container with a video stream
    ├── DecodeError               422 video_undecodable    a video, but its frames cannot be read
    │   └── NoFramesError         422 no_frames            a video, but it holds no frame where asked
    ├── BusyError                 503 service_unavailable  other requests used up the time of the batch
    └── LoadError                 500 model_unloadable     settings, weights or family are not usable

The errors of a video come from `staa_video.errors`. The code is stable and part of the HTTP contract; the message says
what came, what was expected and what to do.
"""

from staa_video.errors import (
    DecodeError,
    NoFramesError,
    NotVideoError,
    OptionError,
    RequestError,
    StaaError,
    TooLargeError,
    TooLongError,
    TooManyBytesError,
    TooManyFramesError,
    TooManyPixelsError,
    TooMuchMemoryError,
    TooSlowError,
)

__all__ = [
    "BusyError",
    "ContentTypeError",
    "DecodeError",
    "LoadError",
    "NoFramesError",
    "NotVideoError",
    "OptionError",
    "RequestError",
    "StaaError",
    "TooLargeError",
    "TooLongError",
    "TooManyBytesError",
    "TooManyFramesError",
    "TooManyPixelsError",
    "TooMuchMemoryError",
    "TooSlowError",
]


class BusyError(StaaError):
    """Other requests used up the time of the batch, or the machine stood still; nothing is wrong with this request."""

    status = 503
    code = "service_unavailable"


class ContentTypeError(StaaError):
    """The body of the request is of a type, or of a charset, that is not read."""

    status = 415
    code = "unsupported_content_type"


class LoadError(StaaError):
    """The settings, the weights or the model family are not usable."""

    code = "model_unloadable"
