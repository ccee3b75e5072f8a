"""How many samples an MP4 or MOV says that it has, before anything makes room for them.

FFmpeg keeps an entry for each stated sample, of sound too, once more for each edit, and some hundred bytes can state
millions. They are counted by name in whatever box they stand, as FFmpeg takes them from any. What is hidden from this
is bounded by `room.bound`: a track at a time, and by memory.
"""

import re
from collections.abc import Iterator
from typing import BinaryIO

from staa.errors import DecodeError, TooManyFramesError

SAMPLES = 8_000_000
"""Of all tracks, times the edits, at most: 24 to 60 bytes each."""
BOXES = 100_000
"""Of the file itself, at most: a fragment for each of 50,000 frames."""
NAMES = 4 * BOXES
"""Of boxes that state samples or edits, at most."""
PLAIN, LOOKS = 8, 32
"""Tracks of uncompressed sound, whose samples FFmpeg does not list, and tracks that are looked at for it, at most."""

_COUNTS = {b"stsz": 8, b"stz2": 8, b"trun": 4}
"""Name of a box -> bytes between it and its number of samples."""
_REFUSED = 2**27
"""FFmpeg itself makes no room for so many: such a number is harmless, and may be a word of the title ("truncated")."""
_COMPRESSED = re.compile(rb"cmov.{4}dcom", re.DOTALL)
_OTHERS = (b"\x1a\x45\xdf\xa3", b"RIFF", b"FLV", b"\0\0\1\xba", b"OggS", b"GIF8", b"DKIF", b"\x30\x26\xb2\x75", b"G")
"""How files of other containers begin."""


def check_samples(file: BinaryIO) -> None:
    """Refuse a file that states more than `SAMPLES`; what is no MP4 or MOV states none. Leaves the file at its start.

    Raises:
        TooManyFramesError: it states more.
        DecodeError: its header is compressed, so that nothing can be counted, or it has more boxes than any video.
    """
    samples, edits, plain, looks = 0, 0, 0, 0
    names = iter(range(NAMES))
    for body in _headers(file):
        if _COMPRESSED.search(body):
            raise DecodeError("the header of the file is compressed (cmov): write it without, as -c copy does")
        for place, count in _stated(body, _COUNTS, names):
            # each look may be one at the whole file
            if body.startswith(b"stsz", place) and plain < PLAIN and looks < LOOKS:
                looks += 1
                if _is_plain_sound(body, place):
                    plain += 1
                    continue
            samples += count
            if samples > SAMPLES:
                break
        edits += sum(count for _, count in _stated(body, {b"elst": 4}, names))
        if samples * max(1, edits) > SAMPLES:
            times = f" and {edits} edits" if edits > 1 else ""
            msg = f"the file states {samples} samples{times}, at most {SAMPLES} are taken: send a shorter video"
            raise TooManyFramesError(msg)
    file.seek(0)


def _stated(body: bytes, kinds: dict[bytes, int], names: Iterator[int]) -> Iterator[tuple[int, int]]:
    """Yield where each box of these kinds stands, and the number in it; takes one of `names` for each."""
    for name, skip in kinds.items():
        place = body.find(name)
        while place >= 0:
            if next(names, None) is None:
                msg = f"the file has more than {NAMES} boxes with samples: write it anew, as -c copy does"
                raise DecodeError(msg)
            start = place + len(name) + skip
            count = int.from_bytes(body[start : start + 4], "big")
            if count < _REFUSED:
                yield place, count
            place = body.find(name, place + 1)


def _is_plain_sound(body: bytes, place: int) -> bool:
    """Whether FFmpeg reads the track around a place by chunks: sound of which every sample lasts one tick."""
    first, last = body.rfind(b"trak", 0, place), body.find(b"trak", place)
    track = body[first : last if last >= 0 else len(body)]
    if first < 0 or any(track.count(name) != 1 for name in (b"stsz", b"stts")) or b"vide" in track:
        return False
    times = track.index(b"stts") + 8
    return b"soun" in track and track[times : times + 4] == track[times + 8 : times + 12] == b"\0\0\0\1"


def _headers(file: BinaryIO) -> Iterator[bytes]:
    """Yield what is in the boxes of the file but in those of media; in these too where an index may lead into them."""
    end = file.seek(0, 2)
    at = file.seek(0)
    head = file.read(16)
    if head.startswith(_OTHERS) and not head[4:8].isalpha():  # a name there makes a box of it, however long
        return
    media: list[tuple[int, int]] = []
    led = False
    for _ in range(BOXES):
        if at + 8 > end:
            break
        file.seek(at)
        head = file.read(16)
        size = int.from_bytes(head[:4], "big")
        if size == 1:
            size = int.from_bytes(head[8:], "big")
        size = end - at if size < 8 else min(size, end - at)
        if head[4:8] == b"mdat":
            media.append((at, size))
        else:
            file.seek(at)
            body = file.read(size)
            led = led or b"sidx" in body or b"tfra" in body
            yield body
        at += size
    else:
        msg = f"the file has more than {BOXES} boxes: write it anew, as -c copy does"
        raise DecodeError(msg)
    for start, size in media if led else ():
        file.seek(start)
        yield file.read(size)
