"""By what a source is known again in a file of answers."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from staa_client._address import shown
from staa_client._frames import Frames
from staa_client._source import Link, Video, absolute, is_url, name_of, source_of


@dataclass(frozen=True, slots=True)
class Key:
    """What a source is called, and what tells it from every other."""

    name: str
    """A path as given, a URL less user and password, else a digest of the bytes."""
    place: str
    """The absolute path, without ".."; else the name."""
    stamp: str = ""
    """Of a file its size, bytes, and when it changed, ns: with another stamp it is another video. "" of others."""


def keyed(video: Video) -> tuple[Key, Video]:
    """The key of a source, and the source.

    A file object or an iterable is read to its end for it, and what was read stands in its place.

    Raises:
        OSError, ValueError, TypeError: as `source_of`; but a path where no file is has a key.
    """
    if isinstance(video, str) and is_url(video):
        name = shown(video, query=True)
        return Key(name, name), video
    if isinstance(video, str | Path):
        path = absolute(video)
        return Key(str(video), str(path), _stamp(path)), video
    source = source_of(video)
    if isinstance(source, Path | Link):
        return Key(name_of(source), str(video)), video
    name = "sha256:" + (_digest(source) if isinstance(source, Frames) else hashlib.sha256(source).hexdigest())
    return Key(name, name), source


def _stamp(path: Path) -> str:
    try:
        about = path.stat()
    except OSError:  # whoever sends it says so
        return ""
    return f"{about.st_size} {about.st_mtime_ns}"


def _digest(frames: Frames) -> str:
    """Of the pixels, and of all that gives them a shape and a time."""
    about = [frames.images.shape, frames.fps, frames.duration, frames.size]
    digest = hashlib.sha256(json.dumps(about, default=float).encode())
    for values in (frames.seconds.astype("<f8"), frames.indices.astype("<i8"), frames.images):
        digest.update(np.ascontiguousarray(values).data)
    return digest.hexdigest()
