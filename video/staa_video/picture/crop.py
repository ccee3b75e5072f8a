"""Reads what a container says of its tracks of video: what it shows of their pictures, which is no film or encrypted.

What is shown is the clean aperture of MP4 and MOV, or the pixel crop of Matroska. FFmpeg knows most of it, but PyAV
does not hand it on, so the few boxes and elements that matter are read here: by their headers, in a bounded number of
steps, and never more than some bytes of a step.
"""

from collections.abc import Iterator, Mapping
from fractions import Fraction
from itertools import islice
from math import floor
from typing import BinaryIO, NamedTuple

from av.container import InputContainer
from av.video.stream import VideoStream

from staa_video.picture.shape import Crop


class Track(NamedTuple):
    """Holds what a container says of a track."""

    crop: Crop = Crop()
    """What its pictures leave out."""
    aside: bool = False
    """Whether it belongs to another track, as the alpha of an AVIF or the pictures of chapters do."""
    encrypted: bool = False
    """Whether its frames are; an MP4 may say it of its packets instead."""


Tracks = Mapping[int, Track]
"""Number -> track; MP4 has numbers of tracks, Matroska the place among the tracks of video."""

_STEPS = 4000
"""The most boxes or elements of a file that are looked at; what lies beyond them is not cropped."""
_MATROSKA = b"\x1a\x45\xdf\xa3"
_MOST_CHAPTERS = 8
"""The most tracks of chapters of a track that are looked at."""
_ENCRYPTED = {b"encv", b"drmi"}
_PATH = (b"mdia", b"minf", b"stbl", b"stsd")
_ENTRY_HEAD = 86  # bytes of a sample entry of video before the boxes in it (ISO/IEC 14496-12, 12.1.3)
_SEGMENT, _TRACKS, _TRACK, _KIND, _VIDEO = 0x18538067, 0x1654AE6B, 0xAE, 0x83, 0xE0
_ENCODINGS, _ENCODING, _ENCRYPTION = 0x6D80, 0x6240, 0x5035
_WIDTH, _HEIGHT, _BOTTOM, _TOP, _LEFT, _RIGHT = 0xB0, 0xBA, 0x54AA, 0x54BB, 0x54CC, 0x54DD  # RFC 9559, 5.1.4.1.28


class _Part(NamedTuple):
    """Is a box or an element: its name, and where what it holds begins and ends in the file."""

    name: bytes | int
    start: int
    end: int


def tracks_of(file: BinaryIO) -> Tracks:
    """Return what a file says of its tracks; nothing for other containers. The file is left at its start."""
    end = file.seek(0, 2)
    file.seek(0)
    head = file.read(12)
    steps = iter(range(_STEPS))
    if head.startswith(_MATROSKA):
        found = dict(enumerate(_tracks_of_matroska(file, end, steps)))
    elif head[4:8].isalpha():
        found = _tracks_of_mp4(file, end, steps)
    else:
        found = {}
    file.seek(0)
    return found


def track_of(tracks: Tracks, container: InputContainer, stream: VideoStream) -> Track:
    """Return what is said of a stream."""
    by_place = container.format.name.startswith("matroska")
    return tracks.get(container.streams.video.index(stream) if by_place else stream.id, Track())


def _tracks_of_mp4(file: BinaryIO, end: int, steps: Iterator[int]) -> dict[int, Track]:
    """Return the tracks of an MP4 or MOV; its crop is the clean aperture (`clap`)."""
    crops: dict[int, Crop] = {}
    aside: set[int] = set()
    encrypted: set[int] = set()
    for track in _within(file, [_Part(b"", 0, end)], steps, b"moov", b"trak"):
        number = 0
        for header in _boxes(file, track.start, track.end, steps, b"tkhd"):
            body = _read(file, header, 32)
            at = 20 if body[:1] == b"\1" else 12  # version 1 has times of 64 bits
            number = int.from_bytes(body[at : at + 4], "big")
        for chapters in _within(file, [track], steps, b"tref", b"chap"):
            aside.update({*_numbers(_read(file, chapters, 4 * _MOST_CHAPTERS), 4, _MOST_CHAPTERS)} - {number})
        if any(_read(file, kind, 12)[8:] == b"auxv" for kind in _within(file, [track], steps, b"mdia", b"hdlr")):
            aside.add(number)
        for entry in _first_entries(file, track, steps):
            if entry.name in _ENCRYPTED:
                encrypted.add(number)
            width, height = _numbers(_read(file, entry, _ENTRY_HEAD - 8)[24:28], 2, 2)
            for box in _boxes(file, entry.start + _ENTRY_HEAD - 8, entry.end, steps, b"clap"):
                crops[number] = _aperture(_read(file, box, 32), width, height)
    return {
        number: Track(crops.get(number, Crop()), number in aside, number in encrypted)
        for number in crops.keys() | aside | encrypted
    }


def _first_entries(file: BinaryIO, track: _Part, steps: Iterator[int]) -> Iterator[_Part]:
    """Yield the first description in each list of a track (one, but in a broken file): that of its first frame."""
    for described in _within(file, [track], steps, *_PATH):
        yield from islice(_boxes(file, described.start + 8, described.end, steps), 1)


def _within(file: BinaryIO, parts: list[_Part], steps: Iterator[int], *path: bytes) -> list[_Part]:
    """Return the boxes that a path of names leads to from some boxes."""
    for name in path:
        parts = [inner for outer in parts for inner in _boxes(file, outer.start, outer.end, steps, name)]
    return parts


def _aperture(body: bytes, width: int, height: int) -> Crop:
    """Return the crop that a clean aperture is in a picture; none where it leaves the picture."""
    if len(body) < 32:
        return Crop()
    parts = [int.from_bytes(body[at : at + 4], "big", signed=True) for at in range(0, 32, 4)]
    if min(parts[1::2]) < 1 or min(parts[0], parts[2]) < 1:
        return Crop()
    wide, high, right, down = (Fraction(parts[at], parts[at + 1]) for at in range(0, 8, 2))
    kept = floor(wide), floor(high)
    left, top = floor((width - wide) / 2 + right), floor((height - high) / 2 + down)
    crop = Crop(left, top, width - left - kept[0], height - top - kept[1])
    inside = min(crop.left, crop.top, crop.right, crop.bottom) >= 0 and min(kept) > 0
    return crop if inside else Crop()


def _boxes(file: BinaryIO, start: int, end: int, steps: Iterator[int], name: bytes = b"") -> Iterator[_Part]:
    """Yield the boxes between two places of a file, or those of one name."""
    while start + 8 <= end and next(steps, None) is not None:
        file.seek(start)
        head = file.read(16)
        size, skip = int.from_bytes(head[:4], "big"), 8
        if size == 1:
            size, skip = int.from_bytes(head[8:16], "big"), 16
        stop = end if size == 0 else min(start + size, end)
        if stop < start + skip:
            return
        if name in {b"", head[4:8]}:
            yield _Part(head[4:8], start + skip, stop)
        start = stop


def _tracks_of_matroska(file: BinaryIO, end: int, steps: Iterator[int]) -> Iterator[Track]:
    """Yield the tracks of video of a Matroska file."""
    for segment in _elements(file, 0, end, steps, _SEGMENT):
        for tracks in _elements(file, segment.start, segment.end, steps, _TRACKS):
            for track in _elements(file, tracks.start, tracks.end, steps, _TRACK):
                inside = list(_elements(file, track.start, track.end, steps))
                if any(part.name == _KIND and _whole(file, part) == 1 for part in inside):
                    yield Track(_edges(file, inside, steps), encrypted=_is_encrypted(file, inside, steps))


def _is_encrypted(file: BinaryIO, track: list[_Part], steps: Iterator[int]) -> bool:
    """Tell whether a ContentEncryption is in the elements of a track."""
    inside = [part for part in track if part.name == _ENCODINGS]
    for name in (_ENCODING, _ENCRYPTION):
        inside = [part for outer in inside for part in _elements(file, outer.start, outer.end, steps, name)]
    return bool(inside)


def _edges(file: BinaryIO, track: list[_Part], steps: Iterator[int]) -> Crop:
    """Return the crop in the elements of a track; none where it leaves nothing of the picture."""
    values = {
        part.name: _whole(file, part)
        for video in track
        if video.name == _VIDEO
        for part in _elements(file, video.start, video.end, steps)
    }
    left, top, right, bottom = (values.get(name, 0) for name in (_LEFT, _TOP, _RIGHT, _BOTTOM))
    inside = left + right < values.get(_WIDTH, 0) and top + bottom < values.get(_HEIGHT, 0)
    return Crop(left, top, right, bottom) if inside else Crop()


def _elements(file: BinaryIO, start: int, end: int, steps: Iterator[int], name: int = 0) -> Iterator[_Part]:
    """Yield the elements (EBML, RFC 8794) between two places of a file, or those of one name."""
    while start < end and next(steps, None) is not None:
        file.seek(start)
        head = file.read(12)
        if len(head) < 2 or not head[0] or len(head) <= 9 - head[0].bit_length():
            return
        wide = 9 - head[0].bit_length()  # bytes of the name, which keeps its marker
        first = head[wide]
        long = 9 - first.bit_length()  # bytes of the size
        if first == 0 or len(head) < wide + long:
            return
        size = int.from_bytes(head[wide : wide + long], "big") & ((1 << 7 * long) - 1)
        at = start + wide + long
        if at > end:  # its head reaches beyond what it lies in
            return
        stop = end if size == (1 << 7 * long) - 1 else min(at + size, end)  # all ones: it is not known
        found = int.from_bytes(head[:wide], "big")
        if name in {0, found}:
            yield _Part(found, at, stop)
        start = stop


def _read(file: BinaryIO, part: _Part, most: int) -> bytes:
    file.seek(part.start)
    return file.read(min(most, part.end - part.start))


def _whole(file: BinaryIO, part: _Part) -> int:
    return int.from_bytes(_read(file, part, 8), "big")


def _numbers(data: bytes, wide: int, count: int) -> list[int]:
    return [int.from_bytes(data[at : at + wide], "big") for at in range(0, wide * count, wide)]
