"""The gallery: one file, nothing from outside, no text that could act, and an order to choose."""

import base64
import hashlib
import io
import re

import numpy as np
import pytest
from PIL import Image

from staa_client import Explanation, Frames, Prediction, Result
from staa_client.pictures.badge import Badge
from staa_client.pictures.gallery import Tile, render_gallery, thumbnail_of
from tests.client.pictures.conftest import Page

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)> $style ${title} &amp; \" '"


def test_it_loads_nothing_from_outside() -> None:
    """No address but those of the reports beside it; a policy in the page allows its own script alone."""
    text = render_gallery([Tile("a.mp4", (Prediction(0, "spins", 0.5),), page="a-1.html", thumbnail=b"jpeg")], "clips")
    assert not re.search(r"https?:|@import|url\(", text)
    page = Page(text)
    policy = next(a["content"] for _, a in page.elements if a.get("http-equiv") == "Content-Security-Policy")
    script = text.rpartition("<script>")[2].partition("</script>")[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}';" in str(policy)
    assert [a["href"] for tag, a in page.elements if tag == "a"] == ["a-1.html"]
    assert "1 video" in page.texts


def test_no_text_acts() -> None:
    """Names, labels, verdicts and errors of any kind are shown as they are, and make no element."""
    badge = Badge(HOSTILE, "bad", HOSTILE)
    tile = Tile(
        HOSTILE, (Prediction(0, HOSTILE, 0.5),), badge, "x.html", None, HOSTILE, HOSTILE, HOSTILE, HOSTILE, (HOSTILE,)
    )
    plain = Tile("a", (Prediction(0, "b", 0.5),), Badge("c", "bad", "d"), "x.html", None, "e", "f", "g", "h", ("i",))
    hostile, harmless = (Page(render_gallery([shown], shown.name)) for shown in (tile, plain))
    assert [tag for tag, _ in hostile.elements] == [tag for tag, _ in harmless.elements]
    said = [text for text in hostile.texts if text.endswith(HOSTILE)]
    assert len(said) == 10  # title, name, label, about, class, reason, verdict in words and a sentence, note, error
    assert not any(name.startswith("on") for _, attributes in hostile.elements for name in attributes)
    render_gallery([Tile("half \ud800")], "half \ud800").encode()


def test_what_the_model_is_good_for_stands_under_the_labels() -> None:
    """Of a model that says it, each video's labels have it below them; a video without an answer has none."""
    spins = (Prediction(0, "spins", 0.5),)
    tiles = [Tile("a.mp4", spins, about="Knows <eight> motions."), Tile("b.mp4", error="gone", about="Knows all.")]
    text = render_gallery(tiles, "clips")
    assert text.index("spins") < text.index("Knows &lt;eight&gt; motions.")
    assert "Knows all." not in text


def test_what_is_said_of_a_map_and_of_none_can_be_read() -> None:
    """The verdict's sentence, the class of a map, why there is none, and notes are texts of the page, not of a hint."""
    badge = Badge("distrust it", "bad", "Hiding it changes nothing.")
    explained = Tile("a.mp4", badge=badge, subject="what speaks for spins", notes=("cut to its first 100 s", "turned"))
    page = Page(render_gallery([explained, Tile("b.mp4", why_not="the best label has 0.97")], "clips"))
    expected = ["Map: what speaks for spins", "distrust it", "Hiding it changes nothing."]
    expected += ["Note: cut to its first 100 s", "Note: turned", "Not explained: the best label has 0.97"]
    assert [text for text in page.texts if text in expected] == expected


def test_the_worst_verdict_is_first_in_its_order() -> None:
    """Ranks go from distrusted to faithful; what has no verdict, and what has no answer, come behind."""
    badges = [Badge("x", tone, "x") for tone in ("bad", "doubtful", "unknown", "good")]
    tiles = [*(Tile("a", badge=badge) for badge in badges), Tile("a"), Tile("a", error="no answer")]
    assert [tile.rank for tile in tiles] == [0, 1, 2, 3, 4, 5]


def test_a_thumbnail_shows_the_map_over_its_frame(explanation: Explanation) -> None:
    """It is small, of the strongest step, and warm where the model looked; without a video it is the map alone."""
    whole, alone = (
        Image.open(io.BytesIO(thumbnail_of(explanation, source) or b"")) for source in (explanation.source, None)
    )
    assert whole.size == alone.size == (320, 240)
    x0, y0, x1, y1 = explanation.top(1)[0].region
    for picture in (whole, alone):
        pixels = np.asarray(picture, float)
        inside, outside = pixels[y0:y1, x0:x1, 0].mean(), pixels[:, 40:280, 0].mean()
        assert inside > outside + 40


def test_labels_alone_have_a_thumbnail_if_there_are_frames(explanation: Explanation) -> None:
    """A result without a map shows the middle of its clip; without the video there is nothing to show."""
    result = Result(explanation.model, explanation.predictions, explanation.clip)
    assert thumbnail_of(result, None) is None
    assert thumbnail_of(result, explanation.source) is not None
    other = Frames.of(np.zeros((3, 8, 8, 3), np.uint8))
    with pytest.raises(ValueError, match="there is no frame"):
        thumbnail_of(result, other)
