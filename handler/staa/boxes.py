"""How many samples an MP4 or MOV says that it has, before anything makes room for them.

FFmpeg keeps an entry for each stated sample, of sound too, and some hundred bytes can state millions. They are counted
in whatever box they stand, as FFmpeg takes them from any: by name, in all but the media itself.
"""

import re
from typing import BinaryIO

from staa.errors import DecodeError, TooManyFramesError

SAMPLES = 8_000_000
"""Of all tracks, at most: entries take 32 bytes each. Uncompressed sound has most, as many as 64 MiB can hold."""

_COUNTS = re.compile(rb"stsz.{8}(.{4})|stz2.{8}(.{4})|trun.{4}(.{4})", re.DOTALL)
_COMPRESSED = re.compile(rb"cmov.{4}dcom", re.DOTALL)
_REFUSED = 2**27
"""FFmpeg itself makes no room for so many: such a number is harmless, and may be a word of the title ("truncated")."""
_MEDIA = b"mdat"
_KNOWN = {b"ftyp", b"styp", b"moov", b"moof", _MEDIA, b"free", b"skip", b"wide", b"pnot", b"uuid", b"junk", b"sidx"}


def check_samples(file: BinaryIO) -> None:
    """Refuse a file that states more than `SAMPLES`; what is no MP4 or MOV states none. Leaves the file at its start.

    Raises:
        TooManyFramesError: it states more.
        DecodeError: its header is compressed, so that nothing can be counted.
    """
    total = 0
    for body in _headers(file):
        if _COMPRESSED.search(body):
            raise DecodeError("the header of the file is compressed (cmov): write it without, as -c copy does")
        counts = (int.from_bytes(count, "big") for found in _COUNTS.findall(body) for count in found)
        total += sum(count for count in counts if count < _REFUSED)
    file.seek(0)
    if total > SAMPLES:
        msg = f"the file states {total} samples, at most {SAMPLES} are taken: send a shorter video"
        raise TooManyFramesError(msg)


def _headers(file: BinaryIO) -> list[bytes]:
    """What is in each box of the file but in those of media; from a damaged one on, all that is left.

    A file without any box that begins an MP4 or MOV has none.
    """
    places: list[tuple[bytes, int, int]] = []
    end = file.seek(0, 2)
    at = file.seek(0)
    while at + 8 <= end:
        file.seek(at)
        head = file.read(16)
        size, name = int.from_bytes(head[:4], "big"), head[4:8]
        if size == 1:
            size = int.from_bytes(head[8:], "big")
        size = end - at if size < 8 else min(size, end - at)
        places.append((name, at + 8, size - 8))
        at += size
    found = []
    if any(name in _KNOWN for name, _, _ in places):
        for name, start, length in places:
            if name != _MEDIA:
                file.seek(start)
                found.append(file.read(length))
    return found
