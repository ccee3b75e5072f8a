"""Gives the colour scales of the maps: published tables from dark to light, so that lighter always means more.

A diverging scale is darkest in its middle. The tables and their authors are in colours.txt.
"""

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final

import numpy as np
from numpy.typing import NDArray

from staa_client.results.maps import Floats

HEAT: Final = "heat"
BALANCE: Final = "balance"
DARK_PART = 1 / 3
"""The part of a scale, 0 to 1, that is too dark to be drawn over a frame."""
_DARKEST, _LIGHTEST = 22, 249
"""The ends of the grey scale, 0 to 255: not black and white, which frames and pages use already."""


@dataclass(frozen=True, slots=True)
class Scale:
    """Holds a colour scale, by the name of its published table."""

    published: str | None
    """The name of the table; None for the grey scale, which needs no table."""
    diverging: bool = False
    """Whether the values are from -1 to 1; for other scales they are from 0 to 1."""


SCALES: Final = {
    HEAT: Scale("inferno"),
    "viridis": Scale("viridis"),
    "grey": Scale(None),
    BALANCE: Scale("bkr", diverging=True),
}
"""Name -> scale: black-red-pale yellow, violet-green-yellow, grey, and blue-black-red."""


def scale_of(name: str) -> Scale:
    """Return the scale of this name.

    Raises:
        ValueError: there is no such scale.
    """
    if name not in SCALES:
        raise ValueError(f"a colormap is one of {', '.join(SCALES)}, got {name!r}")
    return SCALES[name]


@cache
def table_of(name: str = HEAT) -> NDArray[np.uint8]:
    """Return the scale as 256 colours: (256, 3) sRGB, from no heat to most, or from -1 to 1."""
    published = scale_of(name).published
    if published is None:
        return np.repeat(np.linspace(_DARKEST, _LIGHTEST, 256).round().astype(np.uint8)[:, None], 3, axis=1)
    lines = files("staa_client.pictures").joinpath("colours.txt").read_text("ascii").splitlines()
    names, *rows = (line.split() for line in lines if not line.startswith("#"))
    column = names.index(published)
    return np.array([list(bytes.fromhex(row[column])) for row in rows], np.uint8)


@cache
def cover_table_of(name: str = HEAT) -> NDArray[np.uint8]:
    """Return the 256 colours, (256, 3) sRGB, for a map over a frame: without the dark part of the scale.

    A small value hardly covers the frame, and what it does must not look black. That leaves the upper two thirds of a
    scale, and the outer fifths of a diverging one.
    """
    if not scale_of(name).diverging:
        return np.asarray(table_of(name)[np.linspace(255 * DARK_PART, 255, 256).round().astype(int)])
    values = np.linspace(-1, 1, 256, dtype=np.float32)
    return table_of(name)[table_indices_of(np.sign(values) * (4 + np.abs(values)) / 5, name)]


def colours_of(values: Floats, name: str = HEAT) -> NDArray[np.uint8]:
    """Return the sRGB colours (..., 3) for values of any shape, 0 to 1, or -1 to 1 for a diverging scale."""
    return table_of(name)[table_indices_of(values, name)]


def table_indices_of(values: Floats, name: str) -> NDArray[np.uint8]:
    """Return the indices in the colour table, 0 to 255, for values of any shape."""
    shares = (values + 1) / 2 if scale_of(name).diverging else values
    return (np.clip(shares, 0, 1) * 255).round().astype(np.uint8)
