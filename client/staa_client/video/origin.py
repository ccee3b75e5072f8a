"""Says of which video frames in memory are a window, for the store of a client.

It goes with the frames wherever they go in this process, and is sent to no server.
"""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True, eq=False)
class Origin:
    """Says of which video, or of which live source, frames are a window."""

    name: str
    """The name of the video's file, or the address of a live source without user, password and query."""
    video: Path | bytes | None = field(default=None, repr=False)
    """The video; None for a live source."""
    longest: int | None = None
    """The most pixels of the longer edge to which a watch scaled the frames of a file; None if nothing did that."""
    _known: list[str] = field(default_factory=list, init=False, repr=False)

    def sha256(self) -> str | None:
        """Return the SHA-256 of the whole video in hexadecimal, for which it is read once; None for a live source."""
        if self.video is None:
            return None
        if not self._known:
            self._known.append(sha256_of(self.video))
        return self._known[0]


def sha256_of(video: Path | bytes) -> str:
    """Return the SHA-256 of a video in hexadecimal; a file is read to its end."""
    if isinstance(video, bytes):
        return hashlib.sha256(video).hexdigest()
    with video.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
