"""Makes the sight of each window, which a watch yields, from the answers; it does no I/O."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from staa_client.errors import ServerError, StaaError, TimedOutError, UnavailableError, UnreachableError
from staa_client.results.explanation import Answer, Explanation
from staa_client.results.result import Model, Prediction
from staa_client.video.frames import Frames
from staa_client.watch.settings import WatchSettings
from staa_client.watch.windows import Window

_PASSING_ERRORS = (UnavailableError, TimedOutError, UnreachableError, ServerError)


@dataclass(frozen=True, slots=True, eq=False)
class Sight:
    """Holds one window of a stream, and what the model saw in it."""

    number: int
    """The number of the window in this stream; the first is 0. The numbers of dropped windows are missing."""
    start: float
    """The start in stream time: seconds since the first frame of the stream."""
    end: float
    """The end in stream time, in seconds."""
    captured: datetime
    """The time when the last frame of the window was read, UTC."""
    latency: float
    """Seconds from `captured` to the answer."""
    frames: Frames = field(repr=False)
    """The frames that were sent; their times are stream time."""
    answer: Answer | None
    """The answer of the server: an Explanation, or a Result with `explain=False` or if `explain_when` leaves the window
    out; None if it failed."""
    error: StaaError | None
    """The error, if there is no answer."""
    smoothed: tuple[Prediction, ...]
    """Mean scores over the last `smooth` answered windows since the last cut, strongest first.

    All classes that one of these windows lists are here; see `MeanScores` for those that the others do not list. If
    this window has no answer, these are the scores of the sight before; before the first answer there are none.
    """
    changed: bool
    """Whether the strongest smoothed label differs from that of the sight before."""
    dropped: int
    """How many windows were dropped between the sight before and this one."""
    reconnects: int
    """How often the source was opened again so far."""

    def __repr__(self) -> str:
        said = f"{self.error!r:.200}" if self.answer is None else repr(self.answer)
        return f"<Sight {self.number}: {self.start:.2f}-{self.end:.2f} s, {said}>"

    @property
    def explanation(self) -> Explanation | None:
        """Return the answer if it is an explanation, and None otherwise."""
        return self.answer if isinstance(self.answer, Explanation) else None

    @property
    def predictions(self) -> tuple[Prediction, ...]:
        """Return the labels of this window only, strongest first; empty if it failed."""
        return () if self.answer is None else self.answer.predictions


class SightMaker:
    """Makes sights from windows and answers, in their order.

    With `on_error="raise"` every error is raised. With "collect" temporary errors go into sights: the server is busy,
    fails, or is away after it has answered once.
    """

    def __init__(self, settings: WatchSettings) -> None:
        self.failed = 0
        """How many sights had an error so far."""
        self._scores = MeanScores(settings.smooth)
        self._on_error = settings.on_error
        self._smoothed: tuple[Prediction, ...] = ()
        self._segment = 0
        self._answered = False

    def sight(self, window: Window, frames: Frames, dropped: int, answer: Answer | StaaError, now: float) -> Sight:
        """Return the sight of a window whose answer, or error, came at `now` seconds of the monotonic clock.

        Raises:
            StaaError: the error, if it is not collected.
        """
        before = self._smoothed
        result, error = (None, answer) if isinstance(answer, StaaError) else (answer, None)
        if window.segment != self._segment:
            self._scores.forget()
            self._segment = window.segment
        if result is not None:
            self._answered = True
            self._smoothed = self._scores.add(result.model, result.predictions)
        if error is not None:
            if not self._is_collected(error):
                raise error
            self.failed += 1
        return Sight(
            window.number,
            window.start,
            window.end,
            datetime.fromtimestamp(window.last.clock, UTC),
            now - window.last.arrival,
            frames,
            result,
            error,
            self._smoothed,
            bool(before and self._smoothed) and before[0].class_id != self._smoothed[0].class_id,
            dropped,
            window.last.reconnects,
        )

    def _is_collected(self, error: StaaError) -> bool:
        is_absent = isinstance(error, UnreachableError) and not self._answered
        return self._on_error == "collect" and isinstance(error, _PASSING_ERRORS) and not is_absent


class MeanScores:
    """Averages the scores over the last `count` windows, by class.

    A server lists only the `top_k` strongest classes. The rest of the probability is divided evenly between the other
    classes, so that the mean is a distribution over all classes: with 10 classes and two listed at 0.6 and 0.24, each
    of the other eight counts as 0.02. No class counts more than the weakest listed one: if a video may have several
    labels, scores do not sum to 1.
    """

    def __init__(self, count: int) -> None:
        self._scores: deque[tuple[dict[int, float], float]] = deque(maxlen=count)
        self._labels: dict[int, str] = {}
        self._model: Model | None = None

    def forget(self) -> None:
        """Forget all scores, as after a cut."""
        self._scores.clear()
        self._labels.clear()

    def add(self, model: Model, predictions: Iterable[Prediction]) -> tuple[Prediction, ...]:
        """Add a window, and return all classes that the last windows list, with mean scores, strongest first."""
        if model != self._model:  # another version may number its classes otherwise
            self.forget()
            self._model = model
        listed = {guess.class_id: guess.score for guess in predictions}
        self._labels |= {guess.class_id: guess.label for guess in predictions}
        others = model.classes - len(listed)
        left = max(0.0, 1 - sum(listed.values())) / others if others > 0 else 0.0
        self._scores.append((listed, min([left, *listed.values()])))  # several labels at once do not sum to 1
        known = {class_id for scores, _ in self._scores for class_id in scores}
        means = {
            class_id: sum(scores.get(class_id, rest) for scores, rest in self._scores) / len(self._scores)
            for class_id in known
        }
        ordered = sorted(means, key=lambda class_id: (-means[class_id], class_id))
        return tuple(Prediction(class_id, self._labels[class_id], means[class_id]) for class_id in ordered)
