"""Reads how a frame is to be turned or mirrored for display, and does it, by multiples of 90 degrees.

It is written in the track header of MP4 (as phones do), in Matroska's projection, in SEI messages of H.264 and HEVC, or
in the EXIF data of Motion JPEG; FFmpeg gives all of them to the frame as one matrix.
"""

import math
from fractions import Fraction
from typing import TypeAlias

import numpy as np
from av.error import FFmpegError
from av.filter import Graph
from av.sidedata.sidedata import SideData
from av.video.frame import VideoFrame
from numpy.typing import NDArray

Image: TypeAlias = NDArray[np.uint8]
"""(H, W, 3) RGB, in display orientation."""
Matrix: TypeAlias = tuple[int, int, int, int] | None
"""(a, b, c, d): the stored point (x, y) is displayed at (a x + c y, b x + d y); None displays it at (x, y)."""

_QUARTERS: dict[int, Matrix] = {90: (0, -1, 1, 0), -90: (0, 1, -1, 0), 180: (-1, 0, 0, -1), -180: (-1, 0, 0, -1)}
_UNKNOWN_KINDS = range(28, 40)
"""Numbers of the kinds of side data that PyAV may not know, such as EXIF: beside one of them it gives none at all."""
_LEAN = 0.05
"""How far a matrix may lean from a multiple of 90 degrees, as the tangent of an angle."""


def matrix(frame: VideoFrame) -> Matrix:
    """Return the display matrix in the side data of a frame; None if it has none."""
    try:
        data = frame.side_data.get("DISPLAYMATRIX")
    except ValueError:
        try:
            data = _without_unknown(frame).side_data.get("DISPLAYMATRIX")
        except (FFmpegError, ValueError):  # a kind that is newer still: of the matrix, the rotation
            return _QUARTERS.get(frame.rotation)
    if not isinstance(data, SideData):
        return None
    a, b, _, c, d = (int(part) for part in np.frombuffer(bytes(data), np.int32)[:5])
    return a, b, c, d


def _without_unknown(frame: VideoFrame) -> VideoFrame:
    """Return the same frame without the side data that PyAV does not know."""
    graph = Graph()
    graph.threads = 1
    last = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1, 1))
    first = last
    for kind in _UNKNOWN_KINDS:
        step = graph.add("sidedata", f"mode=delete:type={kind}")
        last.link_to(step)
        last = step
    end = graph.add("buffersink")
    last.link_to(end)
    graph.configure()
    first.push(frame)
    known = end.pull()
    if not isinstance(known, VideoFrame):
        raise TypeError(f"a filter of video gives frames of video, got {known!r}")
    return known


def quarter_turn(matrix: Matrix) -> tuple[Matrix, str]:
    """Return the matrix if it turns by a multiple of 90 degrees, mirrored or not, and an empty note.

    Another angle is left out, as is a matrix that shows nothing: then None is returned, and a note that says so.
    """
    if matrix is None:
        return None, ""
    a, b, c, d = matrix
    straight, across = min(abs(a), abs(d)), min(abs(b), abs(c))
    if straight > 0 and max(abs(b), abs(c)) <= _LEAN * straight:
        return matrix, ""
    if across > 0 and max(abs(a), abs(d)) <= _LEAN * across:
        return matrix, ""
    if not any(matrix):
        return None, ""
    degrees = round(math.degrees(math.atan2(b, a)))
    return None, f"the rotation by {degrees} degrees is no quarter turn: it is left out"


def is_turned(matrix: Matrix) -> bool:
    """Tell whether the matrix swaps width and height."""
    return matrix is not None and abs(matrix[1]) > abs(matrix[0])


def upright(stored: NDArray[np.uint8], matrix: Matrix) -> Image:
    """Return a stored picture (H, W, 3) in display orientation: rotated by multiples of 90 degrees, or mirrored."""
    if matrix is None:
        return stored
    right, down = matrix[0], matrix[3]
    if is_turned(matrix):
        stored, right, down = stored.transpose(1, 0, 2), matrix[2], matrix[1]
    return stored[:: -1 if down < 0 else 1, :: -1 if right < 0 else 1]


def turned_size(size: tuple[int, int], matrix: Matrix) -> tuple[int, int]:
    """Return (width, height) of a stored picture as it is displayed, or back."""
    return (size[1], size[0]) if is_turned(matrix) else size
