"""The bytes or the path of a video -> a Clip, within limits.

The packets of the video stream are read first, which decodes nothing and takes milliseconds. Where they tell which
frames will be displayed and when, only what the wanted frames depend on is decoded: from the key frame before each to
the frame itself. Where they do not (no times, edit lists, fields, a start between key frames), everything is decoded
twice, to count and to keep. Both ways give frame i of the source the same number i. Nothing is written to disk, and
nothing that the source names is opened: playlists are no video.
"""

import os
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.sidedata.sidedata import SideData
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from staa import errors, sampling
from staa.container import Source, opened
from staa.types import Clip, Scale

_Packet: TypeAlias = "Packet[VideoStream]"
_Found: TypeAlias = Iterator[tuple[int, VideoFrame]]
_Find: TypeAlias = Callable[[NDArray[np.int64]], _Found]


@dataclass(frozen=True, slots=True)
class Limits:
    """What a server spends on one video."""

    bytes: int = 64 * 2**20  # of the source
    pixels: int = 4096 * 2304  # of one frame
    duration: float = 600.0  # seconds of video
    frames: int = 20_000  # decoded, on the way to the wanted ones too
    seconds: float = 30.0  # of wall time
    threads: int = min(4, os.cpu_count() or 1)  # of FFmpeg; each holds frames of its own


LIMITS = Limits()
PACKETS = 200_000
"""Of a video, decoded or not: they are kept while it is read. 600 s at 333 frames a second."""

# Here one packet is one displayed frame, with its time: AVI has no display times, VP8 has frames that are never shown.
_PLANNED_FORMATS = {"mov", "matroska", "mpegts"}
_PLANNED_CODECS = {"h264", "hevc", "vp9", "av1", "mpeg4", "mjpeg", "prores"}


def decode(
    source: Source,
    frames: int,
    start: float | None = None,
    end: float | None = None,
    limits: Limits = LIMITS,
    scale: Scale | None = None,
) -> Clip:
    """Decode `frames` frames, spread uniformly over [start, end) seconds of a video.

    Display rotation, colour matrix and colour range are applied; frames repeat where the segment holds fewer. Safe to
    call from many threads at once; everything is released before it returns.

    Args:
        source: the bytes of a video, its path, or a binary file, which is read from its start and left open.
        frames: number of frames wanted.
        start: start of the segment, seconds; None is the start of the video.
        end: end of the segment, seconds; None is the end of the video.
        limits: what may be spent.
        scale: what is done to each wanted frame as soon as it is decoded; None keeps them as they are.

    Raises:
        OptionError: the segment is none.
        TooLargeError: a limit is passed; its subclass says which.
        NotVideoError: the source is no container with a video stream.
        DecodeError: the video, or a frame on the way to a wanted one, cannot be read.
        NoFramesError: the video holds no frame in the segment.
    """
    deadline = time.monotonic() + limits.seconds
    with opened(source, limits.bytes, limits.pixels) as (container, stream):
        decoder = _Decoder(stream, limits, deadline)
        packets = decoder.packets(container)
        last = max(packets, key=lambda packet: packet.pts or 0).duration or 0
        facts = float(stream.time_base or 0), last, stream.average_rate, stream.guessed_rate

        def clip(ticks: Sequence[int | None], find: _Find) -> Clip:
            seconds, fps, duration = sampling.timeline(ticks, *facts)
            if duration > limits.duration:
                msg = f"the video lasts {duration:.1f} s, at most {limits.duration:g} s are taken: cut it"
                raise errors.TooLongError(msg)
            indices = sampling.choose(seconds, duration, frames, start, end)
            images, size = _kept(find(indices), indices, len(seconds), scale)
            return Clip(images, seconds[indices], indices, fps, duration, size)

        if _plannable(container, stream, packets):
            ticks = [packet.pts or 0 for packet in packets]
            try:
                return clip(sorted(ticks), lambda indices: decoder.planned(packets, ticks, indices))
            except errors.DecodeError as error:  # where frames break what packets promise, all are decoded
                if isinstance(error, errors.NoFramesError):
                    raise
        seen = [frame.pts for frame in decoder.frames([packets])]
        return clip(seen, lambda _: decoder.counted(packets, seen))


def _kept(
    found: _Found, indices: NDArray[np.int64], count: int, scale: Scale | None
) -> tuple[NDArray[np.uint8], tuple[int, int]]:
    """Keep the frames at `indices`, (T, H, W, 3), out of ascending (number, frame) pairs; read no more than needed.

    Returned with the (width, height) of the source.
    """
    missing = set(indices.tolist())
    images = np.empty(0, np.uint8)
    first: VideoFrame | None = None
    for number, frame in found:
        if number not in missing or frame.is_corrupt:
            continue
        first = first or frame  # a size that changes is scaled to the first, and a rotation that does is not followed
        image = _image(frame, first)
        size = image.shape[1], image.shape[0]
        if scale is not None:
            image = scale(image, size)
        if not images.size:
            images = np.empty((len(indices), *image.shape), np.uint8)
        images[indices == number] = image
        missing.remove(number)
        if not missing:
            return images, size
    msg = f"frame {min(missing)} of {count} cannot be decoded: send a video that plays to its end"
    raise errors.DecodeError(msg)


class _Decoder:
    """The decoder of one stream, which watches the limits."""

    def __init__(self, stream: VideoStream, limits: Limits, deadline: float) -> None:
        self.stream, self.limits, self.deadline = stream, limits, deadline
        self.context = stream.codec_context
        self.context.thread_type, self.context.thread_count = "AUTO", int(limits.threads)
        self.check_pixels(self.context.width, self.context.height)

    def packets(self, container: InputContainer) -> list[_Packet]:
        """Read all packets of the stream, in decoding order; a file that ends before its index does is an error."""
        packets: list[_Packet] = []
        size = 0
        while True:
            try:
                for packet in container.demux(self.stream):
                    self.check_time()
                    if packet.size:
                        packets.append(packet)
                        size += packet.size
                        self.check_packets(len(packets), size)
                break
            except IndexError:  # a stream that begins in mid-file, which PyAV does not know: go on after its packet
                continue
            except FFmpegError as error:
                msg = f"the file cannot be read beyond frame {len(packets)}: {error.strerror}"
                raise errors.DecodeError(msg) from error
        if not packets:
            raise errors.NoFramesError("the video stream holds no frame: send a video with at least one")
        if container.format.name == "gif" and len(packets) == 1:
            raise errors.NotVideoError("a GIF with a single frame is a still image: send a video")
        if len(packets) < (listed := len(self.stream.index_entries)):
            msg = f"the file is cut off: frame {len(packets)} of {listed} cannot be read; send the whole file"
            raise errors.DecodeError(msg)
        return packets

    def planned(self, packets: list[_Packet], ticks: list[int], indices: NDArray[np.int64]) -> _Found:
        """Decode what the frames at `indices` depend on: (number, frame) pairs, an error where a promise is broken."""
        display = sorted(ticks)
        number = {tick: i for i, tick in enumerate(display)}
        wanted = {display[i] for i in indices}
        runs = sampling.runs(ticks, [packet.is_keyframe for packet in packets], wanted)
        previous = -1
        for frame in self.frames([packets[run] for run in runs], wanted):
            if frame.pts is None or frame.pts not in number:
                raise errors.DecodeError("a frame was displayed that no packet announced")
            if number[frame.pts] > previous:  # what leads the key frame of a run belongs to the run before
                previous = number[frame.pts]
                yield previous, frame

    def counted(self, packets: list[_Packet], seen: Sequence[int | None]) -> _Found:
        """Decode everything again: (number, frame) pairs, an error where this pass differs from the first."""
        for number, frame in enumerate(self.frames([packets])):
            if number >= len(seen) or frame.pts != seen[number]:
                raise errors.DecodeError("the video decodes differently each time: send it in another encoding")
            yield number, frame

    def frames(self, runs: Sequence[Sequence[_Packet]], wanted: Collection[int] = ()) -> Iterator[VideoFrame]:
        """Decode runs of packets, each from a key frame on; where some are `wanted`, by time, others may be missing."""
        total = sum(map(len, runs))
        if total > self.limits.frames:
            msg = f"{total} frames would have to be decoded, at most {self.limits.frames} are: send a shorter video"
            raise errors.TooManyFramesError(msg)
        # In HEVC a frame that is no reference in its own layer may be one for the next: only H.264 can leave them out.
        skips = bool(wanted) and self.context.codec.canonical_name == "h264"
        shown = 0
        for run in runs:
            self.context.flush_buffers()
            for packet in (*run, None):
                self.check_time()
                if packet is not None:
                    self.context.skip_frame = "NONREF" if skips and packet.pts not in wanted else "DEFAULT"
                try:
                    decoded = self.stream.decode(packet)
                except FFmpegError as error:
                    if not shown:  # a recording may start between two key frames
                        continue
                    msg = f"the video cannot be decoded beyond frame {shown}: {error.strerror}"
                    raise errors.DecodeError(msg) from error
                for frame in decoded:
                    self.check_pixels(frame.width, frame.height)
                    shown += 1
                    yield frame

    def check_time(self) -> None:
        if time.monotonic() > self.deadline:
            msg = f"decoding took more than {self.limits.seconds:g} s: send a shorter or smaller video"
            raise errors.TooSlowError(msg)

    def check_packets(self, count: int, size: int) -> None:
        """Packets may share the bytes of a file, or unpack to more."""
        if size > self.limits.bytes:
            msg = f"the frames of the video have more than {self.limits.bytes} bytes: encode it anew"
            raise errors.TooManyBytesError(msg)
        if count > PACKETS:
            msg = f"the video has more than {PACKETS} frames: cut it, or lower its frame rate"
            raise errors.TooManyFramesError(msg)

    def check_pixels(self, width: int, height: int) -> None:
        if width * height > self.limits.pixels:
            msg = f"a frame of {width}x{height} has more than {self.limits.pixels} pixels: scale the video down"
            raise errors.TooManyPixelsError(msg)


def _plannable(container: InputContainer, stream: VideoStream, packets: list[_Packet]) -> bool:
    """Tell whether the packets alone say which frames are displayed, and when."""
    ticks = [packet.pts for packet in packets if packet.pts is not None]
    return (
        container.format.name.split(",")[0] in _PLANNED_FORMATS
        and stream.codec_context.codec.canonical_name in _PLANNED_CODECS
        and stream.codec_context.field_order in {0, 1}  # unknown, progressive
        and len(set(ticks)) == len(packets)
        and packets[0].is_keyframe
        and packets[0].pts == min(ticks)
        and not any(p.is_discard or p.is_corrupt or p.has_sidedata("new_extradata") for p in packets)
    )


def _image(frame: VideoFrame, first: VideoFrame) -> NDArray[np.uint8]:
    """Convert a frame to (H, W, 3) RGB, of the size and rotation of the first; unnamed colour matrices are BT.601."""
    try:
        image = frame.reformat(first.width, first.height, "rgb24", dst_color_range="JPEG", threads=1).to_ndarray()
    except (FFmpegError, ValueError) as error:
        msg = f"frames of format {frame.format.name} cannot be converted to RGB: {error}"
        raise errors.DecodeError(msg) from error
    matrix = first.side_data.get("DISPLAYMATRIX")
    if isinstance(matrix, SideData):  # the point (x, y) is displayed at (a x + c y, b x + d y)
        a, b, _, c, d = np.frombuffer(bytes(matrix), np.int32)[:5]
        turned = abs(int(b)) > abs(int(a))
        image, right, down = (image.transpose(1, 0, 2), c, b) if turned else (image, a, d)
        image = image[:: -1 if down < 0 else 1, :: -1 if right < 0 else 1]
    return np.ascontiguousarray(image, np.uint8)  # a frame that repeats is copied more than once
