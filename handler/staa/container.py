"""A video's bytes or path -> its open container and the best video stream of it. Nothing that it names is opened."""

import io
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO

import av
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Discard, Disposition
from av.video.stream import VideoStream

from staa import errors
from staa.boxes import check_samples
from staa.room import bound

Source = bytes | bytearray | memoryview | str | Path | BinaryIO

# No playlists, still images, or text that libav would draw; and no protocol for whatever a container may name.
_FORMATS = "mov,matroska,mpegts,avi,mpeg,flv,asf,ogg,mxf,gif,ivf,h264,hevc"
_VIDEO_HEAD = re.compile(
    rb".{4}(ftyp|moov|mdat|free|wide|skip)|\x1a\x45\xdf\xa3|\0\0\1\xba|FLV\1|RIFF.{4}AVI |G.{187}G.{187}G", re.DOTALL
)
_STILL_HEAD = re.compile(rb".{4}ftyp(avif|heic|heix|mif1)", re.DOTALL)
_STILL = Disposition.attached_pic | Disposition.still_image | Disposition.timed_thumbnails


@contextmanager
def opened(source: Source, most: int, pixels: int) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open a source of at most so many bytes, whose frames are to have so many pixels; other streams are left unread.

    FFmpeg makes no frame of more than twice as many, and takes no block that is larger than such a source or eight
    bytes a pixel.

    Raises:
        TooManyBytesError: it has more.
        TooManyFramesError: it states more samples than any video has.
        NotVideoError: it is no container with a video stream.
        DecodeError: it starts like one and cannot be read, or its codec is not known.
    """
    with _file(source, most) as file:
        check_samples(file)
        bound(max(most, 8 * pixels) + 2**20)
        with _container(file) as container:
            best = _stream(container)
            for stream in container.streams:
                if stream is not best:
                    stream.discard = Discard.all
            best.codec_context.options = {"max_pixels": str(2 * pixels)}  # a frame may outgrow what the container says
            yield container, best


@contextmanager
def _file(source: Source, most: int) -> Iterator[BinaryIO]:
    """Give a seekable binary file at its start, once it is known to have `most` bytes at most."""
    with ExitStack() as stack:
        if isinstance(source, bytes | bytearray | memoryview):
            file: BinaryIO = io.BytesIO(source)
        elif isinstance(source, str | Path):
            file = stack.enter_context(Path(source).open("rb"))
        else:
            file = source if source.seekable() else io.BytesIO(source.read(most + 1))
        if file.seek(0, io.SEEK_END) > most:
            msg = f"the video has more than {most} bytes: cut it, scale it down or encode it smaller"
            raise errors.TooManyBytesError(msg)
        file.seek(0)
        yield file


@contextmanager
def _container(file: BinaryIO) -> Iterator[InputContainer]:
    """Open a container of video. Raises NotVideoError, or DecodeError where the file starts like one."""
    options = {"format_whitelist": _FORMATS, "protocol_whitelist": "none", "max_streams": "64"}
    head = file.read(1024)
    file.seek(0)
    if _STILL_HEAD.match(head):
        raise errors.NotVideoError("a still image came: send a video")
    try:
        container = av.open(file, "r", options=options, metadata_errors="ignore")
    except (FFmpegError, ValueError) as error:
        if _VIDEO_HEAD.match(head):
            msg = f"the container cannot be read, is it cut off? {getattr(error, 'strerror', None) or error}"
            raise errors.DecodeError(msg) from error
        raise errors.NotVideoError("no video in a known container: send MP4, MOV, MKV, WebM, AVI or MPEG-TS") from error
    with container:
        yield container


def _stream(container: InputContainer) -> VideoStream:
    """Pick the best video stream; pictures attached to music are none."""
    streams = [stream for stream in container.streams.video if not stream.disposition & _STILL]
    if not streams:
        raise errors.NotVideoError("the container holds no video stream: send a video")
    best = container.streams.best("video")
    stream = best if isinstance(best, VideoStream) and best in streams else streams[0]
    if stream.codec_context is None:
        raise errors.DecodeError("the video's codec is not known here: encode it as H.264")
    return stream
