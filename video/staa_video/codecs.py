"""Which codecs are decoded, and what a packet of them is made of before it is handed to FFmpeg.

FFmpeg has 300 decoders of video, most of them for the games and cameras of one maker, which nobody sends and few have
looked at. Each is C that reads bytes of strangers. So there is a list, and what is not on it is refused in words.
"""

from collections.abc import Callable, Iterator
from typing import TypeAlias, cast

from av.bitstream import BitStreamFilterContext
from av.error import FFmpegError
from av.packet import Packet as AvPacket
from av.video.stream import VideoStream

from staa_video.errors import DecodeError

Packet: TypeAlias = "AvPacket[VideoStream]"
Parts: TypeAlias = "Callable[[Packet | None], Iterator[Packet | None]]"
"""Takes a packet, or None at the end, and yields what the decoder is given of it, one frame each."""

CODECS = {
    "phones, cameras, the web": ("h264", "hevc", "vvc", "av1", "vp8", "vp9", "mpeg4", "h263", "h263p", "mjpeg"),
    "discs and broadcasts": ("mpeg1video", "mpeg2video", "vc1", "dvvideo"),
    "files of the years before": (
        *("msmpeg4v1", "msmpeg4v2", "msmpeg4v3", "wmv1", "wmv2", "wmv3", "flv1", "vp6", "vp6a", "vp6f", "theora"),
        *("svq1", "svq3", "cinepak", "rpza", "smc", "msvideo1", "msrle"),
    ),
    "editing and archives": (
        *("prores", "dnxhd", "cfhd", "ffv1", "huffyuv", "ffvhuff", "utvideo", "magicyuv", "hap", "snow", "qtrle"),
        *("jpeg2000", "png", "rawvideo", "v210", "r210", "r10k", "yuv4"),
    ),
    "animated pictures": ("gif", "apng"),
}
"""Where videos come from -> FFmpeg's names of the codecs that they have there."""
NAMES = frozenset(name for names in CODECS.values() for name in names)
_DECODERS = {"av1": "libdav1d", "msmpeg4v3": "msmpeg4", "flv1": "flv"}  # whose names are not those of the codecs
_MADE_HERE = {"lavfi", "kmsgrab"}  # sources of pictures that FFmpeg holds in memory already; no file is one
_UNLOOKED_AT = {"mjpeg"}  # its scans are counted first; containers tell the size of its pictures
# Where sound is not looked at, FFmpeg reads on for megabytes to learn what it is.
SOUND = ("aac", "ac3", "eac3", "flac", "mp2", "mp2float", "mp3", "mp3float", "opus", "vorbis")
"""The decoders of sound that it may use meanwhile."""
PROBED = ",".join(sorted({*SOUND, *(_DECODERS.get(name, name) for name in NAMES - _UNLOOKED_AT)}))
"""The decoders that FFmpeg may use while it opens a file, as its option `codec_whitelist` takes them."""


SCANS = 64
"""The most scans of one JPEG: encoders write about ten."""
_JPEG, _SCAN = b"\xff\xd8", b"\xff\xda"
"""The markers that a JPEG and a scan begin with."""


def check_codec(stream: VideoStream) -> None:
    """Refuse a stream of a codec that is not on the list.

    Raises:
        DecodeError: it is not, or FFmpeg does not know it.
    """
    if stream.codec_context is None:
        raise DecodeError("the video's codec is not known here: encode it as H.264")
    name = stream.codec_context.codec.canonical_name
    if name not in NAMES and not (name == "wrapped_avframe" and stream.container.format.name in _MADE_HERE):
        raise DecodeError(f"the video's codec is {name}, which is not decoded here: encode it as H.264")


def parts_of(stream: VideoStream) -> Parts:
    """Return what cuts the packets of a stream so that each part gives one frame at most.

    A packet of AV1 holds any number of frames, which the decoder would give all at once, and each takes the memory of
    a picture. FFmpeg's decoders of the other codecs give one frame a packet, or cut a packet of VP9 themselves.
    """
    if stream.codec_context.codec.canonical_name != "av1":
        return lambda packet: iter((packet,))
    split = BitStreamFilterContext("av1_frame_split", stream)

    def parts(packet: "Packet | None") -> "Iterator[Packet | None]":
        try:
            yield from split.filter(None if packet is None else _copied(packet))
        except FFmpegError:
            split.flush()  # or it would take no more
            raise
        if packet is None:
            split.flush()
            yield None

    return parts


def _copied(packet: Packet) -> Packet:
    """Return a copy, which a filter may empty: packets are decoded more than once."""
    copy = cast("Packet", AvPacket(bytes(packet)))
    copy.pts, copy.dts, copy.duration = packet.pts, packet.dts, packet.duration
    copy.time_base, copy.is_keyframe = packet.time_base, packet.is_keyframe
    return copy


def is_jpeg(data: bytes) -> bool:
    """Tell whether a file begins as a JPEG does."""
    return data.startswith(_JPEG)


def check_scans(data: bytes, name: str) -> None:
    """Refuse a JPEG, or a frame of a Motion JPEG video, that has more than `SCANS` scans.

    A progressive JPEG may have any number of them. Each costs the time of a whole image to decode, but an empty one has
    ten bytes only: a file of some megabytes can keep a decoder busy for minutes. A scan begins with a marker that
    cannot occur inside the data of another scan, so the bytes of the file are searched for it.

    A frame of Motion JPEG need not begin as a JPEG file does, so the start of the data is not checked.

    Args:
        data: the bytes of the image.
        name: the name of the image for the error message.

    Raises:
        DecodeError: it has more scans.
    """
    if data.count(_SCAN) > SCANS:
        raise DecodeError(f"{name} has more than {SCANS} scans: encode it as a plain JPEG")
