"""Writes the page of a timeline: one HTML file with tracks, spans and maps, which loads nothing and opens offline."""

import html
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image

from staa_client.pictures.html_page import Assets, jpeg_address, script_json
from staa_client.pictures.layer import Layer, percent
from staa_client.pictures.overlay import paint_alone, paint_over
from staa_client.results.maps import scaled_box
from staa_client.timeline.result import Span, Timeline
from staa_client.video.frames import Frame, smaller
from staa_client.video.pictures_of import frames_at, has_extra
from staa_client.video.source import Source

_ASSETS: Final = Assets("staa_client.timeline.show")
MOST_FRAMED = 200
"""The most spans whose maps lie over frames, the longest ones; of the others the map alone is shown."""
STEPS = 3
"""How many steps of a map are shown, the strongest ones."""
_LONGEST_EDGE = 320
"""The longer edge of a picture in pixels."""
_AT_A_TIME = 8
"""How many spans' frames are in memory at a time."""


def write(timeline: Timeline, target: Path, tracks: int) -> None:
    """Write the page.

    Raises:
        OSError: the file cannot be written.
    """
    target.write_text(render_page(timeline, tracks), "utf-8")


def render_page(timeline: Timeline, tracks: int) -> str:
    """Return the page as HTML text."""
    classes = timeline.tracks(tracks)
    pictures, note = _pictures_of(timeline.known, timeline.source)
    about = [timeline.model.about] if timeline.model.about else []
    noted = [*timeline.notes, *([note] if note else [])]
    return _ASSETS.fill(
        "page.html",
        {
            "title": html.escape(timeline.name),
            "length": f"{timeline.duration:.1f} s",
            "about": "".join(f'<p class="note">{html.escape(text)}</p>' for text in about),
            "style": _ASSETS.read("page.css"),
            "tracks": html.escape("Tracks of " + ", ".join(timeline.labels[each] for each in classes)),
            "rows": "\n".join(_rows(timeline)),
            "found": html.escape(found_words(timeline)),
            "notes": "".join(f'<p class="soft">{html.escape(text)}</p>' for text in noted),
            "data": script_json(_data(timeline, classes, pictures)),
            **_ASSETS.script(("page.js",)),
        },
    )


def found_words(timeline: Timeline) -> str:
    """Return in words how the spans were found."""
    model = timeline.model
    words = f"{len(timeline.starts)} windows of {timeline.window:g} s, one every {timeline.stride:g} s"
    words += f", smoothed over {timeline.smooth}. Model {model.name}, version {model.version}"
    if timeline.clip_seconds is not None:
        shortest, longest = timeline.clip_seconds
        words += f", trained on clips of {shortest:g} to {longest:g} s"
    return words + "."


def _rows(timeline: Timeline) -> Iterator[str]:
    """Yield a row of the table for each span; a known one has a button that shows its map."""
    known = 0
    for span in timeline.spans:
        label, times = html.escape(span.label), f"<td>{span.start:.2f} s</td><td>{span.end:.2f} s</td>"
        if not span.is_known:
            yield f'<tr class="nothing">{times}<td>{label}</td><td></td></tr>'
            continue
        button = f'<button type="button" data-span="{known}">{label}</button>'
        yield f"<tr>{times}<td>{button}</td><td>{html.escape(percent(span.score))}</td></tr>"
        known += 1


def _data(timeline: Timeline, classes: list[int], pictures: Sequence[list[dict[str, str]]]) -> dict[str, Any]:
    """Return what the script draws; a span whose label has no track shows its map only."""
    curves, row_of = timeline.curves, {class_id: row for row, class_id in enumerate(classes)}
    spans = [
        {
            "track": row_of.get(span.class_id if span.class_id is not None else -1, -1),
            "label": span.label,
            "start": round(span.start, 3),
            "end": round(span.end, 3),
            "peak": round(span.peak, 3),
            "score": percent(span.score),
            "maps": maps,
            **_about_map(span),
        }
        for span, maps in zip(timeline.known, pictures, strict=True)
    ]
    tracks = [{"label": timeline.labels[each], "curve": curves[:, each].round(3).tolist()} for each in classes]
    middles = timeline.middles.round(3).tolist()
    return {"duration": timeline.duration, "middles": middles, "tracks": tracks, "spans": spans}


def _about_map(span: Span) -> dict[str, Any]:
    """Return in words what the map of a span shows and how far to trust it, or why there is none."""
    if span.explanation is None:
        why = "" if span.not_explained is None else f": {span.not_explained}"
        return {"trust": None, "about": [f"This span has no map{why}."]}
    layer = Layer(span.explanation)
    low, high = layer.scale_ends
    scale = f"the low end of the colours is {low}; the high end is {high}"
    texts = (layer.title, layer.class_words, layer.balance, layer.notes, scale)
    about = [f"{text[0].upper()}{text[1:]}." for text in texts if text]
    badge = layer.badge
    return {"trust": {"words": badge.words, "tone": badge.tone, "sentence": badge.sentence}, "about": about}


def _pictures_of(spans: Sequence[Span], source: Source | None) -> tuple[list[list[dict[str, str]]], str]:
    """Return the pictures of each span, and why there are no frames in them, or ""."""
    pictures: list[list[dict[str, str]]] = [[] for _ in spans]
    longest = sorted(range(len(spans)), key=lambda number: spans[number].start - spans[number].end)[:MOST_FRAMED]
    framed = sorted(number for number in longest if spans[number].explanation is not None)
    note = ""
    if framed and (source is None or not has_extra()):
        framed, note = [], "The maps are drawn without frames, as there is no video, or the extra video is missing."
    for first in range(0, len(framed), _AT_A_TIME):
        turn = framed[first : first + _AT_A_TIME]
        wanted = {number: _frame_numbers(spans[number]) for number in turn}
        try:
            found = frames_at(source, [each for numbers in wanted.values() for each in numbers])  # type: ignore[arg-type]
        except (OSError, ValueError) as reason:
            note = f"The maps are drawn without frames: {reason}."
            break
        images = iter(found)
        for number, numbers in wanted.items():
            pictures[number] = _maps_html(spans[number], [next(images) for _ in numbers])
    for number, span in enumerate(spans):
        if span.explanation is not None and not pictures[number]:
            pictures[number] = _maps_html(span, None)
    return pictures, note


def _steps_of(span: Span) -> list[int]:
    """Return the strongest steps of a span's map, in their order."""
    return [] if span.explanation is None else sorted(moment.step for moment in span.explanation.top(STEPS))


def _frame_numbers(span: Span) -> list[int]:
    """Return the number of the frame in the middle of each step that is shown."""
    found = span.explanation
    if found is None:
        return []
    middles = found.seconds[_steps_of(span)].mean(1)
    nearest = np.abs(found.clip.times[:, None] - middles[None]).argmin(0)
    return [int(number) for number in found.clip.frames[nearest]]


def _maps_html(span: Span, frames: Sequence[Frame] | None) -> list[dict[str, str]]:
    """Return the pictures of a span, each with its seconds in words; without frames the map alone."""
    found = span.explanation
    if found is None:
        return []
    layer, clip = Layer(found), found.clip
    size = smaller((clip.width, clip.height), _LONGEST_EDGE)
    box = scaled_box(found.box, (clip.width, clip.height), size)
    pictures = []
    for place, step in enumerate(_steps_of(span)):
        start, end = found.seconds[step]
        if frames is None:
            image = paint_alone(size, layer.shown[step], box, layer.scale)
        else:
            image = paint_over(Image.fromarray(frames[place]).resize(size), layer.shown[step], box, scale=layer.scale)
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=85)
        pictures.append({"image": jpeg_address(buffer.getvalue()), "words": f"where, {start:.2f}-{end:.2f} s"})
    return pictures
