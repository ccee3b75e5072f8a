"""Measures, wraps and writes the texts of pictures, in a font that has their letters."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import takewhile
from typing import Any, Final

from PIL import Image, ImageDraw, ImageFont

from staa_client.pictures.badge import Colour

INSTALLED: Final = (
    *("NotoSans-Regular.ttf", "DejaVuSans.ttf", "segoeui.ttf", "Arial Unicode.ttf", "LiberationSans-Regular.ttf"),
    *("NotoSansCJK-Regular.ttc", "wqy-microhei.ttc", "msyh.ttc", "malgun.ttf", "PingFang.ttc", "AppleGothic.ttf"),
    *("NotoSansDevanagari-Regular.ttf", "NotoSansArabic-Regular.ttf", "NotoSansThai-Regular.ttf", "Nirmala.ttf"),
)
"""The files of fonts that systems have, which are tried in turn for letters that Pillow's own font lacks."""
_NO_LETTER: Final = "\U0010ffff"
"""What no font has: it is drawn as the box for a letter that is missing."""


@cache
def load_font(size: float, name: str = "") -> Any:  # Pillow gives one of two classes, by how it was built
    """Return Pillow's own font, or the installed one of this name, at this size in pixels; None if there is none."""
    try:
        return ImageFont.truetype(name, size) if name else ImageFont.load_default(size=size)
    except OSError:
        return None


@lru_cache(4096)
def font_of(text: str, size: float) -> Any:  # as above
    """Return Pillow's own font at this size in pixels; if it lacks letters of the text, the font that lacks fewest."""
    best, fewest = load_font(size), _count_lacking(text, "")
    for name in INSTALLED if fewest else ():
        font = load_font(size, name)
        lacking = fewest if font is None else _count_lacking(text, name)
        if lacking < fewest:
            best, fewest = font, lacking
    return best


def _count_lacking(text: str, name: str) -> int:
    """Return how many of the letters of a text a font lacks."""
    return 0 if text.isascii() else sum(_lacks(letter, name) for letter in set(text) if letter.isprintable())


@lru_cache(16384)
def _lacks(letter: str, name: str) -> bool:
    """Return whether a font draws a letter as the box for a letter that is missing."""
    drawn, missing = (load_font(16, name).getmask(sign) for sign in (letter, _NO_LETTER))
    return bool(drawn.size == missing.size and bytes(drawn) == bytes(missing))


def text_width(text: str, size: float) -> float:
    """Return how wide a line in letters of `size` pixels is, in pixels."""
    return float(font_of(text, size).getlength(text))


def widen_spaces(text: str, size: float) -> str:
    """Return the text with wider spaces for small letters: below 12 pixels, the font's own are only 2 pixels wide."""
    return text.replace(" ", "  ") if size < 12 else text


def fit_text(text: str, size: float, width: float) -> str:
    """Return the text on one line; if it is wider than `width` pixels in letters of `size` pixels, "..." is its middle.

    Long labels often differ at their ends.
    """
    line = widen_spaces(" ".join(text.split()), size)
    if text_width(line, size) <= width:
        return line

    def cut(count: int) -> str:
        return f"{line[: (count + 1) // 2].rstrip()}...{line[len(line) - count // 2 :].lstrip()}"

    return cut(max(bisect_right(range(len(line)), width, key=lambda count: text_width(cut(count), size)) - 1, 0))


def wrap_text(text: str, size: float, width: float, most: int | None = None) -> list[str]:
    """Return the text on lines of at most `width` pixels, in letters of `size` pixels; a longer word is broken.

    On the last of `most` lines, what does not fit is cut by `fit_text`.
    """
    lines: list[str] = []
    words = text.split()
    while words:
        if len(lines) + 1 == most:
            return [*lines, fit_text(" ".join(words), size, width)]
        count = _most_that_fit(words, " ", size, width)
        if count:
            line, words = " ".join(words[:count]), words[count:]
        else:
            kept = max(_most_that_fit(words[0], "", size, width), 1)
            line, words = words[0][:kept], [*filter(None, [words[0][kept:]]), *words[1:]]
        lines.append(widen_spaces(line, size))
    return lines


def _most_that_fit(parts: Sequence[str], between: str, size: float, width: float) -> int:
    """Return how many of the parts, joined by what stands between them, fit into `width` pixels."""
    counts = range(1, min(len(parts), int(width)) + 1)
    return bisect_right(
        counts, width, key=lambda count: text_width(widen_spaces(between.join(parts[:count]), size), size)
    )


def wrap_apart(texts: tuple[str, str], size: float, width: float, most: int) -> tuple[list[str], list[str]]:
    """Return two texts as `wrap_text` does; if they would read the same, both are cut up to where they differ."""
    one, other = (wrap_text(text, size, width, most) for text in texts)
    if one == other and texts[0] != texts[1]:
        alike = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(*texts, strict=False)))
        one, other = (wrap_text(f"...{text[alike:]}", size, width, most) for text in texts)
    return one, other


@dataclass(frozen=True, slots=True)
class TextBlock:
    """Holds lines in letters of one size, which are written one below the other."""

    lines: Sequence[str]
    size: float
    """The height of the letters, pixels."""
    pitch: float
    """Pixels from one line to the next."""

    @property
    def height(self) -> int:
        """Return the height of all lines, pixels."""
        return round(len(self.lines) * self.pitch)

    @property
    def width(self) -> float:
        """Return the width of the widest line, pixels."""
        return max((text_width(line, self.size) for line in self.lines), default=0.0)

    def write(self, pen: ImageDraw.ImageDraw, corner: tuple[float, float], colour: Colour, anchor: str = "la") -> None:
        """Write the lines; `corner` is where the first begins, or for the anchor "ra" where it ends, at its top."""
        x, y = corner
        for row, line in enumerate(self.lines):
            place = x, y + row * self.pitch
            pen.text(place, line, font=font_of(line, self.size), fill=colour, anchor=anchor)


def stack(pictures: Sequence[Image.Image]) -> Image.Image:
    """Return pictures of one width one below the other."""
    whole = Image.new("RGB", (pictures[0].width, sum(picture.height for picture in pictures)))
    top = 0
    for picture in pictures:
        whole.paste(picture, (0, top))
        top += picture.height
    return whole
