"""Turns the number of a camera, the URL of a stream or the path of a file into the address of a live source."""

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from staa_client.video.origin import Origin
from staa_client.video.source import absolute, shown

SCHEMES = ("http", "https", "rtmp", "rtmps", "rtp", "rtsp", "rtsps", "srt", "tcp", "udp")
"""The schemes of the URLs of streams."""


@dataclass(frozen=True, slots=True)
class LiveAddress:
    """Holds the address of a live source."""

    kind: Literal["camera", "stream", "file"]
    name: str = field(repr=False)
    """The device, URL or path that FFmpeg opens."""
    device: str | None = None
    """FFmpeg's name of the kind of device; None if it is no camera."""
    options: Mapping[str, str] = field(default_factory=dict)
    """FFmpeg's options for opening it."""

    def __str__(self) -> str:
        """Return the address without user, password and query, for messages."""
        return shown(self.name) if self.kind == "stream" else self.name


def address_of(source: int | str | Path, options: Mapping[str, str], platform: str = sys.platform) -> LiveAddress:
    """Return the address for a camera's number, a URL or a path.

    Raises:
        ValueError: the number is negative, or the scheme of the URL is unknown.
    """
    if isinstance(source, int):
        if source < 0:
            raise ValueError(f"cameras are numbered from 0, got {source}")
        if platform == "darwin":
            # Its cameras have few rates, and FFmpeg's own choice is often none of them.
            return LiveAddress("camera", f"{source}:none", "avfoundation", {"framerate": "30", **options})
        if platform == "win32":
            return LiveAddress("camera", str(source), "dshow", options)
        return LiveAddress("camera", f"/dev/video{source}", "v4l2", options)
    url = re.match(r"([a-z][a-z0-9+.-]*)://", source, re.IGNORECASE) if isinstance(source, str) else None
    if url is None:
        return LiveAddress("file", str(source), None, options)
    if (scheme := url[1].lower()) not in SCHEMES:
        raise ValueError(
            f"a stream's address begins with one of {', '.join(SCHEMES)}, got {scheme}://; a file is given by its path"
        )
    over_tcp = {"rtsp_transport": "tcp"} if scheme.startswith("rtsp") else {}
    return LiveAddress("stream", str(source), None, {**over_tcp, **options})


def origin_of(source: object, longest: int) -> Origin | None:
    """Return of what the windows of a source are, for a store; None if the frames are the caller's own.

    Args:
        source: What is watched.
        longest: The most pixels of the longer edge of a frame.
    """
    if not isinstance(source, int | str | Path):
        return None
    address = address_of(source, {})
    if address.kind != "file":
        return Origin(str(address))
    path = absolute(address.name)
    return Origin(path.name, path, longest)
