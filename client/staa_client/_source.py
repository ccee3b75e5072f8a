"""The video that is sent: a path, bytes, or a binary file object; every attempt sends the same bytes."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import BinaryIO

Video = str | Path | bytes | BinaryIO
"""A path, the bytes of a file, or a binary file object."""
Source = Path | bytes
_CHUNK = 1 << 18


def source_of(video: Video) -> Source:
    """The video as an absolute path, streamed from disk at each attempt, or as bytes.

    A file object is read from where it stands to its end, once, so that pipes work and retries send it whole.

    Raises:
        TypeError: none of these kinds.
        ValueError: the file is empty.
        OSError: no such file.
    """
    if isinstance(video, str | Path):
        path = Path(video).absolute()
        if not path.is_file():  # a pipe has no size before it is read; a folder, or nothing, raises OSError here
            return _filled(path.read_bytes(), str(path))
        return _filled(path, str(path))
    if isinstance(video, bytes | bytearray | memoryview):
        return _filled(bytes(video), "the bytes given")
    data = video.read() if hasattr(video, "read") else None
    if not isinstance(data, bytes):
        msg = f"a video is a path, bytes or a file opened in binary mode, got {type(video).__name__}"
        raise TypeError(msg)
    return _filled(data, f"{getattr(video, 'name', 'the file object')} from where it stands")


def _filled(source: Source, name: str) -> Source:
    """The same source, which must have a byte to send."""
    if length(source) == 0:
        msg = f"the file is empty: no byte in {name}; send a video"
        raise ValueError(msg)
    return source


def length(source: Source) -> int:
    """Bytes to send."""
    return source.stat().st_size if isinstance(source, Path) else len(source)


def chunks(source: Source) -> Iterator[bytes]:
    """The bytes to send, from the first one, at each call."""
    if isinstance(source, bytes):
        yield source
        return
    with source.open("rb") as file:
        while chunk := file.read(_CHUNK):
            yield chunk


async def async_chunks(source: Source) -> AsyncIterator[bytes]:
    """The same for an event loop; reading a chunk of a local file takes less time than handing it to a thread."""
    for chunk in chunks(source):
        yield chunk
