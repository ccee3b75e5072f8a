"""What a watch gives back, one for each window; and how it is made of answers: pure."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from staa_client._errors import ServerError, StaaError, TimedOutError, UnavailableError, UnreachableError
from staa_client._frames import Frames
from staa_client._labels import Prediction
from staa_client._result import Result
from staa_client._ring import Window
from staa_client._smooth import Smooth
from staa_client._types import Explanation

Answer = Explanation | Result
OnError = Literal["collect", "raise"]
_PASSING = (UnavailableError, TimedOutError, UnreachableError, ServerError)


@dataclass(frozen=True, slots=True, eq=False)
class Sight:
    """One window of a stream, and what the model saw in it."""

    number: int
    """Of the windows of this stream; the first is 0. Those that were dropped leave holes."""
    start: float
    """Stream time, seconds since its first frame."""
    end: float
    """Stream time, seconds."""
    captured: datetime
    """When the window's last frame was read, UTC."""
    latency: float
    """Seconds from then to the answer."""
    frames: Frames = field(repr=False)
    """The frames that were sent; their times are stream time."""
    answer: Answer | None
    """What the server said: an Explanation, or a Result with `explain=False`; None where it failed."""
    error: StaaError | None
    """Why there is no answer, where there is none."""
    smoothed: tuple[Prediction, ...]
    """Mean scores over the last `smooth` answered windows since the last cut, strongest first.

    Of the classes that any of them lists; one that a window does not list counts there with an even share of what the
    listed ones leave. Where this window has no answer, those of the window before it; empty before the first.
    """
    changed: bool
    """The strongest smoothed label is another than that of the sight before."""
    dropped: int
    """Windows dropped between the sight before and this one."""
    reconnects: int
    """How often the source was opened anew so far."""

    @property
    def explanation(self) -> Explanation | None:
        """The answer, where it is an explanation."""
        return self.answer if isinstance(self.answer, Explanation) else None

    @property
    def predictions(self) -> tuple[Prediction, ...]:
        """The labels of this window alone, strongest first; empty where it failed."""
        return () if self.answer is None else self.answer.predictions


class Report:
    """Makes sights of windows and answers, in their order.

    Args:
        smooth: Windows whose scores are averaged.
        on_error: "raise" raises every error; "collect" hands on those that pass: a server that is busy, fails, or is
            away after it has answered once.
    """

    def __init__(self, smooth: int, on_error: OnError) -> None:
        if smooth < 1:
            msg = f"scores are averaged over 1 window or more, got {smooth = }"
            raise ValueError(msg)
        if on_error not in {"collect", "raise"}:
            msg = (
                f'on_error is "collect" (errors that pass are handed on) or "raise" (all are raised), got {on_error!r}'
            )
            raise ValueError(msg)
        self.failed = 0
        """Sights with an error so far."""
        self._smooth = Smooth(smooth)
        self._on_error = on_error
        self._smoothed: tuple[Prediction, ...] = ()
        self._segment = 0
        self._answered = False

    def sight(self, window: Window, frames: Frames, dropped: int, answer: Answer | StaaError, now: float) -> Sight:
        """The sight of a window whose answer, or error, came at `now` seconds of the monotonic clock.

        Raises:
            StaaError: the error, where it is not to be collected.
        """
        before = self._smoothed
        found: Answer | None = None
        error: StaaError | None = None
        if window.segment != self._segment:
            self._smooth.forget()
            self._segment = window.segment
        if isinstance(answer, StaaError):
            if not self._is_collected(answer):
                raise answer
            self.failed += 1
            error = answer
        else:
            found, self._answered = answer, True
            self._smoothed = self._smooth.add(answer.model, answer.predictions)
        return Sight(
            window.number,
            window.start,
            window.end,
            datetime.fromtimestamp(window.last.clock, UTC),
            now - window.last.arrival,
            frames,
            found,
            error,
            self._smoothed,
            bool(before and self._smoothed) and before[0].class_id != self._smoothed[0].class_id,
            dropped,
            window.last.reconnects,
        )

    def _is_collected(self, error: StaaError) -> bool:
        if self._on_error == "raise" or (isinstance(error, UnreachableError) and not self._answered):
            return False
        return isinstance(error, _PASSING)
