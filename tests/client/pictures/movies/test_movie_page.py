"""One picture of a movie: tiles fit, and words keep their distance."""

import dataclasses

import numpy as np
import pytest

from staa_client import Explanation
from staa_client.pictures.layer import Layer
from staa_client.pictures.letters import fit_text, load_font
from staa_client.pictures.movies import movie
from staa_client.pictures.movies.movie_page import MoviePage, MovieStrip, lay_out, letter_height


@pytest.mark.parametrize("count", [1, 2, 3, 6])
@pytest.mark.parametrize("source", [(1920, 1080), (1080, 1920), (48, 48), (4000, 90), (91, 641)])
def test_a_layout_fits(source: tuple[int, int], count: int) -> None:
    """Whatever the shape and the number of maps, all tiles fit, in even sizes, and frames keep their shape."""
    for most in (movie.MP4_SIZE, movie.MP4_SEVERAL, movie.GIF_SEVERAL):
        layout = lay_out(source, count, most)
        assert layout.columns * layout.rows >= count
        assert layout.size[0] % 2 == layout.size[1] % 2 == 0
        assert layout.frame[0] / layout.frame[1] == pytest.approx(source[0] / source[1], rel=0.1)
        assert layout.frame[0] <= layout.tile[0]
        assert layout.size[0] <= most[0]
        assert layout.size[1] <= most[1]


@pytest.mark.parametrize("width", [48, 320, 480, 640, 1280])
def test_words_and_edges_stay_apart(explanation: Explanation, width: int) -> None:
    """Under a picture of any width words are 3 pixels or more apart, and no text touches an edge."""
    size = letter_height(width)
    for height in (size, size * 0.8):
        apart, joined = (
            load_font(height).getlength(fit_text(text, height, 999)) for text in ("no attention", "noattention")
        )
        assert apart - joined >= 3
    strip = MovieStrip(Layer(explanation), max(width, 320))
    for second in (0.0, 8.0):
        lit = (np.asarray(strip.draw(second)).max(-1) > 70).any(0)
        assert not lit[: int(size / 4)].any()
        assert not lit[-int(size / 4) :].any()


@pytest.mark.parametrize("source", [(1280, 720), (720, 1080), (1280, 1048)])
def test_a_frame_that_fits_keeps_its_size(source: tuple[int, int]) -> None:
    """A source that is as wide as a movie may be is not resampled."""
    assert lay_out(source, 1, movie.MP4_SIZE).frame == source


def test_a_page_has_room_for_its_tallest_strip(explanation: Explanation) -> None:
    """The picture grows with its texts; frames keep their size, and no strip is cut off."""
    notes = tuple(f"{number} of 250 frames damaged, and so on" * 5 for number in range(8))
    noted = dataclasses.replace(explanation, clip=dataclasses.replace(explanation.clip, notes=notes))
    layout = lay_out((320, 240), 2, movie.GIF_SEVERAL)
    short, long = (MoviePage([Layer(explanation), Layer(last)], layout) for last in (explanation, noted))
    assert long.layout.frame == short.layout.frame == layout.frame
    strip = MovieStrip(Layer(noted), layout.strip[0])
    assert long.layout.tile[1] == layout.frame[1] + strip.height > short.layout.tile[1]
    picture = long.draw(0.0, None)
    assert picture.size == long.layout.size
    left = picture.width - layout.strip[0] - picture.width % 2
    bottom = picture.crop((left, layout.frame[1], left + layout.strip[0], long.layout.tile[1]))
    np.testing.assert_array_equal(np.asarray(bottom), np.asarray(strip.draw(0.0)))
