"""What pictures, movies, reports and the terminal say of an explanation in words, all of them alike."""

import dataclasses
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from PIL.ImageDraw import ImageDraw

from staa_client import ClassName, Explanation, Prediction
from staa_client._frames import Frames
from staa_client._layer import Layer
from staa_client._notebook import words as alternative
from staa_client._percent import percent
from staa_client._sight import Sight
from staa_client._strip import Strip
from staa_client._terminal import line, sight, words
from staa_client.render import contact_sheet
from staa_client.report import report
from tests.client.conftest import class_map
from tests.client.test_report import Page


def test_a_share_is_never_rounded_to_all_or_nothing() -> None:
    """Only 0 is 0%, only 1 is 100%, and the text never falls as the share rises."""
    assert [percent(share) for share in (0, 1e-9, 0.0004, 0.0006, 0.0625, 0.997, 0.9994, 0.9996, 1 - 1e-9, 1)] == [
        *("0%", "<0.1%", "<0.1%", "0.1%", "6.3%", "99.7%", "99.9%", ">99.9%", ">99.9%", "100%")
    ]
    for share in np.linspace(0, 1, 20_001):
        text = percent(float(share))
        assert (text == "0%") == (share == 0)
        assert (text == "100%") == (share == 1)
        assert abs(float(text.strip("<>%")) / 100 - share) <= 0.00101


def said(explanation: Explanation) -> str:
    """The text of the report, without its style and script."""
    return "".join(Page(report(explanation, None).partition("</style>")[2].partition("<script")[0]).texts)


def drawn(explanation: Explanation, monkeypatch: pytest.MonkeyPatch, width: int = 1280) -> list[str]:
    """Every text of the contact sheet, and after "|" those of a strip of a movie."""
    texts: list[str] = []
    pen = ImageDraw.text

    def text(self: Any, xy: Any, said: str, *rest: Any, **named: Any) -> None:
        texts.append(said)
        pen(self, xy, said, *rest, **named)

    with monkeypatch.context() as patch:
        patch.setattr(ImageDraw, "text", text)
        contact_sheet(Layer(explanation), None)
        texts.append("|")
        Strip(Layer(explanation), width)
    return texts


def test_all_of_them_round_alike(explanation: Explanation, monkeypatch: pytest.MonkeyPatch) -> None:
    """A score just below 1 is the same text in the sheet, the movie, the report, the notebook, and on the terminal."""
    sure = (Prediction(0, "moves down", 0.9997), Prediction(1, "moves right", 0.0003))
    one = dataclasses.replace(explanation, predictions=sure)
    seen = Sight(
        0, 0, 1, datetime.now(UTC), 0.1, Frames.of(np.zeros((2, 8, 8, 3), np.uint8), 8.0), one, None, sure, False, 0, 0
    )
    sheet, strip = " ".join(drawn(one, monkeypatch)).split("|")
    for text in (
        *(sheet, strip, said(one), alternative(one)),
        *(words(one), line("clip.mp4", one), sight(seen)),
    ):
        assert ">99.9%" in text
        assert "100%" not in text
        assert "100.0%" not in text


def test_the_threshold_counts_its_cells(explanation: Explanation) -> None:
    """A threshold that few cells reach says how many, and not 0% of them."""
    one = dataclasses.replace(explanation, threshold=float(np.sort(explanation.joint, axis=None)[-9]))
    assert ", in 9 of 2304 cells" in said(one)
    every = dataclasses.replace(explanation, threshold=0.0)
    assert "keeps 100% of the attention, in 2304 of 2304 cells" in said(every)


def doubted(explanation: Explanation, contrast: ClassName | None = None) -> Explanation:
    """A map for "grows", a class that the model does not believe in: 0.3% of the weight speaks for it."""
    signed = -explanation.joint * np.float32(0.997 / explanation.joint[1:].sum())
    signed[0] *= 0
    signed[0, 5, 5] = 0.003
    joint = np.maximum(signed, 0) / np.maximum(signed, 0).sum()
    return dataclasses.replace(
        explanation,
        method="staa_class",
        target=ClassName(2, "grows"),
        contrast=contrast,
        signed=signed,
        joint=joint,
        temporal=joint.sum((1, 2)),
        spatial=joint.sum(0),
    )


def test_a_class_map_is_headed_by_its_class(explanation: Explanation, monkeypatch: pytest.MonkeyPatch) -> None:
    """Titles and lines name the class explained and its score, and the best label is not taken for it."""
    one, both = doubted(explanation), doubted(explanation, ClassName(7, "blinks"))
    for wanted, each in (("grows (1.6%)", one), ("grows (1.6%), against blinks", both)):
        texts = drawn(each, monkeypatch)
        for pictured in (texts[: texts.index("|")], texts[texts.index("|") :]):
            assert f"What speaks for {wanted}" in pictured
            assert "best label: moves down 93.1%" in pictured
        page = Page(report(each, None))
        assert f"What speaks for {wanted} best label: moves down 93.1%" in page.texts
        assert f"what speaks for {wanted}:" in words(each)
        assert line("a.mp4", each) == f"a.mp4  moves down  93.1%  what speaks for {wanted}: 0.00 - 0.50 s"
        assert f"What speaks for {wanted}: most at 0.00 to 0.50 s" in alternative(each)
    several = "".join(Page(report([Layer(one), Layer(explanation)], None)).texts)
    assert "moves down 93.1%" in several
    assert "What speaks for" not in several


def test_little_evidence_is_called_little(explanation: Explanation, monkeypatch: pytest.MonkeyPatch) -> None:
    """How much of a class map speaks for its class is said wherever the map is, and nothing of a map without signs."""
    one, both = doubted(explanation), doubted(explanation, ClassName(7, "blinks"))
    assert one.balance == pytest.approx(0.003, abs=1e-5)
    assert class_map(explanation).balance == pytest.approx(0.5, abs=0.2)
    assert explanation.balance is None
    for rest, each in (("against", one), ("for blinks", both)):
        wanted = f"0.3% of the weight speaks for grows, 99.7% {rest}"
        texts = drawn(each, monkeypatch)
        assert wanted in texts[: texts.index("|")]
        assert wanted in texts[texts.index("|") :]
        assert wanted in Page(report(each, None)).texts
        assert wanted in words(each)
        assert wanted in alternative(each)
    assert "of the weight" not in words(explanation) + said(explanation)
    nothing = dataclasses.replace(one, signed=np.zeros_like(one.joint))
    assert nothing.balance is None


def test_a_narrow_movie_keeps_the_class(explanation: Explanation, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a movie has no room for both, the class explained stays and the best label goes."""
    texts = drawn(doubted(explanation), monkeypatch, width=320)
    strip = texts[texts.index("|") :]
    assert "What speaks for grows (1.6%)" in [" ".join(text.split()) for text in strip]
    assert not any(text.startswith("best label") for text in strip)


def test_the_terminal_says_what_was_not_seen(explanation: Explanation) -> None:
    """A clip seen in part, or made of fewer frames than the model takes, says so, and a clip seen whole does not."""

    def told(box: tuple[int, int, int, int], *frames: int) -> str:
        numbers = np.resize(np.array(frames), 16) if frames else np.arange(16)
        clip = dataclasses.replace(explanation.clip, width=960, height=120, box=box, frames=np.sort(numbers))
        return words(dataclasses.replace(explanation, clip=clip))

    assert "\nseen   x 420 - 540, y 0 - 120 of 960 x 120" in told((420, 0, 540, 120))
    assert "seen   1 frame, repeated 16 times: 'when' says nothing" in told((0, 0, 960, 120), 7)
    assert "\n       1 frame, repeated 16 times" in told((420, 0, 540, 120), 7)
    assert "5 frames, repeated to make 16: " in told((0, 0, 960, 120), 0, 1, 2, 3, 4)
    assert "seen" not in told((0, 0, 960, 120))
