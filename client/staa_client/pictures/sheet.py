"""Draws the contact sheet: a whole explanation on one page; several are one below the other."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from staa_client.pictures.badge import INKS, Colour
from staa_client.pictures.clip_frames import clip_frames
from staa_client.pictures.layer import Layer, layers_of, percent
from staa_client.pictures.overlay import (
    fit_text,
    legend_of,
    load_font,
    paint_alone,
    paint_over,
    round_seconds,
    wrap_text,
)
from staa_client.results.explanation import Explanation
from staa_client.results.maps import Floats, scaled_box
from staa_client.results.save_job import SaveJob
from staa_client.video.frames import Frame

PAPER: Colour = (255, 255, 255)
INK: Colour = (24, 24, 32)
SOFT: Colour = (104, 106, 120)
LINE: Colour = (222, 223, 230)
ACCENT: Colour = (196, 62, 62)
BAR: Colour = (86, 92, 160)
PALE_BAR: Colour = (164, 168, 206)
"""The bar of a step that has no tile."""
WIDTH, MARGIN, GAP = 1280, 40, 16
"""Widths in pixels: the page, its margins, and the gaps between tiles."""
MOST_TILES, TALLEST = 8, 420
"""The most tiles, and the largest height of a tile in pixels."""
CURVE_HEIGHT, SCALE_WIDTH = 180, 300
"""The height of the curve over time, and the width of the colour scale, in pixels."""
PANEL_WIDTH, PANEL_HEIGHT = 300, CURVE_HEIGHT
"""The most pixels of the panel with the map of the whole clip."""
HEAD_HEIGHT, LINE_HEIGHT = 84, 22
"""Pixels for the title and the gap above the tiles, and for each line of text between them."""
CAPTION_HEIGHT = 44
"""Pixels under a tile for its text and the gap to the next row."""


def write(job: SaveJob) -> None:
    """Write the contact sheets of a job as PNG.

    Raises:
        ValueError: the source is not the video that was explained.
        OSError: the file cannot be written, or the source not be read.
    """
    sheets = draw_sheets(layers_of(job), *clip_frames(job.explanation, job.source))
    sheets.save(job.target, "PNG", optimize=True)


def draw_sheets(layers: Sequence[Layer], frames: Sequence[Frame] | None, note: str = "") -> Image.Image:
    """Return several explanations of one clip as one picture, their sheets one below the other."""
    sheets = [draw_sheet(layer, frames, note) for layer in layers]
    page = Image.new("RGB", (WIDTH, sum(sheet.height for sheet in sheets)), PAPER)
    top = 0
    for sheet in sheets:
        page.paste(sheet, (0, top))
        top += sheet.height
    return page


def draw_sheet(layer: Layer, frames: Sequence[Frame] | None, note: str = "") -> Image.Image:
    """Return the whole explanation as one picture, 1280 pixels wide.

    It shows up to 8 steps with their maps and seconds, the curve over time, the labels, the colour scale, and what made
    the map.

    Args:
        layer: What is drawn.
        frames: The T frames of `explanation.clip`, each (H, W, 3); None draws the maps on plain grey.
        note: Why there are no frames.
    """
    explanation = layer.explanation
    steps = choose_steps(explanation.temporal, MOST_TILES)
    columns, size = _tile_grid(len(steps), explanation.clip.width / explanation.clip.height)
    rows = -(-len(steps) // columns)
    head = _head_lines(layer)
    above = HEAD_HEIGHT + LINE_HEIGHT * len(head)
    below = above + rows * (size[1] + CAPTION_HEIGHT) + 8
    base = below + CURVE_HEIGHT + (LINE_HEIGHT if layer.notes else 0)
    page = Image.new("RGB", (WIDTH, base + 170), PAPER)
    pen = ImageDraw.Draw(page)
    _draw_head(pen, layer, head, note)
    left = (WIDTH - columns * size[0] - (columns - 1) * GAP) // 2
    for tile, step in enumerate(steps):
        row, column = divmod(tile, columns)
        corner = (left + column * (size[0] + GAP), above + row * (size[1] + CAPTION_HEIGHT))
        page.paste(draw_tile(layer, step, frames, size), corner)
        _draw_caption(pen, explanation, step, corner, size)
    middle = WIDTH * 2 // 3 - 20
    panel = _panel_size(explanation.clip.width / explanation.clip.height)
    page.paste(draw_tile(layer, None, frames, panel), (MARGIN, below + LINE_HEIGHT + 2))
    pen.text((MARGIN, below), "Where, whole clip", font=load_font(15), fill=INK)
    _draw_curve(pen, layer, (MARGIN + max(panel[0], 130) + 36, below, middle - 30, base), steps)
    _draw_labels(pen, explanation, (middle + 20, below, WIDTH - MARGIN, base))
    _draw_foot(page, layer, base + 76)
    return page


def choose_steps(temporal: Floats, most: int) -> list[int]:
    """Return up to `most` steps for the tiles: the strongest of each of as many equal parts of the shares (t,)."""
    stretches = np.array_split(np.arange(len(temporal)), min(most, len(temporal)))
    return [int(steps[np.argmax(temporal[steps])]) for steps in stretches]


def frame_of_step(step: int, steps: int, frames: int) -> int:
    """Return the index of the clip's frame in the middle of a step."""
    return (2 * step + 1) * frames // (2 * steps)


def draw_tile(layer: Layer, step: int | None, frames: Sequence[Frame] | None, size: tuple[int, int]) -> Image.Image:
    """Return one step with its map, drawn at `size`, (width, height) in pixels.

    None is the whole clip, over the frame of its strongest step.
    """
    clip, temporal = layer.explanation.clip, layer.explanation.temporal
    if step is None:
        (grid, kept), step = layer.whole, int(temporal.argmax())
    else:
        grid, kept = layer.shown[step], None if layer.kept is None else layer.kept[step]
    box = scaled_box(clip.box, (clip.width, clip.height), size)
    if frames is None:
        return paint_alone(size, grid, box, layer.scale, kept)
    number = frame_of_step(step, len(temporal), len(frames))
    under = Image.fromarray(frames[number]).resize(size, Image.Resampling.LANCZOS)
    return paint_over(under, grid, box, opacity=layer.look.alpha, scale=layer.scale, kept=kept)


def _tile_grid(count: int, aspect: float) -> tuple[int, tuple[int, int]]:
    """Return the number of columns, and the (width, height) of a tile: as large as the page and `TALLEST` allow."""
    columns = min(count, 4 if aspect >= 0.9 else 8)
    width = (WIDTH - 2 * MARGIN - (columns - 1) * GAP) / columns
    height = min(width / aspect, TALLEST)
    return columns, (max(round(height * aspect), 1), max(round(height), 1))


def _panel_size(aspect: float) -> tuple[int, int]:
    """Return the (width, height) of the panel of the whole clip: beside the curve, for clips of any aspect."""
    width = min(PANEL_HEIGHT * aspect, PANEL_WIDTH)
    return max(round(width), 1), max(round(width / aspect), 1)


def _head_lines(layer: Layer) -> list[tuple[str, Colour]]:
    """Return the lines under the title: the video, how far to trust the map, and its class."""
    clip = layer.explanation.clip
    facts = f"{layer.explanation.name} · {clip.width} x {clip.height} · {clip.duration:.1f} s · {clip.fps:.4g} frames/s"
    beside = layer.heading[1] if layer.class_words else ""
    lines = [(facts, SOFT), (layer.badge.sentence, INKS[layer.badge.tone]), (beside, INK), (layer.balance, INK)]
    return [line for line in lines if line[0]]


def _draw_head(pen: ImageDraw.ImageDraw, layer: Layer, lines: Sequence[tuple[str, Colour]], note: str) -> None:
    """Write the title with the badge beside it, the lines under them, and beside the first why there are no frames."""
    title, beside = layer.heading
    if not layer.class_words:
        title = f"{title} - {beside}" if beside else title
    badge, font = layer.badge, load_font(16)
    left = WIDTH - MARGIN - round(font.getlength(badge.words)) - 24
    pen.rounded_rectangle((left, 30, WIDTH - MARGIN, 60), 15, fill=INKS[badge.tone])
    pen.text((left + 12, 45), badge.words, font=font, fill=PAPER, anchor="lm")
    pen.text((MARGIN, 28), fit_text(title, 30, left - MARGIN - GAP), font=load_font(30), fill=INK)
    note = fit_text(note, 15, WIDTH / 2 - 2 * MARGIN)
    pen.text((WIDTH - MARGIN, 70), note, font=load_font(15), fill=ACCENT, anchor="ra")
    for row, (text, colour) in enumerate(lines):
        line = fit_text(text, 15, (WIDTH - 2 * MARGIN) / (1 if row else 2))
        pen.text((MARGIN, 70 + row * LINE_HEIGHT), line, font=load_font(15), fill=colour)


def _draw_caption(
    pen: ImageDraw.ImageDraw, explanation: Explanation, step: int, corner: tuple[int, int], size: tuple[int, int]
) -> None:
    """Write seconds and share under a tile, and draw a frame around the peak step, if there is one."""
    x, y = corner
    colour = ACCENT if step == explanation.peak else SOFT
    if step == explanation.peak:
        pen.rectangle((x - 3, y - 3, x + size[0] + 2, y + size[1] + 2), outline=ACCENT, width=3)
    start, end = explanation.seconds[step]
    digits = 1 if np.allclose(explanation.seconds, explanation.seconds.round(1), atol=1e-3) else 2
    seconds, font = f"{start:.{digits}f}-{end:.{digits}f} s", load_font(15)
    share = percent(float(explanation.temporal[step]))
    if pen.textlength(f"where, {seconds}   {share}", font) < size[0]:
        seconds = f"where, {seconds}"
    pen.text((x, y + size[1] + 8), seconds, font=font, fill=INK)
    if pen.textlength(share + "   " + seconds, font) < size[0]:
        pen.text((x + size[0], y + size[1] + 8), share, font=load_font(15), fill=colour, anchor="ra")


def _draw_curve(pen: ImageDraw.ImageDraw, layer: Layer, area: tuple[int, int, int, int], shown: Sequence[int]) -> None:
    """Draw a bar for the share of each step, as wide as its seconds, with a line at the even share.

    What was done to the clip, and whether frames repeat, stands above the bars.
    """
    x0, y0, x1, y1 = area
    explanation = layer.explanation
    seconds, temporal = explanation.seconds, explanation.temporal
    first, last = float(seconds.min()), float(max(seconds.max(), seconds.min() + 1e-3))
    highest = max(float(temporal.max()), 1e-9) * 1.1
    even = 1 / len(temporal)
    title = f"When: share of the {layer.subject}"
    notes = fit_text(layer.notes, 14, x1 - x0)
    pen.text((x0, y0 + LINE_HEIGHT), notes, font=load_font(14), fill=SOFT)
    top = y0 + 30 + (LINE_HEIGHT if notes else 0)

    def x_of(second: float) -> float:
        return x0 + (second - first) / (last - first) * (x1 - x0)

    def y_of(share: float) -> float:
        return y1 - max(share, 0) / highest * (y1 - top)

    for step, share in enumerate(temporal):
        left, right = x_of(seconds[step, 0]), x_of(seconds[step, 1])
        colour = ACCENT if step == explanation.peak else BAR if step in shown else PALE_BAR
        pen.rectangle((left, min(y_of(float(share)), y1 - 1), max(right - 2, left + 1), y1), fill=colour)
    for dash in range(x0, x1, 9):
        pen.line((dash, y_of(even), min(dash + 4, x1), y_of(even)), fill=INK)
    key = f"dashed: even share, {percent(even)}" + (" · dark: shown above" if len(shown) < len(temporal) else "")
    pen.text((x1, y0), key, font=load_font(13), fill=SOFT, anchor="ra")
    pen.text((x0, y0), fit_text(title, 15, x1 - x0 - load_font(13).getlength(key) - 16), font=load_font(15), fill=INK)
    pen.line((x0, y1 + 1, x1, y1 + 1), fill=INK)
    for second in round_seconds(first, last):
        pen.line((x_of(second), y1 + 1, x_of(second), y1 + 6), fill=INK)
        pen.text((x_of(second), y1 + 9), f"{second:g} s", font=load_font(13), fill=SOFT, anchor="ma")


def _draw_labels(pen: ImageDraw.ImageDraw, explanation: Explanation, area: tuple[int, int, int, int]) -> None:
    """Write the best five labels, draw a bar of each score, and write what the model is good for."""
    x0, y0, x1, _ = area
    pen.text((x0, y0), "Labels", font=load_font(15), fill=INK)
    for row, guess in enumerate(explanation.predictions[:5]):
        y = y0 + 32 + row * 27
        pen.text((x0, y), fit_text(guess.label, 14, 176), font=load_font(14), fill=INK)
        bar = x0 + 186
        pen.rectangle((bar, y + 2, x1 - 50, y + 14), fill=LINE)
        filled = bar + guess.score * (x1 - 50 - bar)
        if filled >= bar + 1:
            pen.rectangle((bar, y + 2, filled, y + 14), fill=ACCENT if row == 0 else BAR)
        pen.text((x1, y), percent(guess.score), font=load_font(14), fill=SOFT, anchor="ra")
    for row, line in enumerate(wrap_text(explanation.model.about, 13, x1 - x0, 2)):
        pen.text((x0, y0 + 31 + 27 * len(explanation.predictions[:5]) + 16 * row), line, font=load_font(13), fill=INK)


def _draw_foot(page: Image.Image, layer: Layer, y: int) -> None:
    """Draw the colour scale with its meaning, and write the method and options of the map."""
    pen, explanation = ImageDraw.Draw(page), layer.explanation
    pen.line((MARGIN, y - 22, WIDTH - MARGIN, y - 22), fill=LINE)
    page.paste(legend_of(layer.scale, (SCALE_WIDTH, 14)), (MARGIN, y + 4))
    pen.rectangle((MARGIN, y + 4, MARGIN + SCALE_WIDTH - 1, y + 17), outline=LINE)
    low, high = (fit_text(end, 13, SCALE_WIDTH / 2 - 6) for end in layer.scale_ends)
    pen.text((MARGIN, y + 23), low, font=load_font(13), fill=SOFT)
    pen.text((MARGIN + SCALE_WIDTH, y + 23), high, font=load_font(13), fill=SOFT, anchor="ra")
    t, h, w = explanation.joint.shape
    share, cells = layer.kept_words
    focused = f" · focused: {percent(share)} in {cells}" if layer.look.focus else ""
    model, left = explanation.model, MARGIN + SCALE_WIDTH + 36
    what = f"Where: {layer.title}, version {explanation.method_version} · {t} steps of {h} x {w} cells{focused}"
    who = f"Model {model.name} {model.version} ({model.family}, {model.classes} classes)"
    who += f" · the colours end at {layer.top_words}" if layer.has_signs else ""
    pen.text((left, y + 1), fit_text(what, 14, WIDTH - MARGIN - left), font=load_font(14), fill=INK)
    pen.text((left, y + 23), fit_text(who, 14, WIDTH - MARGIN - left), font=load_font(14), fill=SOFT)
