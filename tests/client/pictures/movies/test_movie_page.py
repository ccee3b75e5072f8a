"""One picture of a movie: tiles fit, and words keep their distance."""

import numpy as np
import pytest

from staa_client import Explanation
from staa_client.pictures.layer import Layer
from staa_client.pictures.movies import movie
from staa_client.pictures.movies.movie_page import MovieStrip, lay_out, letter_height
from staa_client.pictures.overlay import fit_text, load_font


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
