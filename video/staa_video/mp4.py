"""Counts the samples that an MP4 or MOV file claims to have, before FFmpeg allocates memory for them.

FFmpeg keeps an entry for each claimed sample, of sound too, and again for each edit; a file of some hundred bytes can
claim millions. The boxes that claim samples are searched by name in all parts of the file, because FFmpeg reads them
wherever they are. Where this count can be evaded, the children of a pool are still bounded (`pool.confinement`).
"""

import re
from collections.abc import Iterator
from typing import BinaryIO

from av.format import ContainerFormat

from staa_video.errors import DecodeError, TooManyFramesError

BOXES = 100_000
"""The most boxes at the top level of a file: enough for 50,000 frames with one fragment each."""
NAMES = 4 * BOXES
"""The most boxes in a file that claim samples or edits."""
MOST_PLAIN_TRACKS, MOST_TRACKS_LOOKED_AT = 8, 32
"""Tracks of uncompressed sound, whose samples FFmpeg does not list, and tracks that are looked at for it, at most."""

PIECE = 2**26
"""Bytes of a box that are searched at a time."""
OVERLAP = 15
"""Bytes at the end of a piece that the next piece repeats: a name and its number may lie across the border."""

_COUNTS = {b"stsz": 8, b"stz2": 8, b"trun": 4}
"""Bytes between the name of a box and its number of samples."""
_REFUSED = 2**27
"""FFmpeg itself refuses this many samples, so a larger number is harmless: it may be text, as "trun" in "truncated"."""
_COMPRESSED = re.compile(rb"cmov.{4}dcom", re.DOTALL)
_OTHERS = (b"\x1a\x45\xdf\xa3", b"RIFF", b"FLV", b"\0\0\1\xba", b"OggS", b"GIF8", b"DKIF", b"\x30\x26\xb2\x75", b"G")
"""How files of other containers begin."""
_HEAD = 2**20 + 2**12
"""Bytes at the start of a file in which FFmpeg looks for what it is, and some more."""
_TOP = frozenset(b"moov mdat pnot udta ftyp ediw wide free junk pict skip uuid prfl \x82\x82\x7f\x7d".split())
"""The boxes by one of which FFmpeg knows an MP4 or MOV."""
_ENDINGS = frozenset(ContainerFormat("mov", "r").extensions)
"""How the names of files end that FFmpeg takes for an MP4 or MOV if nothing in them tells what they are."""


def check_samples(file: BinaryIO, most: int) -> None:
    """Refuse a file that claims more than `most` samples; a file that is no MP4 or MOV claims none.

    The samples of all tracks are added, and the sum is multiplied by the number of edits. The file is left at its
    start.

    Raises:
        TooManyFramesError: it claims more.
        DecodeError: its header is compressed, so that nothing can be counted, or it has more boxes than any video.
    """
    samples, edits, plain, looks = 0, 0, 0, 0
    names = iter(range(NAMES))
    for body in _headers(file):
        if _COMPRESSED.search(body):
            raise DecodeError("the header of the file is compressed (cmov): write it without, as -c copy does")
        for place, count in _stated(body, _COUNTS, names):
            # each look may be one at the whole file
            if body.startswith(b"stsz", place) and plain < MOST_PLAIN_TRACKS and looks < MOST_TRACKS_LOOKED_AT:
                looks += 1
                if _is_plain_sound(body, place):
                    plain += 1
                    continue
            samples += count
            if samples > most:
                break
        edits += sum(count for _, count in _stated(body, {b"elst": 4}, names))
        if samples * max(1, edits) > most:
            times = f" and {edits} edits" if edits > 1 else ""
            msg = f"the file states {samples} samples{times}, at most {most} are taken: send a shorter video"
            raise TooManyFramesError(msg)
    file.seek(0)


def _stated(body: bytes, kinds: dict[bytes, int], names: Iterator[int]) -> Iterator[tuple[int, int]]:
    """Yield the offset of each box of these kinds and the number in it.

    Each box takes one item of `names`, which all calls for one file share, so that a file can have NAMES boxes at most.
    """
    for name, skip in kinds.items():
        place = body.find(name)
        while place >= 0:
            if next(names, None) is None:
                raise DecodeError(f"the file has more than {NAMES} boxes with samples: write it anew, as -c copy does")
            start = place + len(name) + skip
            count = int.from_bytes(body[start : start + 4], "big")
            if count < _REFUSED:
                yield place, count
            place = body.find(name, place + 1)


def _is_plain_sound(body: bytes, place: int) -> bool:
    """Tell whether the track around an offset is sound of which every sample lasts one tick.

    FFmpeg reads such a track by chunks and keeps no entry for each sample.
    """
    first, last = body.rfind(b"trak", 0, place), body.find(b"trak", place)
    track = body[first : last if last >= 0 else len(body)]
    if first < 0 or any(track.count(name) != 1 for name in (b"stsz", b"stts")) or b"vide" in track:
        return False
    times = track.index(b"stts") + 8
    return b"soun" in track and track[times : times + 4] == track[times + 8 : times + 12] == b"\0\0\0\1"


def _headers(file: BinaryIO) -> Iterator[bytes]:
    """Yield the bytes of every top-level box but the media ("mdat"), a large one in pieces.

    If a box holds an index ("sidx" or "tfra"), which can point into the media, the media follow.
    """
    end = file.seek(0, 2)
    at = file.seek(0)
    head = file.read(_HEAD)
    if head.startswith(_OTHERS) and not head[4:8].isalpha():  # a name there makes a box of it, however long
        return
    if not _starts_as_mp4(head) and str(getattr(file, "name", "")).rpartition(".")[2].lower() not in _ENDINGS:
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
            for body in _pieces(file, at, size):
                led = led or b"sidx" in body or b"tfra" in body
                yield body
        at += size
    else:
        raise DecodeError(f"the file has more than {BOXES} boxes: write it anew, as -c copy does")
    for start, size in media if led else ():
        yield from _pieces(file, start, size)


def _starts_as_mp4(head: bytes) -> bool:
    """Tell whether FFmpeg may take a file for an MP4 or MOV by its start, where it goes from box to box as here."""
    at = 0
    while at + 8 <= len(head):
        size, least = int.from_bytes(head[at : at + 4], "big"), 8
        if size == 1:
            size, least = int.from_bytes(head[at + 8 : at + 16], "big", signed=True), 16
        elif size == 0:
            size = len(head)
        if size < least:  # no box: the next one may begin here
            size = 4
        elif head[at + 4 : at + 8] in _TOP:
            return True
        at += size
    return head.startswith(b"ID3")  # which FFmpeg skips


def _pieces(file: BinaryIO, start: int, size: int) -> Iterator[bytes]:
    """Yield the bytes of a box in pieces; each repeats the end of the one before, in which nothing is cut then."""
    for place in range(start, start + size, PIECE):
        file.seek(place)
        yield file.read(min(PIECE + OVERLAP, start + size - place))
