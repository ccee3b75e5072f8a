"""Reads what a container says of itself and FFmpeg does not tell: that it is encrypted, or that its end is missing."""

import io
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
from av.packet import Packet
from av.video.stream import VideoStream

from staa_video.errors import DecodeError

ENCRYPTED = "the video is encrypted (DRM): send it without encryption"
_LOOKED_AT = 2**22
"""Bytes at the begin of a transport stream in which its encryption is looked for."""
_MOST_BOXES = 100_000
_TOP_LEVEL = frozenset(
    b"ftyp styp moov moof mfra mdat free skip wide uuid meta pdin sidx ssix prft emsg pnot udta PICT junk".split()
)
"""Boxes at the top level of an MP4 or MOV; what has another name may be anything that a program put behind them."""
_MATROSKA, _SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"
_SYNC, _TS_BYTES, _FILLER = 0x47, (188, 192, 204), 0x1FFF


def check_packet(packet: "Packet[VideoStream]") -> None:
    """Raise DecodeError if the data of a packet are encrypted."""
    if packet.has_sidedata("encryption_info"):
        raise DecodeError(ENCRYPTED)


def is_scrambled(file: BinaryIO) -> bool:
    """Tell whether the stream with the most packets of an MPEG transport stream is scrambled.

    A recording may begin within a packet, so that a file of another kind may look like one. It is left at its start.
    """
    file.seek(0)
    data = np.frombuffer(file.read(_LOOKED_AT), np.uint8)
    file.seek(0)
    for length in _TS_BYTES:
        for begin in np.flatnonzero(data[:length] == _SYNC).tolist():
            heads = data[begin:][: (len(data) - begin) // length * length].reshape(-1, length)
            if len(heads) >= 3 and np.all(heads[:3, 0] == _SYNC):
                packets = heads[heads[:, 0] == _SYNC]
                streams = (packets[:, 1].astype(int) & 0x1F) << 8 | packets[:, 2]
                most = np.argmax(np.bincount(streams, minlength=_FILLER)[:_FILLER])
                return bool(np.mean((packets[streams == most, 3] & 0xC0) > 0x40) > 0.1)
    return False


def is_cut(file: BinaryIO) -> bool:
    """Tell whether a file says that it has more bytes than there are; its position is kept."""
    position = file.tell()
    try:
        size = file.seek(0, io.SEEK_END)
        file.seek(0)
        head = file.read(64)
        if head.startswith(_MATROSKA):
            at = head.find(_SEGMENT)
            length, stated = _vint(head[at + 4 : at + 12])
            return at > 0 and stated is not None and at + 4 + length + stated > size
        if head.startswith(b"RIFF"):
            stated = int.from_bytes(head[4:8], "little")
            return 0 < stated < 2**32 - 1 and stated + 8 > size + 1
        return head[4:8] == b"ftyp" and _last_box_ends(file) > size
    finally:
        file.seek(position)


def ends_within_a_packet(file: BinaryIO, name: str) -> bool:
    """Tell whether a file of MPEG-TS or FLV ends within one of its packets; its position is kept."""
    position = file.tell()
    try:
        size = file.seek(0, io.SEEK_END)
        if name == "flv":
            file.seek(max(0, size - 4))
            before = int.from_bytes(file.read(4), "big")  # bytes of the last tag
            file.seek(max(0, size - 4 - before))
            return int.from_bytes(file.read(4)[1:], "big") + 11 != before
        file.seek(0)
        head = file.read(8 * max(_TS_BYTES))
        for length in _TS_BYTES:
            for begin in range(length):
                if len(head) > begin + 4 * length and set(head[begin::length][:5]) == {_SYNC}:
                    return (size - begin) % length != 0
        return True
    finally:
        file.seek(position)


def is_still(file: BinaryIO) -> bool:
    """Tell whether a file is a still picture of HEIF (AVIF, HEIC), which has no track; it is left at its start."""
    file.seek(0)
    kinds = [kind for kind, _ in _boxes(file)] if file.read(12)[4:8] == b"ftyp" else []
    file.seek(0)
    return b"meta" in kinds and not {b"moov", b"moof"}.intersection(kinds)


def _last_box_ends(file: BinaryIO) -> int:
    """Return where the last box of an MP4 ends, as it states; 0 where that is not known."""
    end = 0
    for name, stated in _boxes(file):
        if not stated:
            return 0
        end = stated if name in _TOP_LEVEL else end
    return end


def _boxes(file: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """Yield the name of each box at the top level of an MP4, and where it ends; 0 where that is not known."""
    at = 0
    for _ in range(_MOST_BOXES):
        file.seek(at)
        head = file.read(16)
        if len(head) < 8:
            return
        size = int.from_bytes(head[:4], "big")
        if size == 1:
            size = int.from_bytes(head[8:], "big")
        if size < 8 or not head[4:8].isalnum():  # to the end of the file, or what is no box
            yield head[4:8], 0
            return
        at += size
        yield head[4:8], at


def _vint(data: bytes) -> tuple[int, int | None]:
    """Return the bytes and the value of a number of Matroska; None for one that is not known."""
    length = 9 - data[0].bit_length() if data and data[0] else 8
    value = int.from_bytes(data[:length], "big") & ((1 << 7 * length) - 1)
    return length, None if value == (1 << 7 * length) - 1 else value
