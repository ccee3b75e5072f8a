"""What pictures, movies, reports and the terminal say of an explanation in words, all of them alike."""

import dataclasses
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL.ImageDraw import ImageDraw

from staa_client import ClassName, Explanation, Prediction, Result
from staa_client.cli.output import terminal
from staa_client.pictures.gallery import Tile, render_gallery
from staa_client.pictures.layer import Layer, Look, percent
from staa_client.pictures.movies.movie_page import MovieStrip
from staa_client.pictures.notebook import describe
from staa_client.pictures.report import render_report
from staa_client.pictures.sheet import draw_sheet
from staa_client.video.frames import Frames
from staa_client.watch.sight import Sight
from tests.client.conftest import class_map, flat
from tests.client.pictures.conftest import Page


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
    return "".join(Page(render_report(explanation, None).partition("</style>")[2].partition("<script")[0]).texts)


def drawn(explanation: Explanation, monkeypatch: pytest.MonkeyPatch, width: int = 1280) -> list[str]:
    """Every text of the contact sheet, and after "|" those of a strip of a movie."""
    texts: list[str] = []
    pen = ImageDraw.text

    def text(self: Any, xy: Any, said: str, *rest: Any, **named: Any) -> None:
        texts.append(said)
        pen(self, xy, said, *rest, **named)

    with monkeypatch.context() as patch:
        patch.setattr(ImageDraw, "text", text)
        draw_sheet(Layer(explanation), None)
        texts.append("|")
        MovieStrip(Layer(explanation), width)
    return texts


def test_all_of_them_round_alike(explanation: Explanation, monkeypatch: pytest.MonkeyPatch) -> None:
    """A score just below 1 is the same text in the sheet, the movie, the report, the notebook, and on the terminal."""
    labels = (Prediction(0, "moves down", 0.9997), Prediction(1, "moves right", 0.0003))
    confident = dataclasses.replace(explanation, predictions=labels)
    sight = Sight(
        0,
        0,
        1,
        datetime.now(UTC),
        0.1,
        Frames.of(np.zeros((2, 8, 8, 3), np.uint8), 8.0),
        confident,
        None,
        labels,
        False,
        0,
        0,
    )
    sheet, strip = " ".join(drawn(confident, monkeypatch)).split("|")
    for text in (
        *(sheet, strip, said(confident), describe(confident)),
        *(
            terminal.describe(confident),
            terminal.describe_on_a_line("clip.mp4", confident),
            terminal.describe_sight(sight),
        ),
    ):
        assert ">99.9%" in text
        assert "100%" not in text
        assert "100.0%" not in text


def test_all_of_them_say_which_labels_a_video_has(explanation: Explanation, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside the score, or that there is none; of a model of one label a video they say nothing of it."""
    for scores, wanted in (((0.9, 0.7, 0.2), 2), ((0.3, 0.2, 0.1), 0)):
        labels = tuple(
            Prediction(number, name, score, score >= 0.5)
            for number, (name, score) in enumerate(zip(("runs", "sings", "sits"), scores, strict=True))
        )
        several = dataclasses.replace(explanation, predictions=labels)
        sheet, strip = " ".join(drawn(several, monkeypatch)).split("|")
        gallery = render_gallery([Tile("a.mp4", labels)], "clips")
        lists = (sheet, said(several), describe(several), terminal.describe(several), gallery)
        for text in lists:
            assert ("90.0% present" in text, "70.0% present" in text) == (wanted == 2, wanted == 2)
            assert "20.0% present" not in text
        for text in (*lists, strip, terminal.describe_on_a_line("clip.mp4", several)):
            assert ("no label is present" in text) == (wanted == 0)
        as_labels = Result(explanation.model, labels, explanation.clip)
        line = terminal.describe_on_a_line("clip.mp4", as_labels)
        best = "runs  90.0%, sings  70.0%" if wanted else "no label is present, best: runs  30.0%"
        assert line == f"clip.mp4  {best}"
        assert ("no label is present" in as_labels._repr_html_()) == (wanted == 0)
    everything = " ".join(drawn(explanation, monkeypatch)) + said(explanation) + terminal.describe(explanation)
    assert "present" not in everything + describe(explanation)


def test_the_threshold_counts_its_cells(explanation: Explanation) -> None:
    """A threshold that few cells reach says how many, and not 0% of them."""
    high = dataclasses.replace(explanation, threshold=float(np.sort(explanation.joint, axis=None)[-9]))
    assert ", in 9 of 2304 cells" in said(high)
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
    alone, contrasted = doubted(explanation), doubted(explanation, ClassName(7, "blinks"))
    for words, shown in (("grows (1.6%)", alone), ("grows (1.6%) and not for blinks", contrasted)):
        texts = drawn(shown, monkeypatch)
        for pictured in (texts[: texts.index("|")], texts[texts.index("|") :]):
            assert f"What speaks for {words}" in pictured
            assert "best label: moves down 93.1%" in pictured
        page = Page(render_report(shown, None))
        assert f"What speaks for {words} best label: moves down 93.1%" in page.texts
        assert f"what speaks for {words}:" in terminal.describe(shown)
        assert (
            terminal.describe_on_a_line("a.mp4", shown)
            == f"a.mp4  moves down  93.1%  what speaks for {words}: 0.00 - 0.50 s  not checked"
        )
        assert f"What speaks for {words}: most at 0.00 to 0.50 s" in describe(shown)
    several = "".join(Page(render_report([Layer(alone), Layer(explanation)], None)).texts)
    assert "moves down 93.1%" in several
    assert "What speaks for" not in several


def test_little_evidence_is_called_little(explanation: Explanation, monkeypatch: pytest.MonkeyPatch) -> None:
    """How much of a class map speaks for its class is said wherever the map is, and nothing of a map without signs."""
    alone, contrasted = doubted(explanation), doubted(explanation, ClassName(7, "blinks"))
    assert alone.balance == pytest.approx(0.003, abs=1e-5)
    assert class_map(explanation).balance == pytest.approx(0.5, abs=0.2)
    assert explanation.balance is None
    apart = "of what tells the two apart, 0.3% speaks for grows, 99.7% for blinks"
    overlapping = dataclasses.replace(contrasted, shared_evidence=0.61)
    for words, shown in (
        ("0.3% of the weight speaks for grows, 99.7% against", alone),
        (apart, dataclasses.replace(contrasted, shared_evidence=0.2)),
        ("61.0% of the evidence for grows lies where that for blinks does", overlapping),
    ):
        texts = drawn(shown, monkeypatch)
        assert words in texts[: texts.index("|")]
        assert words in texts[texts.index("|") :]
        assert words in Page(render_report(shown, None)).texts
        assert words in terminal.describe(shown)
        assert f"{words[0].upper()}{words[1:]}" in describe(shown)
    assert "of the weight" not in terminal.describe(explanation) + said(explanation)
    nothing = dataclasses.replace(alone, signed=np.zeros_like(alone.joint))
    assert nothing.balance is None


def test_pictures_leave_no_word_out(explanation: Explanation, monkeypatch: pytest.MonkeyPatch) -> None:
    """Title, verdict, model, notes and the scale's ends are there to their last word, in a narrow movie too."""
    right, left = "Pushing something from left to right", "Pushing something from right to left"
    notes = tuple(f"{number} of 250 frames damaged, {'and so on ' * 16}end" for number in range(8))
    about = f"Knows eight motions of generated shapes. {'Its answers mean nothing. ' * 17}End."
    told = dataclasses.replace(
        class_map(explanation),
        predictions=(Prediction(0, right, 0.61), Prediction(1, left, 0.31)),
        target=ClassName(0, right),
        contrast=ClassName(1, left),
        model=dataclasses.replace(explanation.model, about=about),
        clip=dataclasses.replace(explanation.clip, notes=notes),
    )
    layer = Layer(told)
    words = [*layer.heading, layer.balance, layer.badge.sentence, *notes, about, *layer.scale_ends, f"{layer.subject}"]
    for width in (320, 480, 1280):
        sheet, _, strip = (" ".join(part.split()) for part in " ".join(drawn(told, monkeypatch, width)).partition("|"))
        for text in words:
            assert " ".join(text.split()) in sheet
        for text in words[:-1]:
            assert " ".join(text.split()) in strip
        assert "..." not in sheet + strip


def test_places_have_one_name(explanation: Explanation, monkeypatch: pytest.MonkeyPatch) -> None:
    """A step is named alike on the sheet and the terminal, of portrait video too, and a movie names its moment."""
    tall = dataclasses.replace(explanation.clip, width=180, height=320, box=(0, 70, 180, 250))
    for shown in (explanation, dataclasses.replace(explanation, clip=tall)):
        texts = drawn(shown, monkeypatch)
        for place in ("where, whole clip", "where, 4.50-5.00 s"):
            assert place in texts[: texts.index("|")]
            assert f"\n{place}" in terminal.describe(shown)
    said: list[str] = []
    monkeypatch.setattr(ImageDraw, "text", lambda _self, _xy, text, **_named: said.append(text))
    MovieStrip(Layer(explanation), 1280).draw(4.5)
    assert "where, 4.50 s" in said


def test_focus_draws_less(explanation: Explanation) -> None:
    """What is drawn in focus is what reaches the threshold, at its strength, and on both sides of a map with signs."""
    for shown in (explanation, class_map(explanation)):
        whole, focused = Layer(shown).values, Layer(shown, Look(focus=True)).shown
        kept = focused != 0
        np.testing.assert_array_equal(focused[kept], whole[kept])
        assert 0 < kept.sum() < 0.3 * kept.size
        np.testing.assert_array_equal(kept & (whole > 0), shown.joint >= shown.threshold)
        assert np.abs(whole[~kept]).max() <= np.abs(focused[kept]).min()


def test_what_is_kept_is_counted_as_it_is_outlined(explanation: Explanation) -> None:
    """The number of cells in the text is that of the cells in focus: of a map with signs, those on both sides."""
    for shown in (explanation, class_map(explanation), flat(explanation)):
        layer = Layer(shown, Look(focus=True))
        assert layer.kept is not None
        share, words = layer.kept_words
        assert words == f"{layer.kept.sum():.0f} of 2304 cells"
        sizes = np.abs(shown.joint if shown.signed is None else shown.signed)
        assert share == pytest.approx(float((sizes * layer.kept).sum()), abs=1e-5)


def test_an_even_map_draws_nothing(explanation: Explanation) -> None:
    """Where every cell has the same, with signs or without, nothing is drawn; where they hardly differ, hardly any."""
    even = flat(class_map(explanation))
    noise = np.asarray(np.random.default_rng(0).normal(1, 0.01, even.joint.shape) / even.joint.size, np.float32)
    for sign in (1, -1):
        assert not Layer(dataclasses.replace(even, signed=sign * even.joint)).values.any()
        faint = Layer(dataclasses.replace(even, signed=sign * noise)).values
        assert 0 < np.abs(faint).max() < 0.05
        assert (sign * faint >= 0).all()


def test_without_a_contrast_the_other_end_is_against(explanation: Explanation) -> None:
    """What is not for the target is against it; a map for a class without signs has only one end."""
    alone = dataclasses.replace(class_map(explanation), contrast=None)
    assert Layer(alone).scale_ends == ("against moves down", "for moves down")
    plain = dataclasses.replace(alone, signed=None)
    assert Layer(plain).subject == "evidence for moves down"
    assert Layer(plain).scale_ends[0] == "the average, or less"
    assert Layer(alone, Look(colormap="viridis")).values.min() >= 0


def test_an_empty_or_negative_class_map_is_drawn(explanation: Explanation, tmp_path: Path) -> None:
    """A map in which nothing speaks for the class, or nothing at all, has its picture and no warning."""
    evidence = class_map(explanation)
    assert evidence.signed is not None
    for signed in (-np.abs(evidence.signed), np.zeros_like(evidence.signed)):
        nothing = dataclasses.replace(flat(evidence), signed=signed, source=None)
        assert np.isfinite(Layer(nothing, Look(focus=True)).shown).all()
        for ending in (".html", ".png", ".mp4", ".gif"):
            nothing.save(tmp_path / f"x{ending}")
