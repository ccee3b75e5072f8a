"""Draws answers on a terminal with colours: texts, map and curve. It loads Pillow."""

import numpy as np
from numpy.typing import NDArray
from rich.console import Console, Group, RenderableType
from rich.segment import Segment, Segments
from rich.style import Style
from rich.text import Text

from staa_client.cli.output.terminal import label_lines, map_lines, printable
from staa_client.pictures.layer import Layer
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
    columns = min(_COLUMNS, (console.width - 4) // 2)
    strongest = int(np.argmax(answer.temporal))
    start, end = answer.seconds[strongest]
    layer = Layer(answer)
    mean = layer.values.mean(0)
    whole_clip = mean / max(float(np.abs(mean).max()), 1e-9)
    maps = [_map_rows(answer, grid, columns, layer.scale) for grid in (whole_clip, layer.values[strongest])]
    titles = ["where, whole clip", f"where, {start:.2f}-{end:.2f} s"]
    wide = len(maps[0][0])
    head = Text("  ".join(title[:wide].ljust(wide) for title in titles), style="bold")
    rows = [Segments([*left, Segment("  "), *right, Segment.line()]) for left, right in zip(*maps, strict=True)]
    labels = printable("\n".join(label_lines(answer)))
    about = printable("\n".join(map_lines(answer)))
    curve = _curve_lines(answer, min(console.width - 2, 80))
    return Group(Text(labels), Text(), head, *rows, Text(), *curve, Text(about))


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
