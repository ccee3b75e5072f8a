"""Draws the contact sheet: a whole explanation on one page; several are one below the other."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from staa_client.pictures.badge import INKS, Colour
from staa_client.pictures.clip_frames import clip_frames
from staa_client.pictures.layer import Layer, layers_of, percent, place_words, score_words
from staa_client.pictures.letters import (
    TextBlock,
    font_of,
    load_font,
    stack,
    text_width,
    wrap_apart,
    wrap_text,
)
from staa_client.pictures.overlay import legend_of, paint_alone, paint_over, round_seconds
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
CURVE_HEIGHT, CURVE_SIDE, BASE_GAP = 150, 20, 54
"""The height of the curve over time, and the room beside and under it for the seconds, in pixels."""
PANEL_WIDTH, PANEL_HEIGHT = 300, 180
"""The most pixels of the panel with the map of the whole clip."""
LINE_HEIGHT, NOTE_HEIGHT = 22, 18
"""Pixels for each line of text in letters of 15 pixels, and of 13 or 14."""
TITLE_LINES, LABEL_LINES, END_LINES = 3, 4, 4
"""The most lines of the title, of a label, and of a text at an end of the colour scale."""
TITLE_HEIGHT, LABEL_WIDTH, SCALE_WIDTH = 36, 176, 300
"""Pixels for each line of the title, for the labels beside their bars, and for the colour scale."""


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
    return stack([draw_sheet(layer, frames, note) for layer in layers])


def draw_sheet(layer: Layer, frames: Sequence[Frame] | None, note: str = "") -> Image.Image:
    """Return the whole explanation as one picture, 1280 pixels wide.

    It shows up to 8 steps with their maps and seconds, the curve over time, the labels, the colour scale, and what made
    the map. It is as tall as its texts need.

    Args:
        layer: What is drawn.
        frames: The T frames of `explanation.clip`, each (H, W, 3); None draws the maps on plain grey.
        note: Why there are no frames.
    """
    steps = choose_steps(layer.explanation.temporal, MOST_TILES)
    return stack(
        [
            _draw_head(layer, note),
            _draw_tiles(layer, steps, frames),
            _draw_middle(layer, steps, frames),
            _draw_foot(layer),
        ]
    )


def _paper(height: float) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    """Return an empty part of the page, as wide as all of it, and a pen for it."""
    part = Image.new("RGB", (WIDTH, round(height)), PAPER)
    return part, ImageDraw.Draw(part)


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


def _draw_head(layer: Layer, note: str) -> Image.Image:
    """Draw the title with the badge beside it, the video, how far to trust the map, and its class.

    Beside the video stands why there are no frames.
    """
    title, beside = layer.heading
    if not layer.class_words:
        title, beside = f"{title} - {beside}" if beside else title, ""
    badge, clip = layer.badge, layer.explanation.clip
    left = WIDTH - MARGIN - round(text_width(badge.words, 16)) - 24
    heading = TextBlock(wrap_text(title, 30, left - MARGIN - GAP, TITLE_LINES), 30, TITLE_HEIGHT)
    facts = f"{layer.explanation.name} · {clip.width} x {clip.height} · {clip.duration:.1f} s · {clip.fps:.4g} frames/s"
    video, why = (TextBlock(wrap_text(text, 15, WIDTH / 2 - MARGIN - GAP), 15, LINE_HEIGHT) for text in (facts, note))
    lines = [(badge.sentence, INKS[badge.tone]), (beside, INK), (layer.balance, INK)]
    below = [(TextBlock(wrap_text(text, 15, WIDTH - 2 * MARGIN), 15, LINE_HEIGHT), ink) for text, ink in lines]
    y = 70 + TITLE_HEIGHT * (len(heading.lines) - 1)
    first = max(video.height, why.height)
    head, pen = _paper(y + first + sum(block.height for block, _ in below) + 10)
    pen.rounded_rectangle((left, 30, WIDTH - MARGIN, 60), 15, fill=INKS[badge.tone])
    pen.text((left + 12, 45), badge.words, font=font_of(badge.words, 16), fill=PAPER, anchor="lm")
    heading.write(pen, (MARGIN, 28), INK)
    video.write(pen, (MARGIN, y), SOFT)
    why.write(pen, (WIDTH - MARGIN, y), ACCENT, "ra")
    y += first
    for block, ink in below:
        block.write(pen, (MARGIN, y), ink)
        y += block.height
    return head


def _draw_tiles(layer: Layer, steps: Sequence[int], frames: Sequence[Frame] | None) -> Image.Image:
    """Draw a tile for each of the steps, with its place and share below, and a line around the peak, if there is one.

    The share stands beside the place if all tiles are wide enough, and else below it.
    """
    explanation = layer.explanation
    columns, size = _tile_grid(len(steps), explanation.clip.width / explanation.clip.height)
    places = [place_words(*explanation.seconds[step]) for step in steps]
    shares = [percent(float(explanation.temporal[step])) for step in steps]
    widest = max(text_width(f"{place}   {share}", 15) for place, share in zip(places, shares, strict=True))
    beside = widest < size[0]
    slot = size[0] if beside else (WIDTH - 2 * MARGIN - (columns - 1) * GAP) // columns
    captions = [
        TextBlock([*wrap_text(place, 15, slot), *([] if beside else [share])], 15, LINE_HEIGHT)
        for place, share in zip(places, shares, strict=True)
    ]
    tall = size[1] + max(caption.height for caption in captions) + LINE_HEIGHT
    left = (WIDTH - columns * slot - (columns - 1) * GAP) // 2
    part, pen = _paper(4 + -(-len(steps) // columns) * tall + 8)
    for tile, (step, caption) in enumerate(zip(steps, captions, strict=True)):
        row, column = divmod(tile, columns)
        x, y = left + column * (slot + GAP), 4 + row * tall
        part.paste(draw_tile(layer, step, frames, size), (x, y))
        if step == explanation.peak:
            pen.rectangle((x - 3, y - 3, x + size[0] + 2, y + size[1] + 2), outline=ACCENT, width=3)
        caption.write(pen, (x, y + size[1] + 8), INK)
        if beside:
            colour = ACCENT if step == explanation.peak else SOFT
            pen.text((x + size[0], y + size[1] + 8), shares[tile], font=load_font(15), fill=colour, anchor="ra")
    return part


def _draw_middle(layer: Layer, steps: Sequence[int], frames: Sequence[Frame] | None) -> Image.Image:
    """Draw the panel with the map of the whole clip, beside it the curve over time, and then the labels."""
    panel = draw_tile(layer, None, frames, _panel_size(layer.explanation.clip.width / layer.explanation.clip.height))
    left, right = MARGIN + max(panel.width, 130) + 36, WIDTH * 2 // 3 - 50
    curve = _draw_curve(layer, right - left, steps)
    labels = _draw_labels(layer.explanation, WIDTH - MARGIN - right - 50)
    part, pen = _paper(max(curve.height, labels.height, LINE_HEIGHT + PANEL_HEIGHT))
    pen.text((MARGIN, 0), place_words(), font=load_font(15), fill=INK)
    part.paste(panel, (MARGIN, LINE_HEIGHT + 2))
    part.paste(curve, (left - CURVE_SIDE, 0))
    part.paste(labels, (right + 50, 0))
    return part


def _draw_curve(layer: Layer, width: int, shown: Sequence[int]) -> Image.Image:
    """Draw a bar for the share of each step, as wide as its seconds, with a line at the even share.

    What was done to the clip, and whether frames repeat, stands above the bars. The bars are `width` pixels wide, and
    on both sides of them is `CURVE_SIDE`.
    """
    explanation = layer.explanation
    seconds, temporal = explanation.seconds, explanation.temporal
    first, last = float(seconds.min()), float(max(seconds.max(), seconds.min() + 1e-3))
    highest = max(float(temporal.max()), 1e-9) * 1.1
    even = 1 / len(temporal)
    title = f"when, share of the {layer.subject}"
    key = f"dashed: even share, {percent(even)}" + (" · dark: shown above" if len(shown) < len(temporal) else "")
    beside = text_width(title, 15) + 16 + text_width(key, 13) <= width
    notes = [line for note in ([] if beside else [key]) + layer.note_lines for line in wrap_text(note, 14, width)]
    head = TextBlock(wrap_text(title, 15, width), 15, LINE_HEIGHT)
    noted = TextBlock(notes, 14, NOTE_HEIGHT)
    top = head.height + noted.height + 8
    x0, x1, base = CURVE_SIDE, CURVE_SIDE + width, top + CURVE_HEIGHT
    part = Image.new("RGB", (width + 2 * CURVE_SIDE, base + BASE_GAP), PAPER)
    pen = ImageDraw.Draw(part)
    head.write(pen, (x0, 0), INK)
    noted.write(pen, (x0, head.height), SOFT)
    if beside:
        pen.text((x1, 0), key, font=load_font(13), fill=SOFT, anchor="ra")

    def x_of(second: float) -> float:
        return x0 + (second - first) / (last - first) * width

    def y_of(share: float) -> float:
        return base - max(share, 0) / highest * CURVE_HEIGHT

    for step, share in enumerate(temporal):
        left, right = x_of(seconds[step, 0]), x_of(seconds[step, 1])
        colour = ACCENT if step == explanation.peak else BAR if step in shown else PALE_BAR
        pen.rectangle((left, min(y_of(float(share)), base - 1), max(right - 2, left + 1), base), fill=colour)
    for dash in range(x0, x1, 9):
        pen.line((dash, y_of(even), min(dash + 4, x1), y_of(even)), fill=INK)
    pen.line((x0, base + 1, x1, base + 1), fill=INK)
    for second in round_seconds(first, last):
        pen.line((x_of(second), base + 1, x_of(second), base + 6), fill=INK)
        pen.text((x_of(second), base + 9), f"{second:g} s", font=load_font(13), fill=SOFT, anchor="ma")
    return part


def _draw_labels(explanation: Explanation, width: int) -> Image.Image:
    """Write the best five labels, draw a bar of each score, and write what the model is good for."""
    labels = [
        TextBlock(wrap_text(guess.label, 14, LABEL_WIDTH, LABEL_LINES), 14, NOTE_HEIGHT)
        for guess in explanation.predictions[:5]
    ]
    about = TextBlock(wrap_text(explanation.model.about, 13, width), 13, 16)
    part = Image.new("RGB", (width, 32 + sum(block.height + 9 for block in labels) + about.height + 24), PAPER)
    pen = ImageDraw.Draw(part)
    pen.text((0, 0), "Labels", font=load_font(15), fill=INK)
    marked = [score_words(guess) for guess in explanation.predictions[:5] if guess.present]
    y, left, right = 32, LABEL_WIDTH + 10, width - max([50, *(round(text_width(words, 14)) + 8 for words in marked)])
    for row, (guess, label) in enumerate(zip(explanation.predictions, labels, strict=False)):
        is_marked = row == 0 if guess.present is None else guess.present
        label.write(pen, (0, y), INK)
        pen.rectangle((left, y + 2, right, y + 14), fill=LINE)
        filled = left + guess.score * (right - left)
        if filled >= left + 1:
            pen.rectangle((left, y + 2, filled, y + 14), fill=ACCENT if is_marked else BAR)
        pen.text((width, y), score_words(guess), font=load_font(14), fill=SOFT, anchor="ra")
        y += label.height + 9
    about.write(pen, (0, y - 1), INK)
    return part


def _draw_foot(layer: Layer) -> Image.Image:
    """Draw the colour scale with its meaning, and write the method and options of the map."""
    explanation, model = layer.explanation, layer.explanation.model
    ends = wrap_apart(layer.scale_ends, 13, SCALE_WIDTH / 2 - 6, END_LINES)
    low, high = (TextBlock(lines, 13, NOTE_HEIGHT) for lines in ends)
    t, h, w = explanation.joint.shape
    share, cells = layer.kept_words
    focused = f" · focused: {percent(share)} in {cells}" if layer.look.focus else ""
    left = MARGIN + SCALE_WIDTH + 36
    words = f"Where: {layer.title}, version {explanation.method_version} · {t} steps of {h} x {w} cells{focused}"
    what = TextBlock(wrap_text(words, 14, WIDTH - MARGIN - left), 14, LINE_HEIGHT)
    words = f"Model {model.name} {model.version} ({model.family}, {model.classes} classes)"
    words += f" · the colours end at {layer.top_words}" if layer.has_signs else ""
    who = TextBlock(wrap_text(words, 14, WIDTH - MARGIN - left), 14, LINE_HEIGHT)
    part, pen = _paper(53 + max(low.height + 22, high.height + 22, what.height + who.height, 3 * LINE_HEIGHT))
    pen.line((MARGIN, 0, WIDTH - MARGIN, 0), fill=LINE)
    part.paste(legend_of(layer.scale, (SCALE_WIDTH, 14)), (MARGIN, 26))
    pen.rectangle((MARGIN, 26, MARGIN + SCALE_WIDTH - 1, 39), outline=LINE)
    low.write(pen, (MARGIN, 45), SOFT)
    high.write(pen, (MARGIN + SCALE_WIDTH, 45), SOFT, "ra")
    what.write(pen, (left, 23), INK)
    who.write(pen, (left, 23 + what.height), SOFT)
    return part
