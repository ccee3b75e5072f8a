"""Colour scales: even to every eye, and the same in grey."""

import matplotlib as mpl
import numpy as np
import pytest
from numpy.typing import NDArray

from staa_client.pictures.colours import BALANCE, SCALES, colours_of, scale_of, table_of

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
    srgb = table_of(name) / 255
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


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
    """Each colour is lighter than the one before, by about as much but at the dark end, from dark to light."""
    light = lab(linear(name))[:, 0]
    steps = np.diff(light[::15])
    assert np.all(steps > 0)
    assert steps[1:].max() < 2.2 * steps[1:].min()
    assert light[0] < 18
    assert light[-1] > 88


def test_a_diverging_scale_is_even_on_both_sides() -> None:
    """Lightness rises from the middle to both ends, about as much on both sides; red is the positive end."""
    light = lab(linear(BALANCE))[:, 0]
    assert np.all(np.diff(light[128::8]) > 0)
    assert np.all(np.diff(light[127::-8]) > 0)
    assert np.abs(light - light[::-1]).max() < 11
    blue, red = table_of(BALANCE)[[0, 255]].astype(int)
    assert blue[2] > blue[0] + 60
    assert red[0] > red[2] + 60
    middle = table_of(BALANCE)[[127, 128]].astype(int)
    assert np.ptp(middle, axis=1).max() <= 16
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


@pytest.mark.parametrize(("name", "published"), [("heat", "inferno"), ("viridis", "viridis")])
def test_a_scale_is_the_published_one(name: str, published: str) -> None:
    """A table is that of matplotlib to the last bit."""
    expected = (mpl.colormaps[published](np.arange(256))[:, :3] * 255).round().astype(np.uint8)
    np.testing.assert_array_equal(table_of(name), expected)


def test_the_diverging_scale_is_as_it_was_published() -> None:
    """Its lightness is what the name of CET-D4, diverging_bkr_55_10_c35, says: 55 at both ends, 10 between, even."""
    light = lab(linear(BALANCE))[:, 0]
    np.testing.assert_allclose(light[[0, 255]], 55, atol=1)
    arms = np.interp(np.arange(256), [0, 127.5, 255], [55, 10, 55])
    assert np.abs(light - arms).max() < 3


def test_values_find_their_colours() -> None:
    """0 and 1 are the ends of a scale, -1 and 1 those of a diverging one, and beyond them nothing changes."""
    np.testing.assert_array_equal(
        colours_of(np.array([-3, 0, 1, 7], np.float32), "viridis"), table_of("viridis")[[0, 0, 255, 255]]
    )
    np.testing.assert_array_equal(colours_of(np.array([-1, 1], np.float32), BALANCE), table_of(BALANCE)[[0, 255]])


def test_an_unknown_name_lists_the_known_ones() -> None:
    """A colormap that is not there is an error that says which are."""
    with pytest.raises(ValueError, match="heat, viridis, grey, balance, got 'jet'"):
        scale_of("jet")
