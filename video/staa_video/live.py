"""A camera, a stream or a file as pictures that come one after the other, each with the source's own time.

Nothing is known about the frames before they come, so they have no numbers here. A source that ends is not opened
again: that is left to the caller. Read a source in a process of its own: FFmpeg cannot be interrupted while it looks up
a host name or waits for a device.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple

import av
from av.container import InputContainer
from av.device import enumerate_input_devices
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from staa_video import header, picture, sampling
from staa_video.clip import UNLIMITED
from staa_video.codecs import Packet, check_scans, parts_of
from staa_video.container import (
    FILE_OPTIONS,
    STILL,
    Opened,
    best_stream,
    clock_resets,
    has_clock,
    is_animation,
    is_of_stills,
    opening,
)
from staa_video.errors import NotVideoError
from staa_video.picture import Image
from staa_video.plan import FEW_PIXELS

# What a stream may name in turn, such as the parts of a playlist: nothing on the net may open a file of this machine.
_WHITELIST = "http,https,httpproxy,tcp,tls,crypto,udp,rtp,srtp,rtsp,rtsps,rtmp,rtmps,srt,data"

_PAUSES = 1000  # one after the other, without a packet between them: of MPEG-TS each is after 64 KiB of filler


class Picture(NamedTuple):
    """Holds one frame that was read."""

    image: Image
    """(H, W, 3) uint8 RGB, in display orientation."""
    seconds: float
    """The time that the source gives, in seconds; its zero can be anywhere."""
    size: tuple[int, int]
    """(width, height) of the source in pixels, in display orientation."""
    notes: tuple[str, ...] = ()
    """What was done to the frames so far, beyond plain decoding."""


@contextmanager
def opened(
    kind: Literal["camera", "stream", "file"],
    name: str,
    device: str | None = None,
    options: Mapping[str, str] | None = None,
) -> Iterator[Opened]:
    """Open a source, and choose its video stream as `decoder.decode` does.

    Args:
        kind: the kind of source.
        name: the name of the camera in FFmpeg (its number for "dshow"), a URL, or the path of a file.
        device: FFmpeg's name of the kind of device, such as "v4l2"; None for a stream or a file.
        options: FFmpeg's options for opening it.

    Raises:
        NotVideoError, DecodeError, TooManyFramesError: there is no video in it, or it cannot be read as one.
        OSError, av.FFmpegError: it cannot be opened.
    """
    with ExitStack() as stack:
        source: str | BinaryIO = _dshow(int(name)) if device == "dshow" else name
        chosen = dict(options or {})
        if kind == "stream":
            chosen = {"protocol_whitelist": _WHITELIST} | chosen
        elif kind == "file":  # it is handed over open, so that no byte of its name is taken for a protocol
            source = stack.enter_context(Path(name).open("rb"))
            if source.seekable():
                yield stack.enter_context(opening(source, UNLIMITED, chosen))()
                return
            chosen = FILE_OPTIONS | chosen
        container = stack.enter_context(av.open(source, "r", format=device, options=chosen))
        stream = best_stream(container)
        yield container, stream, picture.Shape.of(stream)


def pictures(
    opened: Opened, size: Callable[[tuple[int, int]], tuple[int, int]], threads: Literal["AUTO", "SLICE"]
) -> Iterator[Picture]:
    """Yield the frames of a source in the order of their display.

    Frames that cannot be decoded are left out, for example the first ones of a stream that is joined between two key
    frames; of a recording, the notes count the damaged ones. If the times of a file run backwards, its later frames get
    the times of its mean frame rate.

    Args:
        opened: the source.
        size: takes the (width, height) of the source and returns that of the pictures, in pixels.
        threads: "AUTO" decodes fastest; "SLICE" gives each frame without delay.

    Raises:
        NotVideoError: it is a still image.
    """
    context = opened[1].codec_context
    context.thread_type = threads
    if 0 < context.width * context.height <= FEW_PIXELS:
        context.thread_count = 1
    scaler = picture.Scaler(size, "AREA", opened[2])
    matrix: picture.Matrix = None
    frames = _timed(opened)
    if is_of_stills(opened[0]):
        frames = _no_still(frames)
    damaged, recorded = 0, math.isfinite(length(opened[0]))
    for frame, seconds in frames:
        matrix = picture.matrix(frame) or matrix
        if frame.is_corrupt:
            damaged += recorded
            continue
        image = scaler(frame, matrix)
        told = (f"damaged frames left out so far: {damaged}",) if damaged else ()
        yield Picture(image, seconds, scaler.source, scaler.notes + told)


def _no_still(frames: Iterator[tuple[VideoFrame, float]]) -> Iterator[tuple[VideoFrame, float]]:
    """Yield the frames of an animation; raise NotVideoError if it has one only, for it is a still image then."""
    first = [*islice(frames, 2)]
    if len(first) == 1:
        raise NotVideoError(STILL)
    yield from first
    yield from frames


def _timed(opened: Opened) -> Iterator[tuple[VideoFrame, float]]:
    """Yield each frame with its time in seconds.

    Where the clock of a recording jumps, the frame after the jump follows the one before it at once, as in a clip. If
    the times of a recording run backwards otherwise, every later frame is 1 / frame rate after the one before it: at
    25 fps the times 0, 0.04, 0.08, 0 become 0, 0.04, 0.08, 0.12. A live source may start again at 0, and its times are
    kept.
    """
    container, stream, _ = opened
    spacing = float(1 / (stream.guessed_rate or stream.average_rate or 25))
    recorded, resets = math.isfinite(length(container)), clock_resets(container)
    steady, seconds, shift, before, gap = not has_clock(container), -spacing, 0.0, None, math.inf
    animated = is_animation(container)
    frames = _decoded(container, stream)
    following = _next_ones(frames) if recorded else ((frame, None) for frame in frames)
    for frame, after in following:
        time = frame.time
        if time is not None and before is not None and recorded:
            was, gap = gap, time - before
            beside = max(was if math.isfinite(was) else 0.0, 0.0 if after is None else after - time)
            if (resets and gap < 0) or (beside and sampling.jumps_forward(gap, beside, resets=resets)):
                shift = seconds + spacing - time
                gap = was
            elif gap < 0:
                steady = True
            elif animated:
                shift += sampling.as_browsers_do(gap) - gap
        seconds = seconds + spacing if steady or time is None else time + shift
        before = time
        yield frame, seconds


def _next_ones(frames: Iterator[VideoFrame]) -> Iterator[tuple[VideoFrame, float | None]]:
    """Yield each frame with the time of the one after it in seconds; None where there is none."""
    frame = next(frames, None)
    while frame is not None:
        following = next(frames, None)
        yield frame, None if following is None else following.time
        frame = following


def _decoded(container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame]:
    """Yield the frames of a stream, one at a time, whatever is in a packet; what cannot be decoded is left out.

    Raises:
        DecodeError: a packet is encrypted, or has more scans than any JPEG.
    """
    parts = parts_of(stream)
    for packet in _packets(container, stream):
        if packet is not None:
            header.check_packet(packet)
            if stream.codec_context.codec.canonical_name == "mjpeg":
                check_scans(bytes(packet), "a frame of the video")
        try:
            for part in parts(packet):
                for frame in stream.codec_context.decode(part):
                    if stream.time_base is not None:  # the last frames come without it
                        frame.time_base = stream.time_base
                    yield frame
        except av.FFmpegError:
            continue


def _packets(container: InputContainer, stream: VideoStream) -> "Iterator[Packet | None]":
    """Yield the packets of a stream, then None.

    Where there is filler FFmpeg gives up after some of it, and goes on where it is asked again.
    """
    pauses = 0
    while pauses < _PAUSES:
        try:
            for packet in container.demux(stream):
                if packet.size:
                    pauses = 0
                    yield packet
        except av.BlockingIOError:
            pauses += 1
        else:
            break
    yield None


def length(container: InputContainer) -> float:
    """Return the length in seconds that a recording states; infinite for a live source."""
    return container.duration / 1_000_000 if container.duration and container.duration > 0 else math.inf


def _dshow(number: int) -> str:
    """Return the name of the camera with this number: on Windows, FFmpeg opens cameras by name only."""
    names = [device.name for device in enumerate_input_devices("dshow") if "video" in device.media_types]
    if number >= len(names):
        raise FileNotFoundError(f"there is no camera {number}: {len(names)} found")
    return f"video={names[number]}"
