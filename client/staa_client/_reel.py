"""The pictures of a clip in their order, one at a time: decoded from a video, or out of memory."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from staa_client._display import turned, upright
from staa_client._frames import Frames
from staa_client._result import ClipInfo

if TYPE_CHECKING:
    import av

Source = Path | bytes | Frames | None
Shot = tuple[float, Image.Image | None]
"""Source time in seconds, and the picture; None: there is none."""
HELD = 25.0
"""Pictures a second where each of a few frames stands for its time, while the map and the cursor move on."""
EXTRA = 'need the package av: pip install "./client[video]" from a checkout'


@dataclass(frozen=True, slots=True)
class Reel:
    """Every frame of the source from the clip's first to its last, or fewer if that would be too many."""

    source: Source
    clip: ClipInfo
    most: float = float("inf")
    """Pictures a second, at most."""

    def __post_init__(self) -> None:
        wanted = (self.clip.width, self.clip.height)
        if isinstance(self.source, Frames) and self.source.size != wanted:
            raise ValueError(other_size(wanted, self.source.size))

    @property
    def length(self) -> float:
        """Seconds from the first picture to the end of the last."""
        times = self.clip.times
        span = float(times[-1] - times[0])
        return span + (span / (len(times) - 1) if len(times) > 1 and span > 0 else 1 / max(self.clip.fps, 1))

    @property
    def streamed(self) -> bool:
        """Whether the pictures are decoded from a video."""
        return isinstance(self.source, Path | bytes)

    @property
    def rate(self) -> float:
        """Pictures a second."""
        return min(self.clip.fps if self.streamed else HELD, self.most)

    def __len__(self) -> int:
        """How many pictures there will be, about."""
        if self.streamed and self.most >= self.clip.fps:
            return int(self.clip.frames[-1] - self.clip.frames[0]) + 1
        return max(round(self.length * self.rate), 1)

    def shots(self, size: tuple[int, int]) -> Iterator[Shot]:
        """The pictures at (width, height) in pixels, in display orientation.

        Raises:
            ImportError: the package `av` is missing, and the source is a video.
            ValueError: the source is not the video that was explained.
            OSError: the file cannot be read.
        """
        return self._decoded(size) if self.streamed else self._held(size)

    def _held(self, size: tuple[int, int]) -> Iterator[Shot]:
        """Each frame in memory until the next one's time; on a plain clock, where there are none."""
        pictures = self.source
        times = self.clip.times
        numbers = self.clip.frames
        if isinstance(pictures, Frames):
            inside = (pictures.indices >= numbers[0]) & (pictures.indices <= numbers[-1])
            times, numbers = pictures.seconds[inside], pictures.indices[inside]
        shown, picture = -1, None
        for tick in range(len(self)):
            second = float(self.clip.times[0]) + tick / self.rate
            place = max(int(np.searchsorted(times, second + 1e-6, "right")) - 1, 0)
            if isinstance(pictures, Frames) and place != shown:
                picture = Image.fromarray(pictures.frame(int(numbers[place]))).resize(size, Image.Resampling.LANCZOS)
                shown = place
            yield second, picture

    def _decoded(self, size: tuple[int, int]) -> Iterator[Shot]:
        try:
            import av  # noqa: PLC0415  # an optional extra
        except ImportError as reason:
            msg = f"frames of a video {EXTRA}"
            raise ImportError(msg) from reason

        first, last = int(self.clip.frames[0]), int(self.clip.frames[-1])
        number = -1
        try:
            with (
                io.BytesIO(self.source)
                if isinstance(self.source, bytes)
                else Path(str(self.source)).open("rb") as file,
                av.open(file, "r", options={"protocol_whitelist": "none"}) as container,  # a playlist may not fetch
            ):
                stream = container.streams.video[0]
                stream.thread_type = "AUTO"
                draw, clock = _Scaler(self.clip, size), _Clock(self.clip, self.most)
                for number, frame in enumerate(container.decode(stream)):
                    if number >= first and (second := clock.due(number, frame.time)) is not None:
                        yield second, draw(frame)
                    if number == last:
                        return
        except (av.FFmpegError, IndexError) as reason:
            why = "no video in it" if isinstance(reason, IndexError) else reason.strerror
            msg = f"the frames of the video cannot be read ({why}); is it the file that was explained?"
            raise ValueError(msg) from reason
        msg = f"the video has no frame {number + 1}; is it the file that was explained?"
        raise ValueError(msg)


class _Clock:
    """Source times of frames that follow each other, and which of them are drawn."""

    def __init__(self, clip: ClipInfo, most: float) -> None:
        self._clip = clip
        self._gap = 1 / most if most < clip.fps else 0.0
        self._start: float | None = None
        self._last, self._due = -float("inf"), float(clip.times[0])

    def due(self, number: int, time: float | None) -> float | None:
        """The source time of a frame by its own time, or by its number where it has none; None: left out."""
        begin = float(self._clip.times[0])
        if self._start is None:
            self._start = begin if time is None else time
        if time is None:
            second = float(np.interp(number, self._clip.frames, self._clip.times))
        else:
            second = time - self._start + begin
        if second <= self._last or second < self._due - self._gap / 20:
            return None
        self._due = max(self._due + self._gap, second + self._gap / 2)
        self._last = second
        return second


class _Scaler:
    """From a decoded frame to a picture of the size that is drawn, scaled before its colours are converted."""

    def __init__(self, clip: ClipInfo, size: tuple[int, int]) -> None:
        from av.video.reformatter import VideoReformatter  # noqa: PLC0415  # an optional extra

        self._clip, self._size = clip, size
        self._scale, self._convert = VideoReformatter(), VideoReformatter()

    def __call__(self, frame: "av.VideoFrame") -> Image.Image:
        matrix: Any = frame.side_data.get("DISPLAYMATRIX")
        swap = -1 if turned(matrix) else 1
        wanted = (self._clip.width, self._clip.height)
        if (frame.width, frame.height)[::swap] != wanted:
            width, height = (frame.width, frame.height)[::swap]
            raise ValueError(other_size(wanted, (width, height)))
        width, height = self._size[::swap]
        if frame.format.is_planar:  # in its own format scaling costs an eighth
            frame = self._scale.reformat(frame, width, height)
        small = self._convert.reformat(frame, width, height, "rgb24")
        return Image.fromarray(upright(np.asarray(small.to_ndarray(), np.uint8), matrix))


def other_size(wanted: tuple[int, int], found: tuple[int, int]) -> str:
    """Why a video is not the one that was explained, (width, height) each."""
    return (
        f"the explained video has {wanted[0]}x{wanted[1]} pixels, this one {found[0]}x{found[1]}: is it the same file?"
    )
