"""Frames of a video by their number, or as a model wants them; needs the extra `video`.

Where the packets tell which frames are displayed and when, only what the wanted frames depend on is decoded. Frames
have the numbers that the server gives them.
"""

import io
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from staa_client._display import upright
from staa_client._frames import Frame, Frames
from staa_client._packets import ChangedError, Packets
from staa_client._sampling import choose

if TYPE_CHECKING:
    import av
    from av.container import InputContainer
    from av.video.stream import VideoStream

__all__ = ["Frame", "frames_at", "sampled"]

Scale = Callable[[int, int], tuple[int, int]]
"""(height, width) of a frame -> (rows, columns) that it is wanted in."""
_PLANNED_FORMATS = {"mov", "matroska", "mpegts"}
_PLANNED_CODECS = {"h264", "hevc", "vp9", "av1", "mpeg4", "mjpeg", "prores"}


def frames_at(source: str | Path | bytes | Frames, indices: Sequence[int] | NDArray[np.int64]) -> list[Frame]:
    """The frames with these numbers, in the order asked for; the first frame of the source is 0.

    The container's display rotation is applied, so that frames match the server's `width`, `height` and `box`.

    Raises:
        ImportError: the package `av` is missing.
        ValueError: the source is no video, or has no frame of such a number.
        OSError: the file cannot be read.
    """
    if isinstance(source, Frames):
        return [source.frame(int(index)) for index in indices]
    wanted = {int(index) for index in indices}
    if not wanted:
        return []
    with _opened(source) as film:
        found = {number: film.upright(frame) for number, frame in film.at(wanted)}
    if missing := wanted - set(found):
        msg = f"the video has no frame {min(missing)}; is it the file that was explained?"
        raise ValueError(msg)
    return [found[int(index)] for index in indices]


def sampled(
    source: str | Path | bytes,
    wanted: int,
    scale: Scale,
    start: float | None = None,
    end: float | None = None,
    *,
    interpolation: str = "bilinear",
) -> Frames:
    """`wanted` frames, uniform over [start, end) seconds, each scaled to what `scale` says: those a server would take.

    Raises:
        ImportError: the package `av` is missing.
        ValueError: the source is no video, or the segment holds no frame.
        OSError: the file cannot be read.
    """
    name = "what was given" if isinstance(source, bytes) else Path(source).name
    hint = 'send another file, or have the server decode it (sample="server")'
    with _opened(source, f"{name} cannot be read as a video", hint) as film:
        seconds, fps, duration = film.timeline()
        indices = choose(seconds, duration, wanted, start, end)
        size = (0, 0)
        small: dict[int, Frame] = {}
        for number, frame in film.at({int(index) for index in indices}):
            picture = film.upright(frame)
            size = size if any(size) else (picture.shape[1], picture.shape[0])
            small[number] = resized(picture, *scale(size[1], size[0]), interpolation)
        if missing := {int(index) for index in indices} - set(small):
            msg = f"frame {min(missing)} of the video cannot be decoded; send the file as it is for the server's reason"
            raise ValueError(msg)
        images = np.stack([small[int(index)] for index in indices])
        return Frames(images, seconds[indices], indices, fps, duration, size)


def resized(frame: Frame, rows: int, columns: int, interpolation: str = "bilinear") -> Frame:
    """A frame (H, W, 3) at (rows, columns), antialiased as the server's own resize is."""
    from PIL import Image  # noqa: PLC0415  # labels need no Pillow

    if frame.shape[:2] == (rows, columns):
        return frame
    how = Image.Resampling[interpolation.upper()]
    return np.asarray(Image.fromarray(frame).resize((columns, rows), how))


class _Film:
    """An open video."""

    def __init__(self, opened: Callable[[], "InputContainer"]) -> None:
        self.container = opened()
        self.stream: VideoStream = self.container.streams.video[0]
        self.stream.thread_type = "AUTO"
        self.packets = Packets(self.container, opened)
        self.planned = self._plannable()
        self.ticks: Sequence[int | None] = self.packets.ticks[self.packets.shown].tolist()
        if not self.planned:
            self.ticks = [frame.pts for frame in self._all()]

    def _plannable(self) -> bool:
        """Whether the packets alone say which frames are displayed, and when: the server's rule."""
        return (
            self.container.format.name.split(",")[0] in _PLANNED_FORMATS
            and self.stream.codec_context.codec.canonical_name in _PLANNED_CODECS
            and self.stream.codec_context.field_order in {0, 1}  # unknown, progressive
            and len(self.packets) > 0
            and self.packets.clear
            and self.packets.keys[:1] == [0]
            and self.packets.ticks[0] == self.packets.ticks.min()
        )

    def _all(self) -> Iterator["av.VideoFrame"]:
        self.container.seek(0)
        self.stream.codec_context.flush_buffers()
        yield from self.container.decode(self.stream)

    def timeline(self) -> tuple[NDArray[np.float64], float, float]:
        """(N,) seconds of all frames, frames per second, and seconds in all, as the server makes them."""
        known = np.array([tick for tick in self.ticks if tick is not None], np.float64)
        timed = len(known) == len(self.ticks) > 0 and bool(np.all(np.diff(known) >= 0))
        average, guessed = self.stream.average_rate, self.stream.guessed_rate
        stated = float((average or guessed or 25) if timed else (guessed or average or 25))
        base = float(self.stream.time_base or 0)
        seconds = (known - known[:1]) * base if timed else np.arange(len(self.ticks)) / stated
        span = float(seconds[-1]) if len(seconds) else 0.0
        mean = (len(seconds) - 1) / span if span > 0 else stated
        fps = stated if abs(stated - mean) <= 0.01 * mean else mean
        last = int(self.packets.durations[self.packets.shown[-1]]) if self.planned else 0
        return seconds, fps, span + (last * base if last and timed else 1 / fps)

    def at(self, wanted: Collection[int]) -> Iterator[tuple[int, "av.VideoFrame"]]:
        """(number, frame) of the frames with these numbers, ascending; fewer where the video ends before."""
        if self.planned:
            yield from self._planned(sorted(number for number in wanted if 0 <= number < len(self.ticks)))
            return
        last = max(wanted)
        for number, frame in enumerate(self._all()):
            if number in wanted:
                yield number, frame
            if number >= last:
                return

    def _planned(self, wanted: Sequence[int]) -> Iterator[tuple[int, "av.VideoFrame"]]:
        """Decode from the key frame before each to the frame itself."""
        number = {self.ticks[one]: one for one in wanted}
        shown: dict[int, av.VideoFrame] = {}
        packets: Iterator[av.Packet[VideoStream]] = iter(())
        position = -1  # of the next packet; before the first one the decoder is not set
        for one in wanted:
            key = self.packets.key_of(int(self.packets.shown[one]))
            if one not in shown and key > position:
                self.stream.codec_context.flush_buffers()
                packets, position = self.packets.since(key), key
            while one not in shown and position <= len(self.packets):
                position += 1
                frames = self.stream.decode(next(packets, None))
                shown |= {number[frame.pts]: frame for frame in frames if frame.pts in number}
            if one in shown:
                yield one, shown.pop(one)

    def upright(self, frame: "av.VideoFrame") -> Frame:
        """The frame as it is to be displayed: RGB, turned by quarters and mirrored as its display matrix says."""
        picture = frame.reformat(format="rgb24", dst_color_range="JPEG").to_ndarray()
        return np.ascontiguousarray(upright(picture, frame.side_data.get("DISPLAYMATRIX")), np.uint8)


@contextmanager
def _opened(
    source: str | Path | bytes,
    what: str = "the frames of the video cannot be read",
    hint: str = "is it the file that was explained?",
) -> Iterator[_Film]:
    """An open video; where it is none, a ValueError says what cannot be done, why, and what to do."""
    try:
        import av  # noqa: PLC0415  # an optional extra
    except ImportError as reason:
        msg = 'frames of a video need the package av: pip install "./client[video]" from a checkout'
        raise ImportError(msg) from reason

    with io.BytesIO(source) if isinstance(source, bytes) else Path(source).open("rb") as given, ExitStack() as stack:
        file = given if given.seekable() else io.BytesIO(given.read())  # a pipe can be read once

        def opened() -> "InputContainer":
            file.seek(0)
            options = {"protocol_whitelist": "none"}  # a playlist may not fetch
            return stack.enter_context(av.open(file, "r", options=options))

        try:
            yield _Film(opened)
        except (av.FFmpegError, IndexError, ChangedError) as reason:
            why = "no video in it" if isinstance(reason, IndexError) else getattr(reason, "strerror", None) or reason
            msg = f"{what} ({why}); {hint}"
            raise ValueError(msg) from reason
