"""Encrypted videos of each kind that there is, made of a film that is not."""

import numpy as np

from tests.made.awkward import film

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


def _element(name: bytes, content: bytes) -> bytes:
    return name + (1 << 56 | len(content)).to_bytes(8, "big") + content


def matroska() -> bytes:
    """Say of the track of a Matroska file that its frames are encrypted, as WebM does."""
    source = film("matroska")
    tracks, segment = source.index(b"\x16\x54\xae\x6b"), source.index(b"\x18\x53\x80\x67")
    length, size = _vint(source[tracks + 4 :])
    content = source[tracks + 4 + length : tracks + 4 + length + size]
    entry = content.index(b"\xae")
    inner, stated = _vint(content[entry + 1 :])
    track = content[entry + 1 + inner : entry + 1 + inner + stated]
    cipher = _element(b"\x47\xe1", b"\x05") + _element(b"\x47\xe2", b"0123456789abcdef")
    encoding = _element(b"\x50\x33", b"\x01") + _element(b"\x50\x35", cipher)
    told = _element(b"\x6d\x80", _element(b"\x62\x40", encoding))
    changed = content[:entry] + _element(b"\xae", track + told) + content[entry + 1 + inner + stated :]
    unknown = b"\x01" + b"\xff" * 7
    return b"".join(
        (
            source[: segment + 4],
            unknown,
            source[segment + 12 : tracks],
            _element(b"\x16\x54\xae\x6b", changed),
            source[tracks + 4 + length + size :],
        )
    )


ENCRYPTED = {
    "cenc": common,
    "cenc_of_hevc": lambda: common("libx265"),
    "cenc_in_fragments": lambda: common(movflags="frag_keyframe+empty_moov"),
    "encv_alone": only_named,
    "scrambled": scrambled,
    "scrambled_after_a_while": lambda: scrambled(0.5),
    "matroska": matroska,
}
"""Name -> a file."""
