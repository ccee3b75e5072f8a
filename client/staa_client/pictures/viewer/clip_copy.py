"""Makes the copy of a clip that a page plays: small pictures as H.264, with the sound of the source."""

import io
import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from staa_client.pictures.clip_frames import ClipFrames
from staa_client.pictures.movies.h264 import PictureTrack
from staa_client.results.result import ClipInfo
from staa_client.video.frames import Frame, Frames
from staa_client.video.pictures_of import SOUND_RATE, require_extra, sound_of
from staa_client.video.source import Source

if TYPE_CHECKING:
    from av import AudioFrame

MOST_BYTES = 12_000_000
"""The most bytes of a copy, before base64."""
MOST_RATE = 30.0
"""The most pictures per second of a copy, beside the frames that the model saw, which all are in it."""
MOST_PICTURES = 9000
"""The most pictures of a copy, five minutes at 30 a second; a longer clip has fewer per second."""
MOST_WIDTH = 960
"""The most pixels of a line."""
_LINES = ((480, 400_000), (360, 180_000), (240, 60_000))
"""How many lines a copy has at most -> the bits per second that it mostly needs; tried in turn until the copy fits."""
_SOUND_BITS = 64_000
"""Bits per second of the sound."""
_TICKS = 90_000
"""Ticks per second of the copy's clock, which keep the times of any source to 11 microseconds."""


@dataclass(frozen=True, slots=True, eq=False)
class ClipCopy:
    """Holds a copy of the clip, from the first frame that the model saw to the last."""

    mp4: bytes
    """H.264 and AAC; its clock is 0 at the first picture."""
    seconds: list[float]
    """The source time of each picture."""
    numbers: list[int]
    """The number of each picture in the source; if pictures were left out, that of the nearest sampled frames tells."""
    has_sound: bool


def copy_of(clip: ClipInfo, source: Source | None, most_bytes: int = MOST_BYTES) -> tuple[ClipCopy | None, str]:
    """Return a copy of the clip and an empty text; or None, and a text that says why if that is not obvious.

    Raises:
        ValueError: the frames given are not those of the video that was explained.
        OSError: the file cannot be read.
    """
    frames = ClipFrames(source, clip)
    if source is None or _adds_nothing(clip, source):
        return None, ""
    try:
        require_extra("copies of a video")
    except ImportError as reason:
        return None, _only_sampled(str(reason).partition(": ")[2])
    length = frames.length
    rate = min(MOST_RATE, MOST_PICTURES / length)
    import av  # noqa: PLC0415  # an optional extra

    try:
        bits = most_bytes * 8 / length - (_SOUND_BITS if next(_sound(clip, source), None) else 0)
        sizes = {_size(clip, lines): needed * min(clip.height / lines, 1) ** 2 for lines, needed in _LINES}
        *larger, smallest = sizes.items()
        likely = [(size, enough) for size, enough in larger if bits >= enough]
        for size, enough in [*likely, smallest]:  # the smallest in any case: little may happen in the clip
            copy = _encoded(clip, source, size, rate, (max(bits * 0.9, enough), most_bytes))
            if copy is not None and not copy.seconds:
                return None, _only_sampled("the video has no picture to copy")
            if copy is not None:
                return copy, ""
    except (av.FFmpegError, ValueError) as reason:
        return None, _only_sampled(f"the video cannot be copied ({reason})")
    seconds = _end_of(clip) - clip.times[0]
    return None, _only_sampled(f"a copy of {seconds:.0f} s would have over {most_bytes / 1e6:.0f} MB")


def _only_sampled(reason: str) -> str:
    return f"plays only the frames that the model saw: {reason}"


def _adds_nothing(clip: ClipInfo, source: Source) -> bool:
    """Return whether a copy would show no other frames than those that the model saw."""
    seen = set(clip.frames.tolist())
    if isinstance(source, Frames):
        given = source.indices[(source.indices >= min(seen)) & (source.indices <= max(seen))]
        return set(given.tolist()) <= seen
    return len(seen) == 1


def _size(clip: ClipInfo, lines: int) -> tuple[int, int]:
    """Return (width, height) of a copy: even numbers, never larger than the clip but for tiny ones."""
    share = min(1.0, lines / clip.height, MOST_WIDTH / clip.width)
    width, height = (max(16, 2 * round(edge * share / 2)) for edge in (clip.width, clip.height))
    return width, height


def _pictures(clip: ClipInfo, source: Source, size: tuple[int, int], rate: float) -> Iterator[tuple[float, Frame]]:
    """Yield the pictures of the clip, (H, W, 3) each, with their times in seconds."""
    if not isinstance(source, Frames):
        for second, picture in ClipFrames(source, clip, rate, with_seen=True).pictures(size):
            if picture is not None:
                yield second, np.asarray(picture)
        return
    from PIL import Image  # noqa: PLC0415  # as in pictures_of

    inside = np.flatnonzero((source.indices >= clip.frames[0]) & (source.indices <= clip.frames[-1]))
    some = inside[:: max(math.ceil(source.fps / rate - 0.01), 1)]
    seen = inside[np.isin(source.indices[inside], clip.frames)]
    for place in np.union1d(some, seen).tolist():
        picture = Image.fromarray(source.images[place]).resize(size, Image.Resampling.LANCZOS)
        yield float(source.seconds[place]), np.asarray(picture)


def _sound(clip: ClipInfo, source: Source) -> "Iterator[AudioFrame]":
    """Yield the sound of the clip; nothing if there is none."""
    return iter(()) if isinstance(source, Frames) else sound_of(source, float(clip.times[0]), _end_of(clip))


def _encoded(
    clip: ClipInfo, source: Source, size: tuple[int, int], rate: float, most: tuple[float, int]
) -> ClipCopy | None:
    """Return the copy; None if it has too many bytes. `most` is (bits per second of its pictures, bytes of all).

    There are no B frames and many key frames, so that a page goes to any picture at once.
    """
    import av  # noqa: PLC0415  # an optional extra

    target, seconds = io.BytesIO(), list[float]()
    with av.open(target, "w", format="mp4") as container:
        bounds = {"maxrate": f"{most[0]:.0f}", "bufsize": f"{most[0]:.0f}"}
        steady = min(rate, max(clip.fps, 1))
        pictures = PictureTrack(container, size, steady, {"crf": "23", "bf": "0", "g": "24", **bounds})
        sound = _sound(clip, source)
        first = next(sound, None)
        track = None if first is None else container.add_stream("aac", rate=SOUND_RATE, layout="stereo")
        if track is not None:
            track.bit_rate = _SOUND_BITS
        for second, picture in _pictures(clip, source, size, rate):
            if pictures.add(second - (seconds[0] if seconds else second), picture):
                seconds.append(second)
            if target.tell() > most[1]:
                return None
        pictures.finish()
        if track is not None and first is not None:
            for samples in chain([first], sound):
                container.mux(track.encode(samples))
            container.mux(track.encode(None))
    mp4 = target.getvalue()
    return ClipCopy(mp4, seconds, _numbers(clip, seconds), track is not None) if len(mp4) <= most[1] else None


def _end_of(clip: ClipInfo) -> float:
    """Return the second at which the last frame that the model saw ends."""
    return min(float(clip.times[-1]) + 1 / max(clip.fps, 1), max(clip.duration, float(clip.times[-1])))


def _numbers(clip: ClipInfo, seconds: list[float]) -> list[int]:
    """Return the number of each picture in the source."""
    first, last = int(clip.frames[0]), int(clip.frames[-1])
    if len(seconds) == last - first + 1:
        return [*range(first, last + 1)]
    return np.interp(seconds, clip.times, clip.frames).round().astype(int).tolist()
