"""The part of a stored picture that is meant to be seen, and the shape in which it is shown.

Pixels of a video need not be square: those of a DVD, of HDV or DV are wider or less wide than high, and a container may
state its own display size. A container may also name a part of the picture, which is all that players show. What the
codec itself crops is cut off by FFmpeg.
"""

from dataclasses import dataclass, replace
from fractions import Fraction

from av.video.stream import VideoStream

from staa_video.picture.colour import NOTHING_NAMED, Named

Size = tuple[int, int]
"""(width, height) in pixels."""

LARGEST_RATIO = 8
"""A pixel that is more times as wide as high, or as high as wide, is taken for a mistake, and for a square."""
MOST_PIXELS = 4096 * 2304
LONGEST_EDGE = 2**16 - 1
"""A picture that would have more pixels by being stretched, or a longer edge, is shrunk in its other direction."""
_NEARLY_SQUARE = 0.005
"""A ratio that differs less from 1 comes from rounding, and is not worth blurring a picture."""


@dataclass(frozen=True, slots=True)
class Crop:
    """Says how many pixels of a stored picture are left out at each edge."""

    left: int = 0
    top: int = 0
    right: int = 0
    bottom: int = 0

    def __bool__(self) -> bool:
        return any((self.left, self.top, self.right, self.bottom))

    def rectangle(self, first: Size, size: Size) -> tuple[int, int, int, int]:
        """Return x0, y0, x1, y1 of what stays of a picture of `size`; the crop is that of a picture of size `first`."""
        across, down = size[0] / first[0], size[1] / first[1]
        x0, y0 = round(self.left * across), round(self.top * down)
        x1, y1 = size[0] - round(self.right * across), size[1] - round(self.bottom * down)
        return x0, y0, max(x1, x0 + 1), max(y1, y0 + 1)


@dataclass(frozen=True, slots=True)
class Shape:
    """Holds what a file says of the shape of its pictures, and of their colours."""

    ratio: Fraction | None = None
    """The width of a pixel divided by its height; None if the file does not say."""
    crop: Crop = Crop()
    """What the container leaves out at the edges, as the picture is stored."""
    stream: VideoStream | None = None
    """The stream whose codec may say more later."""
    colours: Named = NOTHING_NAMED
    """The colours that the container names, for frames that do not."""

    @classmethod
    def of(cls, stream: VideoStream, crop: Crop | None = None) -> "Shape":
        """Return the shape that a stream states; what the container says goes before what the codec says."""
        return cls(stream.sample_aspect_ratio or None, crop or Crop(), stream, Named.by(stream))

    def at_first_frame(self) -> "Shape":
        """Return the shape once a frame was decoded: some codecs say it in their frames only."""
        if self.ratio is not None or self.stream is None:
            return self
        return replace(self, ratio=self.stream.codec_context.sample_aspect_ratio or None)

    def cropped(self, size: Size) -> tuple[Size, str]:
        """Return the size of what is left of a picture, and a note; a crop that leaves nothing is left out."""
        if not self.crop:
            return size, ""
        kept = size[0] - self.crop.left - self.crop.right, size[1] - self.crop.top - self.crop.bottom
        return kept, f"cropped as the container says: {size[0]}x{size[1]} to {kept[0]}x{kept[1]}"

    def stretched(self, size: Size) -> tuple[Size, str]:
        """Return the size in which a picture of this size is shown, and a note if it is another one.

        The shorter direction is stretched, so that nothing is lost: 64x64 with pixels of 2:1 is shown as 128x64, with
        pixels of 1:2 as 64x128.
        """
        ratio = self.ratio
        if ratio is None or abs(ratio - 1) < _NEARLY_SQUARE:
            return size, ""
        if not 1 / LARGEST_RATIO <= ratio <= LARGEST_RATIO:
            return size, f"a pixel is said to be {ratio.numerator}:{ratio.denominator}, which is no real shape: ignored"
        width, height = size
        many = width * height * max(ratio, 1 / ratio) > MOST_PIXELS
        if (many or max(width * ratio, height / ratio) > LONGEST_EDGE) == (ratio > 1):
            shown = width, max(1, round(height / ratio))
        else:
            shown = max(1, round(width * ratio)), height
        if shown == size:
            return size, ""
        return shown, f"pixels are not square: {width}x{height} shown as {shown[0]}x{shown[1]}"
