"""What a notebook shows: a picture, and its words for who cannot see it."""

import dataclasses
from pathlib import Path

from staa_client import Explanation
from tests.client.pictures.conftest import Page


def test_a_notebook_shows_a_picture_with_words(explanation: Explanation) -> None:
    """One img element with its picture inside, and labels and seconds as its alternative, whatever a label holds."""
    nasty = dataclasses.replace(explanation.predictions[0], label='"><script>')
    hostile = dataclasses.replace(explanation, predictions=(nasty,), source=Path("/gone.mp4"))
    (first,), (second,) = (Page(shown._repr_html_()).elements for shown in (explanation, hostile))
    assert (first[0], second[0]) == ("img", "img")
    whole, frameless = ({name: value or "" for name, value in element[1].items()} for element in (first, second))
    assert whole["src"].startswith("data:image/png;base64,")
    assert "moves down 93.1%" in whole["alt"]
    assert "4.50 to 5.00 s" in whole["alt"]
    assert '"><script>' in frameless["alt"]
    assert len(whole["src"]) > len(frameless["src"])
