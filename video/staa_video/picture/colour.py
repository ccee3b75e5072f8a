"""Converts the colours that a frame names to those of a plain screen: SDR with the primaries of BT.709.

Most frames need nothing of it: FFmpeg applies their matrix and range. HDR (PQ, HLG), wide gamut (BT.2020, P3) and the
matrices that FFmpeg does not know become a table of three dimensions, which Pillow applies. Numbers
of matrices, primaries and transfers are those of ITU-T H.273; HDR follows ITU-R BT.2100, its white ITU-R BT.2408.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray
from PIL import Image
from PIL.ImageFilter import Color3DLUT

Values = NDArray[np.float64]
"""(..., 3) colour values; 0 to 1 is the range of the signal, or of the light of a screen."""

SIZE = 65
"""Edge of a table, entries; between them Pillow interpolates."""
WHITE_NITS = 203.0
"""Light of HDR's reference white (BT.2408), which becomes SDR's white."""
PEAK_NITS = {16: 10_000.0, 18: 1000.0}
"""Transfer -> the brightest light that it can name; of HLG, which is relative, that of the usual screen."""
KNEE = 0.7
"""Share of the reference white below which tone mapping changes nothing."""

GAMMA = 2.4
"""The exponent of an SDR screen (BT.1886), for all SDR but sRGB."""

_PQ, _HLG, _SRGB = 16, 18, 13
_HDR = {_PQ: "PQ", _HLG: "HLG"}
_WIDE = {9: "BT.2020", 11: "DCI-P3", 12: "Display P3"}
_UNNAMED, _BT709, _BT2020 = 2, 1, 9
_FULL = 2
"""FFmpeg's number of the range of all values."""
_NAMING = ("mov", "matroska")
"""Containers that may name colours which their frames do not."""
_BY_FFMPEG = {0, 1, 2, 4, 5, 6, 7, 9}
_YCGCO, _BT2020_CONSTANT, _DERIVED, _DERIVED_CONSTANT, _ICTCP = 8, 10, 12, 13, 14
_SAME_NUMBERS = {1, 5, 6, 7, 9}  # matrices that have the number of their primaries
_D65, _C, _DCI = (0.3127, 0.3290), (0.310, 0.316), (0.314, 0.351)
_XY = {  # primaries -> x, y of red, green, blue and white
    1: ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060), _D65),
    4: ((0.670, 0.330), (0.210, 0.710), (0.140, 0.080), _C),
    5: ((0.640, 0.330), (0.290, 0.600), (0.150, 0.060), _D65),
    6: ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070), _D65),
    7: ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070), _D65),
    8: ((0.681, 0.319), (0.243, 0.692), (0.145, 0.049), _C),
    9: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046), _D65),
    11: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), _DCI),
    12: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), _D65),
    22: ((0.630, 0.340), (0.295, 0.605), (0.155, 0.077), _D65),
}
_LMS = np.array([[1688, 2146, 262], [683, 2951, 462], [99, 309, 3688]]) / 4096  # of linear BT.2020 (BT.2100, table 7)
_ICTCP_OF_LMS = {  # transfer -> BT.2100, table 7
    _PQ: np.array([[2048, 2048, 0], [6610, -13613, 7003], [17933, -17390, -543]]) / 4096,
    _HLG: np.array([[2048, 2048, 0], [3625, -7465, 3840], [9500, -9212, -288]]) / 4096,
}
_CONSTANT = "colours of constant luminance taken as those of the same primaries without it"


@dataclass(frozen=True, slots=True, eq=False)
class Conversion:
    """Says how the pictures of a frame become plain ones."""

    matrix: int
    """The colour matrix that FFmpeg is to take; it knows it."""
    form: str = "rgb24"
    """FFmpeg's name of the pixels in which the picture is wanted: "rgb24" is plain; of others `plain` makes that."""
    codes: NDArray[np.uint8] | None = None
    """(65536,) place in the table of each value of 16 bits, 0 to 255."""
    chroma: NDArray[np.uint8] | None = None
    """(65536,) the same for Cb and Cr, where the picture is YUV."""
    table: Color3DLUT | None = None
    """The plain colours of each place."""
    notes: tuple[str, ...] = ()
    """What is done, in words."""

    def plain(self, picture: NDArray[np.uint16]) -> NDArray[np.uint8]:
        """Return a picture (H, W, 3) of 16 bits in plain colours of 8."""
        if self.codes is None or self.table is None:
            raise ValueError("a picture in plain colours needs no conversion")
        coded = self.codes[picture]
        if self.chroma is not None:
            coded[..., 1:] = self.chroma[picture[..., 1:]]
        return np.asarray(Image.fromarray(coded).filter(self.table), np.uint8)


class Named(NamedTuple):
    """Holds the colours that a container names."""

    matrix: int = _UNNAMED
    primaries: int = _UNNAMED
    transfer: int = _UNNAMED
    range: int = 0

    @classmethod
    def by(cls, stream: VideoStream) -> "Named":
        """Return what a container names of a stream of which no frame was decoded yet."""
        context = stream.codec_context
        if not stream.container.format.name.startswith(_NAMING):  # there it is what the first frames name
            return cls()
        return cls(context.colorspace, context.color_primaries, context.color_trc, context.color_range)

    def name(self, frame: VideoFrame) -> None:
        """Name the colours of a frame that it does not name itself.

        A decoder names the usual range where there is none: the full one is taken where nothing else is named.
        """
        if self.range == _FULL and {frame.colorspace, frame.color_primaries, frame.color_trc} == {_UNNAMED}:
            frame.color_range = _FULL
        if frame.colorspace == _UNNAMED:
            frame.colorspace = self.matrix
        if frame.color_primaries == _UNNAMED:
            frame.color_primaries = self.primaries
        if frame.color_trc == _UNNAMED:
            frame.color_trc = self.transfer


NOTHING_NAMED = Named()
"""What most containers name."""


def conversion(frame: VideoFrame) -> Conversion:
    """Return how a frame becomes a plain picture; what it does not name is taken as SDR of BT.601 and BT.709."""
    form = frame.format
    if form.is_rgb or len(form.components) < 3:  # no matrix is applied to these
        return _conversion(_UNNAMED, frame.color_primaries, frame.color_trc, 0xFFFF)
    return _conversion(frame.colorspace, frame.color_primaries, frame.color_trc, 0xFF00)  # 255 of 8 bits, for FFmpeg


@lru_cache(32)
def _conversion(matrix: int, primaries: int, transfer: int, top: int) -> Conversion:
    hdr, wide = transfer in _HDR, primaries in _WIDE
    known, odd, notes = _known(matrix, primaries, hdr=hdr)
    if hdr:
        notes += (f"HDR ({_HDR[transfer]}) tone-mapped to SDR",)
    elif wide:
        notes += (f"colours of {_WIDE[primaries]} converted to BT.709",)
    if not (hdr or wide or odd):
        return Conversion(known, notes=notes)
    if primaries not in _XY:
        primaries = _BT2020 if hdr else _BT709
    signal = np.minimum(np.arange(0x10000) / (top if odd is None else 0xFFFF), 1)
    places = screen_signal(_mapped(linear(signal, transfer), transfer)) if hdr and odd is None else signal
    codes, table = np.rint(255 * places).astype(np.uint8), _table(odd, primaries, transfer)
    if odd is None:
        return Conversion(known, "rgb48le", codes, table=table, notes=notes)
    chroma = np.minimum((np.arange(0x10000) + 0x80) >> 8, 255).astype(np.uint8)  # 0x8000 is no colour
    return Conversion(known, "yuv444p16le", codes, chroma, table, notes)


def _known(matrix: int, primaries: int, *, hdr: bool) -> tuple[int, int | None, tuple[str, ...]]:
    """Return the matrix that FFmpeg is to take, that which is applied here (None: that of FFmpeg), and notes."""
    if matrix == _BT2020_CONSTANT:
        return _BT2020, None, (_CONSTANT,)
    if matrix in {_DERIVED, _DERIVED_CONSTANT}:
        notes = (_CONSTANT,) if matrix == _DERIVED_CONSTANT else ()
        if primaries in _SAME_NUMBERS or primaries not in _XY:
            return (primaries if primaries in _SAME_NUMBERS else _UNNAMED), None, notes
        return _UNNAMED, _DERIVED, notes
    if matrix == _YCGCO or (matrix == _ICTCP and hdr):
        return _UNNAMED, matrix, ()
    if matrix == _UNNAMED or matrix not in _BY_FFMPEG:
        taken = _BT2020 if primaries == _BT2020 or (hdr and primaries not in _XY) else _UNNAMED
        name = "BT.2020" if taken == _BT2020 else "BT.601"
        unknown = f"colour matrix {matrix} of H.273 is not known here: taken as that of {name}"
        return taken, None, (() if matrix == _UNNAMED else (unknown,))
    return matrix, None, ()


def _mapped(light: Values, transfer: int) -> Values:
    """Return tone-mapped light for light of `linear`; of HLG, as if a screen showed each colour by itself."""
    peak = PEAK_NITS[transfer] / WHITE_NITS
    return tone_mapped(light * (peak if transfer == _HLG else 1), peak)


@lru_cache(16)
def _table(matrix: int | None, primaries: int, transfer: int) -> Color3DLUT:
    """Return the signal of an SDR screen for each place.

    A place is a value of YUV, if there is a matrix; else R'G'B', of HDR tone-mapped and coded as on a screen. Values of
    HDR that were not tone-mapped would lie too far apart, and values between two of them be wrong.
    """
    edge = np.linspace(0, 1, SIZE)
    third, second, first = np.meshgrid(edge, edge, edge, indexing="ij")  # the first channel runs fastest
    places = np.stack([first, second, third], -1)
    if matrix is None:
        light = linear(places, _SRGB if transfer in _HDR else transfer)
        if transfer == _HLG:
            peak = PEAK_NITS[_HLG] / WHITE_NITS
            light = tone_mapped(_on_screen(unmapped(light, peak) / peak, primaries), peak)
    else:
        light = _of_yuv(places - np.array([0, 128, 128]) / 255, matrix, primaries, transfer)
        if transfer in _HDR:
            shown = _on_screen(light, primaries) if transfer == _HLG else light
            light = tone_mapped(shown, PEAK_NITS[transfer] / WHITE_NITS)
    if transfer in _HDR or primaries in _WIDE:
        light = light @ (np.linalg.inv(xyz(_BT709)) @ xyz(primaries)).T
    return Color3DLUT(SIZE, screen_signal(light, transfer).astype(np.float32).ravel())


def _on_screen(scene: Values, primaries: int) -> Values:
    """Return the light of HLG on a screen of 1000 cd/m2, which shows that of a scene with a gamma of 1.2 (BT.2100)."""
    luminance = np.maximum(scene @ luma(primaries), 0)[..., None]
    return np.asarray(scene * luminance**0.2 * PEAK_NITS[_HLG] / WHITE_NITS)


def linear(signal: Values, transfer: int) -> Values:
    """Return the light that a signal of 0 to 1 stands for: in multiples of the white, for HLG that of the scene."""
    signal = np.clip(signal, 0, 1)
    if transfer == _PQ:  # SMPTE ST 2084
        root = signal ** (32 / 2523)
        light = (np.maximum(root - 3424 / 4096, 0) / (2413 / 128 - 2392 / 128 * root)) ** (8192 / 1305)
        return np.asarray(light * PEAK_NITS[_PQ] / WHITE_NITS)
    if transfer == _HLG:  # ARIB STD-B67
        bright = (np.exp((signal - 0.55991073) / 0.17883277) + 0.28466892) / 12
        return np.asarray(np.where(signal <= 0.5, signal**2 / 3, bright))
    if transfer == _SRGB:
        return np.asarray(np.where(signal <= 0.04045, signal / 12.92, ((signal + 0.055) / 1.055) ** 2.4))
    return np.asarray(signal**GAMMA)


def screen_signal(light: Values, transfer: int = _SRGB) -> Values:
    """Return the signal, 0 to 1, for this light of an SDR screen: of SDR with its own curve, so that greys stay."""
    light = np.clip(light, 0, 1)
    if transfer != _SRGB and transfer not in _HDR:
        return np.asarray(light ** (1 / GAMMA))
    return np.asarray(np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055))


def tone_mapped(light: Values, peak: float) -> Values:
    """Return light in multiples of the white, each of red, green and blue by itself, of which none is above 1.

    Up to KNEE it is left as it is, and follows a Moebius curve above, so that `peak` becomes 1. This is the curve
    `mobius` of FFmpeg's filter tonemap and of libplacebo. It is the same for all videos: the brightest light that a
    file states of itself is often wrong, and its brightest frame is not known before all are decoded.
    """
    a, b, scale = _moebius(peak)
    light = np.clip(light, 0, peak)
    return np.asarray(np.where(light > KNEE, scale * (light + a) / (light + b), light))


def unmapped(mapped: Values, peak: float) -> Values:
    """Return the light that `tone_mapped` makes this of."""
    a, b, scale = _moebius(peak)
    mapped = np.clip(mapped, 0, 1)
    return np.asarray(np.where(mapped > KNEE, (scale * a - mapped * b) / (mapped - scale), mapped))


def _moebius(peak: float) -> tuple[float, float, float]:
    a = -KNEE * KNEE * (peak - 1) / (KNEE * KNEE - 2 * KNEE + peak)
    b = (KNEE * KNEE - 2 * KNEE * peak + peak) / (peak - 1)
    return a, b, (b * b + 2 * b * KNEE + KNEE * KNEE) / (b - a)


def xyz(primaries: int) -> NDArray[np.float64]:
    """Return (3, 3), the matrix from linear RGB of these primaries to CIE XYZ, in which the white is that of D65."""
    *corners, (x, y) = _XY[primaries]
    columns = np.array([(u / v, 1.0, (1 - u - v) / v) for u, v in corners]).T
    scale = np.linalg.solve(columns, np.array([x / y, 1.0, (1 - x - y) / y]))
    matrix = columns * scale
    white = np.array([_D65[0] / _D65[1], 1.0, (1 - sum(_D65)) / _D65[1]])
    return np.asarray(matrix if (x, y) == _D65 else _adapted(matrix, white))


def _adapted(matrix: NDArray[np.float64], white: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the matrix with its white moved to another one, in the way of Bradford."""
    cones = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
    gain = (cones @ white) / (cones @ matrix.sum(1))
    return np.asarray(np.linalg.inv(cones) @ np.diag(gain) @ cones @ matrix)


def luma(primaries: int) -> NDArray[np.float64]:
    """Return (3,), the shares of red, green and blue in the luminance of their white."""
    *corners, (x, y) = _XY[primaries]
    columns = np.array([(u / v, 1.0, (1 - u - v) / v) for u, v in corners]).T
    return np.asarray(np.linalg.solve(columns, np.array([x / y, 1.0, (1 - x - y) / y])))


def _of_yuv(yuv: Values, matrix: int, primaries: int, transfer: int) -> Values:
    """Return the light of Y', Cb and Cr (around 0) by a matrix that FFmpeg does not know (H.273, table 4)."""
    if matrix == _ICTCP:
        return np.asarray(linear(yuv @ np.linalg.inv(_ICTCP_OF_LMS[transfer]).T, transfer) @ np.linalg.inv(_LMS).T)
    y, cb, cr = yuv[..., 0], yuv[..., 1], yuv[..., 2]
    if matrix == _YCGCO:
        return linear(np.stack([y - cb + cr, y + cb, y - cb - cr], -1), transfer)
    red, green, blue = luma(primaries)
    r, b = y + 2 * (1 - red) * cr, y + 2 * (1 - blue) * cb
    return linear(np.stack([r, (y - red * r - blue * b) / green, b], -1), transfer)
