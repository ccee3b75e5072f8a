"""Draws a map over one frame, and the legend of its colours; chooses the ticks of an axis."""

from functools import cache, lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageStat

from staa_client.pictures.colours import HEAT, cover_table_of, scale_of, table_indices_of
from staa_client.pictures.letters import load_font, widen_spaces
from staa_client.results.maps import Box, Floats
from staa_client.video.frames import Frame

UNSEEN = "not seen by the model"
GROUND, LEGEND_GROUND = (44, 45, 54), (150, 150, 156)
"""The sRGB colours under a map without frames, and under the colour scale."""
LINE_LIGHT, LINE_DARK = (250, 250, 250), (16, 16, 20)
"""The sRGB colours of the line around strong cells; on any frame, one of the two has a contrast ratio of 4 or more."""
SMALLEST_LINED = 96
"""In a picture whose longer edge has fewer pixels, a line would hide what it surrounds."""
DARK = 75
"""A frame whose median level, 0 to 255, is lower is dark."""
_GREY_BY_COVER = [min(cover, 127) for cover in range(256)]
"""How grey a frame is under the map, 0 to 255, by how much the map covers it."""


def overlay(frame: Frame, grid: Floats, box: Box, *, opacity: float = 0.8, scale: str = HEAT) -> Frame:
    """Return a frame (H, W, 3) with the map `grid` (h, w), 0 to 1 or -1 to 1, drawn over `box`.

    A larger value covers more of the frame, and 0 leaves it as it is. A line surrounds what is at least half way up the
    scale. Outside the box the frame is grey and dark, with a text that the model did not see it.
    """
    return np.asarray(paint_over(Image.fromarray(frame), grid, box, opacity=opacity, scale=scale))


def paint_over(
    frame: Image.Image, grid: Floats, box: Box, *, opacity: float = 0.8, scale: str = HEAT, kept: Floats | None = None
) -> Image.Image:
    """Do what `overlay` does, but with pictures and in 8 bits, which is fast enough for the thousands in a movie.

    With `kept` (h, w), 1 for the cells that are in focus and 0 for the others, the line surrounds these cells, and the
    rest of the box is dimmed.
    """
    region, heat = frame.crop(box), _enlarge(grid, box, scale)
    surrounded = _strong_pixels(heat, scale) if kept is None else _pixels_of(kept, region.size)
    if kept is not None:
        region = Image.composite(region, _dim(region), Image.fromarray(surrounded))
    cover = heat.point(_cover_by_index(opacity, scale_of(scale).diverging))
    grey = region.convert("L").convert("RGB")  # on grey, the colours are those of the scale
    seen = Image.composite(grey, region, cover.point(_GREY_BY_COVER))
    seen = Image.composite(_colour(heat, cover_table_of(scale)), seen, cover)
    if opacity or kept is not None:
        seen = _draw_line(seen, surrounded)
    if box == (0, 0, *frame.size):
        return seen
    picture = frame.convert("L").point([round(level * 0.3 + 20) for level in range(256)]).convert("RGB")
    picture.paste(seen, box)
    return _mark_unseen(picture, box)


def paint_alone(
    size: tuple[int, int], grid: Floats, box: Box, scale: str = HEAT, kept: Floats | None = None
) -> Image.Image:
    """Return a picture of `size` (width, height) with the map only, over plain dark grey."""
    return paint_over(Image.new("RGB", size, GROUND), grid, box, opacity=1, scale=scale, kept=kept)


def legend_of(scale: str, size: tuple[int, int]) -> Image.Image:
    """Return a colour scale as it is over frames, drawn over plain grey: a picture of `size` (width, height).

    A line across it stands where the line around strong cells begins.
    """
    values = np.linspace(-1 if scale_of(scale).diverging else 0, 1, size[0], dtype=np.float32)
    indices = Image.fromarray(table_indices_of(values, scale)[None]).resize(size)
    cover = indices.point(_cover_by_index(1.0, scale_of(scale).diverging))
    legend = Image.composite(_colour(indices, cover_table_of(scale)), Image.new("RGB", size, LEGEND_GROUND), cover)
    return _draw_line(legend, _strong_pixels(indices, scale))


def _enlarge(grid: Floats, box: Box, scale: str) -> Image.Image:
    """Return a grid (h, w) enlarged to the box as indices of the colour table, bilinear between centres of cells."""
    size = (box[2] - box[0], box[3] - box[1])
    return Image.fromarray(table_indices_of(grid, scale)).resize(size, Image.Resampling.BILINEAR)


def _colour(indices: Image.Image, table: NDArray[np.uint8]) -> Image.Image:
    """Return the picture of indices with the colours of a table, (256, 3) sRGB."""
    picture = indices.copy()
    picture.putpalette(table.tobytes())
    return picture.convert("RGB")


def _strong_pixels(heat: Image.Image, scale: str) -> NDArray[np.bool_]:
    """Return which pixels, (H, W), are at least half way up the scale, on any side of a diverging one."""
    indices = np.asarray(heat)
    if scale_of(scale).diverging:
        return (indices <= 63) | (indices >= 192)
    return indices >= 128


def _pixels_of(kept: Floats, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Return which pixels, (H, W), are of cells (h, w) that are kept; `size` is (width, height)."""
    cells = Image.fromarray((np.asarray(kept) >= 0.5).astype(np.uint8))
    return np.asarray(cells.resize(size, Image.Resampling.NEAREST)).astype(bool)


def _dim(region: Image.Image) -> Image.Image:
    """Return a picture that recedes: darker, or lighter if it is dark already."""
    is_dark = ImageStat.Stat(region.convert("L")).median[0] < DARK
    return Image.blend(region, Image.new("RGB", region.size, (150, 150, 150) if is_dark else (0, 0, 0)), 0.62)


def _draw_line(picture: Image.Image, inside: NDArray[np.bool_]) -> Image.Image:
    """Draw a line around the pixels (H, W) that are inside: light within, dark around it, to be seen on any frame."""
    longest = max(picture.size)
    if not inside.any() or inside.all() or longest < SMALLEST_LINED:
        return picture
    width = max(1, round(longest / 480))
    pixels = np.array(picture)
    pixels[_grown(inside, width) & ~inside] = LINE_DARK
    pixels[_grown(~inside, width) & inside] = LINE_LIGHT
    return Image.fromarray(pixels)


def _grown(mask: NDArray[np.bool_], pixels: int) -> NDArray[np.bool_]:
    """Return a mask (H, W) that has grown by some pixels up, down, left and right."""
    grown = mask.copy()
    for _ in range(pixels):
        before = grown.copy()
        grown[1:] |= before[:-1]
        grown[:-1] |= before[1:]
        grown[:, 1:] |= before[:, :-1]
        grown[:, :-1] |= before[:, 1:]
    return grown


@cache
def _cover_by_index(opacity: float, diverging: bool) -> list[int]:
    """Return for each index of the colour table how much it covers the frame, 0 to 255."""
    # of a diverging scale, both middle indices stand for 0
    sizes = np.maximum(np.abs(np.linspace(-1, 1, 256)) - 1 / 255, 0) if diverging else np.linspace(0, 1, 256)
    return [int(cover) for cover in (255 * opacity * sizes**0.7).round()]


def _mark_unseen(picture: Image.Image, box: Box) -> Image.Image:
    """Outline the box, write `UNSEEN` into each strip around it, and return the same picture."""
    ImageDraw.Draw(picture).rectangle((box[0] - 1, box[1] - 1, box[2], box[3]), outline=(150, 152, 165))
    for letters, corner in _unseen_words(picture.size, box):
        picture.paste((225, 226, 235), corner, letters)
    return picture


@lru_cache(16)
def _unseen_words(size: tuple[int, int], box: Box) -> list[tuple[Image.Image, tuple[int, int]]]:
    """Return the text `UNSEEN` as a mask, with its corner, for each strip around the box that is wide enough."""
    x0, y0, x1, y1 = box
    width, height = size
    words = []
    for strip in ((0, y0, x0, y1), (x1, y0, width, y1), (0, 0, width, y0), (0, y1, width, height)):
        wide, tall = strip[2] - strip[0], strip[3] - strip[1]
        letter_height = min(13.0 * max(1, max(size) / 640), min(wide, tall) * 0.6, max(wide, tall) / 13)
        if letter_height < 7:
            continue
        text, font = widen_spaces(UNSEEN, letter_height), load_font(letter_height)
        left, top, right, bottom = (int(edge) for edge in font.getbbox(text))
        mask = Image.new("L", (right - left + 2, bottom - top + 2))
        ImageDraw.Draw(mask).text((1 - left, 1 - top), text, font=font, fill=200)
        if tall > wide:
            mask = mask.transpose(Image.Transpose.ROTATE_90)
        words.append((mask, (strip[0] + (wide - mask.width) // 2, strip[1] + (tall - mask.height) // 2)))
    return words


def round_seconds(first: float, last: float) -> list[float]:
    """Return up to 11 round numbers of seconds from first to last, for the ticks of an axis."""
    raw = (last - first) / 10
    base = 10 ** np.floor(np.log10(raw))
    step = next(base * factor for factor in (1, 2, 5, 10) if base * factor >= raw * 0.999)
    count = np.arange(np.ceil(first / step - 1e-9), np.floor(last / step + 1e-9) + 1)
    return [round(float(tick * step), 6) + 0.0 for tick in count]
