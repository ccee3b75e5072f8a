"""The colour scales of the maps, made in OKLCh (B. Ottosson, "A perceptual color space for image processing", 2020).

Lightness changes in equal steps, so that equal steps of a map look equal, in grey and to colour-blind eyes too; the hue
only helps to tell them apart. A diverging scale is dark in its middle and equally light at both ends: in every scale,
lighter is more.
"""

from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from staa_client._geometry import Floats

HEAT: Final = "heat"
BALANCE: Final = "balance"


@dataclass(frozen=True, slots=True)
class Scale:
    """A path through OKLCh: straight between the stops."""

    stops: tuple[tuple[float, float, float, float], ...]
    """Place in the scale, 0 to 1; lightness, 0 to 1; chroma; hue in degrees (above 360 it goes on from red)."""
    diverging: bool = False
    """Whether it is for values from -1 to 1; the others are for 0 to 1."""


SCALES: Final = {
    HEAT: Scale(
        (
            (0.00, 0.2000, 0.100, 285.0),
            (0.25, 0.3925, 0.185, 335.0),
            (0.50, 0.5850, 0.205, 388.0),
            (0.75, 0.7775, 0.165, 425.0),
            (1.00, 0.9700, 0.090, 468.0),
        )
    ),
    "viridis": Scale(
        (
            (0.00, 0.240, 0.115, 305.0),
            (0.25, 0.415, 0.115, 268.0),
            (0.50, 0.590, 0.088, 200.0),
            (0.75, 0.765, 0.150, 150.0),
            (1.00, 0.940, 0.170, 108.0),
        )
    ),
    "grey": Scale(((0.0, 0.20, 0.0, 0.0), (1.0, 0.98, 0.0, 0.0))),
    BALANCE: Scale(
        (
            (0.00, 0.74, 0.135, 242.0),
            (0.25, 0.48, 0.130, 256.0),
            (0.50, 0.22, 0.004, 262.0),
            (0.50, 0.22, 0.004, 18.0),
            (0.75, 0.48, 0.130, 24.0),
            (1.00, 0.74, 0.158, 31.0),
        ),
        diverging=True,
    ),
}
"""By name: dark violet over red to pale yellow; violet over green to yellow; grey; blue over dark to red."""


def checked(name: str) -> Scale:
    """The scale of this name. Raises ValueError if there is none."""
    if name not in SCALES:
        msg = f"a colormap is one of {', '.join(SCALES)}, got {name!r}"
        raise ValueError(msg)
    return SCALES[name]


@cache
def table(name: str = HEAT) -> NDArray[np.uint8]:
    """The scale as 256 colours: (256, 3) sRGB, from no heat to most, or from -1 to 1."""
    linear = np.clip(_linear(checked(name)), 0, 1)
    srgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return (srgb * 255).round().astype(np.uint8)


@cache
def inks(name: str = HEAT) -> NDArray[np.uint8]:
    """The 256 colours that cover a frame, small values hardly: of a diverging scale the outermost fifths.

    Its dark middle would hide what is under it as if it were much.
    """
    if not checked(name).diverging:
        return table(name)
    values = np.linspace(-1, 1, 256, dtype=np.float32)
    return table(name)[places(np.sign(values) * (4 + np.abs(values)) / 5, name)]


def _linear(scale: Scale) -> NDArray[np.float64]:
    """The scale's 256 colours as linear sRGB, (256, 3); outside of 0 to 1 where a screen cannot show them."""
    at, *path = zip(*scale.stops, strict=True)
    lightness, chroma, degrees = (np.interp(np.linspace(0, 1, 256), at, part) for part in path)
    hue = np.radians(degrees)
    a, b = chroma * np.cos(hue), chroma * np.sin(hue)
    cones = np.stack(
        [
            lightness + 0.3963377774 * a + 0.2158037573 * b,
            lightness - 0.1055613458 * a - 0.0638541728 * b,
            lightness - 0.0894841775 * a - 1.2914855480 * b,
        ]
    )
    to_linear = [
        [4.0767416621, -3.3077115913, 0.2309699292],
        [-1.2684380046, 2.6097574011, -0.3413193965],
        [-0.0041960863, -0.7034186147, 1.7076147010],
    ]
    return np.asarray((np.asarray(to_linear) @ cones**3).T, np.float64)


def colours(heat: Floats, name: str = HEAT) -> NDArray[np.uint8]:
    """Values of any shape, 0 to 1 or for a diverging scale -1 to 1, as sRGB: (..., 3)."""
    return table(name)[places(heat, name)]


def places(values: Floats, name: str) -> NDArray[np.uint8]:
    """Where values of any shape lie in the table, 0 to 255."""
    part = (values + 1) / 2 if checked(name).diverging else values
    return (np.clip(part, 0, 1) * 255).round().astype(np.uint8)
