"""Colour scales: even to every eye, and the same in grey."""

import numpy as np
import pytest
from numpy.typing import NDArray

from staa_client._colours import BALANCE, SCALES, checked, colours, table

Floats = NDArray[np.float64]
EYES = {
    "all three cones": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
}
"""Linear sRGB as seen by others: Machado, Oliveira, Fernandes 2009, severity 1."""


def linear(name: str) -> Floats:
    """A scale's 256 colours as linear sRGB: (256, 3)."""
    part = table(name) / 255
    return np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4)


def lab(rgb: Floats) -> Floats:
    """CIE L*a*b* of linear sRGB, white of D65: (..., 3)."""
    xyz = (
        rgb
        @ np.array([[0.412456, 0.357576, 0.180437], [0.212673, 0.715152, 0.072175], [0.019334, 0.119192, 0.950304]]).T
        / np.array([0.950470, 1.0, 1.088830])
    )
    f = np.where(xyz > 0.008856, np.cbrt(xyz), xyz * 7.787 + 16 / 116)
    return np.stack([116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], -1)


@pytest.mark.parametrize("name", [name for name, scale in SCALES.items() if not scale.diverging])
def test_lightness_rises_evenly(name: str) -> None:
    """Each colour is lighter than the one before, by about as much, from dark to light."""
    light = lab(linear(name))[:, 0]
    steps = np.diff(light[::15])
    assert np.all(steps > 0)
    assert steps.max() < 2.2 * steps.min()
    assert light[0] < 18
    assert light[-1] > 88


def test_a_diverging_scale_is_even_on_both_sides() -> None:
    """Lightness rises from the middle to both ends, as much on both sides; red is the positive end."""
    light = lab(linear(BALANCE))[:, 0]
    assert np.all(np.diff(light[128::8]) > 0)
    assert np.all(np.diff(light[127::-8]) > 0)
    assert np.abs(light - light[::-1]).max() < 5
    blue, red = table(BALANCE)[[0, 255]].astype(int)
    assert blue[2] > blue[0] + 100
    assert red[0] > red[2] + 100
    middle = table(BALANCE)[[127, 128]].astype(int)
    assert np.ptp(middle, axis=1).max() < 16
    assert np.abs(middle[0] - middle[1]).max() < 16


@pytest.mark.parametrize("eye", EYES)
@pytest.mark.parametrize("name", SCALES)
def test_steps_stay_apart_to_every_eye(name: str, eye: str) -> None:
    """Any two of nine steps of a scale are told apart, colour-blind or not: both ends of a diverging one too."""
    steps = lab(np.clip(linear(name) @ EYES[eye].T, 0, 1))[np.linspace(0, 255, 9).round().astype(int)]
    apart = np.linalg.norm(steps[:, None] - steps[None], axis=-1)
    assert apart[~np.eye(9, dtype=bool)].min() > 8
    if SCALES[name].diverging:
        assert all(apart[i, 8 - i] > 20 for i in range(3))


@pytest.mark.parametrize("name", SCALES)
def test_every_colour_can_be_shown(name: str) -> None:
    """No two neighbours are alike for long, as they would be where colours are cut off at the edge of sRGB."""
    lightness = np.asarray([np.interp(np.linspace(0, 1, 256), *zip(*[s[:2] for s in SCALES[name].stops], strict=True))])
    rgb = linear(name)
    cones = np.cbrt(
        rgb
        @ np.array(
            [
                [0.4122214708, 0.5363325363, 0.0514459929],
                [0.2119034982, 0.6806995451, 0.1073969566],
                [0.0883024619, 0.2817188376, 0.6299787005],
            ]
        ).T
    )
    seen = cones @ np.array([0.2104542553, 0.7936177850, -0.0040720468])
    np.testing.assert_allclose(seen, lightness[0], atol=0.012)


def test_values_find_their_colours() -> None:
    """0 and 1 are the ends of a scale, -1 and 1 those of a diverging one, and beyond them nothing changes."""
    np.testing.assert_array_equal(
        colours(np.array([-3, 0, 1, 7], np.float32), "viridis"), table("viridis")[[0, 0, 255, 255]]
    )
    np.testing.assert_array_equal(colours(np.array([-1, 1], np.float32), BALANCE), table(BALANCE)[[0, 255]])


def test_an_unknown_name_lists_the_known_ones() -> None:
    """A colormap that is not there is an error that says which are."""
    with pytest.raises(ValueError, match="heat, viridis, grey, balance, got 'jet'"):
        checked("jet")
