"""Videos whose container says what part of their pictures is shown, in which shape, and how they lie."""

import io
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Any

import av
import PIL.Image

from tests.made.videos import Image, encode

TRACK = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"avc1")
"""Where the description of the pictures of H.264 stands in MP4."""
_HEADS = {b"stsd": 8, b"avc1": 78}  # bytes before the boxes inside
_TRACKS, _TRACK, _VIDEO = b"\x16\x54\xae\x6b", b"\xae", b"\xe0"
EDGES = {"left": b"\x54\xcc", "top": b"\x54\xbb", "right": b"\x54\xdd", "bottom": b"\x54\xaa"}
"""Names of Matroska's elements for what is cropped."""
DISPLAY = {"width": b"\x54\xb0", "height": b"\x54\xba", "unit": b"\x54\xb2"}
"""Names of Matroska's elements for the display size."""
FLIPPED = {
    1: (1, 0, 0, 1), 2: (-1, 0, 0, 1), 3: (-1, 0, 0, -1), 4: (1, 0, 0, -1),
    5: (0, 1, 1, 0), 6: (0, 1, -1, 0), 7: (0, -1, -1, 0), 8: (0, -1, 1, 0),
}  # fmt: skip
"""EXIF's orientation -> the matrix (a, b, c, d) that displays the stored point (x, y) at (a x + c y, b x + d y)."""


def boxed(name: bytes, body: bytes) -> bytes:
    """Return a box of MP4."""
    return (8 + len(body)).to_bytes(4, "big") + name + body


def inserted(source: bytes, box: bytes, path: Sequence[bytes] = TRACK) -> bytes:
    """Add a box at the end of the innermost box of a path; the media lie before them all."""
    data, start, end, places = bytearray(source), 0, len(source), []
    for name in path:
        while data[start + 4 : start + 8] != name:
            start += int.from_bytes(data[start : start + 4], "big")
            if start >= end:
                raise ValueError(f"there is no box {name!r}")
        places.append(start)
        end = start + int.from_bytes(data[start : start + 4], "big")
        start += 8 + _HEADS.get(name, 0)
    for place in places:
        size = int.from_bytes(data[place : place + 4], "big") + len(box)
        data[place : place + 4] = size.to_bytes(4, "big")
    return bytes(data[:end] + box + data[end:])


def clean_aperture(wide: Fraction, high: Fraction, right: Fraction | int = 0, down: Fraction | int = 0) -> bytes:
    """Return the box `clap`: the size that is shown, and how far its middle lies from that of the picture."""
    numbers = [part for value in (wide, high, right, down) for part in Fraction(value).as_integer_ratio()]
    return boxed(b"clap", b"".join(number.to_bytes(4, "big", signed=True) for number in numbers))


def pixel_shape(across: int, down: int) -> bytes:
    """Return the box `pasp`."""
    return boxed(b"pasp", across.to_bytes(4, "big") + down.to_bytes(4, "big"))


def element(name: bytes, body: bytes) -> bytes:
    """Return an element of EBML."""
    return name + (len(body) | 1 << 56).to_bytes(8, "big") + body


def numbers(names: dict[str, bytes], values: dict[str, int]) -> bytes:
    """Return elements with whole numbers."""
    return b"".join(element(names[name], value.to_bytes(4, "big")) for name, value in values.items())


def matroska(frames: Iterable[Image], added: bytes, **options: Any) -> bytes:
    """Encode frames as Matroska with more elements in the description of the pictures, in place of those it has."""
    source = encode(frames, "matroska", muxing={"live": "1"}, **options)
    at = source.rindex(_TRACKS)  # the index before it names it too
    whole = dict(_children(source[at:], 1))[_TRACKS]
    old = len(source[at:]) - len(_rest(source[at:]))
    replaced = {name for name, _ in _children(added)}
    tracks = b""
    for name, body in _children(whole):
        inside = (
            []
            if name != _TRACK
            else [
                element(inner, _but(video, replaced) + added if inner == _VIDEO else video)
                for inner, video in _children(body)
            ]
        )
        if name != b"\xbf":  # a checksum, which is another one now
            tracks += element(name, b"".join(inside) or body)
    return source[:at] + element(_TRACKS, tracks) + source[at + old :]


def _but(body: bytes, names: set[bytes]) -> bytes:
    return b"".join(element(name, inner) for name, inner in _children(body) if name not in names)


def _children(body: bytes, most: int = 1000) -> list[tuple[bytes, bytes]]:
    found: list[tuple[bytes, bytes]] = []
    while body and len(found) < most:
        wide = 9 - body[0].bit_length()
        long = 9 - body[wide].bit_length()
        size = int.from_bytes(body[wide : wide + long], "big") & ((1 << 7 * long) - 1)
        found.append((body[:wide], body[wide + long : wide + long + size]))
        body = body[wide + long + size :]
    return found


def _rest(body: bytes) -> bytes:
    """Return what follows the first element."""
    wide = 9 - body[0].bit_length()
    long = 9 - body[wide].bit_length()
    return body[wide + long + (int.from_bytes(body[wide : wide + long], "big") & ((1 << 7 * long) - 1)) :]


def with_exif(orientation: int) -> bytes:
    """Return the EXIF segment of a JPEG that lies in some way, as cameras write it."""
    target = io.BytesIO()
    exif = PIL.Image.Exif()
    exif[274] = orientation
    PIL.Image.new("RGB", (16, 16)).save(target, "JPEG", exif=exif)
    jpeg = target.getvalue()
    at = jpeg.index(b"\xff\xe1")
    return jpeg[at : at + 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big")]


def lying(frames: Iterable[Image], orientations: Sequence[int], container: str = "avi") -> bytes:
    """Encode frames as Motion JPEG, each with EXIF of one of the orientations in turn."""
    target = io.BytesIO()
    with av.open(target, "w", format=container) as output:
        stream: Any = output.add_stream("mjpeg", rate=25, options={"q:v": "2"})
        stream.pix_fmt = "yuvj444p"
        for number, image in enumerate(frames):
            if number == 0:
                stream.height, stream.width = image.shape[:2]
            frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format="yuvj444p")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            for packet in stream.encode(frame):
                jpeg = bytes(packet)
                changed = av.Packet(jpeg[:2] + with_exif(orientations[number % len(orientations)]) + jpeg[2:])
                changed.stream, changed.time_base, changed.is_keyframe = stream, packet.time_base, True
                changed.pts, changed.dts = packet.pts, packet.dts
                output.mux(changed)
    return target.getvalue()
