"""What stands under the picture of a movie: the label, the colour scale, and the curve with a cursor."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from staa_client._colours import table
from staa_client._layer import Layer
from staa_client._overlay import font, spaced
from staa_client.render import fitted, ticks

Colour = tuple[int, int, int]

PAPER: Colour = (20, 20, 26)
INK: Colour = (236, 236, 242)
SOFT: Colour = (170, 172, 188)
BAR: Colour = (118, 124, 196)
ACCENT: Colour = (255, 138, 117)
NARROW = 40
"""Letters' heights in the width, below which the colour scale has a line of its own."""


def letters(width: int) -> float:
    """Height of the letters under a picture so wide, pixels."""
    return min(max(width / 56, 12.0), 20.0)


def height(width: int) -> int:
    """Of the strip under a picture so wide, pixels."""
    return round(letters(width) * (9.0 if width / letters(width) < NARROW else 7.6))


@dataclass(frozen=True, eq=False)
class Strip:
    """The strip of one explanation, drawn once; a moment adds its cursor and its time."""

    layer: Layer
    width: int
    """Pixels."""
    note: str = ""
    """Why there are no frames."""
    _plain: Image.Image = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_plain", self._drawn())

    def at(self, second: float) -> Image.Image:
        """The strip at a moment of the source, seconds: (width, height(width)) in pixels."""
        drawn, pen, size = self._plain.copy(), None, letters(self.width)
        pen = ImageDraw.Draw(drawn)
        x = round(self._across(second))
        pen.line((x, self._curve[0], x, self._curve[1]), fill=INK, width=max(round(size / 8), 1))
        pen.text(
            (self.width - size / 2, size * 0.4), spaced(f"{second:.1f} s", size), font=font(size), fill=INK, anchor="ra"
        )
        return drawn

    @property
    def _curve(self) -> tuple[float, float]:
        """Top and base of the curve, pixels."""
        tall, size = height(self.width), letters(self.width)
        return tall - size * 4.2, tall - size * 1.5

    @property
    def _span(self) -> tuple[float, float]:
        seconds = self.layer.explanation.seconds
        return float(seconds.min()), float(max(seconds.max(), seconds.min() + 1e-3))

    def _across(self, second: float) -> float:
        first, last = self._span
        edge = letters(self.width) / 2
        return edge + min(max((second - first) / (last - first), 0), 1) * (self.width - 2 * edge)

    def _drawn(self) -> Image.Image:
        size, width = letters(self.width), self.width
        strip = Image.new("RGB", (width, height(width)), PAPER)
        pen = ImageDraw.Draw(strip)
        self._title(pen)
        small, y = size * 0.8, size * 1.9
        title = (self.layer.balance or self.layer.title) + (f" · {self.note}" if self.note else "")
        apart = width / size < NARROW
        room = width - size if apart else width * 0.46
        pen.text((size / 2, y), fitted(title, small, room), font=font(small), fill=SOFT)
        left = size / 2 if apart else width * 0.5
        self._scale(strip, pen, (left, y + (size * 1.3 if apart else 0), width - size / 2))
        self._bars(pen)
        return strip

    def _title(self, pen: Any) -> None:
        """The label and its score; or the class explained, and where there is room the best label."""
        size, (title, beside) = letters(self.width), self.layer.heading
        room = self.width - size * 5.5
        score = font(size).getlength(spaced(beside, size)) + size
        named = bool(self.layer.aim)
        title = fitted(title, size, room if named else room - score)
        pen.text((size / 2, size * 0.4), title, font=font(size), fill=INK)
        left = font(size).getlength(title) + size
        if left + score <= room + size:
            colour = SOFT if named else ACCENT
            pen.text((size / 2 + left, size * 0.4), spaced(beside, size), font=font(size), fill=colour)

    def _scale(self, strip: Image.Image, pen: Any, line: tuple[float, float, float]) -> None:
        """The colours between the names of their ends, from left to right."""
        left, y, right = line
        small = letters(self.width) * 0.8
        each = (right - left) * 0.38
        low, high = (fitted(end, small, each) for end in self.layer.ends)
        pen.text((right, y), high, font=font(small), fill=SOFT, anchor="ra")
        wide = round((right - left) * 0.2)
        end = round(right - font(small).getlength(high) - small / 2)
        start = end - wide
        colours = Image.fromarray(table(self.layer.scale)[None]).resize((wide, max(round(small), 4)))
        strip.paste(colours, (start, round(y + small * 0.15)))
        pen.text((start - small / 2, y), low, font=font(small), fill=SOFT, anchor="ra")

    def _bars(self, pen: Any) -> None:
        """The share of each step, as wide as its seconds, against the even share; and the seconds."""
        explanation, small = self.layer.explanation, letters(self.width) * 0.8
        temporal = np.maximum(explanation.temporal, 0)
        top, base = self._curve
        most = max(float(temporal.max()), 1e-9) * 1.1
        for step, (start, end) in enumerate(explanation.seconds.tolist()):
            left, right = self._across(start), self._across(end)
            y = base - float(temporal[step]) / most * (base - top)
            colour = ACCENT if step == explanation.peak else BAR
            pen.rectangle((left, min(y, base - 1), max(right - 2, left + 1), base), fill=colour)
        even = base - 1 / len(temporal) / most * (base - top)
        for dash in range(round(small), self.width - round(small), 8):
            pen.line((dash, even, dash + 3, even), fill=SOFT)
        first, last = self._span
        marks = ticks(first, last)
        every = 1 + int(len(marks) * small * 4 > self.width)
        for second in marks[::every]:
            text = spaced(f"{second:g} s", small)
            edge = letters(self.width) / 2 + font(small).getlength(text) / 2
            x = min(max(self._across(second), edge), self.width - edge)
            pen.text((x, base + small * 0.3), text, font=font(small), fill=SOFT, anchor="ma")
