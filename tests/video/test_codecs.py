"""Which codecs are decoded and which are refused, and packets that hold more than one frame."""

import io
from dataclasses import replace
from fractions import Fraction
from itertools import product
from typing import Any

import av
import numpy as np
import pytest
from av.codec import Codec

from staa_video import LIMITS, codecs, decode
from staa_video.errors import DecodeError, NotVideoError, StaaError, TooManyFramesError
from tests.made import bombs, videos

CONTAINERS = "mp4", "mov", "matroska", "avi"
SPECIAL: dict[str, dict[str, Any]] = {
    "dnxhd": {"size": (720, 1280), "options": {"b": "110M"}, "pixels": "yuv422p"},
    "dvvideo": {"size": (576, 720), "pixels": "yuv420p"},
    "h263": {"size": (144, 176)},
    "cfhd": {"pixels": "yuv422p10le"},
    "av1": {"codec": "libsvtav1"},
    "vp9": {"codec": "libvpx-vp9"},
    "vp8": {"codec": "libvpx"},
    "h264": {"codec": "libx264"},
    "hevc": {"codec": "libx265", "options": {"x265-params": "log-level=none"}},
    "flv1": {"codec": "flv"},
    "rawvideo": {"pixels": "bgr24"},
    "msmpeg4v3": {"codec": "msmpeg4"},
}


def kind(source: bytes) -> str:
    """Return the codec of a video; "" where there is none."""
    try:
        with av.open(io.BytesIO(source)) as container:
            return str(container.streams.video[0].codec_context.codec.canonical_name)
    except (av.FFmpegError, IndexError, AttributeError):
        return ""


def sample(name: str) -> bytes:
    """Encode three frames with a codec, in the first container that takes it; "" where this PyAV cannot encode it."""
    made = dict(SPECIAL.get(name, {}))
    encoder, size = made.pop("codec", name), made.pop("size", (48, 64))
    try:
        Codec(encoder, "w")
    except (ValueError, av.FFmpegError):
        return b""
    pictures = list(videos.images(3, *size))
    colours = (
        [made.pop("pixels")] if "pixels" in made else [each.name for each in Codec(encoder, "w").video_formats or ()]
    )
    for container, pixels in product(CONTAINERS, [*colours, "yuv420p"]):
        try:
            source = videos.encode(pictures, container, encoder, pixels, **made)
        except (ValueError, av.FFmpegError):
            continue
        if kind(source) == name:
            return source
    return b""


@pytest.mark.parametrize("name", sorted(codecs.NAMES))
def test_what_is_listed_is_decoded(name: str) -> None:
    """Each codec of the list, as far as it can be encoded here, gives as many frames as went in."""
    source = sample(name)
    if not source:
        assert name in NOT_ENCODED
        return
    clip = decode(source, 3)
    assert clip.indices.tolist() == [0, 1, 2]
    assert len({frame.tobytes() for frame in clip.frames}) == 3


NOT_ENCODED = {
    *("vvc", "h263p", "vc1", "wmv3", "vp6", "vp6a", "vp6f", "theora", "svq3", "msmpeg4v1", "hap", "smc", "msrle"),
    *("apng",),  # no container of the list but its own
}
"""What PyAV has no encoder for."""


@pytest.mark.parametrize("name", ["asv1", "zmbv", "speedhq", "jpegls", "ljpeg", "amv", "dirac", "roqvideo", "flashsv"])
def test_what_is_not_listed_is_refused(name: str) -> None:
    """The error names the codec and one that is taken."""
    source = sample(name)
    if source:
        with pytest.raises((DecodeError, NotVideoError), match=r"H\.264|known container"):
            decode(source, 3)
    assert name not in codecs.NAMES


def test_a_decoder_of_every_name_is_there() -> None:
    """What FFmpeg may use at an opening are decoders that it has."""
    for name in codecs.PROBED.split(","):
        assert Codec(name, "r")


def test_a_packet_of_many_frames() -> None:
    """It is cut before it is decoded, and gives its frames one by one; it can be cut a second time."""
    opened: Any = av.open(io.BytesIO(sample("av1")))
    with opened as container:
        stream = container.streams.video[0]
        packets = [packet for packet in container.demux(stream) if packet.size]
        joined: Any = av.Packet(b"".join(map(bytes, packets)))
        joined.pts, joined.dts, joined.time_base = 0, 0, packets[0].time_base
        for _ in range(2):
            parts = list(codecs.parts_of(stream)(joined))
            counts = [len(stream.codec_context.decode(part)) for part in [*parts, None]]
            stream.codec_context.flush_buffers()
            assert max(counts[:-1]) == 1
            assert sum(counts) == 3 < len(counts)


def test_scans_are_counted_in_every_container() -> None:
    """A Motion JPEG frame of many scans is refused before a decoder has seen it, not even at the opening."""
    picture = bombs.picture()
    hostile = picture[:2] + picture[2:-2] + b"\xff\xda\0\x08\x01\x01\0\0\x3f\0" * 200_000 + b"\xff\xd9"
    for container in ("mov", "avi", "matroska"):
        target = io.BytesIO()
        with av.open(target, "w", format=container) as output:
            stream = output.add_stream("mjpeg", 25)
            stream.width, stream.height, stream.pix_fmt = 48, 64, "yuvj420p"
            for place in range(3):
                packet = av.Packet(hostile)
                packet.stream, packet.pts, packet.dts = stream, place, place
                packet.time_base, packet.is_keyframe = Fraction(1, 25), True
                output.mux(packet)
        with pytest.raises(DecodeError, match="more than 64 scans"):
            decode(target.getvalue(), 2, limits=replace(LIMITS, seconds=5))


def test_frames_within_packets_are_counted() -> None:
    """The limit of frames is one of frames, not of packets."""
    source = videos.encode(videos.images(30), "avi", "mpeg4")
    with pytest.raises(TooManyFramesError):
        decode(source, 2, limits=replace(LIMITS, frames=29))
    assert len(decode(source, 2, limits=replace(LIMITS, frames=30)).frames) == 2


@pytest.mark.parametrize("error", [LookupError("31"), RuntimeError("x"), KeyError(1), AssertionError()])
def test_no_fault_on_a_callers_bytes_is_ours(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a library raises while it reads a video becomes an error of the tree."""
    from staa_video.picture import Scaler

    def fail(*_: Any) -> Any:
        raise error

    monkeypatch.setattr(Scaler, "__call__", fail)
    with pytest.raises(StaaError) as got:
        decode(videos.encode(videos.images(3)), 2)
    assert type(got.value) is DecodeError


def test_the_faults_of_a_callers_scale_stay_its_own() -> None:
    """They are no matter of the video."""

    def fail(*_: Any) -> np.ndarray[Any, Any]:
        raise LookupError("of the caller")

    with pytest.raises(LookupError, match="of the caller"):
        decode(videos.encode(videos.images(3)), 2, scale=fail)
