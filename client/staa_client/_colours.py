"""The colour scale of the heat maps: dark violet over red and orange to pale yellow.

Made in OKLCh (B. Ottosson, "A perceptual color space for image processing", 2020): lightness rises in equal steps, so
that equal steps of heat look equal, in grey and to colour-blind eyes too; the hue only helps to tell them apart.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from staa_client._geometry import Floats

_HEAT = (0.0, 0.25, 0.5, 0.75, 1.0)
_LIGHTNESS = (0.20, 0.97)
_CHROMA = (0.10, 0.185, 0.205, 0.165, 0.09)
_HUE = (285.0, 335.0, 388.0, 425.0, 468.0)
"""Degrees, at the places in `_HEAT`; above 360 it goes on from red."""


@cache
def table() -> NDArray[np.uint8]:
    """The scale as 256 colours: (256, 3) sRGB, from no heat to most."""
    heat = np.linspace(0, 1, 256)
    chroma, hue = np.interp(heat, _HEAT, _CHROMA), np.radians(np.interp(heat, _HEAT, _HUE))
    a, b = chroma * np.cos(hue), chroma * np.sin(hue)
    lightness = np.interp(heat, (0, 1), _LIGHTNESS)
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
    linear = np.clip(np.asarray(to_linear) @ cones**3, 0, 1).T
    srgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return (srgb * 255).round().astype(np.uint8)


def colours(heat: Floats) -> NDArray[np.uint8]:
    """Heat of any shape, 0 to 1, as sRGB: (..., 3)."""
    return table()[(np.clip(heat, 0, 1) * 255).round().astype(np.uint8)]
