"""Holds the timeline of a video: its spans, and the score of each class in each window."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from staa_client import _late
from staa_client.errors import Failure
from staa_client.results.explanation import Explanation
from staa_client.results.result import Model, model_data
from staa_client.timeline.spans import Scores, parts, smoothed
from staa_client.video.lengths import ClipSeconds
from staa_client.video.source import Source

NOTHING = "nothing known"
"""The label of the times in which no label is sure."""
NOT_TRACKED = "none of the labels asked for"
"""The label of the times in which no label of `track` is sure; another one may be."""
MOST_TRACKS = 5
"""How many labels a chart, a page and a movie show, unless more are asked for."""


@dataclass(frozen=True, slots=True, eq=False)
class Span:
    """Holds a part of the video with one label."""

    label: str
    """The label, or NOTHING, or NOT_TRACKED."""
    start: float
    """The start, seconds of the video."""
    end: float
    """The end, seconds of the video."""
    score: float
    """The mean over its windows of the label's smoothed score, 0 to 1; 0 if no label is sure."""
    peak: float
    """The second at which the label is surest: the middle of the best window, as far as it lies in the span."""
    explanation: Explanation | None = field(repr=False)
    """The map of the best window; None if no label is sure, only labels were asked for, or rules leave it out."""
    class_id: int | None = None
    """The number of the label; None if no label is sure."""
    not_explained: str | None = None
    """Why there is no map, in words, if the rules of `explain_when` leave it out."""

    @property
    def is_known(self) -> bool:
        """Return whether the span has a label of the model."""
        return self.class_id is not None

    def to_dict(self) -> dict[str, Any]:
        """Return the span as plain JSON data, without its map; `verdict` is None if nobody has checked the map."""
        names = ("label", "class_id", "start", "end", "score", "peak", "not_explained")
        check = None if self.explanation is None else self.explanation.faithfulness
        return {name: getattr(self, name) for name in names} | {"verdict": None if check is None else check.verdict}


@dataclass(frozen=True, slots=True, eq=False)
class Timeline:
    """Holds the spans of a whole video, and what they were found in.

    Spans of different labels may overlap; together with those in which no label is sure they cover the video. Frames
    in memory that begin late, or end early, have spans from their first frame to their last one only.
    """

    name: str
    """The name of the video's file, or "video"."""
    model: Model
    labels: tuple[str, ...] = field(repr=False)
    """The label of each class, by class id."""
    duration: float
    """The length of the video, seconds."""
    fps: float
    """The mean frame rate of the video, frames per second."""
    size: tuple[int, int]
    """(width, height) of the video in pixels, in display orientation."""
    window: float
    """The length of a window, seconds."""
    stride: float
    """From the start of one window to the start of the next, seconds."""
    clip_seconds: ClipSeconds | None
    """The shortest and the longest clip that the model was trained on, seconds, if its card says it."""
    smooth: int
    """How many windows the smoothed scores are a mean of."""
    starts: NDArray[np.float64] = field(repr=False)
    """(N,) start of each window, seconds."""
    scores: Scores = field(repr=False)
    """(N, C) score of each class in each window."""
    spans: tuple[Span, ...] = field(repr=False)
    """By their start."""
    notes: tuple[str, ...] = ()
    """What was done to the video beyond plain decoding."""
    source: Source | None = field(default=None, repr=False)
    """The video, for pictures."""
    track: tuple[int, ...] | None = None
    """The only classes that were looked for; None for all."""
    delay: float = 0.0
    """Seconds from the start of the file, from which players count, to the first frame, from which spans count."""

    def __post_init__(self) -> None:
        if self.scores.shape != (len(self.starts), len(self.labels)):
            expected = (len(self.starts), len(self.labels))
            raise ValueError(f"scores must be {expected}, one a window and class, got {self.scores.shape}")

    @property
    def known(self) -> tuple[Span, ...]:
        """Return the spans that have a label of the model."""
        return tuple(span for span in self.spans if span.is_known)

    @property
    def parts(self) -> NDArray[np.float64]:
        """Return (N, 2) start and end of the time that each window stands for, seconds."""
        return parts(self.starts, self.window, self._end)

    @property
    def middles(self) -> NDArray[np.float64]:
        """Return (N,) the middle of each window, seconds."""
        return self.starts + min(self.window, self._end - float(self.starts[0])) / 2

    @property
    def _end(self) -> float:
        """Return the end of the last window, seconds."""
        return max((span.end for span in self.spans), default=self.duration)

    @property
    def curves(self) -> Scores:
        """Return (N, C) the smoothed scores, in which the spans were found."""
        return smoothed(self.scores, self.smooth)

    def tracks(self, most: int = MOST_TRACKS) -> list[int]:
        """Return the classes of the tracks to show: all that were asked for (`track`), or else the strongest ones.

        The strongest are those with the longest spans, then those with the best scores.
        """
        if self.track is not None:
            return [*self.track]
        seconds = np.zeros(len(self.labels))
        for span in self.known:
            seconds[span.class_id] += span.end - span.start
        best = self.curves.max(0, initial=0.0)
        return sorted(range(len(self.labels)), key=lambda class_id: (-seconds[class_id], -best[class_id]))[:most]

    def to_dict(self) -> dict[str, Any]:
        """Return the spans, and how they were found, as plain JSON data without maps and scores."""
        names = ("name", "duration", "delay", "fps", "window", "stride", "smooth")
        return {name: getattr(self, name) for name in names} | {
            "model": model_data(self.model),
            "track": None if self.track is None else [self.labels[each] for each in self.track],
            "clip_seconds": None if self.clip_seconds is None else list(self.clip_seconds),
            "notes": list(self.notes),
            "spans": [span.to_dict() for span in self.spans],
        }

    def save(self, path: str | Path, *, tracks: int = MOST_TRACKS) -> Path:
        """Write the timeline to a file; the ending of its name chooses the format.

        `.html` is a page with tracks, spans and maps, `.mp4` the video with tracks under it. `.vtt` holds chapters
        (WebVTT), `.eaf` annotations for ELAN, `.fiftyone.json` temporal detections for FiftyOne. `.json` holds the
        spans; `.jsonl` and `.parquet` hold them with their maps, a line or row for each.

        Args:
            path: The file.
            tracks: How many labels are shown in pictures; those that were asked for with `track` are all shown.

        Raises:
            ValueError: the ending is not known, the folder does not exist, or `tracks` is less than 1.
            ImportError: an extra is missing.
            OSError: the file cannot be written, or the video cannot be read.
        """
        saved: Path = _late.load("save_timeline")(self, Path(path), tracks)
        return saved

    def _repr_html_(self) -> str:
        """Return the HTML for a notebook: the spans, where they lie in the video, and how far to trust their maps."""
        html: str = _late.load("timeline_html_of")(self)
        return html


@dataclass(frozen=True, slots=True)
class TimelineItem:
    """Holds one of several videos with its timeline or error."""

    index: int
    """The number of the video; the first is 0."""
    source: str
    """The path or URL of the video as given, or else a digest of its bytes."""
    timeline: Timeline | None
    """The timeline; None if it failed."""
    error: Failure | None
    """The error, if it failed."""
    resumed: bool = False
    """Whether an earlier run wrote the timeline to the output."""
