"""What a call may say beside the video."""

from collections.abc import Mapping
from typing import Any, Literal, TypedDict

from staa_client._source import Sample
from staa_client._timeout import Keep, Timeouts

Maps = Literal["base64", "npz", "json"]


class Options(TypedDict, total=False):
    """The options of `Client.explain` by name; `Client.predict` takes the first three and the last two."""

    top_k: int | None
    start: float | None
    end: float | None
    method: str | None
    target: int | str | None
    contrast: int | str | None
    mass: float | None
    verify: int | None
    maps: Maps
    sample: Sample
    timeout: Timeouts | Keep


class WatchOptions(Options, total=False):
    """The further options of `Client.watch`: see `staa_client.watch.watch`; and those of `Client.explain`."""

    frames: int | None
    smooth: int
    on_error: Literal["collect", "raise"]
    reconnect: bool
    reconnect_max: int | None
    stall: float
    max_pending: int
    longest: int
    av_options: Mapping[str, str] | None


LABELS = ("top_k", "start", "end", "sample", "timeout")
"""Those of them that a call for labels alone takes."""


def for_labels(options: Options) -> dict[str, Any]:
    """The same options, less those that are about maps; ValueError where one of those is set."""
    extra = sorted(name for name, value in options.items() if name not in LABELS and value is not None)
    if extra:
        msg = f"{', '.join(extra)} are about maps: leave them out where labels are all that is asked for"
        raise ValueError(msg)
    return {name: value for name, value in options.items() if name in LABELS}
