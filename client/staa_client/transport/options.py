"""Names the options of a call, and checks them."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, TypedDict, TypeVar

import numpy as np

from staa_client.transport.deadline import Keep, Timeouts
from staa_client.video.source import Sample

Maps = Literal["base64", "npz", "json"]
"""The encoding of the maps in a reply."""


Rules = str | Sequence[str]
"""Rules that say which videos are explained: one such as "score_below=0.6", or several, of which any is enough."""


class Options(TypedDict, total=False):
    """Holds the options of `Client.explain`; `Client.predict` takes only those in LABELS."""

    top_k: int | None
    start: float | None
    end: float | None
    method: str | None
    target: int | str | None
    contrast: int | str | None
    mass: float | None
    verify: int | None
    refine: int | None
    maps: Maps
    sample: Sample
    timeout: Timeouts | Keep


class RuledOptions(Options, total=False):
    """Holds the options of `Client.batch`: those of `Client.explain`, with its rules, which may leave videos out.

    They stand apart, since `Client.explain` without rules always returns an Explanation.
    """

    explain_when: Rules | None


class StreamOptions(RuledOptions, total=False):
    """Holds the options of `Client.explain`, and those of `staa_client.watch.watch`, where they are explained."""

    smooth: int
    on_error: Literal["collect", "raise"]
    reconnect: bool
    reconnect_max: int | None
    stall: float
    max_pending: int
    longest: int
    av_options: Mapping[str, str] | None


class WatchOptions(StreamOptions, total=False):
    """Holds the options of `Client.watch`: those of `StreamOptions`, and `frames`.

    `frames` is how many frames of a window are sent; None asks the server how many the model takes.
    """

    frames: int | None


class TimelineOptions(RuledOptions, total=False):
    """Holds the options of `Client.timeline`, and those of `Client.explain`, which are for the maps."""

    window: float | None
    """Seconds of each window; None: as long as the clips that the model was trained on, or 2 s if its card does not say
    it. A window of another length is warned about."""
    stride: float | None
    """Seconds from the start of one window to the start of the next; None is a quarter of the window."""
    smooth: int
    """How many windows are averaged; the default is 3."""
    high: float
    """A span begins where a smoothed score reaches this; the default is 0.6."""
    low: float | None
    """A span reaches as far as the smoothed score is at least this; None is 0.4, or `high` if that is less."""
    shortest: float | None
    """The least seconds of a span, by its scores and by its map; None: its scores need two windows."""
    track: int | str | Sequence[int | str] | None
    """The only labels to look for, which are then all shown; None is all."""
    explain: bool
    """Whether to ask for maps; without them the start and the end of a span are coarse."""
    concurrency: int
    """The most requests at a time; the default is 4."""


OptionsT = TypeVar("OptionsT", bound=Mapping[str, Any])

LABELS = ("top_k", "start", "end", "sample", "timeout")
"""The options of a call for labels only."""

CLASS_METHOD = "staa_class"
"""The method of a class map."""
CLASS_OPTIONS: Final = ("target", "contrast", "refine")
"""The options that only methods of class maps take."""


def with_class_method(options: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the options, with the method of a class map if none is named and one of them is about a class."""
    if options.get("method") is not None or all(options.get(name) is None for name in CLASS_OPTIONS):
        return options
    return {**options, "method": CLASS_METHOD}


def take_frames(options: WatchOptions) -> int | None:
    """Take the option `frames` out of those of a watch, and return it; None if it is not given.

    Raises:
        ValueError: it is less than 1.
    """
    frames: int | None = _plain(options.pop("frames", None))
    if frames is not None and frames < 1:
        raise ValueError(f"a window holds 1 frame or more, got {frames = }")
    return frames


def options_for_labels(options: Options) -> dict[str, Any]:
    """Return the options without those that concern maps.

    Raises:
        ValueError: an option that concerns maps is set.
    """
    about_maps = sorted(name for name, value in options.items() if name not in LABELS and value is not None)
    if about_maps:
        msg = f"{', '.join(about_maps)} are about maps: leave them out where labels are all that is asked for"
        raise ValueError(msg)
    return {name: value for name, value in options.items() if name in LABELS}


def rules_text(rules: Rules | None) -> str | None:
    """Return the rules as they are sent: joined by ";".

    Raises:
        ValueError: there is no rule among them.
    """
    text = rules if rules is None or isinstance(rules, str) else ";".join(rules)
    if text is not None and not text.strip("; "):
        raise ValueError('explain_when is empty: name a rule such as "score_below=0.6", or leave it out for all maps')
    return text


def checked_options(options: OptionsT, known: type[Options] = RuledOptions) -> OptionsT:
    """Return the options as `plain_options` does, after a check that there are such options.

    Raises:
        TypeError: an option is unknown.
        ValueError: the rules are empty.
    """
    unknown = sorted(set(options) - set(known.__annotations__))
    if unknown:
        raise TypeError(f"unknown options {', '.join(unknown)}: expected some of {', '.join(known.__annotations__)}")
    plain: Any = plain_options(options)
    rules_text(plain.get("explain_when"))
    return plain  # type: ignore[no-any-return]


def plain_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options with numbers of NumPy as those of Python, and what holds several values as a list of them.

    So all of them can be written as JSON.
    """
    return {name: _plain(value) for name, value in options.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(each) for each in value]
    return value
