"""Holds all options of a watch, and checks them before the source is read."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, Self

from staa_client.transport.options import StreamOptions, checked_options, options_for_labels, plain_options
from staa_client.video.lengths import WINDOW, ClipSeconds, window_lengths

Latency = Literal["drop", "keep"]
OnError = Literal["collect", "raise"]


@dataclass(frozen=True, slots=True)
class WatchSettings:
    """Holds the options for windows, for reading the source, and for the answers.

    Raises:
        ValueError: a value is out of its range.
    """

    window: float | None = None
    """Seconds of stream time in each window; None: see `lengths`."""
    stride: float | None = None
    """Seconds of stream time from the start of one window to the start of the next; None is a quarter of the window."""
    latency: Latency = "drop"
    """Whether only the newest window waits ("drop"), or all windows do ("keep")."""
    explain: bool = True
    """Whether to ask for maps; if not, for labels only."""
    smooth: int = 3
    """How many windows are averaged."""
    on_error: OnError = "collect"
    """Whether temporary errors are yielded in sights ("collect"), or all errors are raised ("raise")."""
    reconnect: bool = True
    """Whether to open a live source again if it ends or fails."""
    reconnect_max: int | None = 20
    """The most attempts in a row to open it again; None for no limit."""
    stall: float = 10.0
    """Seconds to wait for a live source to open, and for each frame."""
    max_pending: int = 16
    """The most windows that may wait with "keep"."""
    longest: int = 480
    """The most pixels of the longer edge of a frame."""
    av_options: Mapping[str, str] | None = None
    """FFmpeg's options for opening the source."""
    call: Mapping[str, Any] = field(default_factory=dict)
    """The options of each call of `Client.explain`, or of `Client.predict` for labels only."""

    @classmethod
    def of(
        cls, options: StreamOptions, *, window: float | None, stride: float | None, latency: Latency, explain: bool
    ) -> Self:
        """Return the settings for a caller's options; options that do not concern watching go into `call`.

        Raises:
            TypeError: an option is unknown.
            ValueError: a value is out of its range, or an option concerns maps but only labels are asked for.
        """
        options = checked_options(options, StreamOptions)
        about_watching = {option.name for option in fields(cls)}
        given: dict[str, Any] = {name: value for name, value in options.items() if name in about_watching}
        call: Any = {name: value for name, value in options.items() if name not in about_watching}
        if not explain:
            call = options_for_labels(call)
        lengths = plain_options({"window": window, "stride": stride})
        return cls(**lengths, latency=latency, explain=explain, **given, call=call)

    def __post_init__(self) -> None:
        for name in ("window", "stride"):
            value = getattr(self, name)
            if value is not None and not (isinstance(value, int | float) and 0 < value < math.inf):
                raise ValueError(f"{name} is a positive number of seconds, got {value!r}")
        latency = 'latency is "drop" (only the newest window waits) or "keep" (all do)'
        on_error = 'on_error is "collect" (errors that pass are handed on) or "raise" (all are raised)'
        again = "a source is opened again 0 times or more, or None for no end"
        for is_right, expected in (
            (self.latency in {"drop", "keep"}, f"{latency}, got {self.latency!r}"),
            (self.on_error in {"collect", "raise"}, f"{on_error}, got {self.on_error!r}"),
            (self.smooth >= 1, f"scores are averaged over 1 window or more, got smooth={self.smooth}"),
            (self.max_pending >= 1, f"at least one window must be able to wait, got max_pending={self.max_pending}"),
            (self.longest >= 16, f"pictures have 16 pixels or more on their longer side, got longest={self.longest}"),
            (self.stall > 0, f"a source is waited for, for a positive number of seconds, got stall={self.stall}"),
            (self.reconnect_max is None or self.reconnect_max >= 0, f"{again}, got reconnect_max={self.reconnect_max}"),
        ):
            if not is_right:
                raise ValueError(expected)

    def lengths(self, clip_seconds: ClipSeconds | None, model: str = "the model") -> tuple[float, float]:
        """Return the window and the stride as numbers of seconds; see `window_lengths`, also for its warning."""
        return window_lengths(self.window, self.stride, clip_seconds, model, stacklevel=2)

    @property
    def keeps(self) -> bool:
        """Return whether all windows wait; a recording is then read as fast as it is processed, not at its own pace."""
        return self.latency == "keep"

    @property
    def gap(self) -> float:
        """Return the seconds above which a jump in the times of a live source is a cut."""
        return max(WINDOW, self.window or WINDOW)
