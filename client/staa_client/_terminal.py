"""Answers on a terminal: words for everybody, and the map and the curve in colours where there are colours."""

from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console, Group, RenderableType
from rich.segment import Segment, Segments
from rich.style import Style
from rich.text import Text

from staa_client._geometry import Floats
from staa_client._labels import Prediction
from staa_client._layer import Layer
from staa_client._percent import percent
from staa_client._result import ClipInfo, Result
from staa_client._sight import Sight
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
    best = (
        f"{answer.predictions[0].label}  {percent(answer.predictions[0].score)}" if answer.predictions else "no label"
    )
    if not isinstance(answer, Explanation):
        return f"{name}  {best}"
    (moment,) = answer.top(1)
    aim = f"{aim}: " if (aim := Layer(answer).aim) else ""
    return f"{name}  {best}  {aim}{moment.start:.2f} - {moment.end:.2f} s"


def sight(seen: Sight) -> str:
    """One window of a stream, on one line."""
    head = f"{seen.start:8.2f} - {seen.end:.2f} s"
    tail = f"{seen.latency * 1000:.0f} ms" + (f", {seen.dropped} dropped" if seen.dropped else "")
    if seen.error is not None:
        return f"{head}  {' '.join(str(seen.error).split())}"
    best, smooth = (f"{guesses[0].label} {percent(guesses[0].score)}" for guesses in (seen.predictions, seen.smoothed))
    return f"{head}  {best}  (smoothed: {smooth}{', changed' if seen.changed else ''})  {tail}"


def facts(seen: Sight) -> dict[str, Any]:
    """One window of a stream as JSON data."""
    answer = None if seen.answer is None else seen.answer.to_dict()
    smoothed = [asdict(guess) for guess in seen.smoothed]
    error = None if seen.error is None else {"code": seen.error.code, "message": seen.error.message}
    names = ("number", "start", "end", "latency", "changed", "dropped", "reconnects")
    told = {name: getattr(seen, name) for name in names}
    return told | {"captured": seen.captured.isoformat(), "answer": answer, "smoothed": smoothed, "error": error}


def harmless(text: str) -> str:
    """What came from outside, less what would steer the terminal."""
    return "".join(sign if sign.isprintable() or sign == "\n" else "?" for sign in text)


def picture(answer: Explanation, console: Console) -> RenderableType:
    """The labels, the map over the whole clip and at its strongest step, and the curve."""
    columns = min(_COLUMNS, (console.width - 4) // 2)
    strongest = int(np.argmax(answer.temporal))
    start, end = answer.seconds[strongest]
    layer = Layer(answer)
    over_time = layer.whole.mean(0)
    whole = over_time / max(float(np.abs(over_time).max()), 1e-9)
    maps = [_map(answer, grid, columns, layer.scale) for grid in (whole, layer.whole[strongest])]
    titles = ["where, over the whole clip", f"where, {start:.2f} to {end:.2f} s"]
    wide = len(maps[0][0])
    head = Text("  ".join(title[:wide].ljust(wide) for title in titles), style="bold")
    rows = [Segments([*left, Segment("  "), *right, Segment.line()]) for left, right in zip(*maps, strict=True)]
    said = harmless("\n".join(_labels(answer.predictions)))
    below = harmless("\n".join(_where(answer)))
    return Group(Text(said), Text(), head, *rows, Text(), *_curve(answer, min(console.width - 2, 80)), Text(below))


def _labels(predictions: tuple[Prediction, ...]) -> list[str]:
    wide = max((len(guess.label) for guess in predictions), default=0)
    return [f"{guess.label:<{wide}}  {percent(guess.score):>6}" for guess in predictions]


def _where(answer: Explanation) -> list[str]:
    layer = Layer(answer)
    lines = [f"\n{layer.aim}:" if layer.aim else "", *([layer.balance] if layer.balance else [])]
    for row, moment in enumerate(answer.top(3)):
        lines.append(f"{'' if row else 'when':<5}  {moment.start:.2f} - {moment.end:.2f} s  {percent(moment.share):>6}")
    x0, y0, x1, y1 = answer.region()
    clip = answer.clip
    lines.append(f"where  x {x0} - {x1}, y {y0} - {y1} in pixels of {clip.width} x {clip.height}")
    lines += [f"{'' if row else 'seen':<5}  {limit}" for row, limit in enumerate(_limits(clip))]
    if (checked := answer.faithfulness) is not None:
        lines.append(f"check  {checked.message} ({checked.verdict}; {checked.clips} clips, {checked.seconds:.2f} s)")
    return lines


def _limits(clip: ClipInfo) -> list[str]:
    """What the model did not see of the video; nothing where it saw whole frames, all of them different."""
    limits = []
    x0, y0, x1, y1 = clip.box
    if clip.box != (0, 0, clip.width, clip.height):
        limits.append(f"x {x0} - {x1}, y {y0} - {y1} of {clip.width} x {clip.height}")
    frames, taken = len(np.unique(clip.frames)), len(clip.frames)
    if frames == 1 < taken:
        limits.append(f"1 frame, repeated {taken} times: 'when' says nothing")
    elif frames < taken:
        limits.append(f"{frames} frames, repeated to make {taken}: 'when' says nothing between steps of one frame")
    return limits


def _map(answer: Explanation, grid: Floats, columns: int, scale: str) -> list[list[Segment]]:
    """A grid (h, w) on a colour scale in half blocks: two pixels a character, dim where nothing was seen."""
    from staa_client._geometry import scaled_box  # noqa: PLC0415  # words need no picture
    from staa_client._overlay import bare  # noqa: PLC0415  # pictures load Pillow, words need none of it

    clip = answer.clip
    tall = max(min(round(columns * clip.height / clip.width), 2 * _ROWS) // 2 * 2, 2)
    wide = max(min(round(tall * clip.width / clip.height), columns), 2)
    box = scaled_box(answer.box, (clip.width, clip.height), (wide, tall))
    pixels = np.asarray(bare((wide, tall), grid, box, scale))

    def colour(pixel: NDArray[np.uint8]) -> str:
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
    title = Text(harmless(f"when, share of the {Layer(answer).subject}"), style="bold")
    return [title, *bars, Text(first + last.rjust(max(len(heights) - len(first), len(last) + 1)))]
