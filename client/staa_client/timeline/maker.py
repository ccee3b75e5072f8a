"""Makes the timeline of a video from the answers to its windows, which come in their order; it does no I/O."""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from staa_client.errors import ReplyError
from staa_client.results.card import Card
from staa_client.results.explanation import Answer, Explanation, noted
from staa_client.results.result import Result
from staa_client.timeline.result import NOT_TRACKED, NOTHING, Span, Timeline
from staa_client.timeline.settings import TimelineSettings
from staa_client.timeline.spans import Run, RunFinder, gaps, looked_at, parts
from staa_client.video.frames import Frames
from staa_client.video.lengths import untrained_words, window_starts
from staa_client.video.source import Source

MOST_WINDOWS = 1_000_000
"""The most windows of a video: each is a request."""
MOST_SCORES = 200_000_000
"""The most scores, of all labels in all windows: eight bytes each."""


class MapRequest(NamedTuple):
    """Names a run whose map is to be asked for, and the frames of its best window."""

    run: Run
    frames: Frames


class TimelineMaker:
    """Collects the scores of all windows, and the frames of those whose map may still be wanted.

    The best window of a span is known only when the span ends. Until then, its frames are kept: those of the best
    window so far of each likely label, and of the windows that have no smoothed score yet. They are a few windows of
    the model's own size, so the video need not be decoded again.
    """

    def __init__(
        self,
        settings: TimelineSettings,
        card: Card,
        window: float,
        stride: float,
        part: tuple[float, float] = (0.0, math.inf),
    ) -> None:
        """Take the options, the lengths in seconds, and the first and last second that the video shows."""
        self.card, self.settings = card, settings
        self.window, self.stride = window, stride
        self._part, self._shown = part, part
        """What may be shown, and what is shown of the video that was opened."""
        self._track = settings.classes(card)
        self.starts: NDArray[np.float64] = np.zeros(0)
        """(N,) start of each window, seconds; known once the video is open."""
        self._cells: NDArray[np.float64] = np.zeros((0, 2))
        """(N, 2) start and end of the time that each window stands for, seconds."""
        self._finder = RunFinder(settings.smooth, settings.high, settings.low, self._track)
        self._frames: dict[int, Frames] = {}
        self._last: Frames | None = None
        self._scores: list[NDArray[np.float64]] = []
        self._runs: list[Run] = []

    def segments(self, duration: float) -> list[tuple[float, float]]:
        """Return the start and end of each window of a video that lasts so many seconds.

        Raises:
            ValueError: there would be more of them than can be asked about or kept.
        """
        first, last = self._part[0], max(min(self._part[1], duration), self._part[0])
        self._shown = first, last
        self._check_count(last - first)
        self.starts = first + window_starts(last - first, self.window, self.stride)
        self._cells = parts(self.starts, self.window, last)
        ends = np.minimum(self.starts + self.window, max(last, first + 1e-3))
        return list(zip(self.starts.tolist(), ends.tolist(), strict=True))

    def _check_count(self, duration: float) -> None:
        """Raise ValueError if a video that lasts so many seconds has too many windows; no array is made yet."""
        left = max(0.0, duration - self.window)
        count = left / self.stride + 2 if self.stride > 0 else math.inf
        labels = len(self.card.labels)
        if count > MOST_WINDOWS or count * labels > MOST_SCORES:
            windows = f"a window of {self.window:g} s every {self.stride:g} s of {duration:g} s, with {labels} labels"
            most = f"at most {MOST_WINDOWS} windows and {MOST_SCORES} scores are kept"
            raise ValueError(f"there would be {windows}: {most}; give a longer stride, or a part of the video")

    def add(self, frames: Frames, answer: Result | Explanation) -> list[MapRequest]:
        """Take the labels of the next window, and return the maps that are wanted now.

        Raises:
            ReplyError: another model answered than the one of the card, or with a label that the card does not have.
        """
        check_answer(self.card, answer)
        scores = np.zeros(len(self.card.labels))
        for guess in answer.predictions:
            scores[guess.class_id] = guess.score
        self._frames[len(self._scores)] = frames
        self._scores.append(scores)
        self._last = frames
        requests = self._requests(self._finder.add(scores))
        kept = self._finder.kept
        self._frames = {number: held for number, held in self._frames.items() if number in kept}
        return requests

    def finish(self) -> list[MapRequest]:
        """Return the maps that are wanted after the last window."""
        return self._requests(self._finder.finish())

    def _requests(self, runs: list[Run]) -> list[MapRequest]:
        """Keep the runs that are long enough, and return the maps to ask for."""
        long = [run for run in runs if self._is_long(run)]
        self._runs += long
        return [MapRequest(run, self._frames[run.best]) for run in long] if self.settings.explain else []

    def _is_long(self, run: Run) -> bool:
        """Return whether a run lasts as long as a span must; without `shortest`, these are two windows."""
        windows = run.last - run.first + 1
        if self.settings.shortest is None:
            return windows >= min(2, len(self.starts))
        return self._lasts(float(self._cells[run.first, 0]), float(self._cells[run.last, 1]))

    def _lasts(self, start: float, end: float) -> bool:
        """Return whether these seconds are at least `shortest`."""
        return end - start >= (self.settings.shortest or 0.0) - 1e-6

    def timeline(self, answers: Mapping[Run, Answer], name: str, source: Source, delay: float = 0.0) -> Timeline:
        """Return the timeline after the last window.

        Args:
            answers: Each run with its explanation, or with labels only, if rules leave it out; without them the spans
                have no maps.
            name: The name of the video.
            source: The video.
            delay: Seconds from the start of the file to the first frame.

        Raises:
            ValueError: there was no window.
        """
        if self._last is None:
            raise ValueError(f"{name} has no frame: give a video")
        merged = _merged([self._span(run, answers.get(run), source) for run in self._runs])
        known = [span for span in merged if self._lasts(span.start, span.end)]  # a map may have made it shorter
        times = [(span.start, span.end) for span in known]
        label = NOTHING if self._track is None else NOT_TRACKED
        nothing = [Span(label, start, end, 0.0, (start + end) / 2, None) for start, end in gaps(times, *self._shown)]
        late = (f"players count {delay:.2f} s more, as the file begins before its first frame",) if delay >= 0.1 else ()
        return Timeline(
            name,
            self.card.model,
            self.card.labels,
            self._last.duration,
            self._last.fps,
            self._last.size,
            self.window,
            self.stride,
            self.card.clip_seconds,
            self.settings.smooth,
            self.starts,
            np.stack(self._scores),
            tuple(sorted([*known, *nothing], key=lambda span: (span.start, span.end))),
            (*([self._untrained] if self._untrained else []), *self._last.notes, *late),
            source,
            None if self._track is None else tuple(self._track),
            delay,
        )

    @property
    def _untrained(self) -> str:
        """Return that the model was trained on other clips than the windows are, or ""."""
        shown = self._shown[1] - self._shown[0]
        return untrained_words(self.window, shown, self.card.clip_seconds, self.card.model.name)

    def _span(self, run: Run, answer: Answer | None, source: Source) -> Span:
        """Return the span of a run, with the times of its scores; or of its map, if it is not longer than a window.

        A map does not narrow a run of all windows, as nothing says that the label ever is not right, and neither does a
        map of repeated frames, which does not know when.
        """
        cells, (earliest, latest) = self._cells, self._shown
        start, end = float(cells[run.first, 0]), float(cells[run.last, 1])
        middle = float(self.starts[run.best]) + min(self.window, latest - earliest) / 2
        windows = run.last - run.first + 1
        is_short = windows < len(cells) and windows * self.stride <= self.window + self.stride + 1e-6
        found, why_not = None, None
        if isinstance(answer, Explanation):
            # not its frames, which are those of the window: maps of hours would need memory for all of them
            found = noted(replace(answer, source=source), self._untrained)
            if is_short and not found.clip.repeats:
                first, last = looked_at(found.temporal, found.seconds)
                start, end = max(earliest, first), min(latest, max(last, first + 1e-3))
        elif answer is not None and answer.not_explained is not None:
            why_not = str(answer.not_explained)
        label = self.card.labels[run.class_id]
        return Span(label, start, end, run.score, min(max(middle, start), end), found, run.class_id, why_not)


def mismatch(card: Card, answer: Result | Explanation) -> str:
    """Return why an answer is not one of the card's model, or ""."""
    told, expected, labels = answer.model, card.model, len(card.labels)
    if (told.name, told.version, told.classes) != (expected.name, expected.version, labels):
        came = f"{told.name}, version {told.version}, of {told.classes} labels"
        return f"{came} answered, and the card is that of {expected.name}, version {expected.version}, of {labels}"
    strange = [guess.class_id for guess in answer.predictions if not 0 <= guess.class_id < labels]
    return f"label number {strange[0]} came, and the card of {expected.name} has {labels} labels" if strange else ""


def check_answer(card: Card, answer: Result | Explanation) -> None:
    """Raise ReplyError if an answer is not one of the card's model."""
    if why := mismatch(card, answer):
        raise ReplyError(f"{why}: was the model replaced? ask anew", code="reply_invalid")


def _merged(spans: list[Span]) -> list[Span]:
    """Return the spans, those of one label that overlap made one, with the map of the surer one."""
    merged: list[Span] = []
    latest: dict[int | None, int] = {}
    for span in sorted(spans, key=lambda span: (span.start, span.end)):
        place = latest.get(span.class_id)
        if place is None or merged[place].end <= span.start:
            latest[span.class_id] = len(merged)
            merged.append(span)
            continue
        before = merged[place]
        surer = span if span.score > before.score else before
        merged[place] = replace(surer, start=before.start, end=max(before.end, span.end))
    return merged
