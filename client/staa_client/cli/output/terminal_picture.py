"""Draws answers on a terminal with colours: texts, map and curve. It loads Pillow."""

import numpy as np
from numpy.typing import NDArray
from rich.console import Console, Group, RenderableType
from rich.segment import Segment, Segments
from rich.style import Style
from rich.text import Text

from staa_client.cli.output.terminal import label_lines, map_lines, note_lines, printable
from staa_client.pictures.layer import Layer, place_words
from staa_client.pictures.overlay import paint_alone
from staa_client.results.explanation import Explanation
from staa_client.results.maps import Floats, scaled_box

_BARS = " ▁▂▃▄▅▆▇█"
"""Bars of 0 to 8 eighths of a character's height."""
_ROWS = 14
"""The most lines of a map."""
_COLUMNS = 46
"""The most characters in a line of a map."""


def draw_on_terminal(answer: Explanation, console: Console) -> RenderableType:
    """Return the labels, the map over the whole clip and at its strongest step, and the curve, to fit the console."""
    labels, notes, about = (
        Text(printable("\n".join(lines))) for lines in (label_lines(answer), note_lines(answer), map_lines(answer))
    )
    curve = _curve_lines(answer, min(console.width - 2, 80))
    return Group(labels, Text(), *_map_lines(answer, console), Text(), *curve, *([notes] if notes else []), about)


def _map_lines(answer: Explanation, console: Console) -> list[RenderableType]:
    """Return the maps with their places above, beside each other where the console is wide enough."""
    columns = min(_COLUMNS, (console.width - 4) // 2)
    layer, strongest = Layer(answer), int(np.argmax(answer.temporal))
    grids = {place_words(): layer.whole[0], place_words(*answer.seconds[strongest]): layer.values[strongest]}
    maps = [_map_rows(answer, grid, columns, layer.scale) for grid in grids.values()]
    wide = max(len(maps[0][0]), *map(len, grids))
    if 2 * wide + 2 > console.width:
        return [
            Group(Text(place, style="bold"), *(Segments([*row, Segment.line()]) for row in rows))
            for place, rows in zip(grids, maps, strict=True)
        ]
    gap = Segment(" " * (wide + 2 - len(maps[0][0])))
    head = Text("  ".join(place.ljust(wide) for place in grids), style="bold")
    pairs = [Segments([*left, gap, *right, Segment.line()]) for left, right in zip(*maps, strict=True)]
    return [head, *pairs]


def _map_rows(answer: Explanation, grid: Floats, columns: int, scale: str) -> list[list[Segment]]:
    """Return the rows of a grid (h, w) in colour, drawn with half blocks: a character is two pixels tall."""
    clip = answer.clip
    tall = max(min(round(columns * clip.height / clip.width), 2 * _ROWS) // 2 * 2, 2)
    wide = max(min(round(tall * clip.width / clip.height), columns), 2)
    box = scaled_box(answer.box, (clip.width, clip.height), (wide, tall))
    pixels = np.asarray(paint_alone((wide, tall), grid, box, scale))

    def hexadecimal(pixel: NDArray[np.uint8]) -> str:
        return "#{:02x}{:02x}{:02x}".format(*pixel.tolist())

    return [
        [
            Segment("▀", Style(color=hexadecimal(above), bgcolor=hexadecimal(below)))
            for above, below in zip(*pair, strict=True)
        ]
        for pair in zip(pixels[::2], pixels[1::2], strict=True)
    ]


def _curve_lines(answer: Explanation, columns: int) -> list[Text]:
    """Return a curve of three lines: a bar for the share of each step, and the seconds below."""
    steps = len(answer.temporal)
    bar_width = max(min(columns // steps, 6), 1)
    top = max(float(answer.temporal.max()), 1e-9)
    heights = np.repeat(np.round(np.maximum(answer.temporal, 0) / top * 24).astype(int), bar_width)
    peak = answer.peak
    lines = []
    for level in (16, 8, 0):
        line = Text()
        for column, height in enumerate(heights):
            style = "bold red" if peak is not None and column // bar_width == peak else "blue"
            line.append(_BARS[int(np.clip(height - level, 0, 8))], style)
        lines.append(line)
    first, last = f"{answer.seconds.min():.2f} s", f"{answer.seconds.max():.2f} s"
    title = Text(printable(f"when, share of the {Layer(answer).subject}"), style="bold")
    return [title, *lines, Text(first + last.rjust(max(len(heights) - len(first), len(last) + 1)))]
