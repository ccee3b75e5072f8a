"""Opens a video (bytes, path or file) and chooses its video stream. No other file that it names is opened."""

import io
import logging
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO, TypeVar

import av
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Discard, Disposition
from av.video.stream import VideoStream

from staa_video import codecs, errors, header, webp
from staa_video.clip import IN_THE_CLIENT, Budget, Limits
from staa_video.mp4 import check_samples
from staa_video.picture import Shape, crop

logger = logging.getLogger(__name__)
T = TypeVar("T")

Source = bytes | bytearray | memoryview | str | Path | BinaryIO

# The same at both ends. No playlists, still images, or text that libav would draw; and no protocol for whatever a
# container may name. Elementary streams are those that encoders and editors write; WebP is written anew (`webp`).
_FORMATS = (
    "mov,matroska,mpegts,avi,mpeg,flv,asf,ogg,mxf,gif,apng,ivf,h264,hevc,mpegvideo,m4v,mjpeg,obu,av1,yuv4mpegpipe"
)
MOST_STREAMS = 64
"""The most streams of a file."""
FILE_OPTIONS = {
    "format_whitelist": _FORMATS,
    "protocol_whitelist": "none",
    "codec_whitelist": codecs.PROBED,
    "max_streams": str(MOST_STREAMS + 1),
    "ignore_chapters": "1",
}
"""Options of FFmpeg for opening a file: what is not needed is not read, where FFmpeg can be told so."""
NO_MEMORY = (
    "the video takes more memory than there is, or than a sound file asks for, or has more than "
    f"{MOST_STREAMS} tracks: scale it down, or encode it anew"
)
STILL = "a still image came: send a video"
_OF_STILLS = {"gif", "apng", "mjpeg"}
"""Formats that with a single frame are a still image."""
_VIDEO_HEAD = re.compile(
    rb".{4}(ftyp|moov|mdat|free|wide|skip)|\x1a\x45\xdf\xa3|\0\0\1\xba|FLV\1|RIFF.{4}AVI |G.{187}G.{187}G", re.DOTALL
)
_MOST_PIXELS = 2**31 - 1  # FFmpeg knows no larger number of them
_STRICT = {"mjpeg": {"err_detect": "explode"}}  # it shows what memory held before instead of what it cannot decode
_STILL_HEAD = re.compile(rb"\x89PNG|\xff\xd8\xff")
_TS_DISCONT, _NO_TIMESTAMPS = 0x200, 0x80  # AVFMT_TS_DISCONT, AVFMT_NOTIMESTAMPS
_STILL = Disposition.attached_pic | Disposition.still_image | Disposition.timed_thumbnails


Opened = tuple[InputContainer, VideoStream, Shape]
"""An open video, its chosen video stream, and the shape of its pictures."""
Open = Callable[[], Opened]
"""A function that opens the video at its start again."""


@contextmanager
def opening(source: Source, limits: Limits, options: Mapping[str, str] | None = None) -> Iterator[Open]:
    """Give a function that opens a source, any number of times; only its chosen video stream is read.

    All containers that it opens share one file, so only the one that was opened last may be read. FFmpeg makes no frame
    of more than twice as many pixels as are allowed.

    Args:
        source: the bytes of a video, its path, or a binary file, which is read from its start and left open.
        limits: what may be spent.
        options: more FFmpeg options for opening it; others always limit it to known containers without any network.

    Raises:
        TooManyBytesError: the source has more than `limits` allow.
        TooManyFramesError: it claims more samples than any video has.
        TooManyPixelsError: it is a WebP of larger pictures than are made here.
        DecodeError: its header cannot be read.
        OSError: the file cannot be read.

    The function that is given raises:
        NotVideoError: the source is no container with a video stream.
        DecodeError: it starts like a video but cannot be read, its codec is not known, or it is encrypted.
    """
    with ExitStack() as stack:
        file = stack.enter_context(_file(source, limits.bytes))
        with undecodable():
            if webp.is_webp(file.read(12)):
                file = webp.as_video(file, limits)
            check_samples(file, limits.samples)
            scrambled = header.is_scrambled(file)
            tracks = crop.tracks_of(file)

        # a frame may outgrow what the container says; the opening decodes a frame of each stream
        most = {"max_pixels": str(min(2 * limits.pixels, _MOST_PIXELS))}

        def open_anew() -> Opened:
            file.seek(0)
            container = stack.enter_context(_container(file, FILE_OPTIONS | most | dict(options or {})))
            if scrambled and container.format.name == "mpegts":
                raise errors.DecodeError(header.ENCRYPTED)
            try:
                best = best_stream(container, tracks)
            except errors.NotVideoError as error:
                if header.is_cut(file):
                    raise errors.DecodeError("the file is cut off within its header: send the whole file") from error
                raise
            for stream in container.streams:
                if stream is not best:
                    stream.discard = Discard.all
            if not best.codec_context.width:
                _check_size(file, limits, tracks)
            best.codec_context.options = most | _STRICT.get(best.codec_context.codec.canonical_name, {})
            return container, best, Shape.of(best, crop.track_of(tracks, container, best).crop)

        yield open_anew


@contextmanager
def _file(source: Source, most: int) -> Iterator[BinaryIO]:
    """Give the source as a seekable file at its start; raise TooManyBytesError if it has more than `most` bytes."""
    with ExitStack() as stack:
        if isinstance(source, bytes | bytearray | memoryview):
            file: BinaryIO = io.BytesIO(source)
        else:
            file = stack.enter_context(Path(source).open("rb")) if isinstance(source, str | Path) else source
            if not file.seekable():  # a pipe can be read once
                file = io.BytesIO(file.read(most + 1 if most < sys.maxsize else -1))
        size = file.seek(0, io.SEEK_END)
        if not size:  # of which the file system may know nothing but an error
            raise errors.NotVideoError("an empty file came: send a video")
        if size > most:
            msg = f"the video has more than {most} bytes: cut it, encode it smaller{IN_THE_CLIENT}"
            raise errors.TooManyBytesError(msg)
        file.seek(0)
        yield file


@contextmanager
def _container(file: BinaryIO, options: dict[str, str]) -> Iterator[InputContainer]:
    """Open a container of video. Raises NotVideoError, or DecodeError where the file starts like one."""
    head = file.read(1024)
    file.seek(0)
    if header.is_still(file):
        raise errors.NotVideoError(STILL)
    try:
        container = av.open(file, "r", options=options, metadata_errors="ignore")
    except MemoryError as error:
        raise errors.TooMuchMemoryError(NO_MEMORY) from error
    except (FFmpegError, ValueError) as error:
        if _VIDEO_HEAD.match(head):
            msg = f"the container cannot be read, is it cut off? {getattr(error, 'strerror', None) or error}"
            raise errors.DecodeError(msg) from error
        if _STILL_HEAD.match(head):
            raise errors.NotVideoError(STILL) from error
        raise errors.NotVideoError("no video in a known container: send MP4, MOV, MKV, WebM, AVI or MPEG-TS") from error
    with container:
        if len(container.streams) > MOST_STREAMS:  # of a file with more FFmpeg would lose packets, without an error
            raise errors.DecodeError(f"the file has more than {MOST_STREAMS} tracks: send its video track alone")
        yield container


def best_stream(container: InputContainer, tracks: crop.Tracks = MappingProxyType({})) -> VideoStream:
    """Pick the best video stream; cover pictures, still images, thumbnails and alpha do not count.

    Args:
        container: an open container.
        tracks: what is known of its tracks.

    Raises:
        NotVideoError: there is no video stream.
        DecodeError: its codec is not known, or it is encrypted.
    """
    streams = [
        stream
        for stream in container.streams.video
        if not stream.disposition & _STILL and not crop.track_of(tracks, container, stream).aside
    ]
    if not streams:
        raise errors.NotVideoError("the container holds no video stream: send a video")
    best = container.streams.best("video")
    stream = best if isinstance(best, VideoStream) and best in streams else max(streams, key=_rank)
    if crop.track_of(tracks, container, stream).encrypted:
        raise errors.DecodeError(header.ENCRYPTED)
    codecs.check_codec(stream)
    return stream


def _rank(stream: VideoStream) -> tuple[bool, int]:
    return bool(stream.disposition & Disposition.default), stream.bit_rate or 0


def _check_size(file: BinaryIO, limits: Limits, tracks: crop.Tracks) -> None:
    """Refuse a video whose pictures are too large for a look at them; the container may state their size."""
    place = file.tell()
    file.seek(0)
    with _container(file, FILE_OPTIONS | {"codec_whitelist": "none"}) as container:
        context = best_stream(container, tracks).codec_context
        Budget(limits).check_pixels(context.width, context.height)
    file.seek(place)


@contextmanager
def undecodable() -> Iterator[None]:
    """Turn what the bytes of a video provoke into an error of the tree: a caller's video is no fault of the program.

    Raises:
        TooMuchMemoryError: there is not enough memory.
        DecodeError: anything else, which is logged; not OSError, as a file that cannot be read gives it.
    """
    try:
        yield
    except errors.StaaError:
        raise
    except MemoryError as error:
        raise errors.TooMuchMemoryError(NO_MEMORY) from error
    except Exception as error:
        if isinstance(error, OSError) and not isinstance(error, FFmpegError):
            raise
        logger.exception("a video could not be decoded")
        raise errors.DecodeError("the video cannot be read: encode it anew, as H.264 in MP4") from error


def guarded(items: Iterator[T]) -> Iterator[T]:
    """Yield these items; what goes wrong while one is made is told as `undecodable` does."""
    with undecodable():
        yield from items


def clock_resets(container: InputContainer) -> bool:
    """Tell whether the clock of a container may be set anew within it, as in MPEG-TS and in recordings of RTMP."""
    return is_joined(container) or container.format.name == "flv"


def is_joined(container: InputContainer) -> bool:
    """Tell whether files of a container can be put behind each other as they are, as those of MPEG-TS."""
    return bool(container.format.flags & _TS_DISCONT)


def has_clock(container: InputContainer) -> bool:
    """Tell whether a container says when its frames are displayed; an elementary stream does not."""
    return not container.format.flags & _NO_TIMESTAMPS


def is_of_stills(container: InputContainer) -> bool:
    """Tell whether a container with a single frame is a still image."""
    return container.format.name in _OF_STILLS


def is_animation(container: InputContainer) -> bool:
    """Tell whether a container holds an animated picture as browsers show them."""
    return container.format.name in {"gif", "apng"} or isinstance(getattr(container.file, "file", None), webp.Animation)
