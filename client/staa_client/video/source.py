"""Takes the video that a caller gives, and makes the body of a request from it."""

import base64
import errno
import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Literal, TypeAlias
from urllib.parse import unquote, unquote_to_bytes

import numpy as np
from numpy.typing import NDArray

from staa_client.video.frames import KIND, Frame, Frames

Video: TypeAlias = str | Path | bytes | BinaryIO | Frames | NDArray[np.uint8] | Iterable[Frame]
"""A path, a URL that this client downloads, a data URL ("data:video/mp4;base64,..."), the bytes of a file, a binary
file object, or frames in memory: `Frames`, an array (T, H, W, 3) or an iterable of (H, W, 3), uint8 RGB. An array or
iterable is taken as 25 frames/s."""
Sample = Literal["server", "client", "auto"]
"""Who chooses the frames that the model sees; "auto" is the client for large files, and the server otherwise."""
SAMPLES: tuple[Sample, ...] = ("server", "client", "auto")
LARGE_BYTES = 4_000_000
"""The size in bytes above which `sample="auto"` samples a file in the client."""
ENDINGS = frozenset(
    {
        *(".3gp", ".apng", ".asf", ".avi", ".avif", ".flv", ".gif", ".ivf", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4"),
        *(".mpeg", ".mpg", ".mts", ".mxf", ".ogg", ".ogv", ".ts", ".webm", ".wmv", ".y4m"),
    }
)
"""The endings of the files that are taken from a folder; a file that is named by itself may have any."""
_CHUNK_BYTES = 1 << 18
_DATA_URL = re.compile(r"data:[\w.+/-]{0,100}(;[\w.+=\"-]{1,100}){0,9},", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Link:
    """Holds the URL of a video that is not downloaded yet."""

    url: str

    @property
    def name(self) -> str:
        """Return the last part of the URL's path, or "video" if there is none."""
        path = shown(self.url).partition("://")[2].partition("/")[2]
        return unquote(path.rpartition("/")[2]) or "video"


Source = Path | bytes | Frames
"""A video on this machine: a file, its bytes, or frames in memory."""


@dataclass(frozen=True, slots=True)
class Upload:
    """Holds the body of a request. Every attempt sends as many bytes as there were when this object was made."""

    data: Path | bytes
    kind: str = "application/octet-stream"
    """The content type."""
    size: int = field(init=False)
    """The number of bytes, measured once: if a file grows, as a running recording does, only these bytes are sent."""
    digests: list[str] | None = field(default=None, compare=False)
    """Takes the SHA-256 of all bytes each time that they are sent, in hexadecimal; None if nobody wants it."""

    def __post_init__(self) -> None:
        size = self.data.stat().st_size if isinstance(self.data, Path) else len(self.data)
        object.__setattr__(self, "size", size)

    def chunks(self) -> Iterator[bytes]:
        """Yield the bytes to send; every call starts from the first byte.

        Raises:
            OSError: the file cannot be read, or has become shorter.
        """
        digest = None if self.digests is None else hashlib.sha256()
        for chunk in self._chunks():
            if digest is not None:
                digest.update(chunk)
            yield chunk
        if self.digests is not None and digest is not None:
            self.digests.append(digest.hexdigest())

    def sha256(self) -> str:
        """Return the SHA-256 of the bytes that were sent last, in hexadecimal; if none were, of those to send."""
        if self.digests:
            return self.digests[-1]
        digest = hashlib.sha256()
        for chunk in self._chunks():
            digest.update(chunk)
        return digest.hexdigest()

    def _chunks(self) -> Iterator[bytes]:
        if isinstance(self.data, bytes):
            for begin in range(0, self.size, _CHUNK_BYTES):
                yield self.data[begin : begin + _CHUNK_BYTES]
            return
        left = self.size
        with self.data.open("rb") as file:
            while left:
                chunk = file.read(min(_CHUNK_BYTES, left))
                if not chunk:
                    raise OSError(errno.EIO, f"changed while it was sent: {left} bytes less", str(self.data))
                left -= len(chunk)
                yield chunk


def is_url(text: str) -> bool:
    """Return whether a text is a URL and not a path."""
    return text.lower().startswith(("http://", "https://"))


def is_data_url(text: str) -> bool:
    """Return whether a text holds a video itself, as "data:video/mp4;base64,..."; a file of that name is a path."""
    return _DATA_URL.match(text) is not None and not os.path.lexists(text)  # of a long text it is False


def _data_of(url: str) -> bytes:
    """Return the bytes in a data URL.

    Raises:
        ValueError: they are no base64, or a percent sign is not followed by two hexadecimal digits.
    """
    head, _, data = url.partition(",")
    if not head.lower().endswith(";base64"):
        return unquote_to_bytes(data)
    try:
        return base64.b64decode(unquote_to_bytes("".join(data.split())), validate=True)
    except ValueError as reason:
        raise ValueError(f"{head}, is followed by no base64 ({reason})") from reason


def source_of(video: Video) -> Source | Link:
    """Return the video as an absolute path (read at each attempt), as bytes, as frames, or as a link.

    A file object is read once, from its current position to its end, so that pipes work and every retry sends all.

    Raises:
        TypeError: the video has a wrong type.
        ValueError: the video is empty.
        OSError: there is no such file.
    """
    match video:
        case str() if is_url(video):
            return Link(video)
        case str() | Path():
            return _of_text(video)
        case bytes() | bytearray() | memoryview():
            return _not_empty(bytes(video), "the bytes given")
        case Frames():
            return video
        case _ if hasattr(video, "read"):
            return _not_empty(_read(video), f"{getattr(video, 'name', 'the file object')} from where it stands")
        case Iterable():
            return Frames.of(video)
        case _:
            raise _unknown(video)


def _of_text(video: str | Path) -> Path | bytes:
    """Return the file at a path, or the bytes of a pipe or in a data URL."""
    if isinstance(video, str) and is_data_url(video):
        return _not_empty(_data_of(video), "the data URL")
    path = absolute(video)
    try:
        # A pipe has no size before it is read; a folder, or nothing, raises OSError here.
        return _not_empty(path if path.is_file() else path.read_bytes(), str(path))
    except OSError as reason:
        if reason.errno != errno.ENAMETOOLONG:
            raise
        what = f"{str(video)[:20]}... is no path: a video in base64 is given as base64.b64decode(text)"
        raise OSError(errno.ENAMETOOLONG, what) from None


def absolute(path: str | Path) -> Path:
    """Return the absolute path without ".."; links are kept, and so is a ".." after a link to another folder."""
    whole = Path(path).absolute()
    if ".." not in whole.parts:
        return whole
    short = Path(os.path.abspath(path))  # noqa: PTH100  # pathlib keeps "..", or resolves links too
    try:
        return short if short.samefile(whole) else whole
    except OSError:
        return whole if short.exists() or whole.exists() else short


def _read(file: Any) -> bytes:  # whatever has a method `read`
    data = file.read()
    if not isinstance(data, bytes):
        raise _unknown(file)
    return data


def _unknown(video: object) -> TypeError:
    kinds = "a path, a URL, bytes, a file opened in binary mode or frames"
    return TypeError(f"a video is {kinds}, got {type(video).__name__}")


def name_of(source: Source | Link) -> str:
    """Return the name of the video: the name of its file, or "video"."""
    return source.name if isinstance(source, Path | Link) else "video"


def is_sampled_here(source: Source, sample: Sample) -> bool:
    """Return whether the client samples the frames; frames in memory it does, since they must be encoded anyway.

    Raises:
        ValueError: `sample` has a wrong value.
    """
    if sample not in SAMPLES:
        raise ValueError(f"sample is {sample!r}: expected one of {', '.join(SAMPLES)}")
    return isinstance(source, Frames) or sample == "client" or (sample == "auto" and Upload(source).size > LARGE_BYTES)


def upload_of(source: Source) -> Upload:
    """Return the body of a request that sends the source."""
    return Upload(source.archive(), KIND) if isinstance(source, Frames) else Upload(source)


def _not_empty(source: Path | bytes, name: str) -> Path | bytes:
    """Return the source; raise ValueError if it is empty."""
    if Upload(source).size == 0:
        raise ValueError(f"the file is empty: no byte in {name}; send a video")
    return source


_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*:)?//+", re.IGNORECASE)
# What cannot be a user and the first part of a password: without a colon, or a machine that no user is named after.
_HOST = re.compile(r"[^:@]*|(localhost|\d+(\.\d+){3}|\[[^]@]*\])(:\d*)?", re.IGNORECASE)


def shown(url: str, *, query: bool = False) -> str:
    """Return a URL without user, password, query and fragment, for messages, logs and files.

    `query` keeps the query, which may distinguish videos. A password ends at the last "@", even if it holds "/", "?",
    "#" or "@", which should have been percent-encoded. If host and port could also be user and password, as in
    "cam:80/a@b", they are left out, too.
    """
    begin = match.end() if (match := _SCHEME.match(url)) else 0
    scheme, rest = url[:begin], url[begin:]
    if not _HOST.fullmatch(re.split("[/?#]", rest, maxsplit=1)[0]):
        rest = rest.rpartition("@")[2]
    kept = re.split("#" if query else "[?#]", rest, maxsplit=1)[0]
    return scheme + kept
