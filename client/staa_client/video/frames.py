"""Holds frames in memory, and packs them into the archive that is sent: `application/x-staa-frames`."""

import io
import json
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from os import PathLike
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from staa_client.video.origin import Origin

KIND = "application/x-staa-frames"
"""The content type of the archive."""
QUALITY = 95
"""The quality of the JPEGs, without colour subsampling; benchmarks/RESULTS.md has the effect on maps."""


Frame = NDArray[np.uint8]
"""(H, W, 3) RGB, in display orientation."""


@dataclass(frozen=True, slots=True, eq=False)
class Frames:
    """Holds frames of a video in memory, with the time and number of each; they are sent as JPEGs instead of a file."""

    images: NDArray[np.uint8] = field(repr=False)
    """(N, H, W, 3) RGB, in display orientation; they may be smaller than the source."""
    seconds: NDArray[np.float64]
    """(N,) source time of each frame, ascending; the source's first frame is at 0."""
    indices: NDArray[np.int64]
    """(N,) number of each frame in the source, ascending; the first frame is 0."""
    fps: float
    """Mean frame rate of the source, frames per second."""
    duration: float
    """Length of the source, seconds."""
    size: tuple[int, int]
    """(width, height) of the source in pixels; the size of `images`, unless these were scaled."""
    notes: tuple[str, ...] = ()
    """What was done to the source beyond plain decoding, which the server repeats in its reply."""
    origin: Origin | None = field(default=None, repr=False)
    """Of what the frames are a window, if a timeline or a watch made them; it is not sent."""

    def __post_init__(self) -> None:
        if self.images.ndim != 4 or self.images.shape[-1] != 3 or self.images.dtype != np.uint8 or not self.images.size:
            raise ValueError(f"frames are (N, H, W, 3) uint8 RGB, got {self.images.shape} {self.images.dtype}")
        expected = (len(self.images),)
        if self.seconds.shape != expected or self.indices.shape != expected:
            shapes = f"{self.seconds.shape = }, {self.indices.shape = }"
            raise ValueError(f"one time and one number a frame: wanted = {expected}, got {shapes}")
        ascend = (np.diff(self.seconds) >= 0).all() and (np.diff(self.indices) >= 0).all()
        if not (ascend and np.isfinite(self.seconds).all()):
            raise ValueError("the times and numbers of frames must ascend")
        if not (0 < self.fps < np.inf and 0 <= self.duration < np.inf):
            raise ValueError(f"fps must be positive and duration not negative, got {self.fps = }, {self.duration = }")

    @classmethod
    def of(cls, images: NDArray[np.uint8] | Iterable[Frame], fps: float = 25.0) -> Self:
        """Return frames with a constant frame rate, from an array (N, H, W, 3) or from arrays (H, W, 3).

        Raises:
            ValueError: there is no frame, they differ in size, or they are not uint8 RGB.
            TypeError: they are several videos, and not the frames of one.
        """
        listed = images if isinstance(images, np.ndarray) else [_frame_of(image) for image in images]
        if len(listed) == 0:
            raise ValueError("there is no frame: give at least one")
        if len({image.shape for image in listed}) != 1:
            raise ValueError("the frames differ in size: give all of them the same")
        stacked = np.asarray(listed)
        if stacked.ndim != 4:
            raise ValueError(f"frames are (N, H, W, 3) uint8 RGB, got {stacked.shape}")
        if not 0 < fps < np.inf:
            raise ValueError(f"fps must be positive, got {fps}")
        count, height, width = stacked.shape[:3]
        return cls(stacked, np.arange(count) / fps, np.arange(count), fps, count / fps, (width, height))

    def __repr__(self) -> str:
        count, height, width, _ = self.images.shape
        size = "" if self.size == (width, height) else f" of a source of {self.size[0]} x {self.size[1]}"
        return f"<Frames {count} of {width} x {height} pixels{size}, {self.seconds[0]:.2f}-{self.seconds[-1]:.2f} s>"

    def frame(self, index: int) -> Frame:
        """Return the frame (H, W, 3) with this number in the source; raise ValueError if there is none."""
        position = int(np.searchsorted(self.indices, index))
        if position == len(self.indices) or self.indices[position] != index:
            raise ValueError(f"there is no frame {index} among those given")
        image: Frame = self.images[position]
        return image

    def archive(self, quality: int = QUALITY) -> bytes:
        """Return the body of a request: a zip of `clip.json` and a JPEG for each frame, "0.jpg" and so on."""
        from PIL import Image  # noqa: PLC0415  # Pillow takes a third of the time that `import staa_client` may

        about = {"width": self.size[0], "height": self.size[1], "fps": self.fps, "duration": self.duration}
        places = {"frames": self.indices.tolist(), "times": self.seconds.tolist()}
        notes = {"notes": list(self.notes)} if self.notes else {}
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:  # a JPEG does not get smaller
            archive.writestr(zipfile.ZipInfo("clip.json"), json.dumps(about | places | notes))
            for number, image in enumerate(self.images):
                with archive.open(f"{number}.jpg", "w") as picture:
                    Image.fromarray(image).save(picture, "JPEG", quality=quality, subsampling="4:4:4")
        return buffer.getvalue()


def _frame_of(image: object) -> NDArray[Any]:
    """Return one of the frames of a video as an array.

    Raises:
        TypeError: it is a video itself.
    """
    is_video = isinstance(image, str | bytes | bytearray | memoryview | PathLike | Frames) or hasattr(image, "read")
    if is_video or (isinstance(image, np.ndarray) and image.ndim == 4):
        name = f" {image!r:.60}" if isinstance(image, str | PathLike) else ""
        msg = f"a call takes one video, got several of them, such as the {type(image).__name__}{name}: "
        raise TypeError(msg + "ask for each by itself, or give the list to batch or timelines")
    return np.asarray(image)


def smaller(size: tuple[int, int], longest: int) -> tuple[int, int]:
    """Return (width, height) scaled down so that no edge is longer than `longest`; the aspect ratio stays."""
    factor = min(1.0, longest / max(size))
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))
