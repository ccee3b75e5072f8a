"""Decodes frames of a video: by number, in their order, live, or as a model takes them.

Only this module of the client uses staa_video, which the extra `video` installs. The server has the same decoder, so
frames get the same numbers and times here as there, and the same videos are refused.
"""

import importlib.util
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from staa_client.video.frames import Frame, Frames
from staa_client.video.origin import Origin
from staa_client.video.source import Source

if TYPE_CHECKING:
    from av import AudioFrame

Scale: TypeAlias = Callable[[int, int], tuple[int, int]]
"""A function from (height, width) of a frame to the (rows, columns) of its resized picture."""
Size: TypeAlias = Callable[[tuple[int, int]], tuple[int, int]]
"""A function from (width, height) of the displayed video to that of its pictures, in pixels."""
LivePicture: TypeAlias = tuple[Frame, float, tuple[int, int], tuple[str, ...]]
"""A frame (H, W, 3) uint8 RGB, the source's own time in seconds, the (width, height) of the source in pixels, and notes
of what was done to the source beyond plain decoding."""


MAX_RESIZED_PIXELS = 2048 * 1152
"""The most pixels of a frame after its resize, before the crop: the server's bound (staa.prepare)."""
_MOST_CLIP_PIXELS = 2**28
"""The most pixels of all frames that are sent."""
SOUND_RATE = 48_000
"""Samples per second of the sound that `sound_of` yields."""


def require_extra(what: str, instead: str = "") -> None:
    """Raise ImportError, which says what to install, if the packages of the extra `video` are missing.

    Args:
        what: The things that need the extra, in the plural, for the message.
        instead: What works without the extra, for the message.
    """
    try:
        import av  # noqa: F401, PLC0415  # an optional extra

        import staa_video  # noqa: F401, PLC0415  # the same
    except ImportError as reason:
        msg = f'{what} need the extra video: pip install ./video "./client[video]" from a checkout{instead}'
        raise ImportError(msg) from reason


def has_extra() -> bool:
    """Return whether the extra `video` is installed; without it, all frames in memory are sent to the server."""
    return importlib.util.find_spec("av") is not None and importlib.util.find_spec("staa_video") is not None


def frames_at(source: str | Path | bytes | Frames, indices: Sequence[int] | NDArray[np.int64]) -> list[Frame]:
    """Return the frames with these numbers, in the order asked for; the first frame of the source is 0.

    They are in display orientation, as the server's `width`, `height` and `box` are. If the size changes within the
    video, all have the size of the first one.

    Raises:
        ImportError: the extra `video` is missing.
        ValueError: the source is no video, or has no frame with one of the numbers.
        OSError: the file cannot be read.
    """
    numbers = [int(index) for index in indices]
    if isinstance(source, Frames):
        return [source.frame(number) for number in numbers]
    require_extra("frames of a video")
    from staa_video import UNLIMITED, decoder  # noqa: PLC0415  # an optional extra

    with _of_what_was_explained():
        images = decoder.pictures(source, set(numbers), UNLIMITED)
    return [images[number] for number in numbers]


def in_order(
    source: str | Path | bytes,
    first: int,
    last: int | None,
    size: Size,
    rate: float = float("inf"),
    always: Collection[int] = (),
) -> Iterator[tuple[float, Frame]]:
    """Yield the frames from number `first` to number `last` in their order, each with its time in seconds.

    Args:
        source: The video.
        first: Number of the first frame.
        last: Number of the last frame; None is that of the video.
        size: Takes the size of the video and returns that of the pictures.
        rate: The most pictures for one second of video; other frames are left out.
        always: Numbers of frames that are not left out for `rate`.

    Raises:
        ImportError: the extra `video` is missing.
        ValueError: the source is no video, or has no such frames.
        OSError: the file cannot be read.
    """
    require_extra("frames of a video")
    from staa_video import UNLIMITED, decoder  # noqa: PLC0415  # an optional extra

    with _of_what_was_explained():
        yield from decoder.in_order(source, first, last, size, rate, UNLIMITED, always)


def sound_of(source: str | Path | bytes, start: float, end: float) -> "Iterator[AudioFrame]":
    """Yield the sound of [start, end) seconds: stereo, float, SOUND_RATE samples per second; nothing if there is none.

    Seconds are those of the frames: the first frame of the source is at 0.

    Raises:
        ImportError: the extra `video` is missing.
        ValueError: the source is no video.
        OSError: the file cannot be read.
    """
    require_extra("the sound of a video")
    from staa_video import UNLIMITED  # noqa: PLC0415  # an optional extra
    from staa_video.film.sound import sound  # noqa: PLC0415  # the same

    with _of_what_was_explained():
        yield from sound(source, start, end, SOUND_RATE, UNLIMITED)


@contextmanager
def _of_what_was_explained() -> Iterator[None]:
    """Turn an error of a video into a ValueError that asks whether it is the right video."""
    from staa_video import errors  # noqa: PLC0415  # an optional extra

    try:
        yield
    except errors.StaaError as reason:
        what = str(reason)
        if not isinstance(reason, errors.NoFramesError):
            what = f"the frames of the video cannot be read ({reason})"
        msg = f"{what}; is it the file that was explained?"
        raise ValueError(msg) from reason


def sampled(
    source: str | Path | bytes,
    wanted: int,
    scale: Scale,
    start: float | None = None,
    end: float | None = None,
    *,
    interpolation: str = "bilinear",
) -> Frames:
    """Return the `wanted` frames that the server would choose from [start, end) seconds, each resized by `scale`.

    Raises:
        ImportError: the extra `video` is missing.
        ValueError: the source is no video, or the segment holds no frame.
        OSError: the file cannot be read.
    """
    require_extra("frames of a video")
    from staa_video import UNLIMITED, decode  # noqa: PLC0415  # an optional extra

    def small(frame: Frame, size: tuple[int, int]) -> Frame:
        return resized(frame, *scale(size[1], size[0]), interpolation)

    with _of_what_is_sent(source):
        clip = decode(source, wanted, start, end, UNLIMITED, small)
    return Frames(clip.frames, clip.seconds, clip.indices, clip.fps, clip.duration, clip.source, clip.notes)


def _checked(scale: Scale, count: int) -> Scale:
    """Return the scale, which now refuses a frame that it makes larger than the server would take.

    Raises:
        ValueError: when it is called; the message is the server's.
    """

    def checked(height: int, width: int) -> tuple[int, int]:
        rows, columns = scale(height, width)
        if rows * columns > MAX_RESIZED_PIXELS:
            size = f"become {columns}x{rows} for this model, over {MAX_RESIZED_PIXELS} pixels"
            raise ValueError(f"frames of {width}x{height} {size}: crop them")
        if rows * columns * count > _MOST_CLIP_PIXELS:
            raise ValueError(f"{count} frames of {columns}x{rows} pixels are more than a model takes: is it its card?")
        return max(rows, 1), max(columns, 1)

    return checked


def frames_for(
    source: Source, count: int, scale: Scale, interpolation: str, start: float | None, end: float | None
) -> Frames:
    """Return the `count` frames that the server would choose from [start, end) seconds, resized as it would do it.

    Raises:
        ImportError: the extra `video` is missing.
        ValueError: the source is no video, or the segment holds no frame.
        OSError: the file cannot be read.
    """
    scale = _checked(scale, count)
    if not isinstance(source, Frames):
        return sampled(source, count, scale, start, end, interpolation=interpolation)
    require_extra("frames that are chosen here")
    from staa_video import errors, sampling  # noqa: PLC0415  # an optional extra

    chosen = np.arange(len(source.images))
    if len(chosen) != count or start is not None or end is not None:
        zero = 0.0 if start is not None or end is not None else float(source.seconds[0])  # a window of a longer source
        try:
            chosen = sampling.choose(source.seconds - zero, source.duration - zero, count, start, end)
        except (errors.OptionError, errors.NoFramesError) as reason:
            raise ValueError(str(reason)) from reason
    images = np.stack([resized(image, *scale(*image.shape[:2]), interpolation) for image in source.images[chosen]])
    return replace(source, images=images, seconds=source.seconds[chosen], indices=source.indices[chosen])


def windows_of(
    source: Source,
    count: int,
    scale: Scale,
    interpolation: str,
    segments: Callable[[float], Sequence[tuple[float, float]]],
    origin: Origin | None = None,
) -> Iterator[Frames]:
    """Yield the frames of one window of a video after the other, each what `frames_for` returns for its segment.

    A file is decoded once, in order, and only the frames of windows that are not complete are in memory.

    Args:
        source: The video.
        count: How many frames each window has.
        scale: The size of the frames that are sent.
        interpolation: How they are scaled.
        segments: Takes the duration of the video, seconds; returns the ascending (start, end) of the windows, seconds.
        origin: What the frames of a file or of bytes say of which video they are.

    Raises:
        ImportError: the extra `video` is missing.
        ValueError: the source is no video.
        OSError: the file cannot be read.
    """
    require_extra("windows of a video")
    from staa_video import UNLIMITED, decoder  # noqa: PLC0415  # an optional extra

    if isinstance(source, Frames):
        for start, end in segments(source.duration):
            yield frames_for(source, count, scale, interpolation, start, end)
        return
    checked = _checked(scale, count)

    def small(frame: Frame, size: tuple[int, int]) -> Frame:
        return resized(frame, *checked(size[1], size[0]), interpolation)

    with _of_what_is_sent(source):
        for clip in decoder.clips(source, count, segments, small, UNLIMITED):
            about = clip.fps, clip.duration, clip.source, clip.notes, origin
            yield Frames(clip.frames, clip.seconds, clip.indices, *about)


def delay_of(source: Source) -> float:
    """Return the seconds from the start of a video's file, from which players count, to its first frame.

    Raises:
        ImportError: the extra `video` is missing.
        ValueError: the source is no video.
        OSError: the file cannot be read.
    """
    if isinstance(source, Frames):
        return 0.0
    require_extra("windows of a video")
    from staa_video import UNLIMITED, decoder  # noqa: PLC0415  # an optional extra

    with _of_what_is_sent(source):
        return decoder.delay(source, UNLIMITED)


@contextmanager
def _of_what_is_sent(source: str | Path | bytes) -> Iterator[None]:
    """Turn an error of a video into a ValueError that names it."""
    from staa_video import errors  # noqa: PLC0415  # an optional extra

    try:
        yield
    except (errors.OptionError, errors.NoFramesError) as reason:
        raise ValueError(str(reason)) from reason
    except errors.StaaError as reason:
        name = "what was given" if isinstance(source, bytes) else Path(source).name
        msg = f"{name} cannot be read as a video ({reason}); send another file"
        raise ValueError(msg) from reason


def resized(frame: Frame, rows: int, columns: int, interpolation: str = "bilinear") -> Frame:
    """Return a frame (H, W, 3) resized to (rows, columns), antialiased as in the server."""
    from PIL import Image  # noqa: PLC0415  # labels need no Pillow

    if frame.shape[:2] == (rows, columns):
        return frame
    how = Image.Resampling[interpolation.upper()]
    return np.asarray(Image.fromarray(frame).resize((columns, rows), how))


@contextmanager
def live_pictures(
    kind: Literal["camera", "stream", "file"],
    name: str,
    device: str | None,
    options: Mapping[str, str],
    size: Size,
    threads: Literal["AUTO", "SLICE"],
) -> Iterator[tuple[float, Iterator[LivePicture]]]:
    """Open a source, and give its length in seconds (infinite if it is live) and its pictures as they come.

    Args:
        kind: The kind of source.
        name: The device, URL or path that FFmpeg opens.
        device: FFmpeg's name of the kind of device; None if it is no camera.
        options: FFmpeg's options for opening it.
        size: Takes the size of the source and returns that of the pictures.
        threads: "AUTO" decodes fastest; "SLICE" gives each picture without delay.

    Raises:
        ImportError: the extra `video` is missing.
        ValueError: there is no video in it, or it cannot be read; the message does not show the address.
        OSError: it cannot be opened.
    """
    require_extra("cameras, streams and files")
    import av  # noqa: PLC0415  # an optional extra

    from staa_video import errors, live  # noqa: PLC0415  # the same

    try:
        with live.opened(kind, name, device, options) as opened:
            yield live.length(opened[0]), live.pictures(opened, size, threads)
    except errors.StaaError as reason:
        raise ValueError(str(reason)) from reason
    except av.FFmpegError as reason:  # its own text would name the address, password and all
        raise ValueError(reason.strerror) from None
