"""A long video of known events, made by the generator: the default model's spans and maps against the truth."""

from pathlib import Path

import httpx2
import numpy as np
import pytest

from staa_client import Client, Timeline
from tests.made.inside import default_model
from training.clips import LABELS
from training.long_movie import Event, LongMovie, write
from training.stream import VALIDATION_SEEDS

EVENTS = (1, 5, 0, 4, 2, 7)
"""The labels of the events: all different, since two of one label that are less than a window apart become one span."""


def overlap(one: tuple[float, float], other: tuple[float, float]) -> float:
    """Return the intersection of two times over their union."""
    inside = max(0.0, min(one[1], other[1]) - max(one[0], other[0]))
    return inside / (one[1] - one[0] + other[1] - other[0] - inside)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Timeline, list[Event]]:
    """Return the timeline of a video of six events, and the events."""
    path: Path = tmp_path_factory.mktemp("truth") / "long.mp4"
    events = write(path, LongMovie(VALIDATION_SEEDS + 700_003, len(EVENTS), labels=[*EVENTS]))
    with default_model() as inside, Client(transport=httpx2.MockTransport(inside)) as client:
        return client.timeline(path), events


def test_spans_are_where_and_what_the_events_are(made: tuple[Timeline, list[Event]]) -> None:
    """The mean overlap of events and spans of their label is what was measured; long spans have the right label."""
    timeline, events = made
    shares, right = [], []
    for event in events:
        spans = [span for span in timeline.known if span.class_id == event.label]
        shares.append(max((overlap((event.start, event.end), (s.start, s.end)) for s in spans), default=0.0))
    for span in timeline.known:
        nearest = max(events, key=lambda event: overlap((event.start, event.end), (span.start, span.end)))
        if span.end - span.start > 2 * timeline.stride:
            right.append(span.label == LABELS[nearest.label])
    assert np.mean(shares) >= 0.75, shares
    assert np.mean(right or [True]) >= 0.9
    assert len(timeline.known) <= len(EVENTS) + 1


def test_maps_are_on_the_objects(made: tuple[Timeline, list[Event]]) -> None:
    """In most spans, the strongest cell of the strongest step of the map lies on the object of the event."""
    timeline, events = made
    hits = []
    for span in timeline.known:
        assert span.explanation is not None
        event = max(events, key=lambda event: overlap((event.start, event.end), (span.start, span.end)))
        t, row, column = np.unravel_index(span.explanation.joint.argmax(), span.explanation.joint.shape)
        second = float(span.explanation.seconds[t].mean())
        frames = [round((second - event.start) * 10) + off for off in (-3, 0, 3)]
        boxes = event.boxes[np.clip(frames, 0, len(event.boxes) - 1)]
        x0, y0, x1, y1 = span.explanation.box
        _, h, w = span.explanation.joint.shape
        x, y = x0 + (column + 0.5) * (x1 - x0) / w, y0 + (row + 0.5) * (y1 - y0) / h
        reach = (x1 - x0) / w  # a cell that touches the object counts
        hits.append(any(b[0] - reach <= x <= b[2] + reach and b[1] - reach <= y <= b[3] + reach for b in boxes))
    assert np.mean(hits) >= 0.8
