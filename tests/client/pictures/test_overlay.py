"""A map over a frame: heat is where it belongs, and what the model did not see is marked."""

import numpy as np

from staa_client.pictures.colours import colours_of
from staa_client.pictures.overlay import fit_text, load_font, overlay, round_seconds


def test_heat_covers_the_frame_where_it_is_strong() -> None:
    """The overlay is the colour scale's where heat is 1, and the frame's own where it is 0."""
    frame = np.full((120, 160, 3), (90, 120, 90), np.uint8)
    grid = np.zeros((6, 6), np.float32)
    grid[1, 4] = 1
    drawn = overlay(frame, grid, (20, 0, 140, 120), opacity=1).astype(int)
    full = overlay(frame, np.ones((6, 6), np.float32), (20, 0, 140, 120), opacity=1)
    assert np.all(full[2:-2, 22:138] == colours_of(np.ones(1, np.float32)))
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


def test_a_text_is_cut_where_it_no_longer_fits() -> None:
    """What fits stays as it is; what does not is as long as it can be; a label without end takes no time."""
    assert fit_text("moves\n down", 15, 200) == "moves down"
    for text in ("moves down and up and down again", "wide " * 20_000):
        cut = fit_text(text, 15, 120)
        assert cut.endswith("...")
        assert load_font(15).getlength(cut) <= 120
        assert load_font(15).getlength(text[: len(cut) - 1] + "...") > 120
    assert fit_text("moves down", 15, 1) == "..."
