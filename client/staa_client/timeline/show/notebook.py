"""Makes the HTML of a timeline for a notebook."""

import html

from staa_client.pictures.badge import badge_of
from staa_client.pictures.layer import percent
from staa_client.timeline.result import Span, Timeline
from staa_client.timeline.show.page import found_words

MOST_ROWS = 200
"""The most spans that are shown, the first ones."""
_LEFT = "text-align:left"


def timeline_html_of(timeline: Timeline) -> str:
    """Return the spans as an HTML table, with a bar where each lies in the video, and sentences below it.

    They say what the model is good for, and what was done to the video.
    """
    rows = "".join(_row(span, max(timeline.duration, 1e-3)) for span in timeline.spans[:MOST_ROWS])
    more = len(timeline.spans) - MOST_ROWS
    left_out = f"{more} more spans are not shown: save the timeline as .html or .json" if more > 0 else ""
    texts = (left_out, timeline.model.about, *timeline.notes)
    notes = "".join(f"<p>{html.escape(text)}</p>" for text in texts if text)
    caption = html.escape(f"{timeline.name}, {timeline.duration:.1f} s: {found_words(timeline)}")
    page = f"<div><table><caption>{caption}</caption><tbody>{rows}</tbody></table>{notes}</div>"
    return page.encode("utf-8", "replace").decode()  # half a surrogate pair is no UTF-8


def _row(span: Span, duration: float) -> str:
    """Return the row of a span: its label, a bar at its time, its seconds, its score, and how far to trust its map."""
    place = f"margin-left:{100 * span.start / duration:.2f}%;width:{100 * (span.end - span.start) / duration:.2f}%"
    bar = f'<span style="display:block;height:0.8em;background:#565ca0;{place}"></span>' if span.is_known else ""
    cells = (f"{span.start:.2f} - {span.end:.2f} s", percent(span.score) if span.is_known else "", _map_words(span))
    return (
        f'<tr><th scope="row" style="{_LEFT}">{html.escape(span.label)}</th><td style="min-width:20em">{bar}</td>'
        + "".join(f'<td style="{_LEFT}">{html.escape(text)}</td>' for text in cells)
        + "</tr>"
    )


def _map_words(span: Span) -> str:
    """Return how far to trust the map of a span, or why there is none; empty if none was asked for."""
    if span.explanation is not None:
        return f"map: {badge_of(span.explanation).words}"
    return "" if span.not_explained is None else f"no map: {span.not_explained}"
