"""The contact sheet: a whole explanation on one page, several one below the other."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from staa_client._colours import table
from staa_client._geometry import Floats, scaled_box
from staa_client._layer import Layer
from staa_client._overlay import Frame, bare, font, overlay, painted, spaced
from staa_client._percent import percent
from staa_client._types import Explanation

__all__ = ["contact_sheet", "contact_sheets", "overlay"]

Colour = tuple[int, int, int]

PAPER: Colour = (255, 255, 255)
INK: Colour = (24, 24, 32)
SOFT: Colour = (104, 106, 120)
LINE: Colour = (222, 223, 230)
ACCENT: Colour = (196, 62, 62)

WIDTH, MARGIN, GAP = 1280, 40, 16
TILES, TALLEST = 8, 420
CURVE, SCALE = 150, 300
BAR: Colour = (86, 92, 160)


def contact_sheets(layers: Sequence[Layer], frames: Sequence[Frame] | None, note: str = "") -> Image.Image:
    """Several explanations of one clip as one picture, their sheets one below the other."""
    sheets = [contact_sheet(layer, frames, note) for layer in layers]
    page = Image.new("RGB", (WIDTH, sum(sheet.height for sheet in sheets)), PAPER)
    top = 0
    for sheet in sheets:
        page.paste(sheet, (0, top))
        top += sheet.height
    return page


def contact_sheet(layer: Layer, frames: Sequence[Frame] | None, note: str = "") -> Image.Image:
    """The whole explanation as one picture, 1280 pixels wide.

    Up to 8 steps with their maps and seconds, the curve over time, the labels, the colour scale, and what made it.

    Args:
        layer: What is drawn.
        frames: The T frames of `explanation.clip`, each (H, W, 3); None draws the maps on plain grey.
        note: Why there are no frames.
    """
    explanation = layer.explanation
    steps = steps_shown(explanation.temporal, TILES)
    maps = layer.drawn
    columns, size = _grid(len(steps), explanation.clip.width / explanation.clip.height)
    rows = -(-len(steps) // columns)
    above = 110 + (24 if layer.balance else 0)
    below = above + rows * (size[1] + 44) + 8
    page = Image.new("RGB", (WIDTH, below + CURVE + 170), PAPER)
    pen = ImageDraw.Draw(page)
    _head(pen, layer, note)
    left = (WIDTH - columns * size[0] - (columns - 1) * GAP) // 2
    for place, step in enumerate(steps):
        corner = (left + place % columns * (size[0] + GAP), above + place // columns * (size[1] + 44))
        page.paste(tile(layer, maps[step], step, frames, size), corner)
        _caption(pen, explanation, step, corner, size)
    middle = WIDTH * 2 // 3 - 20
    _curve(pen, layer, (MARGIN, below, middle - 30, below + CURVE), steps)
    _labels(pen, explanation, (middle + 20, below, WIDTH - MARGIN, below + CURVE))
    _foot(page, layer, below + CURVE + 76)
    return page


def steps_shown(temporal: Floats, most: int) -> list[int]:
    """Up to `most` steps for the tiles: the clip in equal parts, of each the strongest step."""
    parts = np.array_split(np.arange(len(temporal)), min(most, len(temporal)))
    return [int(part[np.argmax(temporal[part])]) for part in parts]


def frame_of_step(step: int, steps: int, frames: int) -> int:
    """Which of the clip's frames stands for a step: the middle one of those it covers."""
    return (2 * step + 1) * frames // (2 * steps)


def tile(layer: Layer, grid: Floats, step: int, frames: Sequence[Frame] | None, size: tuple[int, int]) -> Image.Image:
    """One step with its map (h, w), drawn at (width, height) in pixels."""
    clip = layer.explanation.clip
    box = scaled_box(clip.box, (clip.width, clip.height), size)
    if frames is None:
        return bare(size, grid, box, layer.scale)
    number = frame_of_step(step, len(layer.explanation.temporal), len(frames))
    under = Image.fromarray(frames[number]).resize(size, Image.Resampling.LANCZOS)
    return painted(under, grid, box, opacity=layer.look.alpha, scale=layer.scale)


def _grid(count: int, aspect: float) -> tuple[int, tuple[int, int]]:
    """Columns of tiles, and (width, height) of one: as large as the page and `TALLEST` allow."""
    columns = min(count, 4 if aspect >= 0.9 else 8)
    width = (WIDTH - 2 * MARGIN - (columns - 1) * GAP) / columns
    height = min(width / aspect, TALLEST)
    return columns, (max(round(height * aspect), 1), max(round(height), 1))


def _head(pen: ImageDraw.ImageDraw, layer: Layer, note: str) -> None:
    explanation, clip = layer.explanation, layer.explanation.clip
    title, beside = layer.heading
    if layer.aim:
        wide = font(15).getlength(beside)
        pen.text((WIDTH - MARGIN, 42), beside, font=font(15), fill=SOFT, anchor="ra")
    else:
        title, wide = f"{title} - {beside}" if beside else title, -GAP
    pen.text((MARGIN, 28), fitted(title, 30, WIDTH - 2 * MARGIN - wide - GAP), font=font(30), fill=INK)
    pen.text((MARGIN, 92), fitted(layer.balance, 15, WIDTH - 2 * MARGIN), font=font(15), fill=INK)
    facts = f"{explanation.name} · {clip.width} x {clip.height} · {clip.duration:.1f} s · {clip.fps:.4g} frames/s"
    pen.text((MARGIN, 70), fitted(facts, 15, WIDTH / 2), font=font(15), fill=SOFT)
    if note:
        pen.text(
            (WIDTH - MARGIN, 70), fitted(note, 15, WIDTH / 2 - 2 * MARGIN), font=font(15), fill=ACCENT, anchor="ra"
        )


def _caption(
    pen: ImageDraw.ImageDraw, explanation: Explanation, step: int, corner: tuple[int, int], size: tuple[int, int]
) -> None:
    """Seconds and share under a tile; the peak of the clip is framed, if it has one."""
    x, y = corner
    colour = ACCENT if step == explanation.peak else SOFT
    if step == explanation.peak:
        pen.rectangle((x - 3, y - 3, x + size[0] + 2, y + size[1] + 2), outline=ACCENT, width=3)
    start, end = explanation.seconds[step]
    digits = 1 if np.allclose(explanation.seconds, explanation.seconds.round(1), atol=1e-3) else 2
    seconds = f"{start:.{digits}f} - {end:.{digits}f} s"
    pen.text((x, y + size[1] + 8), seconds, font=font(15), fill=INK)
    share = percent(float(explanation.temporal[step]))
    if pen.textlength(share + "   " + seconds, font(15)) < size[0]:
        pen.text((x + size[0], y + size[1] + 8), share, font=font(15), fill=colour, anchor="ra")


def _curve(pen: ImageDraw.ImageDraw, layer: Layer, area: tuple[int, int, int, int], shown: Sequence[int]) -> None:
    """The shares over time as a bar a step, as wide as its seconds, against the even share."""
    x0, y0, x1, y1 = area
    explanation = layer.explanation
    seconds, temporal = explanation.seconds, explanation.temporal
    first, last = float(seconds.min()), float(max(seconds.max(), seconds.min() + 1e-3))
    most = max(float(temporal.max()), 1e-9) * 1.1
    even = 1 / len(temporal)
    when = f"When: share of the {layer.subject}"
    top = y0 + 30

    def across(second: float) -> float:
        return x0 + (second - first) / (last - first) * (x1 - x0)

    def up(share: float) -> float:
        return y1 - max(share, 0) / most * (y1 - top)

    for step, share in enumerate(temporal):
        left, right = across(seconds[step, 0]), across(seconds[step, 1])
        colour = ACCENT if step == explanation.peak else BAR if step in shown else (164, 168, 206)
        pen.rectangle((left, min(up(float(share)), y1 - 1), max(right - 2, left + 1), y1), fill=colour)
    for dash in range(x0, x1, 9):
        pen.line((dash, up(even), min(dash + 4, x1), up(even)), fill=INK)
    dashed = f"dashed: even share, {percent(even)}" + (" · dark: shown above" if len(shown) < len(temporal) else "")
    pen.text((x1, y0), dashed, font=font(13), fill=SOFT, anchor="ra")
    pen.text((x0, y0), fitted(when, 15, x1 - x0 - font(13).getlength(dashed) - 16), font=font(15), fill=INK)
    pen.line((x0, y1 + 1, x1, y1 + 1), fill=INK)
    for second in ticks(first, last):
        pen.line((across(second), y1 + 1, across(second), y1 + 6), fill=INK)
        pen.text((across(second), y1 + 9), f"{second:g} s", font=font(13), fill=SOFT, anchor="ma")


def _labels(pen: ImageDraw.ImageDraw, explanation: Explanation, area: tuple[int, int, int, int]) -> None:
    x0, y0, x1, _ = area
    pen.text((x0, y0), "Labels", font=font(15), fill=INK)
    for row, guess in enumerate(explanation.predictions[:5]):
        y = y0 + 32 + row * 27
        pen.text((x0, y), fitted(guess.label, 14, 176), font=font(14), fill=INK)
        bar = x0 + 186
        pen.rectangle((bar, y + 2, x1 - 50, y + 14), fill=LINE)
        filled = bar + guess.score * (x1 - 50 - bar)
        if filled >= bar + 1:
            pen.rectangle((bar, y + 2, filled, y + 14), fill=ACCENT if row == 0 else BAR)
        pen.text((x1, y), percent(guess.score), font=font(14), fill=SOFT, anchor="ra")


def _foot(page: Image.Image, layer: Layer, y: int) -> None:
    """The colour scale with its meaning, and what made the map."""
    pen, explanation = ImageDraw.Draw(page), layer.explanation
    pen.line((MARGIN, y - 22, WIDTH - MARGIN, y - 22), fill=LINE)
    scale = Image.fromarray(table(layer.scale)[None]).resize((SCALE, 14), Image.Resampling.BILINEAR)
    page.paste(scale, (MARGIN, y + 4))
    pen.rectangle((MARGIN, y + 4, MARGIN + SCALE - 1, y + 17), outline=LINE)
    low, high = (fitted(end, 13, SCALE / 2 - 6) for end in layer.ends)
    pen.text((MARGIN, y + 23), low, font=font(13), fill=SOFT)
    pen.text((MARGIN + SCALE, y + 23), high, font=font(13), fill=SOFT, anchor="ra")
    t, h, w = explanation.joint.shape
    share, cells = layer.kept
    focused = f" · focused: {percent(share)} in {cells}" if layer.look.focus else ""
    model, left = explanation.model, MARGIN + SCALE + 36
    what = f"Where: {layer.title}, version {explanation.method_version} · {t} steps of {h} x {w} cells{focused}"
    who = f"Model {model.name} {model.version} ({model.family}, {model.classes} classes)"
    who += f" · ends of the colours at {layer.top:.3g} x the even share" if layer.signs else ""
    pen.text((left, y + 1), fitted(what, 14, WIDTH - MARGIN - left), font=font(14), fill=INK)
    pen.text((left, y + 23), fitted(who, 14, WIDTH - MARGIN - left), font=font(14), fill=SOFT)


def fitted(text: str, size: float, width: float) -> str:
    """The text on one line, cut with "..." where it is wider than `width` pixels."""
    line = spaced(" ".join(text.split()), size)
    if font(size).getlength(line) <= width:
        return line
    while line and font(size).getlength(line + "...") > width:
        line = line[:-1]
    return line.rstrip() + "..."


def ticks(first: float, last: float) -> list[float]:
    """Up to 11 round seconds from first to last."""
    raw = (last - first) / 10
    base = 10 ** np.floor(np.log10(raw))
    step = next(base * factor for factor in (1, 2, 5, 10) if base * factor >= raw * 0.999)
    count = np.arange(np.ceil(first / step - 1e-9), np.floor(last / step + 1e-9) + 1)
    return [round(float(number * step), 6) + 0.0 for number in count]
