"""Lists the videos of a bulk job, and reads their bytes: from folders, from lists of names, and from remote storage."""

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

import fsspec
from pyarrow import fs

from staa_client.batch.key import Key, key_of
from staa_client.video.source import ENDINGS, absolute, shown

OBJECT_STORES = ("s3", "gs")
"""The schemes of the storage that Arrow reads itself; the query of such a URL holds options, such as `region`. All
others are read by fsspec, which wants a package of its own for most."""


@dataclass(frozen=True, slots=True)
class Source:
    """Name one video; it can be sent to another process."""

    root: str
    """The storage, as `storage` takes it."""
    path: str
    """The path in the storage."""
    key: Key
    """The key of its row: its name is the path as given, or the URL without a password."""

    def read(self, most: int) -> bytes:
        """Return the bytes of the video; of one that has more than `most`, one more than that."""
        with storage(self.root).open_input_stream(self.path, compression=None) as file:
            return bytes(file.read(most + 1))


@lru_cache
def storage(root: str) -> fs.FileSystem:
    """Return the storage at a URL without a path; "" is the files of this machine."""
    if not root:
        return fs.LocalFileSystem()
    if urlsplit(root).scheme in OBJECT_STORES:
        return fs.FileSystem.from_uri(root)[0]
    return fs.PyFileSystem(fs.FSSpecHandler(fsspec.core.url_to_fs(root)[0]))  # type: ignore[abstract]


def located(place: str) -> tuple[str, str]:
    """Return the storage of a path or URL, as `storage` takes it, and the path in it."""
    parts = urlsplit(place)
    if "://" not in place or parts.scheme == "file":
        return "", str(absolute(place if "://" not in place else unquote(parts.path)))
    root = f"{parts.scheme}://{parts.netloc}"
    if parts.scheme not in OBJECT_STORES:
        return root, str(fsspec.core.url_to_fs(place)[1])
    bucket = parts.netloc.rpartition("@")[2]
    return root + (f"?{parts.query}" if parts.query else ""), f"{bucket}{parts.path}".rstrip("/")


def list_sources(given: str) -> list[Source]:
    """Return the videos of a folder and of the folders in it, by their endings; or those that a list names, one a line.

    Args:
        given: a folder, or a text file of paths and URLs; its path or URL, or "-" for a list from the input.

    Raises:
        OSError: it cannot be read.
        ValueError: it is neither.
    """
    if given == "-":
        return _unique(_listed(sys.stdin))
    root, path = located(given)
    files = storage(root)
    if files.get_file_info(path).type == fs.FileType.Directory:
        return _unique(_in_folder(files, root, path, _named(given)))
    with files.open_input_stream(path, compression=None) as file:
        text = bytes(file.read())
    try:
        return _unique(_listed(text.decode().splitlines()))
    except UnicodeDecodeError as error:
        raise ValueError(f"{given} is neither a folder nor a text file that names videos") from error


def _in_folder(files: fs.FileSystem, root: str, path: str, name: str) -> Iterator[Source]:
    start = len(path.rstrip("/")) + 1
    for entry in files.get_file_info(fs.FileSelector(path, recursive=True)):
        if entry.is_file and f".{entry.extension}".lower() in ENDINGS:
            yield _source(root, entry, f"{name.rstrip('/')}/{entry.path[start:]}")


def _listed(lines: Iterable[str]) -> Iterator[Source]:
    """Yield the videos that lines name; where many sizes can be asked for at once, with their stamps."""
    by_root: dict[str, list[tuple[str, str]]] = {}
    for line in filter(None, map(str.strip, lines)):
        root, path = located(line)
        by_root.setdefault(root, []).append((_named(line), path))
    for root, listed in by_root.items():
        names, paths = zip(*listed, strict=True)
        is_quick = not root or urlsplit(root).scheme in OBJECT_STORES
        entries = storage(root).get_file_info(list(paths)) if is_quick else map(fs.FileInfo, paths)
        for name, entry in zip(names, entries, strict=True):
            yield _source(root, entry, name)


def _source(root: str, entry: fs.FileInfo, name: str) -> Source:
    if not root:
        return Source(root, entry.path, key_of(Path(name))[0])
    stamp = "" if entry.size is None or entry.mtime_ns is None else f"{entry.size} {entry.mtime_ns}"
    return Source(root, entry.path, Key(name, name, stamp))


def _named(place: str) -> str:
    """Return a path as it is given, of a file:// too; or a URL without what must not be told."""
    parts = urlsplit(place)
    if "://" not in place or parts.scheme == "file":
        return unquote(parts.path) if "://" in place else place
    return shown(place, query=parts.scheme not in OBJECT_STORES)


def _unique(sources: Iterable[Source]) -> list[Source]:
    """Return the sources in the order of their names, each video once."""
    by_identity = {source.key.identity: source for source in sources}
    return [by_identity[identity] for identity in sorted(by_identity)]
