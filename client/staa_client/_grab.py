"""Pictures of a camera, a stream or a file, read by PyAV; needs the extra `video`."""

import math
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from staa_client._address import shown
from staa_client._display import upright
from staa_client._frames import Frame

if TYPE_CHECKING:
    from av import Packet, VideoFrame
    from av.container import InputContainer
    from av.video.stream import VideoStream

SCHEMES = ("http", "https", "rtmp", "rtmps", "rtp", "rtsp", "rtsps", "srt", "tcp", "udp")
# What a stream may name in turn, such as the parts of a playlist: nothing on the net may open a file of this machine.
_WHITELIST = "http,https,httpproxy,tcp,tls,crypto,udp,rtp,srtp,rtsp,rtsps,rtmp,rtmps,srt,data"


@dataclass(frozen=True, slots=True)
class Place:
    """Where pictures come from."""

    kind: Literal["camera", "stream", "file"]
    name: str = field(repr=False)
    """What FFmpeg opens: a device, a URL or a path."""
    format: str | None = None
    """FFmpeg's name of the kind of device; None for what it finds out itself."""
    options: Mapping[str, str] = field(default_factory=dict)
    """FFmpeg's options for opening it."""

    def __str__(self) -> str:
        """The place without user, password and query, for messages."""
        return shown(self.name) if self.kind == "stream" else self.name


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """One frame, as read."""

    image: Frame
    """(H, W, 3) uint8 RGB, in display orientation, its longer side at most `longest` pixels."""
    seconds: float
    """The source's own time, seconds from anywhere."""
    size: tuple[int, int]
    """(width, height) of the source in pixels, in display orientation."""


def place_of(source: int | str | Path, options: Mapping[str, str], platform: str = sys.platform) -> Place:
    """The place that a camera's number, a URL or a path names.

    Raises:
        ValueError: a negative number, or a URL of an unknown scheme.
    """
    if isinstance(source, int):
        if source < 0:
            msg = f"cameras are numbered from 0, got {source}"
            raise ValueError(msg)
        if platform == "darwin":
            # Its cameras have few rates, and FFmpeg's own choice is often none of them.
            return Place("camera", f"{source}:none", "avfoundation", {"framerate": "30", **options})
        if platform == "win32":
            return Place("camera", str(source), "dshow", options)
        return Place("camera", f"/dev/video{source}", "v4l2", options)
    found = re.match(r"([a-z][a-z0-9+.-]*)://", source, re.IGNORECASE) if isinstance(source, str) else None
    if found is None:
        return Place("file", str(source), None, {"protocol_whitelist": "none", **options})
    if (scheme := found[1].lower()) not in SCHEMES:
        msg = (
            f"a stream's address begins with one of {', '.join(SCHEMES)}, got {scheme}://; a file is given by its path"
        )
        raise ValueError(msg)
    over_tcp = {"rtsp_transport": "tcp"} if scheme.startswith("rtsp") else {}
    return Place("stream", str(source), None, {"protocol_whitelist": _WHITELIST, **over_tcp, **options})


def require_av() -> None:
    """Raise ImportError, which names the extra to install, where the package `av` is missing."""
    try:
        import av  # noqa: F401, PLC0415  # an optional extra
    except ImportError as reason:
        msg = 'cameras, streams and files need the package av: pip install "./client[video]" from a checkout'
        raise ImportError(msg) from reason


@contextmanager
def opened(place: Place) -> Iterator["InputContainer"]:
    """The source, opened.

    Raises:
        ValueError: there is no video in it.
        OSError, av.FFmpegError: it cannot be opened.
    """
    import av  # noqa: PLC0415  # an optional extra

    name = _dshow(int(place.name)) if place.format == "dshow" else place.name
    # A file is handed over open, so that no byte of its name is taken for a protocol.
    source = Path(name).open("rb") if place.kind == "file" else nullcontext(name)  # noqa: SIM115  # closed below
    with source as file, av.open(file, "r", format=place.format, options=dict(place.options)) as container:
        if not container.streams.video:
            raise ValueError("there is no video in it")
        yield container


def pictures(container: "InputContainer", longest: int, threads: Literal["AUTO", "SLICE"]) -> Iterator[Picture]:
    """Its frames in display order.

    Args:
        container: An opened source.
        longest: Pixels that the longer side of a picture has at most.
        threads: "AUTO" decodes fastest; "SLICE" holds no frame back.
    """
    stream = container.streams.video[0]
    stream.thread_type = threads
    spacing = float(1 / (stream.average_rate or 25))
    seconds = -spacing
    for frame in _decoded(container.demux(stream)):
        seconds = seconds + spacing if frame.time is None else frame.time
        width, height = smaller((frame.width, frame.height), longest)
        stored = frame.reformat(width=width, height=height, format="rgb24", interpolation="AREA").to_ndarray()
        image = np.ascontiguousarray(upright(stored, frame.side_data.get("DISPLAYMATRIX")), np.uint8)
        turned = image.shape[:2] != (height, width)
        yield Picture(image, seconds, (frame.height, frame.width) if turned else (frame.width, frame.height))


def _decoded(packets: Iterator["Packet[VideoStream]"]) -> Iterator["VideoFrame"]:
    """The frames in packets; those that are damaged, as when a stream is joined between key frames, are left out."""
    import av  # noqa: PLC0415  # an optional extra

    for packet in packets:
        try:
            yield from packet.decode()
        except av.InvalidDataError:
            continue


def smaller(size: tuple[int, int], longest: int) -> tuple[int, int]:
    """Width and height of the picture that is kept of a source of this size: the same shape, at most `longest`."""
    factor = min(1.0, longest / max(size))
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))


def length(container: "InputContainer") -> float:
    """Seconds that a recording says it lasts; infinite for what is live."""
    return container.duration / 1_000_000 if container.duration and container.duration > 0 else math.inf


def _dshow(number: int) -> str:
    """The camera of this number on Windows, where FFmpeg knows them by name only."""
    from av.device import enumerate_input_devices  # noqa: PLC0415  # an optional extra

    names = [each.name for each in enumerate_input_devices("dshow") if "video" in each.media_types]
    if number >= len(names):
        msg = f"there is no camera {number}: {len(names)} found"
        raise FileNotFoundError(msg)
    return f"video={names[number]}"
