"""Draws a timeline with characters, for a terminal or a file: a row for each track, an axis, and the spans in words."""

import numpy as np

from staa_client.cli.output.terminal import printable_line
from staa_client.pictures.badge import badge_of
from staa_client.pictures.layer import percent
from staa_client.timeline.result import Span, Timeline

_BARS = " ▁▂▃▄▅▆▇"
"""Bars of 0 to 7 eighths of a character's height."""
_SPAN = "█"
_MOST_LABEL = 24
"""The most characters of a label beside its track."""


def describe_timeline(timeline: Timeline, columns: int, tracks: int) -> list[str]:
    """Return the lines of a chart that is so many columns wide, a line for each span, and what a reader must know."""
    classes = timeline.tracks(tracks)
    labels = [_short(timeline.labels[class_id]) for class_id in classes]
    wide = max(map(len, labels), default=0)
    cells = max(columns - wide - 3, 20)
    lines = [
        f"{label:<{wide}} |{_track(timeline, class_id, cells)}|"
        for label, class_id in zip(labels, classes, strict=True)
    ]
    lines += [f"{'':<{wide}}  {_axis(timeline.duration, cells)}", ""]
    about = [printable_line(text) for text in (timeline.model.about, *timeline.notes) if text]
    return lines + [describe_span(span) for span in timeline.spans] + about


def describe_span(span: Span) -> str:
    """Return a span on one line."""
    head = f"{clock(span.start):>9} - {clock(span.end):<9}"
    if not span.is_known:
        return f"{head} {span.label}"
    tail = f"  {percent(span.score)}, surest at {clock(span.peak)}"
    if span.explanation is not None:
        tail += f"; map: {badge_of(span.explanation).words}"
    elif span.not_explained is not None:
        tail += f"; no map: {span.not_explained}"
    return printable_line(f"{head} {span.label}{tail}")


def clock(seconds: float) -> str:
    """Return seconds as people read them: 75.5 becomes 1:15.5, and 3675 becomes 1:01:15.0."""
    tenths = round(seconds * 10)
    minutes, rest = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    tail = f"{rest // 10:02}.{rest % 10}"
    return f"{hours}:{minutes:02}:{tail}" if hours else f"{minutes}:{tail}"


def _short(label: str) -> str:
    text = printable_line(label)
    return text if len(text) <= _MOST_LABEL else text[: _MOST_LABEL - 1] + "…"


def _track(timeline: Timeline, class_id: int, cells: int) -> str:
    """Return the row of a track: full blocks for its spans, and the smoothed score elsewhere.

    It is empty where frames in memory show nothing.
    """
    middles = (np.arange(cells) + 0.5) * timeline.duration / cells
    parts = timeline.parts
    windows = np.clip(np.searchsorted(parts[:, 1], middles), 0, len(parts) - 1)
    scores = timeline.curves[windows, class_id]
    is_shown = (parts[0, 0] <= middles) & (middles <= parts[-1, 1])
    signs = [_BARS[level] for level in np.clip(np.floor(scores * is_shown * 8).astype(int), 0, 7).tolist()]
    for span in timeline.known:
        if span.class_id == class_id:
            first = int(span.start / timeline.duration * cells)
            last = max(first + 1, round(span.end / timeline.duration * cells))
            signs[first:last] = _SPAN * (min(last, cells) - first)
    return "".join(signs)


def _axis(duration: float, cells: int) -> str:
    """Return the times below the tracks, at the start, the quarters and the end."""
    texts = [clock(duration * quarter / 4) for quarter in range(5)]
    line = [" "] * (cells + len(texts[-1]))
    for quarter, text in enumerate(texts):
        if quarter in {1, 3} and cells < 60:
            continue
        place = min(round(cells * quarter / 4), cells - len(text) + 2) if quarter else 0
        line[place : place + len(text)] = text
    return "".join(line).rstrip()
