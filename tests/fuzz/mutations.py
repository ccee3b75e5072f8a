"""Changes bytes: at random, and by the pieces that a file of a known structure is made of."""

import random
import re
import struct
from collections.abc import Callable, Sequence
from typing import NamedTuple

ODD = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 2**63 - 1, 2**64 - 1)
"""Numbers at which sizes and counts go wrong."""
CONTAINERS = {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts", b"moof", b"traf", b"mvex", b"udta", b"dinf"}
"""Boxes of ISO 14496-12 that are made of boxes."""
MASTERS = {
    b"\x18\x53\x80\x67", b"\x1f\x43\xb6\x75", b"\x16\x54\xae\x6b", b"\xae", b"\x15\x49\xa9\x66", b"\xa0",
    b"\x1c\x53\xbb\x6b",
}  # fmt: skip
"""Elements of Matroska that are made of elements."""
MOST_PIECES = 4000


class Piece(NamedTuple):
    """A part of a file that begins with a head which says what it is and how long."""

    start: int
    body: int
    """Where its head ends."""
    end: int
    size: tuple[int, int] | None = None
    """Where its head has its size: the place, and the bytes of the number."""
    name: tuple[int, int] | None = None
    """Where its head says what it is."""


def pieces(data: bytes) -> list[Piece]:
    """Return the pieces of a file, those within others too; of bytes of no known structure, runs of 64."""
    if data[4:8] in {b"ftyp", b"moov", b"styp", b"wide"}:
        found = _boxes(data, 0, len(data))
    elif data[:4] == b"\x1a\x45\xdf\xa3":
        found = _elements(data, 0, len(data))
    elif data[:4] in {b"RIFF", b"PK\3\4"}:
        found = _marks(data, rb"LIST|idx1|[0-9]{2}(?:dc|wb)|strh|strf|avih|indx|PK\x03\x04|PK\x01\x02|PK\x05\x06", 4)
    elif data[:1] == b"G" and data[188:189] == b"G":
        found = [Piece(at, at + 4, at + 188) for at in range(0, len(data) - 187, 188)]
    elif data[:4] in {b"OggS", b"DKIF"}:
        found = _marks(data, rb"OggS", 27) if data[:4] == b"OggS" else _ivf(data)
    elif data[:3] == b"FLV":
        found = _tags(data)
    elif data[:3] == b"\0\0\1" or data[:4] == b"\0\0\0\1":
        found = _marks(data, rb"\x00\x00\x01", 4)
    elif data[:4] == b"\x06\x0e\x2b\x34":  # MXF
        found = _marks(data, rb"\x06\x0e\x2b\x34", 17)
    else:
        found = []
    return found[:MOST_PIECES] or [Piece(at, at + 4, min(at + 64, len(data))) for at in range(0, len(data), 64)]


def _boxes(data: bytes, start: int, end: int) -> list[Piece]:
    found: list[Piece] = []
    while start + 8 <= end and len(found) < MOST_PIECES:
        size = int.from_bytes(data[start : start + 4], "big")
        stop = min(start + size, end) if size >= 8 else end
        found.append(Piece(start, start + 8, stop, (start, 4), (start + 4, 4)))
        if data[start + 4 : start + 8] in CONTAINERS:
            found += _boxes(data, start + 8, stop)
        start = stop
    return found


def _elements(data: bytes, start: int, end: int) -> list[Piece]:
    found: list[Piece] = []
    while start + 2 <= end and len(found) < MOST_PIECES and data[start]:
        width = 9 - data[start].bit_length()
        place = start + width
        if place >= end or not data[place]:
            break
        length = 9 - data[place].bit_length()
        size = int.from_bytes(data[place : place + length], "big") & ((1 << 7 * length) - 1)
        body = place + length
        stop = end if size == (1 << 7 * length) - 1 else min(body + size, end)
        found.append(Piece(start, body, stop, (place, length), (start, width)))
        if data[start:place] in MASTERS:
            found += _elements(data, body, stop)
        start = stop
    return found


def _marks(data: bytes, pattern: bytes, head: int) -> list[Piece]:
    starts = [match.start() for match in re.finditer(pattern, data)]
    ends = [*starts[1:], len(data)][: len(starts)]
    return [
        Piece(start, min(start + head, end), end, (start + head, 4), (start, 4))
        for start, end in zip(starts, ends, strict=True)
    ]


def _ivf(data: bytes) -> list[Piece]:
    found, start = [Piece(0, 4, 32, (24, 4), (8, 4))], 32
    while start + 12 <= len(data):
        end = min(start + 12 + int.from_bytes(data[start : start + 4], "little"), len(data))
        found.append(Piece(start, start + 12, end, (start, 4), (start + 4, 8)))
        start = end
    return found


def _tags(data: bytes) -> list[Piece]:
    found, start = [], 13
    while start + 11 <= len(data):
        end = min(start + 15 + int.from_bytes(data[start + 1 : start + 4], "big"), len(data))
        found.append(Piece(start, start + 11, end, (start + 1, 3), (start, 1)))
        start = end
    return found


def _number(chance: random.Random, width: int, near: int = 0) -> bytes:
    """Return a number of so many bytes at which something may go wrong."""
    value = chance.choice([*ODD, near, near + 1, max(near - 1, 0), near * 2, chance.getrandbits(8 * width)])
    return (value & ((1 << 8 * width) - 1)).to_bytes(width, chance.choice(["big", "big", "little"]))


def _put(data: bytes, place: int, part: bytes) -> bytes:
    return data[:place] + part + data[place + len(part) :]


def flip(chance: random.Random, data: bytes, _other: bytes) -> bytes:
    """Flip some bits."""
    changed = bytearray(data)
    for _ in range(chance.choice([1, 1, 2, 8, 40])):
        if changed:
            changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def overwrite(chance: random.Random, data: bytes, _other: bytes) -> bytes:
    """Overwrite a run of bytes."""
    place, size = chance.randrange(len(data) + 1), chance.choice([1, 4, 16, 200])
    part = chance.choice([bytes(size), b"\xff" * size, chance.randbytes(size)])
    return _put(data, place, part)[: len(data)]


def number(chance: random.Random, data: bytes, _other: bytes) -> bytes:
    """Write an odd number somewhere."""
    width = chance.choice([1, 2, 4, 8])
    return _put(data, chance.randrange(max(1, len(data) - width)), _number(chance, width, len(data)))


def cut(chance: random.Random, data: bytes, _other: bytes) -> bytes:
    """Cut the end off, or the beginning, or a run out of the middle."""
    first, last = sorted(chance.randrange(len(data) + 1) for _ in range(2))
    return chance.choice([data[:last], data[first:], data[:first] + data[last:]])


def splice(chance: random.Random, data: bytes, other: bytes) -> bytes:
    """Put the begin of one file before the end of another, or one behind the other."""
    here, there = chance.randrange(len(data) + 1), chance.randrange(len(other) + 1)
    return chance.choice([data[:here] + other[there:], data + other, data[:here] + other + data[here:]])


def size(chance: random.Random, data: bytes, _other: bytes) -> bytes:
    """Let a piece state another size."""
    sized = [piece for piece in pieces(data) if piece.size]
    if not sized:
        return number(chance, data, _other)
    piece = chance.choice(sized)
    place, width = piece.size or (0, 1)
    return _put(data, place, _number(chance, width, piece.end - piece.start))[: max(len(data), place + width)]


def count(chance: random.Random, data: bytes, _other: bytes) -> bytes:
    """Change a number near the begin of a piece's body, where counts are."""
    piece = chance.choice(pieces(data))
    place = min(piece.body + chance.choice([0, 4, 4, 8, 12]), max(len(data) - 4, 0))
    near = int.from_bytes(data[place : place + 4], "big")
    return _put(data, place, _number(chance, 4, near))


def rename(chance: random.Random, data: bytes, _other: bytes) -> bytes:
    """Give a piece the name of another."""
    named = [piece for piece in pieces(data) if piece.name]
    if not named:
        return flip(chance, data, _other)
    one, two = chance.choice(named), chance.choice(named)
    (here, width), (there, length) = one.name or (0, 1), two.name or (0, 1)
    return data[:here] + data[there : there + length] + data[here + width :]


def drop(chance: random.Random, data: bytes, _other: bytes) -> bytes:
    """Leave a piece out."""
    piece = chance.choice(pieces(data))
    return data[: piece.start] + data[piece.end :]


def repeat(chance: random.Random, data: bytes, _other: bytes) -> bytes:
    """Have a piece several times."""
    piece = chance.choice(pieces(data))
    part = data[piece.start : piece.end]
    times = max(1, min(chance.choice([1, 2, 30, 1000]), 300_000 // max(1, len(part))))
    return data[: piece.end] + part * times + data[piece.end :]


def exchange(chance: random.Random, data: bytes, _other: bytes) -> bytes:
    """Let two pieces change places."""
    one, two = sorted(chance.choice(pieces(data)) for _ in range(2))
    if one.end > two.start:
        return flip(chance, data, _other)
    parts = data[: one.start], data[two.start : two.end], data[one.end : two.start], data[one.start : one.end]
    return b"".join([*parts, data[two.end :]])


def borrow(chance: random.Random, data: bytes, other: bytes) -> bytes:
    """Put a piece of another file before a piece, or in its place."""
    here, there = chance.choice(pieces(data)), chance.choice(pieces(other or data))
    part = (other or data)[there.start : there.end]
    return data[: here.start] + part + data[chance.choice([here.start, here.end]) :]


def nest(chance: random.Random, data: bytes, _other: bytes) -> bytes:
    """Wrap a piece in its own head many times over."""
    piece = chance.choice(pieces(data))
    part = data[piece.start : piece.end]
    for _ in range(chance.choice([2, 20, 200])):
        if piece.size and piece.size[1] == 4:
            part = struct.pack(">I", len(part) + 8) + data[piece.start + 4 : piece.body] + part
        else:
            part = data[piece.start : piece.body] + part
    return data[: piece.start] + part[:500_000] + data[piece.end :]


CHANGES: Sequence[Callable[[random.Random, bytes, bytes], bytes]] = (
    flip, overwrite, number, cut, splice, size, size, count, count, rename, drop, repeat, exchange, borrow, nest,
)  # fmt: skip


def mutate(chance: random.Random, data: bytes, other: bytes) -> bytes:
    """Change bytes once to four times; `other` is what they may be spliced with."""
    for _ in range(chance.choice([1, 1, 1, 2, 2, 4])):
        if not data:
            break
        data = chance.choice(CHANGES)(chance, data, other)[:4_000_000]
    return data
