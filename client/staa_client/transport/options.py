"""Names the options of a call, and checks them."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypedDict

from staa_client.transport.deadline import Keep, Timeouts
from staa_client.video.source import Sample

Maps = Literal["base64", "npz", "json"]
"""The encoding of the maps in a reply."""


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


class StreamOptions(Options, total=False):
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


class TimelineOptions(Options, total=False):
    """Holds the options of `Client.timeline`, where they are explained, and those of `Client.explain`."""

    window: float | None
    stride: float | None
    smooth: int
    high: float
    low: float
    shortest: float | None
    track: int | str | Sequence[int | str] | None
    explain: bool
    concurrency: int


LABELS = ("top_k", "start", "end", "sample", "timeout")
"""The options of a call for labels only."""


def take_frames(options: WatchOptions) -> int | None:
    """Take the option `frames` out of those of a watch, and return it; None if it is not given.

    Raises:
        ValueError: it is less than 1.
    """
    frames = options.pop("frames", None)
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


def check_options(options: Mapping[str, object], known: type[Options] = Options) -> None:
    """Raise TypeError if an option is unknown."""
    unknown = sorted(set(options) - set(known.__annotations__))
    if unknown:
        raise TypeError(f"unknown options {', '.join(unknown)}: expected some of {', '.join(known.__annotations__)}")
