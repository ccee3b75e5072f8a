"""Holds all options of a timeline, and checks them before the video is read."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Self

from staa_client.results.card import Card
from staa_client.transport.options import (
    TimelineOptions,
    checked_options,
    options_for_labels,
    rules_text,
    with_class_method,
)
from staa_client.video.lengths import window_lengths

_NEUTRAL = ("timeout", "maps")
"""Options of a call that do not change the answer."""
_NOT_TAKEN = ("top_k", "start", "end", "sample")
"""Options of `Client.explain` that a timeline sets itself."""
LOW = 0.4
"""The smoothed score below which a span ends, unless `low` is given or `high` is less."""


@dataclass(frozen=True, slots=True)
class TimelineSettings:
    """Holds the options for windows, for finding spans, and for the requests.

    Raises:
        ValueError: a value is out of its range.
    """

    window: float | None = None
    """Seconds of each window; None: see `window_lengths`."""
    stride: float | None = None
    """Seconds from the start of one window to the start of the next; None is a quarter of the window."""
    smooth: int = 3
    """How many windows the smoothed scores are a mean of, an odd number."""
    high: float = 0.6
    """The smoothed score that a label must reach for a span."""
    low: float = LOW
    """The smoothed score below which a span ends."""
    shortest: float | None = None
    """The least seconds of a span, by its scores and by its map; None: its scores need two windows."""
    track: Sequence[int | str] | None = None
    """The only labels that spans are looked for, by number or name; None for all."""
    explain: bool = True
    """Whether to ask for the map of each span."""
    concurrency: int = 4
    """The most requests at a time."""
    call: Mapping[str, Any] = field(default_factory=dict)
    """Further options of each call of `Client.explain`, and `timeout` of `Client.predict` too."""

    @classmethod
    def of(cls, options: TimelineOptions) -> Self:
        """Return the settings for a caller's options; those that do not concern the timeline go into `call`.

        Raises:
            TypeError: an option is unknown.
            ValueError: a value is out of its range, or an option concerns maps but only labels are asked for.
        """
        options = checked_options(options, TimelineOptions)
        own = {option.name for option in fields(cls)}
        given: dict[str, Any] = {name: value for name, value in options.items() if name in own}
        call: Any = {name: value for name, value in options.items() if name not in own}
        if taken := [name for name in _NOT_TAKEN if name in call]:
            raise TypeError(f"a timeline asks for all labels of all windows itself: leave out {', '.join(taken)}")
        if not given.get("explain", True):
            call = options_for_labels(call)
        if isinstance(given.get("track"), str | int):
            given["track"] = [given["track"]]
        if given.get("low") is None:
            given["low"] = min(LOW, given.get("high", LOW))
        return cls(**given, call=call)

    def __post_init__(self) -> None:
        for name in ("window", "stride", "shortest"):
            value = getattr(self, name)
            if value is not None and not (isinstance(value, int | float) and 0 < value < math.inf):
                raise ValueError(f"{name} is a positive number of seconds, got {value!r}")
        odd = isinstance(self.smooth, int) and self.smooth >= 1 and self.smooth % 2
        thresholds = f"a span needs 0 <= low <= high <= 1, got low={self.low} and high={self.high}"
        for is_right, expected in (
            (odd, f"scores are smoothed over 1, 3, 5, ... windows, got {self.smooth}"),
            (0 <= self.low <= self.high <= 1, thresholds),
            (self.concurrency >= 1, f"at least one request is under way at a time, got concurrency={self.concurrency}"),
            (self.track is None or len(self.track) > 0, "track names one label or more, or is left out"),
        ):
            if not is_right:
                raise ValueError(expected)

    def lengths(self, card: Card, stacklevel: int = 2) -> tuple[float, float]:
        """Return the window and the stride as numbers of seconds, with the warning of `window_lengths`.

        Raises:
            ValueError: the stride is longer than the window, so that no window would see what is between two of them.
        """
        window, stride = window_lengths(self.window, self.stride, card.clip_seconds, card.model.name, stacklevel + 1)
        if stride > window:
            msg = (
                f"stride is {stride:g} s, and windows last {window:g} s: nothing would be known of the seconds between"
            )
            raise ValueError(f"{msg} them; give at most {window:g}")
        return window, stride

    def classes(self, card: Card) -> list[int] | None:
        """Return the numbers of the labels in `track`; None for all.

        Raises:
            ValueError: the model has no such label.
        """
        if self.track is None:
            return None
        return [*dict.fromkeys(number for wanted in self.track for number in _classes_of(card, wanted))]

    def check_for(self, card: Card) -> None:
        """Raise ValueError if the model has not the labels or the method, or its server does not allow an option."""
        self.classes(card)
        method, name = with_class_method(self.call).get("method"), card.model.name
        if method is not None and method not in card.methods:
            raise ValueError(f"{name} has no method {method!r}: it has {', '.join(card.methods)}")
        for option in ("target", "contrast"):
            wanted = self.call.get(option)
            if wanted is not None and (option, wanted) != ("contrast", "none"):
                _classes_of(card, wanted)
        for option in ("verify", "refine"):
            wanted, most = self.call.get(option), getattr(card, option)
            if wanted is not None and wanted > most:
                raise ValueError(f"{option} is {wanted}: the server of {name} allows at most {most}")
        for rule in (rules_text(self.call.get("explain_when")) or "").split(";"):
            named, _, value = rule.strip().partition("=")
            if named and named not in card.explain_when:
                known = f"has {', '.join(card.explain_when)}" if card.explain_when else "has no rules"
                raise ValueError(f"explain_when is {rule.strip()!r}: the server of {name} {known}")
            for label in value.split("|") if named == "label_in" else ():
                if not label.isdigit():  # the server reads a number in more than one spelling
                    _classes_of(card, label)

    def call_for(self, card: Card, class_id: int) -> dict[str, Any]:
        """Return the options for the map of a span of a class: a class map is for this class."""
        method = card.methods.get(with_class_method(self.call).get("method") or "")
        is_for_class = method is not None and method.classes and self.call.get("target") is None
        return {**self.call} | ({"target": class_id} if is_for_class else {})

    @property
    def map_request(self) -> str:
        """Return what is asked about every map, as JSON text: the same text means the same map."""
        asked = {name: value for name, value in self.call.items() if name not in _NEUTRAL and value is not None}
        return json.dumps(asked, sort_keys=True)

    @property
    def patience(self) -> dict[str, Any]:
        """Return the options of a call for labels."""
        return {name: value for name, value in self.call.items() if name == "timeout"}

    def request(self, model: str | None) -> str:
        """Return what is asked about every video, as JSON text: the same text means the same answer."""
        about = {option.name: getattr(self, option.name) for option in fields(self) if option.name != "call"}
        del about["concurrency"]
        asked = {name: value for name, value in self.call.items() if name not in _NEUTRAL}
        given = {name: value for name, value in sorted((about | asked).items()) if value is not None}
        return json.dumps({"model": model, "timeline": given})


def _classes_of(card: Card, wanted: int | str) -> list[int]:
    """Return the numbers of the classes with a label or number.

    Raises:
        ValueError: the model has no such class.
    """
    named = [number for number, label in enumerate(card.labels) if wanted in {label, number, str(number)}]
    if not named:
        known = ", ".join(card.labels[:20]) + (", ..." if len(card.labels) > 20 else "")
        raise ValueError(f"{card.model.name} has no label {wanted!r}: it has {known}")
    return named
