"""Makes the timeline of a long video: windows, scores and spans, as data, page, movie and files of other tools."""

from typing import TYPE_CHECKING, Any

from staa_client import _late

if TYPE_CHECKING:
    from staa_client.timeline.result import Span, Timeline, TimelineItem

__all__ = ["Span", "Timeline", "TimelineItem"]


def __getattr__(name: str) -> Any:
    return _late.attribute(__name__, __all__, name)


def __dir__() -> list[str]:
    return sorted(__all__)
