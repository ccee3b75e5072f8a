"""Draws one picture of a movie: frames with their maps, and below each a strip with the timeline."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from staa_client.pictures.badge import LIGHTS, Colour
from staa_client.pictures.layer import Layer
from staa_client.pictures.overlay import (
    fit_text,
    legend_of,
    load_font,
    paint_alone,
    paint_over,
    round_seconds,
    widen_spaces,
)
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
    """Return the height of the strip under a picture of this width, both in pixels."""
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
        object.__setattr__(self, "_still", self._draw_still())

    def draw(self, second: float) -> Image.Image:
        """Return the strip at a moment of the source, seconds: (width, strip_height(width)) in pixels."""
        strip, size = self._still.copy(), letter_height(self.width)
        pen = ImageDraw.Draw(strip)
        x = round(self._x_of(second))
        pen.line((x, self._curve[0], x, self._curve[1]), fill=INK, width=max(round(size / 8), 1))
        time = widen_spaces(f"{second:.1f} s", size)
        pen.text((self.width - size / 2, size * 0.4), time, font=load_font(size), fill=INK, anchor="ra")
        return strip

    @property
    def _curve(self) -> tuple[float, float]:
        """Return the top and the base of the curve, in pixels."""
        tall, size = strip_height(self.width), letter_height(self.width)
        return tall - size * 4.2, tall - size * 1.5

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

    def _draw_still(self) -> Image.Image:
        """Draw the strip without a cursor: (width, strip_height(width)) in pixels."""
        size, width = letter_height(self.width), self.width
        strip = Image.new("RGB", (width, strip_height(width)), PAPER)
        pen = ImageDraw.Draw(strip)
        self._draw_title(pen)
        small, y = size * 0.8, size * 1.9
        about = (self.layer.balance or self.layer.title) + (f" · {self.note}" if self.note else "")
        is_narrow = width / size < NARROW
        room = width - size if is_narrow else width * 0.46
        pen.text((size / 2, y), fit_text(about, small, room), font=load_font(small), fill=SOFT)
        left = size / 2 if is_narrow else width * 0.5
        self._draw_scale(strip, pen, (left, y + (size * 1.3 if is_narrow else 0), width - size / 2))
        self._draw_badge(pen, y + size * (2.6 if is_narrow else 1.3))
        self._draw_bars(pen)
        return strip

    def _draw_title(self, pen: Any) -> None:
        """Write the label and its score; or for a class map the class, and the best label if there is room."""
        size, (title, beside) = letter_height(self.width), self.layer.heading
        room = self.width - size * 5.5
        beside_width = load_font(size).getlength(widen_spaces(beside, size)) + size
        is_class = bool(self.layer.class_words)
        title = fit_text(title, size, room if is_class else room - beside_width)
        pen.text((size / 2, size * 0.4), title, font=load_font(size), fill=INK)
        left = load_font(size).getlength(title) + size
        if left + beside_width <= room + size:
            colour = SOFT if is_class else ACCENT
            pen.text((size / 2 + left, size * 0.4), widen_spaces(beside, size), font=load_font(size), fill=colour)

    def _draw_badge(self, pen: Any, y: float) -> None:
        """Write how far to trust the map behind a dot in the verdict's colour, and below what the model is good for."""
        badge, small = self.layer.badge, letter_height(self.width) * 0.8
        x, font, colour = letter_height(self.width) / 2, load_font(small), LIGHTS[badge.tone]
        pen.ellipse((x, y + small * 0.25, x + small * 0.7, y + small * 0.95), fill=colour)
        verdict = fit_text(f"{badge.words} · {badge.sentence}", small, self.width - 2 * x - small)
        pen.text((x + small, y), verdict, font=font, fill=colour)
        about = " · ".join(part for part in (self.layer.explanation.model.about, self.layer.notes) if part)
        pen.text((x, y + small * 1.6), fit_text(about, small, self.width - 2 * x), font=font, fill=INK)

    def _draw_scale(self, strip: Image.Image, pen: Any, line: tuple[float, float, float]) -> None:
        """Draw the colour scale between the texts for its ends; `line` is (left, top, right) in pixels."""
        left, y, right = line
        small = letter_height(self.width) * 0.8
        room = (right - left) * 0.38
        low, high = (fit_text(end, small, room) for end in self.layer.scale_ends)
        pen.text((right, y), high, font=load_font(small), fill=SOFT, anchor="ra")
        wide = round((right - left) * 0.2)
        end = round(right - load_font(small).getlength(high) - small / 2)
        start = end - wide
        colours = legend_of(self.layer.scale, (wide, max(round(small), 4)))
        top = round(y + small * 0.15)
        strip.paste(colours, (start, top))
        pen.rectangle((start - 1, top - 1, end, top + colours.height), outline=LINE)
        pen.text((start - small / 2, y), low, font=load_font(small), fill=SOFT, anchor="ra")

    def _draw_bars(self, pen: Any) -> None:
        """Draw a bar for the share of each step, as wide as its seconds; draw the even share, and write the seconds."""
        explanation, small = self.layer.explanation, letter_height(self.width) * 0.8
        temporal = np.maximum(explanation.temporal, 0)
        top, base = self._curve
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
            edge = letter_height(self.width) / 2 + load_font(small).getlength(text) / 2
            x = min(max(self._x_of(second), edge), self.width - edge)
            pen.text((x, base + small * 0.3), text, font=load_font(small), fill=SOFT, anchor="ma")


@dataclass(frozen=True, slots=True)
class PageLayout:
    """Holds how tiles of one size are arranged on a picture."""

    frame: Size
    """The size of each map's frame."""
    tile: Size
    """The size of a frame with its strip."""
    columns: int
    rows: int

    @property
    def size(self) -> Size:
        """Return the size of the whole picture; both edges are even, as H.264 needs it."""
        width = self.columns * (self.tile[0] + GAP) - GAP
        height = self.rows * (self.tile[1] + GAP) - GAP
        return width + width % 2, height + height % 2


def lay_out(source: Size, count: int, most: Size) -> PageLayout:
    """Return the layout in which `count` frames of a source (width, height) are largest within `most`.

    Frames are not enlarged beyond `ENLARGED`, unless they are narrower than `NARROWEST`: then to this width.
    """
    most_columns = max(min(count, (most[0] + GAP) // (NARROWEST + GAP)), 1)
    layouts = [_in_columns(source, columns, -(-count // columns), most) for columns in range(1, most_columns + 1)]
    return max(layouts, key=lambda layout: (layout.frame[0], -layout.rows))


def _in_columns(source: Size, columns: int, rows: int, most: Size) -> PageLayout:
    """Return the layout with these columns and rows, with tiles as large as `most` allows."""
    widest = (most[0] + GAP) // columns - GAP - 1
    tallest = (most[1] + GAP) // rows - GAP - 1
    enlarged = max(1.0, ENLARGED / max(source), NARROWEST / source[0])
    strip = max(strip_height(NARROWEST), strip_height(max(min(widest, round(source[0] * enlarged)), NARROWEST)))
    scale = min(widest / source[0], max(tallest - strip, 1) / source[1], enlarged)
    frame = (max(round(source[0] * scale), 1), max(round(source[1] * scale), 1))
    width = max(frame[0], NARROWEST)
    return PageLayout(frame, (width, frame[1] + strip_height(width)), columns, rows)


@dataclass(frozen=True, eq=False)
class MoviePage:
    """Draws the pictures of a movie: the maps of one clip side by side, at any moment."""

    layers: Sequence[Layer]
    layout: PageLayout
    note: str = ""
    """Why there are no frames."""
    _strips: list[MovieStrip] = field(init=False, repr=False)
    _maps: list[Floats] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(
            self, "_strips", [MovieStrip(layer, self.layout.tile[0], self.note) for layer in self.layers]
        )
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
