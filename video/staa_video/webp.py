"""Writes an animated WebP anew as a video that FFmpeg reads: it has a decoder of the pictures, and none of the file.

Pillow, by libwebp, puts the pictures together; they are kept without loss, each for as long as it is displayed.
"""

import io
from fractions import Fraction
from typing import Any, BinaryIO

import av
import numpy as np
from PIL import Image, UnidentifiedImageError

from staa_video import errors
from staa_video.clip import IN_THE_CLIENT, Budget, Limits

_HEAD_BYTES, _ANIMATED = 30, 0x02


class Animation(io.BytesIO):
    """Is a file in memory that was an animated WebP."""


def is_webp(head: bytes) -> bool:
    """Tell whether a file that begins like this is a WebP."""
    return head[:4] == b"RIFF" and head[8:12] == b"WEBP"


def as_video(file: BinaryIO, limits: Limits) -> BinaryIO:
    """Return an animated WebP as a Matroska file in memory, on a white ground.

    Raises:
        NotVideoError: it is a still image.
        DecodeError: it cannot be read.
        TooLargeError: it is over a limit; the subclass says which.
    """
    file.seek(0)
    data = file.read()
    head = data[:_HEAD_BYTES]
    if head[12:16] == b"VP8X" and len(head) < _HEAD_BYTES:
        raise errors.DecodeError("the WebP is cut off within its header: send the whole file")
    if head[12:16] != b"VP8X" or not head[20] & _ANIMATED:
        raise errors.NotVideoError("a still image came: send a video")
    budget = Budget(limits)
    width, height = (int.from_bytes(head[at : at + 3], "little") + 1 for at in (24, 27))
    budget.check_pixels(width, height)
    budget.check_frames(data.count(b"ANMF"))
    try:
        with Image.open(io.BytesIO(data), formats=["WEBP"]) as animation:
            return _written(animation, budget)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        msg = f"a picture of {width}x{height} has more pixels than are made of a WebP: send it as MP4"
        raise errors.TooManyPixelsError(msg) from error
    except (OSError, UnidentifiedImageError, SyntaxError, ValueError, EOFError) as error:
        raise errors.DecodeError(f"the WebP cannot be read, is it cut off? {error}") from error


def _written(animation: Any, budget: Budget) -> BinaryIO:
    count, (width, height) = int(getattr(animation, "n_frames", 1)), animation.size
    if count == 1:
        raise errors.NotVideoError("a still image came: send a video")
    video, begins = Animation(), 0
    with av.open(video, "w", format="matroska") as container:
        stream: Any = container.add_stream("ffv1", rate=25, options={"threads": "1"})
        stream.width, stream.height, stream.pix_fmt = width, height, "bgr0"
        stream.codec_context.time_base = stream.time_base = Fraction(1, 1000)
        for number in range(count):
            budget.check_time()
            animation.seek(number)
            picture = animation.convert("RGBA")
            ground = Image.new("RGBA", (width, height), "white")
            ground.alpha_composite(picture)
            frame = av.VideoFrame.from_ndarray(np.asarray(ground.convert("RGB")), format="rgb24")
            frame.pts, frame.time_base = begins, Fraction(1, 1000)
            lasts = max(1, round(animation.info.get("duration", 0)))
            for packet in stream.encode(frame):
                packet.duration = lasts
                container.mux(packet)
            begins += lasts
            if video.tell() > 4 * budget.limits.bytes:
                msg = f"the pictures of the WebP have more than {4 * budget.limits.bytes} bytes: encode it as MP4"
                raise errors.TooManyBytesError(f"{msg}{IN_THE_CLIENT}")
        container.mux(stream.encode(None))
    video.seek(0)
    return video
