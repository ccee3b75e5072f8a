"""Videos in other colours than those of a plain screen, made from plain pictures by the formulas of the standards.

They go from the screen to the signal, and what is tested goes back: nothing of it is used here. The pictures are taken
as sRGB, and white is 203 cd/m2 in HDR (BT.2408).
"""

import io
import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from tests.made.shapes import TRACK, boxed, inserted
from tests.made.videos import Image, writing

Signal = NDArray[np.float64]
"""(H, W, 3) values of 0 to 1."""
PQ, HLG, SRGB, BT709 = 16, 18, 13, 1
LIMITED, FULL = 1, 2
BT2020, P3 = 9, 12
# Linear BT.709 in other primaries: BT.2087, table 4, and the same sum for P3 with the white of D65.
TO_BT2020 = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])
TO_P3 = np.array([[0.82246, 0.17754, 0.0], [0.03319, 0.96681, 0.0], [0.01708, 0.07240, 0.91052]])
PRIMARIES = {1: np.eye(3), BT2020: TO_BT2020, P3: TO_P3}
LUMA = {1: (0.2126, 0.7152, 0.0722), 9: (0.2627, 0.6780, 0.0593)}


@dataclass(frozen=True, slots=True)
class Colours:
    """Says in which colours a video is written."""

    transfer: int
    primaries: int = BT2020
    matrix: int = 9
    range: int = LIMITED
    pixels: str = "yuv420p10le"
    codec: str = "libx265"
    container: str = "mp4"
    options: dict[str, str] = field(default_factory=dict)
    boxed: bool = False
    """Whether a box of MP4 names them (`colr`), and the frames do not."""


def light(image: Image) -> Signal:
    """Return the light of a picture on a screen, 1 is its white."""
    signal = image / 255
    return np.asarray(np.where(signal <= 0.04045, signal / 12.92, ((signal + 0.055) / 1.055) ** 2.4))


def signal_of(shown: Signal, colours: Colours) -> Signal:
    """Return the signal R'G'B' of linear light of BT.709, in multiples of the white."""
    linear = np.maximum(shown @ PRIMARIES[colours.primaries].T, 0)
    return coded(linear, colours.transfer)


def coded(linear: Signal, transfer: int) -> Signal:
    """Return the signal of linear light in its own primaries."""
    if transfer == PQ:  # BT.2100, table 4
        power = (linear * 203 / 10_000) ** 0.1593017578125
        return np.asarray(((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)) ** 78.84375)
    if transfer == HLG:  # BT.2100, table 5, on a screen of 1000 cd/m2
        screen = linear * 203 / 1000
        luminance = np.maximum(screen @ LUMA[9], 1e-12)[..., None]
        return oetf_of_hlg(screen * luminance ** (1 / 1.2 - 1))
    if transfer == SRGB:
        return np.asarray(np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055))
    return np.asarray(linear ** (1 / 2.4))  # BT.1886


def oetf_of_hlg(scene: Signal) -> Signal:
    """Return the signal of the light of a scene."""
    bright = 0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-9)) + 0.55991073
    return np.asarray(np.where(scene <= 1 / 12, np.sqrt(3 * scene), bright))


def yuv(rgb: Signal, colours: Colours, shown: Signal | None = None) -> Signal:
    """Return Y, Cb and Cr of a signal by its matrix; 8 is YCgCo, and 14 is ICtCp, which needs the light itself."""
    if colours.matrix == 8:
        r, g, b = np.moveaxis(rgb, -1, 0)
        return np.stack([r / 4 + g / 2 + b / 4, -r / 4 + g / 2 - b / 4, r / 2 - b / 2], -1)
    if colours.matrix == 14 and shown is not None:  # BT.2100, tables 6 and 7
        cones = np.array([[1688, 2146, 262], [683, 2951, 462], [99, 309, 3688]]) / 4096
        linear = np.maximum(shown @ TO_BT2020.T, 0)
        if colours.transfer == PQ:
            lms = coded(linear @ cones.T, PQ)
            rows = [[2048, 2048, 0], [6610, -13613, 7003], [17933, -17390, -543]]
        else:
            screen = linear * 203 / 1000
            scene = screen * np.maximum(screen @ LUMA[9], 1e-12)[..., None] ** (1 / 1.2 - 1)
            lms = oetf_of_hlg(scene @ cones.T)
            rows = [[2048, 2048, 0], [3625, -7465, 3840], [9500, -9212, -288]]
        return np.asarray(lms @ np.array(rows).T / 4096)
    red, green, blue = LUMA[colours.matrix] if colours.matrix in LUMA else derived(colours.primaries)
    y = rgb @ np.array([red, green, blue])
    return np.stack([y, (rgb[..., 2] - y) / (2 - 2 * blue), (rgb[..., 0] - y) / (2 - 2 * red)], -1)


def derived(primaries: int) -> tuple[float, float, float]:
    """Return the shares of red, green and blue in the luminance of P3, or of BT.709 and BT.2020."""
    return (0.2290, 0.6917, 0.0793) if primaries == P3 else LUMA[primaries]


def frame_of(image: Image, colours: Colours, brighter: float = 1.0) -> av.VideoFrame:
    """Return a frame of a picture in other colours; `brighter` multiplies its light."""
    shown = light(image) * brighter
    planes = yuv(signal_of(shown, colours), colours, shown)
    if colours.range == FULL:
        values = planes * 65535 + np.array([0, 32768, 32768])
    else:
        values = planes * np.array([219, 224, 224]) * 256 + np.array([16, 128, 128]) * 256
    packed = np.rint(np.clip(values, 0, 65535)).astype(np.uint16)
    frame = av.VideoFrame(image.shape[1], image.shape[0], "yuv444p16le")
    for index, plane in enumerate(frame.planes):
        rows = np.zeros((plane.height, plane.line_size // 2), np.uint16)
        rows[:, : plane.width] = packed[..., index]
        plane.update(rows.tobytes())
    frame.color_range = colours.range
    made = frame.reformat(format=colours.pixels, src_color_range=colours.range, dst_color_range=colours.range)
    made.color_range, made.colorspace = colours.range, colours.matrix
    made.color_primaries, made.color_trc = colours.primaries, colours.transfer
    return made


def film(images: Iterable[Image], colours: Colours, rate: int = 25) -> bytes:
    """Encode pictures in other colours, which the file names, with a key frame every ten."""
    target = io.BytesIO()
    with writing(target, colours.container) as output:
        stream: Any = output.add_stream(colours.codec, rate=rate, options={"g": "10", **colours.options})
        stream.pix_fmt, context = colours.pixels, stream.codec_context
        context.time_base = Fraction(1, rate)
        if not colours.boxed:
            context.colorspace, context.color_range = colours.matrix, colours.range
            context.color_primaries, context.color_trc = colours.primaries, colours.transfer
        for number, image in enumerate(images):
            if number == 0:
                stream.height, stream.width = image.shape[:2]
            frame = frame_of(image, colours)
            if colours.boxed:
                frame.colorspace = frame.color_primaries = frame.color_trc = 2
                frame.color_range = 0
            frame.pts, frame.time_base = number, Fraction(1, rate)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    if not colours.boxed:
        return target.getvalue()
    numbers = struct.pack(">HHHB", colours.primaries, colours.transfer, colours.matrix, (colours.range == FULL) << 7)
    source = target.getvalue().replace(b"colr", b"skip")
    return inserted(source, boxed(b"colr", b"nclx" + numbers), (*TRACK[:-1], b"hev1"))
