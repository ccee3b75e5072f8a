"""Frames of a video by their number, for pictures; needs the extra `video`."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import av

Frame = NDArray[np.uint8]
"""(H, W, 3) RGB, in display orientation."""


def frames_at(source: str | Path | bytes, indices: Sequence[int] | NDArray[np.int64]) -> list[Frame]:
    """The frames with these numbers, in the order asked for; the first frame of the source is 0.

    The container's display rotation is applied, so that frames match the server's `width`, `height` and `box`.

    Raises:
        ImportError: the package `av` is missing.
        ValueError: the source is no video, or has no frame of such a number.
        OSError: the file cannot be read.
    """
    try:
        import av  # noqa: PLC0415  # an optional extra
    except ImportError as reason:
        msg = 'frames of a video need the package av: pip install "./client[video]" from a checkout'
        raise ImportError(msg) from reason

    wanted = {int(index) for index in indices}
    found: dict[int, Frame] = {}
    if not wanted:
        return []
    try:
        with (
            io.BytesIO(source) if isinstance(source, bytes) else Path(source).open("rb") as file,
            av.open(file, "r", options={"protocol_whitelist": "none"}) as container,  # a playlist may not fetch
        ):
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            for number, frame in enumerate(container.decode(stream)):
                if number in wanted:
                    found[number] = _upright(frame)
                if len(found) == len(wanted):
                    break
    except (av.FFmpegError, IndexError) as reason:
        msg = f"the frames of the video cannot be read ({reason}); is it the file that was explained?"
        raise ValueError(msg) from reason
    if missing := wanted - set(found):
        msg = f"the video has no frame {min(missing)}; is it the file that was explained?"
        raise ValueError(msg)
    return [found[int(index)] for index in indices]


def _upright(frame: "av.VideoFrame") -> Frame:
    """The frame as it is to be displayed: turned by quarters, and mirrored, as the container's display matrix says."""
    picture = frame.to_ndarray(format="rgb24")
    matrix: Any = frame.side_data.get("DISPLAYMATRIX")
    if matrix is not None:
        # The stored point (x, y) is displayed at (a x + c y, b x + d y); rows of the matrix are (a, b, _), (c, d, _).
        a, b, _, c, d = (int(part) for part in np.frombuffer(bytes(matrix), np.int32)[:5])
        if abs(b) > abs(a):
            picture, a, d = picture.transpose(1, 0, 2), c, b
        picture = picture[:: 1 if d >= 0 else -1, :: 1 if a >= 0 else -1]
    return np.ascontiguousarray(picture, np.uint8)
