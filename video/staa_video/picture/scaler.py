"""Turns a decoded frame into the picture to display: in its colours, shape and orientation, and scaled."""

from collections.abc import Callable, Iterable

import numpy as np
from av.error import FFmpegError
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter
from numpy.typing import NDArray

from staa_video.clip import bounded_notes
from staa_video.errors import DecodeError
from staa_video.picture.colour import Conversion, conversion
from staa_video.picture.orientation import Image, Matrix, quarter_turn, turned_size, upright
from staa_video.picture.shape import Shape, Size

_PLAIN = Shape()
_ENOUGH = 1080
"""How long the shorter edge of a picture is at least that may be smaller than the source."""
_EXACT = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
"""How FFmpeg makes RGB of 16 bits without being a level off; its bilinear way is wrong by far in this form."""


class Scaler:
    """Converts decoded frames to RGB pictures, all with the size, shape and rotation of the first one.

    Args:
        size: takes the (width, height) of the first displayed frame and returns that of the pictures; None keeps it.
        interpolation: FFmpeg's name of the scaling filter.
        shape: what the file says of the shape of its pictures.
        smaller: whether large pictures whose colours are converted may be smaller than `source`: 4K takes four times
            as long as 1080p, in vain where the pictures are scaled down anyway.
    """

    source: Size
    """(width, height) of the first frame as it is displayed, in pixels; (0, 0) before the first frame."""
    notes: tuple[str, ...]
    """What was done to the frames so far, beyond plain decoding."""

    def __init__(
        self,
        size: Callable[[Size], Size] | None = None,
        interpolation: str = "BILINEAR",
        shape: Shape = _PLAIN,
        *,
        smaller: bool = False,
    ) -> None:
        self.source, self.notes = (0, 0), ()
        self._size, self._interpolation, self._shape, self._smaller = size, interpolation, shape, smaller
        self._matrix: Matrix = None
        self._colours = shape.colours
        self._scale, self._convert, self._resize = VideoReformatter(), VideoReformatter(), VideoReformatter()

    def __call__(self, frame: VideoFrame, matrix: Matrix) -> Image:
        """Return a frame as (H, W, 3) RGB; a frame whose colours nothing names is taken as SDR, its matrix as BT.601.

        Raises:
            DecodeError: its format cannot be converted.
        """
        if self.source == (0, 0):
            self._begin((frame.width, frame.height), matrix)
        self._colours.name(frame)
        to_plain = conversion(frame)
        self._note(to_plain.notes)
        frame.colorspace = to_plain.matrix
        try:
            stored = self._cropped(frame, to_plain) if self._shape.crop else self._whole(frame, to_plain, self._stored)
        except (FFmpegError, ValueError) as error:
            kind = f"format {frame.format.name} and colour matrix {frame.colorspace}"
            raise DecodeError(f"frames of {kind} cannot be converted to RGB: {error}") from error
        return np.ascontiguousarray(upright(stored, self._matrix))  # a frame that repeats is copied more than once

    def _begin(self, stored: Size, matrix: Matrix) -> None:
        """Take size, shape and rotation of the first frame for all."""
        self._matrix, turn = quarter_turn(matrix)
        self._first, self._shape = stored, self._shape.at_first_frame()
        kept, crop = self._shape.cropped(stored)
        if min(kept) < 1:
            self._shape, kept, crop = Shape(self._shape.ratio), stored, ""
        shown, stretch = self._shape.stretched(kept)
        self._note(note for note in (crop, stretch, turn) if note)
        self.source = turned_size(shown, self._matrix)
        wanted = self.source if self._size is None else self._size(self.source)
        self._stored = turned_size(wanted, self._matrix)

    def _note(self, notes: Iterable[str]) -> None:
        self.notes = bounded_notes((*self.notes, *notes))

    def _whole(self, frame: VideoFrame, to_plain: Conversion, size: Size) -> NDArray[np.uint8]:
        """Return a frame of this (width, height), as it is stored, in plain colours."""
        how, (width, height) = Interpolation[self._interpolation], size
        scaled_first = self._size is not None
        if self._smaller and to_plain.table is not None and (factor := min(size) // _ENOUGH) > 1:
            width, height, scaled_first, how = width // factor, height // factor, True, Interpolation.AREA
        if scaled_first and frame.format.is_planar:  # in its own format scaling costs an eighth
            frame = self._scale.reformat(frame, width, height, interpolation=how, threads=1)
        if to_plain.table is not None:
            how = _EXACT
        converted = self._convert.reformat(
            frame, width, height, to_plain.form, dst_color_range="JPEG", interpolation=how, threads=1
        )
        picture = converted.to_ndarray()
        if to_plain.table is None:
            return np.asarray(picture, np.uint8)
        return to_plain.plain(np.asarray(picture, np.uint16))

    def _cropped(self, frame: VideoFrame, to_plain: Conversion) -> NDArray[np.uint8]:
        """Return the part of a frame that the container shows: it may begin at any pixel, so the whole is converted."""
        size = frame.width, frame.height
        x0, y0, x1, y1 = self._shape.crop.rectangle(self._first, size)
        part = self._whole(frame, to_plain, size)[y0:y1, x0:x1]
        if (x1 - x0, y1 - y0) == self._stored:
            return part
        kept = VideoFrame.from_ndarray(np.ascontiguousarray(part), "rgb24")
        width, height = self._stored
        scaled = self._resize.reformat(kept, width, height, interpolation=self._interpolation, threads=1)
        return np.asarray(scaled.to_ndarray(), np.uint8)
