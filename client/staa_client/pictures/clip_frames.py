"""Yields the pictures of a clip in their order, decoded from a video or taken from memory."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
from PIL import Image

from staa_client.results.explanation import Explanation
from staa_client.results.result import ClipInfo
from staa_client.video.frames import Frame, Frames
from staa_client.video.pictures_of import frames_at, in_order
from staa_client.video.source import Source

TimedPicture: TypeAlias = tuple[float, Image.Image | None]
"""The source time in seconds, and the picture, or None if there is no picture."""
HELD_RATE = 25.0
"""Pictures per second for frames in memory: each is shown until the next one, while map and cursor move on."""


@dataclass(frozen=True, slots=True)
class ClipFrames:
    """Holds the frames of the source from the clip's first to its last: all of them, or fewer if there are too many."""

    source: Source | None
    clip: ClipInfo
    most: float = float("inf")
    """The most pictures per second."""
    with_seen: bool = False
    """Whether of a video the frames that the model saw are there on top of `most`."""

    def __post_init__(self) -> None:
        explained = (self.clip.width, self.clip.height)
        if not isinstance(self.source, Frames):
            return
        if self.source.size != explained:
            raise ValueError(other_size(explained, self.source.size))
        for number in self.clip.frames.tolist():
            self.source.frame(number)  # raises ValueError where it is not there: others would be shown in its stead

    @property
    def length(self) -> float:
        """Return the seconds from the first picture to the end of the last."""
        times = self.clip.times
        span = float(times[-1] - times[0])
        return span + (span / (len(times) - 1) if len(times) > 1 and span > 0 else 1 / max(self.clip.fps, 1))

    @property
    def streamed(self) -> bool:
        """Return whether the pictures are decoded from a video."""
        return isinstance(self.source, Path | bytes)

    @property
    def rate(self) -> float:
        """Return the number of pictures per second."""
        return min(self.clip.fps if self.streamed else HELD_RATE, self.most)

    def __len__(self) -> int:
        """Return about how many pictures there will be."""
        if self.streamed and self.most >= self.clip.fps:
            return int(self.clip.frames[-1] - self.clip.frames[0]) + 1
        return max(round(self.length * self.rate), 1)

    def pictures(self, size: tuple[int, int]) -> Iterator[TimedPicture]:
        """Yield the pictures, scaled to `size` (width, height) in pixels, in display orientation.

        Raises:
            ImportError: the extra `video` is missing, and the source is a video.
            ValueError: the source is not the video that was explained.
            OSError: the file cannot be read.
        """
        if isinstance(self.source, Path | bytes):
            return self._decoded(self.source, size)
        return self._held(size)

    def _held(self, size: tuple[int, int]) -> Iterator[TimedPicture]:
        """Yield each frame in memory again and again until the time of the next one; None if there are no frames."""
        pictures = self.source
        times = self.clip.times
        numbers = self.clip.frames
        if isinstance(pictures, Frames):
            inside = (pictures.indices >= numbers[0]) & (pictures.indices <= numbers[-1])
            times, numbers = pictures.seconds[inside], pictures.indices[inside]
        shown, picture = -1, None
        for tick in range(len(self)):
            second = float(self.clip.times[0]) + tick / self.rate
            latest = max(int(np.searchsorted(times, second + 1e-6, "right")) - 1, 0)
            if isinstance(pictures, Frames) and latest != shown:
                picture = Image.fromarray(pictures.frame(int(numbers[latest]))).resize(size, Image.Resampling.LANCZOS)
                shown = latest
            yield second, picture

    def _decoded(self, source: Path | bytes, size: tuple[int, int]) -> Iterator[TimedPicture]:
        """Yield the pictures of a video as they are decoded."""
        explained = (self.clip.width, self.clip.height)

        def size_drawn(displayed: tuple[int, int]) -> tuple[int, int]:
            """Return `size`, if the video has the size of the one that was explained; raise ValueError otherwise."""
            if displayed != explained:
                raise ValueError(other_size(explained, displayed))
            return size

        first, last = int(self.clip.frames[0]), int(self.clip.frames[-1])
        most = self.most if self.most < self.clip.fps else math.inf
        seen = self.clip.frames.tolist() if self.with_seen else ()
        for second, image in in_order(source, first, last, size_drawn, most, seen):
            yield second, Image.fromarray(image)


def shared_clip(explanations: Sequence[Explanation]) -> ClipInfo:
    """Return the clip of explanations of one video; if they are of different frames, it has the frames of all."""
    clips = [explanation.clip for explanation in explanations]
    if all(np.array_equal(clips[0].frames, clip.frames) for clip in clips):
        return clips[0]
    frames, places = np.unique(np.concatenate([clip.frames for clip in clips]), return_index=True)
    return replace(clips[0], frames=frames, times=np.concatenate([clip.times for clip in clips])[places])


def other_size(explained: tuple[int, int], given: tuple[int, int]) -> str:
    """Return the message that a video has not the size, (width, height), of the one that was explained."""
    sizes = f"the explained video has {explained[0]}x{explained[1]} pixels, this one {given[0]}x{given[1]}"
    return f"{sizes}: is it the same file?"


def clip_frames(explanation: Explanation, source: Source | None) -> tuple[list[Frame] | None, str]:
    """Return the T frames of the clip and an empty text; or None and a text that says why there are no frames.

    Raises:
        ValueError: the source is not the video that was explained.
    """
    if source is None:
        return None, "drawn without frames: no video was given"
    explained = (explanation.clip.width, explanation.clip.height)
    if isinstance(source, Frames):
        frames, given = [source.frame(int(index)) for index in explanation.clip.frames], source.size
    else:
        try:
            frames = frames_at(source, explanation.clip.frames)
        except ImportError as reason:
            return None, f"drawn without frames: {str(reason).partition(': ')[2]}"
        given = (frames[0].shape[1], frames[0].shape[0])
    if given != explained:
        raise ValueError(other_size(explained, given))
    return frames, ""
