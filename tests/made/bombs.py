"""Small MP4 files that state much: samples that share their bytes, and more of them than any video has."""

import io
import struct
from collections.abc import Sequence

import numpy as np
from PIL import Image

START = 16 + 8
"""Of the samples: behind ftyp and the head of mdat."""


def box(name: bytes, *parts: bytes) -> bytes:
    """A box of ISO 14496-12."""
    body = b"".join(parts)
    return struct.pack(">I", 8 + len(body)) + name + body


def full(name: bytes, *parts: bytes) -> bytes:
    """A box with a version and flags of 0."""
    return box(name, bytes(4), *parts)


def picture(width: int = 64, height: int = 48) -> bytes:
    """A JPEG."""
    file = io.BytesIO()
    Image.fromarray(np.full((height, width, 3), 90, np.uint8)).save(file, "JPEG")
    return file.getvalue()


def mp4(samples: Sequence[bytes], order: Sequence[int], sounds: int = 0) -> bytes:
    """Motion JPEG of 64x48 of these samples in this order, and sound of so many, each the first sample's bytes."""
    starts = [START + sum(map(len, samples[:number])) for number in range(len(samples))]
    places = [(starts[number], len(samples[number])) for number in order]
    tracks = [_track(1, b"vide", _pictures(), places)]
    if sounds:
        tracks.append(_track(2, b"soun", _sound(), [(START, len(samples[0]))] * sounds))
    return b"".join([box(b"ftyp", b"isom", bytes(4)), box(b"mdat", *samples), box(b"moov", _movie(), *tracks)])


def stated(count: int, kind: bytes = b"vide") -> bytes:
    """A file of some hundred bytes whose one chunk states `count` samples of a byte each, of pictures or sound."""
    table = [
        full(b"stts", struct.pack(">III", 1, count, 1)),
        full(b"stsc", struct.pack(">IIII", 1, 1, count, 1)),
        full(b"stsz", struct.pack(">II", 1, count)),
        full(b"stco", struct.pack(">II", 1, START)),
    ]
    track = _trak(1, kind, _pictures() if kind == b"vide" else _sound(), table, count)
    return b"".join([box(b"ftyp", b"isom", bytes(4)), box(b"mdat", picture()), box(b"moov", _movie(), track)])


def _movie() -> bytes:
    facts = struct.pack(">IIIIIH10x", 0, 0, 1000, 1000, 0x10000, 0x100)
    return full(b"mvhd", facts, _matrix(), bytes(24), struct.pack(">I", 3))


def _matrix() -> bytes:
    return struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)


def _pictures(width: int = 64, height: int = 48) -> bytes:
    entry = bytes(6) + struct.pack(">H16xHHIIIH32xHh", 1, width, height, 0x480000, 0x480000, 0, 1, 24, -1)
    return box(b"jpeg", entry)


def _sound() -> bytes:
    return box(b"mp4a", bytes(6), struct.pack(">H8xHHIHH", 1, 1, 16, 0, 8000, 0))


def _track(number: int, kind: bytes, entry: bytes, places: list[tuple[int, int]]) -> bytes:
    count = len(places)
    table = [
        full(b"stts", struct.pack(">III", 1, count, 1)),
        full(b"stsc", struct.pack(">IIII", 1, 1, 1, 1)),
        full(b"stsz", struct.pack(f">II{count}I", 0, count, *(size for _, size in places))),
        full(b"stco", struct.pack(f">I{count}I", count, *(start for start, _ in places))),
    ]
    return _trak(number, kind, entry, table, count)


def _trak(number: int, kind: bytes, entry: bytes, table: list[bytes], duration: int) -> bytes:
    head = struct.pack(">IIIII8xHHHH", 0, 0, number, 0, duration, 0, 0, 0, 0)
    size = struct.pack(">II", 64 << 16, 48 << 16)
    media = [
        full(b"mdhd", struct.pack(">IIIIHH", 0, 0, 25, duration, 0x55C4, 0)),
        full(b"hdlr", bytes(4), kind, bytes(13)),
        box(
            b"minf",
            full(b"vmhd", bytes(8)) if kind == b"vide" else full(b"smhd", bytes(4)),
            box(b"dinf", full(b"dref", struct.pack(">I", 1), box(b"url ", b"\0\0\0\1"))),
            box(b"stbl", full(b"stsd", struct.pack(">I", 1), entry), *table),
        ),
    ]
    return box(b"trak", full(b"tkhd", head, _matrix(), size), box(b"mdia", *media))
