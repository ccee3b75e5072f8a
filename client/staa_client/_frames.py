"""Frames that the caller has in memory, and the archive in which they travel: `application/x-staa-frames`."""

import io
import json
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import NDArray

KIND = "application/x-staa-frames"
QUALITY = 95
"""Of the JPEGs, with all of their colours; what they cost the maps is measured in benchmarks/RESULTS.md."""

Frame = NDArray[np.uint8]
"""(H, W, 3) RGB, in display orientation."""


@dataclass(frozen=True, slots=True, eq=False)
class Frames:
    """Frames of a video in memory, each with its place in the source; sent as JPEGs instead of a file."""

    images: NDArray[np.uint8] = field(repr=False)
    """(N, H, W, 3) RGB, in display orientation; may be smaller than the source."""
    seconds: NDArray[np.float64]
    """(N,) source time of each frame, ascending; the source's first frame is at 0."""
    indices: NDArray[np.int64]
    """(N,) number of each frame in the source, ascending; the first frame is 0."""
    fps: float
    """Mean frame rate of the source, frames per second."""
    duration: float
    """Length of the source, seconds."""
    size: tuple[int, int]
    """(width, height) of the source in pixels; those of `images` where nothing was scaled."""

    def __post_init__(self) -> None:
        if self.images.ndim != 4 or self.images.shape[-1] != 3 or self.images.dtype != np.uint8 or not self.images.size:
            msg = f"frames are (N, H, W, 3) uint8 RGB, got {self.images.shape} {self.images.dtype}"
            raise ValueError(msg)
        wanted = (len(self.images),)
        if self.seconds.shape != wanted or self.indices.shape != wanted:
            msg = f"one time and one number a frame: {wanted = }, got {self.seconds.shape = }, {self.indices.shape = }"
            raise ValueError(msg)
        if (
            np.any(np.diff(self.seconds) < 0)
            or np.any(np.diff(self.indices) < 0)
            or not np.isfinite(self.seconds).all()
        ):
            raise ValueError("the times and numbers of frames must ascend")
        if not (0 < self.fps < np.inf and 0 <= self.duration < np.inf):
            msg = f"fps must be positive and duration not negative, got {self.fps = }, {self.duration = }"
            raise ValueError(msg)

    @classmethod
    def of(cls, images: NDArray[np.uint8] | Iterable[Frame], fps: float = 25.0) -> Self:
        """Frames that follow each other at a steady rate: (N, H, W, 3), or (H, W, 3) each.

        Raises:
            ValueError: there is no frame, they differ in size, or they are not uint8 RGB.
        """
        listed = images if isinstance(images, np.ndarray) else [np.asarray(image) for image in images]
        if len(listed) == 0:
            raise ValueError("there is no frame: give at least one")
        if len({image.shape for image in listed}) != 1:
            raise ValueError("the frames differ in size: give all of them the same")
        stacked = np.asarray(listed)
        if stacked.ndim != 4:
            msg = f"frames are (N, H, W, 3) uint8 RGB, got {stacked.shape}"
            raise ValueError(msg)
        if not 0 < fps < np.inf:
            msg = f"fps must be positive, got {fps}"
            raise ValueError(msg)
        count, height, width = stacked.shape[:3]
        return cls(stacked, np.arange(count) / fps, np.arange(count), fps, count / fps, (width, height))

    def frame(self, index: int) -> Frame:
        """The frame with this number in the source. Raises ValueError where there is none."""
        place = int(np.searchsorted(self.indices, index))
        if place == len(self.indices) or self.indices[place] != index:
            msg = f"there is no frame {index} among those given"
            raise ValueError(msg)
        found: Frame = self.images[place]
        return found

    def archive(self, quality: int = QUALITY) -> bytes:
        """A zip of `clip.json` and one JPEG a frame, "0.jpg" and so on: the body of a request."""
        from PIL import Image  # noqa: PLC0415  # Pillow takes a third of the time that `import staa_client` may

        about = {
            "width": self.size[0],
            "height": self.size[1],
            "fps": self.fps,
            "duration": self.duration,
            "frames": self.indices.tolist(),
            "times": self.seconds.tolist(),
        }
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:  # a JPEG does not get smaller
            archive.writestr("clip.json", json.dumps(about))
            for number, image in enumerate(self.images):
                picture = io.BytesIO()
                Image.fromarray(image).save(picture, "JPEG", quality=quality, subsampling="4:4:4")
                archive.writestr(f"{number}.jpg", picture.getvalue())
        return buffer.getvalue()
