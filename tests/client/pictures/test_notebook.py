"""What a notebook shows: a picture, and its words for who cannot see it."""

import dataclasses
from pathlib import Path

from staa_client import Explanation, NotExplained, Result
from staa_client.pictures.badge import NOT_CHECKED
from staa_client.pictures.notebook import describe
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


def test_the_words_of_a_picture_say_how_far_to_trust_it(explanation: Explanation) -> None:
    """Who cannot see the picture reads the sentence of the verdict and the notes, too."""
    clip = dataclasses.replace(explanation.clip, frames=explanation.clip.frames * 0, notes=("turned upright",))
    text = describe(dataclasses.replace(explanation, clip=clip))
    assert text.endswith(
        f" 1 frame, repeated 16 times: 'when' says nothing. Turned upright. Not checked: {NOT_CHECKED}"
    )


def test_labels_alone_are_a_table(explanation: Explanation) -> None:
    """A result without a map shows labels, bars and scores, each text escaped, and the sentence about the model."""
    nasty = dataclasses.replace(explanation.predictions[0], label='"><script>alert(1)</script>')
    model = dataclasses.replace(explanation.model, about="It knows <eight> motions only.")
    text = Result(model, (nasty, *explanation.predictions[1:]), explanation.clip)._repr_html_()
    page = Page(text)
    assert {tag for tag, _ in page.elements} == {"div", "table", "caption", "tbody", "tr", "th", "td", "span", "p"}
    assert '"><script>alert(1)</script>' in page.texts
    assert {"moves right", "93.1%", "It knows <eight> motions only."} <= set(page.texts)
    assert [tag for tag, _ in page.elements].count("tr") == 5
    left_out = NotExplained("score_below=0.6", "the best label has 0.93, the rule explains below <0.6>")
    page = Page(Result(model, (), explanation.clip, left_out)._repr_html_())
    assert "not explained: the best label has 0.93, the rule explains below <0.6>" in page.texts
    assert "no label" in Result(model, (), explanation.clip)._repr_html_()
