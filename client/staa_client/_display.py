"""From the stored frame to the one on the screen: what a container's display matrix says."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Frame = NDArray[np.uint8]


def turned(matrix: Any) -> bool:  # side data of a frame, or None
    """Whether width and height change places."""
    if matrix is None:
        return False
    a, b, *_ = _parts(matrix)
    return abs(b) > abs(a)


def upright(picture: NDArray[Any], matrix: Any) -> NDArray[Any]:
    """A stored picture (H, W, 3) as it is to be displayed: turned by quarters, and mirrored."""
    if matrix is None:
        return picture
    # The stored point (x, y) is displayed at (a x + c y, b x + d y); rows of the matrix are (a, b, _), (c, d, _).
    a, b, c, d = _parts(matrix)
    if abs(b) > abs(a):
        picture, a, d = picture.transpose(1, 0, 2), c, b
    return np.ascontiguousarray(picture[:: 1 if d >= 0 else -1, :: 1 if a >= 0 else -1])


def _parts(matrix: Any) -> tuple[int, int, int, int]:
    a, b, _, c, d = (int(part) for part in np.frombuffer(bytes(matrix), np.int32)[:5])
    return a, b, c, d
