"""Draws one picture of a movie: frames with their maps, and below each a strip with the timeline."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from PIL import Image, ImageDraw

from staa_client.pictures.badge import LIGHTS, Colour
from staa_client.pictures.layer import Layer, place_words
from staa_client.pictures.letters import (
    TextBlock,
    load_font,
    stack,
    text_width,
    widen_spaces,
    wrap_apart,
    wrap_text,
)
from staa_client.pictures.overlay import legend_of, paint_alone, paint_over, round_seconds
from staa_client.results.maps import Floats, grid_at, scaled_box

Size = tuple[int, int]
"""(width, height) in pixels."""
PAPER: Colour = (20, 20, 26)
INK: Colour = (236, 236, 242)
SOFT: Colour = (170, 172, 188)
LINE: Colour = (92, 94, 110)
BAR: Colour = (118, 124, 196)
ACCENT: Colour = (255, 138, 117)
NARROW = 40
"""If the strip is narrower than so many letter heights, the colour scale has its own line."""
TITLE_LINES, END_LINES, TEXT_LINES = 4, 4, 16
"""The most lines of the title, of a text at an end of the colour scale, and of any other text."""
_CURVE = 2.7
"""The height of the curve, in letter heights."""
GAP = 8
"""Pixels between tiles."""
NARROWEST = 320
"""The least width of a tile in pixels, so that its texts can be read."""
ENLARGED = 640
"""A frame whose longer edge is shorter, in pixels, is enlarged up to this, if the picture has room for it."""


def letter_height(width: int) -> float:
    """Return the height of the letters under a picture of this width, both in pixels."""
    return min(max(width / 56, 12.0), 20.0)


def strip_height(width: int) -> int:
    """Return the height that a layout leaves for the strip under a picture of this width, both in pixels.

    A strip with long texts is taller.
    """
    return round(letter_height(width) * (11.6 if width / letter_height(width) < NARROW else 10.2))


@dataclass(frozen=True, eq=False)
class MovieStrip:
    """Draws the strip under the frames of one explanation: a still part, and for each moment a cursor and the time."""

    layer: Layer
    width: int
    """Pixels."""
    note: str = ""
    """Why there are no frames."""
    _still: Image.Image = field(init=False, repr=False)
    """The part of the strip that is the same at every moment."""

    def __post_init__(self) -> None:
        parts = [self._draw_title(), self._draw_about(), self._draw_trust(), self._draw_bars()]
        object.__setattr__(self, "_still", stack(parts))

    @property
    def height(self) -> int:
        """Return the height that its texts need, pixels."""
        return self._still.height

    def draw(self, second: float) -> Image.Image:
        """Return the strip at a moment of the source, seconds: (width, height) in pixels."""
        strip, size = self._still.copy(), letter_height(self.width)
        pen = ImageDraw.Draw(strip)
        x, base = round(self._x_of(second)), self.height - size * 1.5
        pen.line((x, base - size * _CURVE, x, base), fill=INK, width=max(round(size / 8), 1))
        place = widen_spaces(place_words(second), size)
        pen.text((self.width - size / 2, size * 0.4), place, font=load_font(size), fill=INK, anchor="ra")
        return strip

    @property
    def _span(self) -> tuple[float, float]:
        """Return the first second of the map, and its last."""
        seconds = self.layer.explanation.seconds
        return float(seconds.min()), float(max(seconds.max(), seconds.min() + 1e-3))

    def _x_of(self, second: float) -> float:
        """Return the position of a second on the curve, in pixels from the left."""
        first, last = self._span
        edge = letter_height(self.width) / 2
        return edge + min(max((second - first) / (last - first), 0), 1) * (self.width - 2 * edge)

    def _paper(self, height: float) -> tuple[Image.Image, ImageDraw.ImageDraw]:
        """Return an empty part of the strip, and a pen for it."""
        part = Image.new("RGB", (self.width, round(height)), PAPER)
        return part, ImageDraw.Draw(part)

    def _wrap(self, text: str, room: float) -> TextBlock:
        """Return a text in small letters on lines of so many pixels."""
        small = letter_height(self.width) * 0.8
        return TextBlock(wrap_text(text, small, room, TEXT_LINES), small, small * 1.3)

    def _draw_title(self) -> Image.Image:
        """Draw the label and its score, or for a class map the class and the best label, left of the time's place."""
        size, (title, beside) = letter_height(self.width), self.layer.heading
        place = text_width(widen_spaces(place_words(self._span[1]), size), size)
        block = TextBlock(wrap_text(title, size, self.width - place - size * 2, TITLE_LINES), size, size * 1.3)
        beside_block = TextBlock(wrap_text(beside, size, self.width - size, TITLE_LINES), size, size * 1.3)
        left = size * 1.5 + block.width
        fits = len(block.lines) == 1 and left + beside_block.width <= self.width - place - size
        part, pen = self._paper(size * 0.6 + block.height + (0 if fits else beside_block.height))
        block.write(pen, (size / 2, size * 0.4), INK)
        corner = (left, size * 0.4) if fits else (size / 2, size * 0.4 + block.height)
        beside_block.write(pen, corner, SOFT if self.layer.class_words else ACCENT)
        return part

    def _draw_about(self) -> Image.Image:
        """Draw what the map shows, and the colour scale: beside it, or below it if the strip is narrow."""
        size, width = letter_height(self.width), self.width
        is_narrow = width / size < NARROW
        words = (self.layer.balance or self.layer.title) + (f" · {self.note}" if self.note else "")
        about = self._wrap(words, width - size if is_narrow else width * 0.46)
        left = size / 2 if is_narrow else width * 0.5
        y = about.height if is_narrow else 0
        room = (width - size / 2 - left) * 0.38
        ends = wrap_apart(self.layer.scale_ends, size * 0.8, room, END_LINES)
        low, high = (TextBlock(lines, size * 0.8, size * 1.04) for lines in ends)
        part, pen = self._paper(max(about.height, y + low.height, y + high.height) + size * 0.26)
        about.write(pen, (size / 2, 0), SOFT)
        high.write(pen, (width - size / 2, y), SOFT, "ra")
        wide, end = round(room / 0.38 * 0.2), round(width - size * 0.9 - high.width)
        colours = legend_of(self.layer.scale, (wide, max(round(size * 0.8), 4)))
        top = round(y + size * 0.12)
        part.paste(colours, (end - wide, top))
        pen.rectangle((end - wide - 1, top - 1, end, top + colours.height), outline=LINE)
        low.write(pen, (end - wide - size * 0.4, y), SOFT, "ra")
        return part

    def _draw_trust(self) -> Image.Image:
        """Draw how far to trust the map behind a dot in the verdict's colour, what the model is good for, and notes."""
        badge, size = self.layer.badge, letter_height(self.width)
        small, x, colour = size * 0.8, size / 2, LIGHTS[badge.tone]
        verdict = self._wrap(f"{badge.words} · {badge.sentence}", self.width - size - small)
        texts = (self.layer.explanation.model.about, *self.layer.note_lines)
        below = [self._wrap(text, self.width - size) for text in texts]
        part, pen = self._paper(verdict.height + sum(block.height for block in below) + size * 0.3)
        pen.ellipse((x, small * 0.25, x + small * 0.7, small * 0.95), fill=colour)
        verdict.write(pen, (x + small, 0), colour)
        y = verdict.height
        for block, ink in zip(below, (INK, *(SOFT for _ in below)), strict=False):
            block.write(pen, (x, y), ink)
            y += block.height
        return part

    def _draw_bars(self) -> Image.Image:
        """Draw a bar for the share of each step, as wide as its seconds; draw the even share, and write the seconds."""
        explanation, size = self.layer.explanation, letter_height(self.width)
        small, top, base = size * 0.8, size * 0.2, size * (0.2 + _CURVE)
        part, pen = self._paper(base + size * 1.5)
        base = part.height - size * 1.5
        temporal = np.maximum(explanation.temporal, 0)
        highest = max(float(temporal.max()), 1e-9) * 1.1
        for step, (start, end) in enumerate(explanation.seconds.tolist()):
            left, right = self._x_of(start), self._x_of(end)
            y = base - float(temporal[step]) / highest * (base - top)
            colour = ACCENT if step == explanation.peak else BAR
            pen.rectangle((left, min(y, base - 1), max(right - 2, left + 1), base), fill=colour)
        even = base - 1 / len(temporal) / highest * (base - top)
        for dash in range(round(small), self.width - round(small), 8):
            pen.line((dash, even, dash + 3, even), fill=SOFT)
        first, last = self._span
        seconds = round_seconds(first, last)
        every = 1 + int(len(seconds) * small * 4 > self.width)
        for second in seconds[::every]:
            text = widen_spaces(f"{second:g} s", small)
            edge = size / 2 + load_font(small).getlength(text) / 2
            x = min(max(self._x_of(second), edge), self.width - edge)
            pen.text((x, base + small * 0.3), text, font=load_font(small), fill=SOFT, anchor="ma")
        return part


@dataclass(frozen=True, slots=True)
class PageLayout:
    """Holds how tiles of one size are arranged on a picture."""

    frame: Size
    """The size of each map's frame."""
    strip: Size
    """The size of the strip below it."""
    columns: int
    rows: int

    @property
    def tile(self) -> Size:
        """Return the size of a frame with its strip."""
        return self.strip[0], self.frame[1] + self.strip[1]

    @property
    def size(self) -> Size:
        """Return the size of the whole picture; both edges are even, as H.264 needs it."""
        width = self.columns * (self.tile[0] + GAP) - GAP
        height = self.rows * (self.tile[1] + GAP) - GAP
        return width + width % 2, height + height % 2


def lay_out(source: Size, count: int, most: Size) -> PageLayout:
    """Return the layout in which `count` frames of a source (width, height) are largest within `most`, two even edges.

    What strips with long texts need comes on top of that. Frames are not enlarged beyond `ENLARGED`, unless they are
    narrower than `NARROWEST`: then to this width.
    """
    most_columns = max(min(count, (most[0] + GAP) // (NARROWEST + GAP)), 1)
    layouts = [_in_columns(source, columns, -(-count // columns), most) for columns in range(1, most_columns + 1)]
    return max(layouts, key=lambda layout: (layout.frame[0], -layout.rows))


def _in_columns(source: Size, columns: int, rows: int, most: Size) -> PageLayout:
    """Return the layout with these columns and rows, with tiles as large as `most` allows."""
    widest = (most[0] + GAP) // columns - GAP
    tallest = (most[1] + GAP) // rows - GAP
    enlarged = max(1.0, ENLARGED / max(source), NARROWEST / source[0])
    strip = max(strip_height(NARROWEST), strip_height(max(min(widest, round(source[0] * enlarged)), NARROWEST)))
    scale = min(widest / source[0], max(tallest - strip, 1) / source[1], enlarged)
    frame = (max(round(source[0] * scale), 1), max(round(source[1] * scale), 1))
    width = max(frame[0], NARROWEST)
    return PageLayout(frame, (width, strip_height(width)), columns, rows)


@dataclass(frozen=True, eq=False)
class MoviePage:
    """Draws the pictures of a movie: the maps of one clip side by side, at any moment."""

    layers: Sequence[Layer]
    layout: PageLayout
    """The strips are as tall as the tallest of them needs to be."""
    note: str = ""
    """Why there are no frames."""
    _strips: list[MovieStrip] = field(init=False, repr=False)
    _maps: list[Floats] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        strips = [MovieStrip(layer, self.layout.strip[0], self.note) for layer in self.layers]
        size = self.layout.strip[0], max(strip.height for strip in strips)
        object.__setattr__(self, "_strips", strips)
        object.__setattr__(self, "layout", replace(self.layout, strip=size))
        object.__setattr__(self, "_maps", [layer.shown for layer in self.layers])

    def draw(self, second: float, frame: Image.Image | None) -> Image.Image:
        """Return the picture at a moment, in seconds of the source, over a frame of `layout.frame` pixels or none."""
        page = Image.new("RGB", self.layout.size, PAPER)
        wide, tall = self.layout.tile
        for tile, (layer, strip, maps) in enumerate(zip(self.layers, self._strips, self._maps, strict=True)):
            row, column = divmod(tile, self.layout.columns)
            x, y = column * (wide + GAP), row * (tall + GAP)
            clip, size = layer.explanation.clip, self.layout.frame
            box = scaled_box(clip.box, (clip.width, clip.height), size)
            seconds = layer.explanation.seconds
            grid, kept = grid_at(maps, seconds, second), None
            if layer.kept is not None:
                kept = grid_at(layer.kept, seconds, second)
            if frame is None:
                picture = paint_alone(size, grid, box, layer.scale, kept)
            else:
                picture = paint_over(frame, grid, box, opacity=layer.look.alpha, scale=layer.scale, kept=kept)
            page.paste(picture, (x + (wide - size[0]) // 2, y))
            page.paste(strip.draw(second), (x, y + size[1]))
        return page
