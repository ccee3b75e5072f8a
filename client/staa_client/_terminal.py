"""Answers on a terminal: words for everybody, and the map and the curve in colours where there are colours."""

import numpy as np
from rich.console import Console, Group, RenderableType
from rich.segment import Segment, Segments
from rich.style import Style
from rich.text import Text

from staa_client._labels import Prediction
from staa_client._result import Result
from staa_client._types import Explanation

_BARS = " ▁▂▃▄▅▆▇█"
_ROWS = 14
"""Lines of a map at most."""
_COLUMNS = 46
"""Characters of a map at most."""


def words(answer: Result | Explanation) -> str:
    """The labels; for an explanation also the strongest seconds, the strongest region, and the check."""
    return "\n".join([*_labels(answer.predictions), *(_where(answer) if isinstance(answer, Explanation) else ())])


def line(name: str, answer: Result | Explanation) -> str:
    """One answer of many, on one line."""
    best = f"{answer.predictions[0].label}  {answer.predictions[0].score:.1%}" if answer.predictions else "no label"
    if not isinstance(answer, Explanation):
        return f"{name}  {best}"
    (moment,) = answer.top(1)
    return f"{name}  {best}  {moment.start:.2f} - {moment.end:.2f} s"


def harmless(text: str) -> str:
    """What came from outside, less what would steer the terminal."""
    return "".join(sign if sign.isprintable() or sign == "\n" else "?" for sign in text)


def picture(answer: Explanation, console: Console) -> RenderableType:
    """The labels, the map over the whole clip and at its strongest step, and the curve."""
    columns = min(_COLUMNS, (console.width - 4) // 2)
    strongest = int(np.argmax(answer.temporal))
    start, end = answer.seconds[strongest]
    whole = answer.spatial / max(float(answer.spatial.max()), 3 / answer.spatial.size)
    maps = [_map(answer, whole, columns), _map(answer, answer.scaled()[strongest], columns)]
    titles = ["where, over the whole clip", f"where, {start:.2f} to {end:.2f} s"]
    wide = len(maps[0][0])
    head = Text("  ".join(title[:wide].ljust(wide) for title in titles), style="bold")
    rows = [Segments([*left, Segment("  "), *right, Segment.line()]) for left, right in zip(*maps, strict=True)]
    said = harmless("\n".join(_labels(answer.predictions)))
    below = harmless("\n".join(_where(answer)))
    return Group(Text(said), Text(), head, *rows, Text(), *_curve(answer, min(console.width - 2, 80)), Text(below))


def _labels(predictions: tuple[Prediction, ...]) -> list[str]:
    wide = max((len(guess.label) for guess in predictions), default=0)
    return [f"{guess.label:<{wide}}  {guess.score:6.1%}" for guess in predictions]


def _where(answer: Explanation) -> list[str]:
    against = "" if answer.contrast is None else f", against {answer.contrast}"
    lines = ["" if answer.target is None else f"\nwhat speaks for {answer.target}{against}:"]
    for row, moment in enumerate(answer.top(3)):
        lines.append(f"{'' if row else 'when':<5}  {moment.start:.2f} - {moment.end:.2f} s  {moment.share:6.1%}")
    x0, y0, x1, y1 = answer.region()
    clip = answer.clip
    lines.append(f"where  x {x0} - {x1}, y {y0} - {y1} in pixels of {clip.width} x {clip.height}")
    if (checked := answer.faithfulness) is not None:
        lines.append(f"check  {checked.message} ({checked.verdict}; {checked.clips} clips, {checked.seconds:.2f} s)")
    return lines


def _map(
    answer: Explanation, grid: "np.ndarray[tuple[int, ...], np.dtype[np.float32]]", columns: int
) -> list[list[Segment]]:
    """A grid (h, w), 0 to 1, over the frame in half blocks: two pixels a character, grey where nothing was seen."""
    from staa_client._geometry import scaled_box  # noqa: PLC0415
    from staa_client._overlay import blank, overlay  # noqa: PLC0415  # pictures load Pillow, words need none of it

    clip = answer.clip
    tall = max(min(round(columns * clip.height / clip.width), 2 * _ROWS) // 2 * 2, 2)
    wide = max(min(round(tall * clip.width / clip.height), columns), 2)
    box = scaled_box(answer.box, (clip.width, clip.height), (wide, tall))
    pixels = overlay(blank(tall, wide), grid, box, opacity=1)

    def colour(pixel: "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]") -> str:
        return "#{:02x}{:02x}{:02x}".format(*pixel.tolist())

    return [
        [Segment("▀", Style(color=colour(above), bgcolor=colour(below))) for above, below in zip(*pair, strict=True)]
        for pair in zip(pixels[::2], pixels[1::2], strict=True)
    ]


def _curve(answer: Explanation, columns: int) -> list[Text]:
    """The share of each step as a bar, three lines high, over its seconds."""
    steps = len(answer.temporal)
    each = max(min(columns // steps, 6), 1)
    top = max(float(answer.temporal.max()), 1e-9)
    heights = np.repeat(np.round(np.maximum(answer.temporal, 0) / top * 24).astype(int), each)
    peak = answer.peak
    bars = []
    for level in (16, 8, 0):
        bar = Text()
        for place, height in enumerate(heights):
            style = "bold red" if peak is not None and place // each == peak else "blue"
            bar.append(_BARS[int(np.clip(height - level, 0, 8))], style)
        bars.append(bar)
    first, last = f"{answer.seconds.min():.2f} s", f"{answer.seconds.max():.2f} s"
    title = Text("when, share of the attention", style="bold")
    return [title, *bars, Text(first + last.rjust(max(len(heights) - len(first), len(last) + 1)))]
