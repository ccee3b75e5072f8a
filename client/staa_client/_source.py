"""The video that is sent: what a caller may give, and what of it goes on its way."""

import os
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal, TypeAlias
from urllib.parse import unquote

import numpy as np
from numpy.typing import NDArray

from staa_client._address import shown
from staa_client._frames import KIND, Frame, Frames

Video: TypeAlias = str | Path | bytes | BinaryIO | Frames | NDArray[np.uint8] | Iterable[Frame]
"""A path, a URL that this client fetches, the bytes of a file, a binary file object, or frames in memory: `Frames`, an
array (T, H, W, 3) or an iterable of (H, W, 3), uint8 RGB, which are taken to be 25 a second."""
Sample = Literal["server", "client", "auto"]
SAMPLES: tuple[Sample, ...] = ("server", "client", "auto")
LARGE = 4_000_000
"""Bytes of a file from which `sample="auto"` samples here."""
_CHUNK = 1 << 18


@dataclass(frozen=True, slots=True)
class Link:
    """A video that is still to be fetched."""

    url: str

    @property
    def name(self) -> str:
        """The last part of the URL's path."""
        path = shown(self.url).partition("://")[2].partition("/")[2]
        return unquote(path.rpartition("/")[2]) or "video"


Source = Path | bytes | Frames
"""A video at hand."""


@dataclass(frozen=True, slots=True)
class Upload:
    """The body of a request; every attempt sends the same bytes."""

    data: Path | bytes
    kind: str = "application/octet-stream"
    """Its content type."""

    def __len__(self) -> int:
        return self.data.stat().st_size if isinstance(self.data, Path) else len(self.data)

    def chunks(self) -> Iterator[bytes]:
        """The bytes to send, from the first one, at each call."""
        if isinstance(self.data, bytes):
            for begin in range(0, len(self.data), _CHUNK):
                yield self.data[begin : begin + _CHUNK]
            return
        with self.data.open("rb") as file:
            while chunk := file.read(_CHUNK):
                yield chunk

    async def async_chunks(self) -> AsyncIterator[bytes]:
        """The same for an event loop; reading a chunk of a local file takes less time than handing it to a thread."""
        for chunk in self.chunks():
            yield chunk


def is_url(text: str) -> bool:
    """Whether the text is an address and no path."""
    return text.lower().startswith(("http://", "https://"))


def source_of(video: Video) -> Source | Link:
    """The video as an absolute path, streamed from disk at each attempt, as bytes, as frames, or as a link to it.

    A file object is read from where it stands to its end, once, so that pipes work and retries send it whole.

    Raises:
        TypeError: none of these kinds.
        ValueError: there is nothing in it.
        OSError: no such file.
    """
    found: Source | Link
    match video:
        case str() if is_url(video):
            found = Link(video)
        case str() | Path():
            path = absolute(video)
            # A pipe has no size before it is read; a folder, or nothing, raises OSError here.
            found = _filled(path if path.is_file() else path.read_bytes(), str(path))
        case bytes() | bytearray() | memoryview():
            found = _filled(bytes(video), "the bytes given")
        case Frames():
            found = video
        case _ if hasattr(video, "read"):
            found = _filled(_read(video), f"{getattr(video, 'name', 'the file object')} from where it stands")
        case Iterable():
            found = Frames.of(video)
        case _:
            raise _unknown(video)
    return found


def absolute(path: str | Path) -> Path:
    """The path from the root, without ".."; links stay, and so does a ".." behind a link that leads elsewhere."""
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
    """What to call the video."""
    return source.name if isinstance(source, Path | Link) else "video"


def sampled_here(source: Source, sample: Sample) -> bool:
    """Whether the frames are sampled on this side; those in memory always are, as they must be encoded anyway.

    Raises:
        ValueError: there is no such way of sampling.
    """
    if sample not in SAMPLES:
        msg = f"sample is {sample!r}: expected one of {', '.join(SAMPLES)}"
        raise ValueError(msg)
    return isinstance(source, Frames) or sample == "client" or (sample == "auto" and len(Upload(source)) > LARGE)


def upload_of(source: Source) -> Upload:
    """The source as a body."""
    return Upload(source.archive(), KIND) if isinstance(source, Frames) else Upload(source)


def _filled(source: Path | bytes, name: str) -> Path | bytes:
    """The same source, which must have a byte to send."""
    if len(Upload(source)) == 0:
        msg = f"the file is empty: no byte in {name}; send a video"
        raise ValueError(msg)
    return source
