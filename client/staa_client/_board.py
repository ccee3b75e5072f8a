"""The picture of a movie: a frame under each map, side by side, and what stands under them."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from PIL import Image

from staa_client import _strip
from staa_client._geometry import Floats, in_time, scaled_box
from staa_client._layer import Layer
from staa_client._overlay import bare, painted
from staa_client._strip import PAPER, Strip

GAP = 8
"""Pixels between tiles."""
NARROWEST = 320
"""Pixels of a tile, so that its words can be read."""

Size = tuple[int, int]
"""(width, height), pixels."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How tiles of one size lie on a picture."""

    frame: Size
    """Of each map's frame."""
    tile: Size
    """Of a frame with its strip."""
    columns: int
    rows: int

    @property
    def size(self) -> Size:
        """Of the whole picture, even, as H.264 wants it."""
        width = self.columns * (self.tile[0] + GAP) - GAP
        height = self.rows * (self.tile[1] + GAP) - GAP
        return width + width % 2, height + height % 2


def plan(source: Size, count: int, most: Size) -> Plan:
    """The columns in which `count` frames of a source of (width, height) are largest within `most`; never enlarged.

    Only what is narrower than `NARROWEST` is enlarged to it, where the height lets it.
    """
    widest = max(min(count, (most[0] + GAP) // (NARROWEST + GAP)), 1)
    plans = [_plan(source, columns, -(-count // columns), most) for columns in range(1, widest + 1)]
    return max(plans, key=lambda found: (found.frame[0], -found.rows))


def _plan(source: Size, columns: int, rows: int, most: Size) -> Plan:
    widest = (most[0] + GAP) // columns - GAP - 1
    tallest = (most[1] + GAP) // rows - GAP - 1
    strip = max(_strip.height(NARROWEST), _strip.height(max(min(widest, source[0]), NARROWEST)))
    scale = min(widest / source[0], max(tallest - strip, 1) / source[1], max(1.0, NARROWEST / source[0]))
    frame = (max(round(source[0] * scale), 1), max(round(source[1] * scale), 1))
    width = max(frame[0], NARROWEST)
    return Plan(frame, (width, frame[1] + _strip.height(width)), columns, rows)


@dataclass(frozen=True, eq=False)
class Board:
    """Draws the maps of one clip at a moment."""

    layers: Sequence[Layer]
    plan: Plan
    note: str = ""
    """Why there are no frames."""
    _strips: list[Strip] = field(init=False, repr=False)
    _maps: list[Floats] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_strips", [Strip(layer, self.plan.tile[0], self.note) for layer in self.layers])
        object.__setattr__(self, "_maps", [layer.drawn for layer in self.layers])

    def at(self, second: float, frame: Image.Image | None) -> Image.Image:
        """The picture at a moment of the source, seconds, over a frame of `plan.frame` pixels or over none."""
        page = Image.new("RGB", self.plan.size, PAPER)
        wide, tall = self.plan.tile
        for number, (layer, strip, maps) in enumerate(zip(self.layers, self._strips, self._maps, strict=True)):
            row, column = divmod(number, self.plan.columns)
            x, y = column * (wide + GAP), row * (tall + GAP)
            clip, size = layer.explanation.clip, self.plan.frame
            box = scaled_box(clip.box, (clip.width, clip.height), size)
            grid = in_time(maps, layer.explanation.seconds, second)
            if frame is None:
                drawn = bare(size, grid, box, layer.scale)
            else:
                drawn = painted(frame, grid, box, opacity=layer.look.alpha, scale=layer.scale)
            page.paste(drawn, (x + (wide - size[0]) // 2, y))
            page.paste(strip.at(second), (x, y + size[1]))
        return page
