"""Videos that cost a decoder far more time or memory than their bytes: each of a kind that was found by an attack.

All are made by code, of a good video where that is possible, so that a decoder which bounds the cost may also answer.
"""

import io
import struct
from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import Any

import av
import numpy as np
from av.container import InputContainer

from tests.made import bombs, videos
from tests.made.bombs import box, full

SAME_BYTES = {"fflags": "bitexact"}
"""Of muxing: without random numbers, the same bytes each time."""
LETTERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef"
"""Thirty-two letters, of which names are made that differ."""


def good(container: str = "mp4", codec: str = "libx264", **how: Any) -> bytes:
    """Return a small good video, 24 frames of 64x48."""
    return videos.encode(videos.images(24), container, codec, **{"muxing": SAME_BYTES, **how})


def name(number: int) -> bytes:
    """Return the four letters of a number."""
    return bytes(LETTERS[number >> shift & 31] for shift in (15, 10, 5, 0))


def avi_names(count: int) -> bytes:
    """Write an AVI whose INFO list has so many entries: FFmpeg looks through all of them for each."""
    source = good("avi", "mpeg4")
    entries = b"".join(name(number) + struct.pack("<I", 2) + b"x\0" for number in range(count))
    info = b"LIST" + struct.pack("<I", 4 + len(entries)) + b"INFO" + entries
    place = 12 + 8 + int.from_bytes(source[16:20], "little")  # behind the list of headers
    whole = source[:place] + info + source[place:]
    return whole[:4] + struct.pack("<I", len(whole) - 8) + whole[8:]


def ogg_comments(count: int) -> bytes:
    """Write an Ogg of FLAC whose comments are so many, and no video: what is read at opening is the same."""
    comments = b"".join(struct.pack("<I", 6) + name(number) + b"=x" for number in range(count))
    packet = struct.pack("<I", 1) + b"x" + struct.pack("<I", count) + comments
    stream = b"\x7fFLAC\1\0\0\1fLaC\0\0\0\x22" + struct.pack(">HH", 4096, 4096) + bytes(6)
    stream += (44100 << 44 | 1 << 41 | 15 << 36).to_bytes(8, "big") + bytes(16)
    last = b"\x84" + len(packet).to_bytes(3, "big") + packet
    return b"".join([*_ogg_pages(stream, 2, 0), *_ogg_pages(last, 0, 1)])


def _ogg_pages(packet: bytes, flags: int, number: int) -> Iterator[bytes]:
    """Yield the pages of a packet, the first with these flags, from this number on."""
    for at in range(0, len(packet) + 1, 255 * 255):
        part = packet[at : at + 255 * 255]
        ends = at + 255 * 255 > len(packet)
        lacing = b"\xff" * (len(part) // 255) + (bytes([len(part) % 255]) if ends else b"")
        head = struct.pack("<4sBBqIII", b"OggS", 0, flags if not at else 1, 0, 7, number, 0) + bytes([len(lacing)])
        page = head + lacing + part
        yield page[:22] + struct.pack("<I", _ogg_check(page)) + page[26:]
        number += 1


@cache
def _ogg_table() -> list[int]:
    table = []
    for start in range(256):
        value = start << 24
        for _ in range(8):
            value = (value << 1 ^ (0x04C11DB7 if value >> 31 else 0)) & 0xFFFFFFFF
        table.append(value)
    return table


def _ogg_check(page: bytes) -> int:
    value, table = 0, _ogg_table()
    for byte in page:
        value = (value << 8 & 0xFFFFFFFF) ^ table[value >> 24 ^ byte]
    return value


def element(identity: bytes, *parts: bytes) -> bytes:
    """Return an element of Matroska, its size in eight bytes."""
    body = b"".join(parts)
    return identity + (1 << 56 | len(body)).to_bytes(8, "big") + body


def matroska(*elements: bytes) -> bytes:
    """Write a Matroska file that has these elements before those of a good one, in a segment without an end."""
    source = good("matroska")
    place = source.index(b"\x18\x53\x80\x67") + 4
    size = 9 - source[place].bit_length()
    return source[:place] + b"\1" + b"\xff" * 7 + b"".join(elements) + source[place + size :]


def matroska_tags(count: int) -> bytes:
    """Write a Matroska file of so many tags with different names."""
    tags = [element(b"\x67\xc8", element(b"\x45\xa3", name(i)), element(b"\x44\x87", b"x")) for i in range(count)]
    return matroska(element(b"\x12\x54\xc3\x67", element(b"\x73\x73", *tags)))


def matroska_chapters(count: int) -> bytes:
    """Write a Matroska file of so many chapters, their numbers falling: each is looked for among all before it."""
    atoms = [
        element(b"\xb6", element(b"\x73\xc4", struct.pack(">I", count - i)), element(b"\x91", struct.pack(">I", i)))
        for i in range(count)
    ]
    return matroska(element(b"\x10\x43\xa7\x70", element(b"\x45\xb9", *atoms)))


def matroska_cues(count: int) -> bytes:
    """Write a Matroska file of so many cues, their times falling: each is put before all others."""
    points = [
        element(
            b"\xbb",
            element(b"\xb3", struct.pack(">I", count - i)),
            element(b"\xb7", element(b"\xf7", b"\1"), element(b"\xf1", struct.pack(">I", 100))),
        )
        for i in range(count)
    ]
    return matroska(element(b"\x1c\x53\xbb\x6b", *points))


def in_movie(source: bytes, *boxes: bytes) -> bytes:
    """Put boxes at the end of the header of an MP4, which is at the end of the file."""
    at = source.rindex(b"moov") - 4
    body = source[at + 8 :] + b"".join(boxes)
    return source[:at] + struct.pack(">I", 8 + len(body)) + b"moov" + body


def mp4_names(count: int) -> bytes:
    """Write an MP4 of so many entries of metadata, each with a name of its own."""
    names = [box(b"mdta", name(number)) for number in range(count)]
    values = [
        box(struct.pack(">I", number + 1), box(b"data", struct.pack(">II", 1, 0), b"x")) for number in range(count)
    ]
    about = [
        full(b"hdlr", bytes(4), b"mdta", bytes(13)),
        full(b"keys", struct.pack(">I", count), *names),
        box(b"ilst", *values),
    ]
    return in_movie(good(), box(b"meta", *about))


def mp4_fragments(count: int, tracks: int = 60) -> bytes:
    """Write an MP4 whose index of fragments has so many entries: each takes a record for each track."""
    sounds = [_empty_track(2 + number) for number in range(tracks - 1)]
    source = in_movie(good(), *sounds)
    left, index = count, []
    while left:
        part = min(left, 65535)
        head = struct.pack(">IIIIHH", 1, 1000, 0, 0, 0, part)
        index.append(full(b"sidx", head, struct.pack(">III", 64, 1, 0x90000000) * part))
        left -= part
    return source + b"".join(index)


def _empty_track(number: int) -> bytes:
    table = [full(b"stts", bytes(4)), full(b"stsc", bytes(4)), full(b"stsz", bytes(8)), full(b"stco", bytes(4))]
    return bombs._trak(number, b"soun", bombs._sound(), table, 0)


def mp4_chapters(count: int) -> bytes:
    """Write an MP4 with a track of chapters of so many samples of two bytes: each takes 340 bytes of memory."""
    source = good()
    text = box(b"text", bytes(6), struct.pack(">H", 1), bytes(43))
    start = len(source)
    table = [
        full(b"stts", struct.pack(">III", 1, count, 1)),
        full(b"stsc", struct.pack(">IIII", 1, 1, count, 1)),
        full(b"stsz", struct.pack(">II", 2, count)),
        full(b"stco", struct.pack(">II", 1, start + 8)),
    ]
    at = source.rindex(b"moov") - 4
    names = box(b"mdat", bytes(2 * count))
    table[3] = full(b"stco", struct.pack(">II", 1, at + 8))
    head = in_movie(source, bombs._trak(2, b"text", text, table, count))
    moved = head[:at] + names + head[at:]
    track = moved.index(b"trak", moved.rindex(b"moov")) - 4
    size = int.from_bytes(moved[track : track + 4], "big")
    reference = box(b"tref", box(b"chap", struct.pack(">I", 2)))
    grown = struct.pack(">I", size + len(reference)) + moved[track + 4 : track + size] + reference
    movie = moved.rindex(b"moov") - 4
    whole = struct.pack(">I", len(moved) - movie + len(reference))
    return moved[:movie] + whole + moved[movie + 4 : track] + grown + moved[track + size :]


def scans(count: int) -> bytes:
    """Write a Motion JPEG whose picture has so many empty scans, in an MP4."""
    jpeg = bombs.picture()
    empty = b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00" * count
    return bombs.mp4([jpeg[:-2] + empty + jpeg[-2:]], [0] * 10)


def streams(count: int, side: int) -> bytes:
    """Write a Matroska file of so many VP9 streams of large pictures, each of which is decoded at opening."""
    picture = np.zeros((side, side, 3), np.uint8)
    source = videos.encode([picture], "webm", "libvpx-vp9", options={"deadline": "realtime", "cpu-used": "8"})
    target = io.BytesIO()
    with av.open(io.BytesIO(source)) as film, av.open(target, "w", format="matroska", options=SAME_BYTES) as output:
        assert isinstance(film, InputContainer)
        template = film.streams.video[0]
        copies = [output.add_stream_from_template(template) for _ in range(count)]
        packets = [packet for packet in film.demux(template) if packet.size]
        for packet in packets:
            for stream in copies:
                copy = av.Packet(bytes(packet))
                copy.pts, copy.dts, copy.time_base, copy.stream = 0, 0, packet.time_base, stream
                copy.is_keyframe = True
                output.mux(copy)
    return target.getvalue()


def one_packet(count: int, width: int = 1024, height: int = 576) -> bytes:
    """Write AV1 whose second packet holds a frame so many times: one call of the decoder gives all of them."""
    coding = {"preset": "12", "svtav1-params": "pred-struct=1"}
    source = videos.encode(videos.images(2, height, width), "ivf", "libsvtav1", options=coding)
    first = 32 + 12 + int.from_bytes(source[32:36], "little")
    packet = source[first + 12 :]
    packet += packet[2:] * (count - 1)  # less the mark that begins a packet
    return source[:first] + struct.pack("<I", len(packet)) + source[first + 4 : first + 12] + packet


def with_exif() -> bytes:
    """Write Motion JPEG as cameras do, each picture with EXIF: nothing is hostile about it."""
    source = good("avi", "mjpeg", pixels="yuvj420p")
    tags = b"Exif\0\0MM\0*\0\0\0\x08\0\1\x01\x12\0\3\0\0\0\1\0\1\0\0\0\0\0\0"
    target = io.BytesIO()
    with av.open(io.BytesIO(source)) as film, av.open(target, "w", format="avi") as output:
        assert isinstance(film, InputContainer)
        stream = output.add_stream_from_template(film.streams.video[0])
        for packet in film.demux(video=0):
            if packet.size:
                jpeg = bytes(packet)
                copy = av.Packet(jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(tags) + 2) + tags + jpeg[2:])
                copy.pts, copy.dts, copy.time_base, copy.stream = packet.pts, packet.dts, packet.time_base, stream
                copy.is_keyframe = True
                output.mux(copy)
    return target.getvalue()


KINDS: dict[str, Callable[[], bytes]] = {
    "AVI, names in INFO": partial(avi_names, 40_000),
    "Ogg, comments": partial(ogg_comments, 40_000),
    "Matroska, tags": partial(matroska_tags, 40_000),
    "Matroska, chapters": partial(matroska_chapters, 40_000),
    "Matroska, cues": partial(matroska_cues, 60_000),
    "MP4, names of metadata": partial(mp4_names, 30_000),
    "MP4, index of fragments": partial(mp4_fragments, 120_000),
    "MP4, chapters": partial(mp4_chapters, 500_000),
    "Motion JPEG, empty scans": partial(scans, 20_000),
    "Motion JPEG with EXIF": with_exif,
    "VP9, many streams": partial(streams, 24, 4096),
    "AV1, one packet": partial(one_packet, 300, 2048, 1152),
}
"""What a video does -> the function that makes it."""
