"""Makes the key by which a source is found in a file of answers."""

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from staa_client.errors import FAILURES, Failure
from staa_client.video.frames import Frames
from staa_client.video.source import Link, Video, absolute, is_data_url, is_url, name_of, shown, source_of


@dataclass(frozen=True, slots=True)
class Key:
    """Identifies a source; two keys of the same file are equal even if it was named by different paths."""

    name: str = field(compare=False)
    """The path as given, the URL without user and password, or else a digest of the bytes."""
    identity: str
    """The absolute path without ".."; for other sources the name."""
    stamp: str = ""
    """Size in bytes and time of change in ns of a file: a new stamp means a new video. "" for other sources."""


def key_of(video: Video) -> tuple[Key, Video]:
    """Return the key of a source, and the source to send.

    A file object or an iterable must be read to its end to make the key, and can be read only once. So the source that
    is returned is what was read: the bytes or the frames. Any other source is returned as it is.

    Raises:
        OSError, ValueError, TypeError: as `source_of` raises them; but a path without a file has a key, too.
    """
    if isinstance(video, str) and is_url(video):
        name = shown(video, query=True)
        return Key(name, name), video
    if isinstance(video, Path) or (isinstance(video, str) and not is_data_url(video)):
        path = absolute(video)
        return Key(str(video), str(path), _stamp(path)), video
    source = source_of(video)
    if isinstance(source, Path | Link):
        return Key(name_of(source), str(video)), video
    name = "sha256:" + (_digest(source) if isinstance(source, Frames) else hashlib.sha256(source).hexdigest())
    return Key(name, name), source


def key_or_error(video: Video) -> tuple[Key, Video, Failure | None]:
    """Return the key of a source, the source to send, and the error if it cannot be read (otherwise None)."""
    try:
        return *key_of(video), None
    except FAILURES as error:
        name = f"{type(video).__name__} that cannot be read"
        return Key(name, name), video, error


def _stamp(path: Path) -> str:
    """Return a text that changes when the file does: its size in bytes and time of change in ns, as in "1024 17000".

    It is "" if there is no file.
    """
    try:
        about = path.stat()
    except OSError:  # whoever sends it says so
        return ""
    return f"{about.st_size} {about.st_mtime_ns}"


def _digest(frames: Frames) -> str:
    """Return a digest of the frames: their pixels, shape, numbers and times."""
    about = [frames.images.shape, frames.fps, frames.duration, frames.size]
    digest = hashlib.sha256(json.dumps(about, default=float).encode())
    for values in (frames.seconds.astype("<f8"), frames.indices.astype("<i8"), frames.images):
        digest.update(np.ascontiguousarray(values).data)
    return digest.hexdigest()
