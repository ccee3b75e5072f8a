"""Encodes pictures as H.264 in an mp4 that plays anywhere, with the colours of BT.709, and says so in the file."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Final

import numpy as np

from staa_client.video.frames import Frame

if TYPE_CHECKING:
    from av.container import OutputContainer

TICKS: Final = 90_000
"""Ticks per second of the clock, which keep the times of any source to 11 microseconds."""
_BT709: Final = 1
"""The number that H.264 has for the matrix, the primaries and the transfer curve of BT.709."""


class PictureTrack:
    """Is the track of pictures of an mp4 that is open for writing."""

    def __init__(self, container: OutputContainer, size: tuple[int, int], rate: float, options: dict[str, str]) -> None:
        """Begin the track, with pictures of an even size (width, height) and about `rate` of them a second.

        Args:
            container: What the packets are written to.
            size: Pixels.
            rate: What the file names as its rate; each picture keeps its own time.
            options: Further options of x264.
        """
        import av  # noqa: PLC0415  # an optional extra

        self._container, self._latest = container, -1
        speed = Fraction(rate).limit_denominator(1001)
        self._stream = container.add_stream("libx264", rate=speed, options={"preset": "veryfast", **options})
        self._stream.width, self._stream.height = size
        self._stream.pix_fmt = "yuv420p"
        context = self._stream.codec_context
        context.time_base = Fraction(1, TICKS)
        context.color_range = av.video.reformatter.ColorRange.MPEG
        context.colorspace = context.color_primaries = context.color_trc = _BT709
        self._reformatter = av.video.reformatter.VideoReformatter()

    def add(self, second: float, picture: Frame) -> bool:
        """Add a picture (H, W, 3) at a second; return whether it is in: two at the same tick cannot be shown."""
        import av  # noqa: PLC0415  # as above

        tick = round(second * TICKS)
        if tick <= self._latest:
            return False
        self._latest = tick
        rgb = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
        matrix = av.video.reformatter.Colorspace.ITU709
        frame = self._reformatter.reformat(rgb, format="yuv420p", dst_colorspace=matrix)
        frame.pts, frame.time_base = tick, Fraction(1, TICKS)
        self._container.mux(self._stream.encode(frame))
        return True

    def finish(self) -> None:
        """Write what the encoder still holds."""
        self._container.mux(self._stream.encode(None))
