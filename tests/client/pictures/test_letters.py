"""Texts of pictures: they are wrapped, what is cut keeps both ends, and letters are in a font that has them."""

from pathlib import Path

import matplotlib as mpl
import pytest

from staa_client.pictures import letters
from staa_client.pictures.letters import TextBlock, fit_text, font_of, load_font, text_width, wrap_apart, wrap_text

PUSHED = "Pushing something from left to right", "Pushing something from right to left"


def test_a_text_is_cut_where_it_no_longer_fits() -> None:
    """What fits stays as it is; of what does not both ends stay, as long as they can be; no label takes long."""
    assert fit_text("moves\n down", 15, 200) == "moves down"
    for text in ("moves down and up and down again", "wide " * 20_000):
        head, _, tail = (cut := fit_text(text, 15, 120)).partition("...")
        assert text.startswith(head)
        assert text.strip().endswith(tail)
        assert 100 < text_width(cut, 15) <= 120
    assert fit_text("moves down", 15, 1) == "..."


def test_similar_labels_stay_apart() -> None:
    """What differs at the end is not cut off."""
    assert len({fit_text(label, 13, 144) for label in PUSHED}) == 2


def test_a_long_text_is_wrapped() -> None:
    """As many lines as are allowed, none wider than asked for, and all words in order where they fit."""
    text = "one two three four five six seven eight nine ten"
    lines = wrap_text(text, 13, 120)
    assert lines == wrap_text(text, 13, 120, 9)
    assert " ".join(lines) == text
    assert len(lines) > 2
    assert max(text_width(line, 13) for line in lines) <= 120
    assert "..." in wrap_text(text, 13, 120, 2)[1]
    assert wrap_text("", 13, 120, 2) == []
    assert len(wrap_text("wide " * 20_000, 13, 120, 3)) == 3


def test_a_long_word_is_broken() -> None:
    """A word that is wider than a line, or a text of a script without spaces, goes on on the next one."""
    for text in ("immeasurably" * 9, "\u53f3" * 40):
        lines = wrap_text(text, 13, 60)
        assert "".join(lines) == text
        assert max(text_width(line, 13) for line in lines) <= 60
    assert wrap_text("ab", 13, 1) == ["a", "b"]


def test_small_letters_are_wrapped_with_their_wide_spaces() -> None:
    """Below 12 pixels spaces are wider, and lines are so much shorter."""
    lines = wrap_text("a b c d e f g h i j k l m n", 10, 60)
    assert all("  " in line for line in lines)
    assert max(text_width(line, 10) for line in lines) <= 60


def test_two_ends_never_read_alike() -> None:
    """Texts that differ in the middle only are cut up to there; alike they stay where they are alike."""
    long = "x" * 400, "y" * 400
    for pair in (PUSHED, (long[0] + "1" + long[1], long[0] + "2" + long[1])):
        one, other = wrap_apart(pair, 13, 144, 2)
        assert one != other
        assert max(len(one), len(other)) <= 2
    one, other = wrap_apart((long[0], long[0]), 13, 144, 2)
    assert one == other == wrap_text(long[0], 13, 144, 2)


def test_a_block_is_as_large_as_its_lines() -> None:
    """A block of texts has the height of its lines and the width of the widest; an empty one has none."""
    block = TextBlock(["wide letters", "i"], 13, 16)
    assert (block.height, block.width) == (32, text_width("wide letters", 13))
    assert (TextBlock([], 13, 16).height, TextBlock([], 13, 16).width) == (0, 0)


def test_letters_come_from_a_font_that_has_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """A text with letters that Pillow's own font lacks is written in an installed font, and others stay as they are."""
    own, dejavu = load_font(15), str(Path(mpl.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf"))
    texts = "D\u00e9placer un objet", "\u0434\u0432\u0438\u0436\u0435\u043d\u0438\u0435", "\u03ba\u03af\u03bd\u03b7"
    for installed, found in ((("no-such-font.ttf",), own), (("no-such-font.ttf", dejavu), load_font(15, dejavu))):
        monkeypatch.setattr(letters, "INSTALLED", installed)
        font_of.cache_clear()
        assert [font_of(text, 15) for text in texts] == [found] * 3
        assert font_of("moves down \u00b7 >99.9%", 15) is own
    font_of.cache_clear()
    missing = bytes(load_font(15, dejavu).getmask("\U0010ffff"))
    for letter in "".join(texts).replace(" ", ""):
        assert bytes(load_font(15, dejavu).getmask(letter)) != missing
