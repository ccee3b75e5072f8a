"""A map over one frame."""

from functools import cache, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from staa_client._colours import HEAT, checked, inks, places, table
from staa_client._geometry import Box, Floats

Frame = NDArray[np.uint8]
UNSEEN = "not seen by the model"


@cache
def font(size: float) -> Any:  # Pillow gives one of two classes, by how it was built
    """Pillow's own font at this size in pixels."""
    return ImageFont.load_default(size=size)


def spaced(text: str, size: float) -> str:
    """The text with spaces as wide as a space should be: the font's are 2 pixels where letters have less than 12."""
    return text.replace(" ", "  ") if size < 12 else text


def overlay(frame: Frame, grid: Floats, box: Box, *, opacity: float = 0.8, scale: str = HEAT) -> Frame:
    """A frame (H, W, 3) with the map `grid` (h, w), 0 to 1 or with signs -1 to 1, over `box`: (H, W, 3).

    The larger a value, the more it covers the frame, whose own colours are paled. Outside the box the frame is grey
    and dim, and says that the model did not see it.
    """
    return np.asarray(painted(Image.fromarray(frame), grid, box, opacity=opacity, scale=scale))


def painted(frame: Image.Image, grid: Floats, box: Box, *, opacity: float = 0.8, scale: str = HEAT) -> Image.Image:
    """The same from picture to picture. In 8 bit throughout: a movie has thousands of them."""
    part = frame.crop(box)
    pale = Image.blend(part, part.convert("L").convert("RGB"), opacity / 2)  # so that the scale's colours stand out
    heat = _enlarged(grid, box, scale)
    seen = Image.composite(_coloured(heat, inks(scale)), pale, heat.point(_cover(opacity, checked(scale).diverging)))
    if box == (0, 0, *frame.size):
        return seen
    drawn = frame.convert("L").point([round(level * 0.3 + 20) for level in range(256)]).convert("RGB")
    drawn.paste(seen, box)
    return _marked(drawn, box)


def bare(size: tuple[int, int], grid: Floats, box: Box, scale: str = HEAT) -> Image.Image:
    """The map alone, in the colours of its scale, where no frame of (width, height) is at hand."""
    nothing = table(scale)[places(np.zeros(1, np.float32), scale)[0]]
    drawn = Image.new("RGB", size, tuple(int(part) // 2 + 14 for part in nothing))
    drawn.paste(_coloured(_enlarged(grid, box, scale), table(scale)), box[:2])
    if box != (0, 0, *size):
        return _marked(drawn, box)
    return drawn


def _enlarged(grid: Floats, box: Box, scale: str) -> Image.Image:
    """Places in the colour table, bilinear between the centres of the cells, as large as the box."""
    size = (box[2] - box[0], box[3] - box[1])
    return Image.fromarray(places(grid, scale)).resize(size, Image.Resampling.BILINEAR)


def _coloured(heat: Image.Image, colours: NDArray[np.uint8]) -> Image.Image:
    drawn = heat.copy()
    drawn.putpalette(colours.tobytes())
    return drawn.convert("RGB")


@cache
def _cover(opacity: float, diverging: bool) -> list[int]:
    """How much each place in the table covers the frame, 0 to 255."""
    sizes = np.abs(np.linspace(-1 if diverging else 0, 1, 256))
    return [int(part) for part in (255 * opacity * sizes**0.7).round()]


def _marked(drawn: Image.Image, box: Box) -> Image.Image:
    """Outline the box, and write into each strip around it that the model did not see it; gives the same picture."""
    ImageDraw.Draw(drawn).rectangle((box[0] - 1, box[1] - 1, box[2], box[3]), outline=(150, 152, 165))
    for letters, corner in _marks(drawn.size, box):
        drawn.paste((225, 226, 235), corner, letters)
    return drawn


@lru_cache(16)
def _marks(size: tuple[int, int], box: Box) -> list[tuple[Image.Image, tuple[int, int]]]:
    """`UNSEEN` for each strip around the box that is wide enough: letters as a mask, and their corner."""
    x0, y0, x1, y1 = box
    width, height = size
    marks = []
    for strip in ((0, y0, x0, y1), (x1, y0, width, y1), (0, 0, width, y0), (0, y1, width, height)):
        wide, tall = strip[2] - strip[0], strip[3] - strip[1]
        letters = min(13.0 * max(1, max(size) / 640), min(wide, tall) * 0.6, max(wide, tall) / 13)
        if letters < 7:
            continue
        words = spaced(UNSEEN, letters)
        left, top, right, bottom = (int(edge) for edge in font(letters).getbbox(words))
        text = Image.new("L", (right - left + 2, bottom - top + 2))
        ImageDraw.Draw(text).text((1 - left, 1 - top), words, font=font(letters), fill=200)
        if tall > wide:
            text = text.transpose(Image.Transpose.ROTATE_90)
        marks.append((text, (strip[0] + (wide - text.width) // 2, strip[1] + (tall - text.height) // 2)))
    return marks
