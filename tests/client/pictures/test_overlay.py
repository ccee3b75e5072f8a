"""A map over a frame: heat is where it belongs, is seen on any frame, and what the model did not see is marked."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from staa_client.pictures.colours import SCALES, colours_of
from staa_client.pictures.overlay import (
    LEGEND_GROUND,
    legend_of,
    overlay,
    paint_over,
    round_seconds,
)
from staa_client.video import frames_at

CLIPS = Path(__file__).parents[4] / "shared" / "clips"
BLOB = np.zeros((12, 12), np.float32)
BLOB[4:8, 4:8] = 1


def luminance(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The relative luminance of sRGB pixels, 0 to 1, as WCAG 2 defines it."""
    shares = pixels / 255
    linear = np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)
    return np.asarray(linear @ [0.2126, 0.7152, 0.0722])


def least_contrast_along_the_line(frame: NDArray[np.uint8], scale: str) -> float:
    """How much the line around a map differs from the frame beside it, where it differs least: a WCAG contrast ratio.

    Of the light and the dark part of the line, the one counts that differs more.
    """
    drawn = overlay(frame, BLOB, (0, 0, frame.shape[1], frame.shape[0]), scale=scale)
    ratios = []
    for row in range(frame.shape[0] * 5 // 12, frame.shape[0] * 7 // 12):
        changed = np.flatnonzero(np.abs(drawn[row].astype(int) - frame[row]).max(-1) > 0)
        middle = drawn.shape[1] // 2
        for columns in (slice(changed[0], middle), slice(middle, changed[-1] + 1)):
            beside = luminance(frame[row, columns])
            inside = luminance(drawn[row, columns])
            above, below = np.maximum(inside, beside) + 0.05, np.minimum(inside, beside) + 0.05
            ratios.append(float((above / below).max()))
    return min(ratios)


def grounds() -> Iterator[NDArray[np.uint8]]:
    """Plain frames from black to white, of several hues, and one of coloured blocks."""
    for colour in (
        (0, 0, 0),
        (40, 40, 40),
        (74, 74, 74),
        (76, 76, 76),
        (86, 86, 86),
        (118, 118, 118),
        (190, 190, 190),
        (255, 255, 255),
        (30, 160, 60),
        (250, 220, 90),
    ):
        yield np.full((120, 160, 3), colour, np.uint8)
    yield np.random.default_rng(0).integers(0, 256, (10, 10, 3)).astype(np.uint8).repeat(12, 0).repeat(16, 1)


@pytest.mark.parametrize("scale", SCALES)
def test_a_map_is_seen_on_every_ground(scale: str) -> None:
    """The line around its strong part has a contrast ratio of 3 or more to what is beside it, dark or bright."""
    assert min(least_contrast_along_the_line(frame, scale) for frame in grounds()) > 3


@pytest.mark.clips
@pytest.mark.parametrize("name", ["kinetics_a.mp4", "kinetics_b.mp4", "flipping_a_pancake.mkv", "bt709_full_range.mp4"])
def test_a_map_is_seen_on_real_frames(name: str) -> None:
    """The same over frames of real videos, as they are and much darker and brighter."""
    for frame in frames_at(CLIPS / name, [0, 20]):
        for shown in (frame, frame // 8, 255 - (255 - frame) // 8):
            assert least_contrast_along_the_line(np.ascontiguousarray(shown), "heat") > 3


def test_focus_is_seen() -> None:
    """More than a tenth of the pixels outside of what is kept change by more than 40 of 255; what is kept stays."""
    for frame in grounds():
        size = (frame.shape[1], frame.shape[0])
        nothing = np.zeros_like(BLOB)
        drawn = np.asarray(paint_over(Image.fromarray(frame), nothing, (0, 0, *size), kept=BLOB)).astype(int)
        inside = np.asarray(Image.fromarray(BLOB.astype(np.uint8)).resize(size, Image.Resampling.NEAREST)).astype(bool)
        change = np.abs(drawn - frame).max(-1)
        assert (change[~inside] > 40).mean() > 0.1
        assert np.median(change[inside]) == 0
        assert (change[inside] > 0).any(), "the line"


def test_an_even_map_leaves_a_frame_as_it_is() -> None:
    """What is average is transparent, whatever the frame; so is the neutral middle of a scale with signs."""
    for frame in grounds():
        for scale in SCALES:
            box = (0, 0, frame.shape[1], frame.shape[0])
            np.testing.assert_array_equal(overlay(frame, np.zeros((4, 4), np.float32), box, scale=scale), frame)


def test_the_legend_begins_at_its_ground() -> None:
    """The colour scale is shown as it is over a frame: the neutral value is the ground's colour, not black."""
    for name, scale in SCALES.items():
        legend = np.asarray(legend_of(name, (256, 8)))[4].astype(int)
        neutral = legend[128] if scale.diverging else legend[0]
        np.testing.assert_array_equal(neutral, LEGEND_GROUND)
        assert np.abs(legend[-1] - neutral).max() > 90


def test_heat_covers_the_frame_where_it_is_strong() -> None:
    """The overlay is the colour scale's where heat is 1, and the frame's own where it is 0."""
    frame = np.full((120, 160, 3), (90, 120, 90), np.uint8)
    grid = np.zeros((6, 6), np.float32)
    grid[1, 4] = 1
    drawn = overlay(frame, grid, (20, 0, 140, 120), opacity=1).astype(int)
    full = overlay(frame, np.ones((6, 6), np.float32), (20, 0, 140, 120), opacity=1)
    assert np.all(full[2:-2, 22:138] == colours_of(np.ones(1, np.float32)))
    assert np.all(drawn[:8, 22:60] == frame[:8, 22:60])
    assert np.abs(drawn[100, 40] - frame[100, 40]).max() < 25
    change = np.abs(drawn - frame).sum(-1)[:, 20:140]
    row, column = np.unravel_index(int(change.argmax()), change.shape)
    assert abs(row - 30) < 12
    assert abs(column - 90) < 12


def test_more_heat_covers_more() -> None:
    """The cover grows with heat, from nothing."""
    frame = np.full((8, 8, 3), 128, np.uint8)
    seen = [overlay(frame, np.full((1, 1), heat, np.float32), (0, 0, 8, 8)) for heat in (0, 0.25, 0.5, 1)]
    np.testing.assert_array_equal(seen[0], frame)
    far = [float(np.abs(picture.astype(int) - 128).sum()) for picture in (seen[0], seen[3])]
    assert far[0] < far[1]


def test_outside_the_box_is_dim_and_marked() -> None:
    """What the model did not see is much darker than what it saw, and says so in light letters."""
    frame = np.full((240, 320, 3), 200, np.uint8)
    drawn = overlay(frame, np.zeros((4, 4), np.float32), (40, 0, 280, 240))
    assert np.all(drawn[:, 42:278] == 200)
    for strip in (drawn[:, :38], drawn[:, 282:]):
        assert np.median(strip) < 100
        assert 0.01 < (strip.max(-1) > 180).mean() < 0.3
    whole = overlay(frame, np.zeros((4, 4), np.float32), (0, 0, 320, 240))
    np.testing.assert_array_equal(whole, frame)


def test_the_axis_has_round_seconds() -> None:
    """Ticks are round, ascending, within the clip, and not too many, for any length."""
    for first, last in ((0, 0.3), (0, 8), (2.13, 9.7), (0, 61.2), (100, 3700)):
        marks = round_seconds(first, last)
        assert 2 <= len(marks) <= 11
        assert marks == sorted(marks)
        assert first - 1e-6 <= marks[0]
        assert marks[-1] <= last + 1e-6
