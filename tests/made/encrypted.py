"""Encrypted videos of each kind that there is, made of a film that is not."""

import numpy as np

from tests.made.awkward import film
from tests.made.shapes import _children, element

KEYS = {"encryption_key": "76a6c65c5ea762046bd749a2e632ccbb", "encryption_kid": "a7e61c373e219033c21091fa607bf3b8"}


def common(codec: str = "libx264", **muxing: str) -> bytes:
    """Encrypt the samples of an MP4 as streaming services do (ISO/IEC 23001-7, cenc)."""
    return film("mp4", codec, muxing={"encryption_scheme": "cenc-aes-ctr", **KEYS, **muxing})


def only_named() -> bytes:
    """Name the codec of an MP4 "encv", and leave out what says how its samples are encrypted."""
    source = common()
    for name in (b"senc", b"saiz", b"saio"):
        source = source.replace(name, b"free")
    return source


def scrambled(share: float = 1.0) -> bytes:
    """Scramble the packets of a transport stream, but for its tables, from some part of it on."""
    packets = np.frombuffer(film("mpegts"), np.uint8).reshape(-1, 188).copy()
    streams = (packets[:, 1].astype(int) & 0x1F) << 8 | packets[:, 2]
    video = np.flatnonzero(streams == np.argmax(np.bincount(streams)))
    for place in video[round(len(video) * (1 - share)) :]:
        packets[place, 3] |= 0x80
        packets[place, 4:] ^= np.random.default_rng(place).integers(0, 256, 184, np.uint8)
    return packets.tobytes()


def _vint(data: bytes) -> tuple[int, int]:
    length = 9 - data[0].bit_length()
    return length, int.from_bytes(data[:length], "big") & ((1 << 7 * length) - 1)


def matroska(kind: int = 1) -> bytes:
    """Say of the pictures (1) or of the sound (2) of a Matroska file that they are encrypted, as WebM does."""
    source = film("matroska", sound="aac", muxing={"live": "1"})
    tracks = source.rindex(b"\x16\x54\xae\x6b")  # the index before it names it too
    length, size = _vint(source[tracks + 4 :])
    content = source[tracks + 4 + length : tracks + 4 + length + size]
    cipher = element(b"\x47\xe1", b"\x05") + element(b"\x47\xe2", b"0123456789abcdef")
    encoding = element(b"\x50\x33", b"\x01") + element(b"\x50\x35", cipher)
    told = element(b"\x6d\x80", element(b"\x62\x40", encoding))
    changed = b"".join(
        element(name, body + told * (b"\x83\x81" + bytes([kind]) in body))
        for name, body in _children(content)
        if name == b"\xae"
    )
    return source[:tracks] + element(b"\x16\x54\xae\x6b", changed) + source[tracks + 4 + length + size :]


ENCRYPTED = {
    "cenc": common,
    "cenc_of_hevc": lambda: common("libx265"),
    "cenc_in_fragments": lambda: common(movflags="frag_keyframe+empty_moov"),
    "encv_alone": only_named,
    "encv_without_a_word_more": lambda: film().replace(b"avc1", b"encv"),
    "drmi": lambda: film().replace(b"avc1", b"drmi"),
    "scrambled": scrambled,
    "scrambled_from_within_a_packet": lambda: scrambled()[100:],
    "scrambled_after_a_while": lambda: scrambled(0.5),
    "matroska": matroska,
}
"""Name -> a file."""
