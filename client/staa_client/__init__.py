"""Asks a STAA server for the labels of a video, and for a map of where and when the model looked."""

from typing import TYPE_CHECKING

from staa_client import _late
from staa_client.batch.plan import BatchItem
from staa_client.errors import (
    AuthError,
    DecodeError,
    InsecureWarning,
    NotFoundError,
    NotVideoError,
    ReplyError,
    RequestError,
    ServerError,
    SourceError,
    StaaError,
    StatusError,
    StoreError,
    StreamError,
    TimedOutError,
    TooLargeError,
    UnavailableError,
    UnreachableError,
)
from staa_client.files import load, save
from staa_client.results.card import Card, MethodCard
from staa_client.results.explanation import Explanation, Moment
from staa_client.results.in_process import of_result
from staa_client.results.result import (
    Areas,
    ClassName,
    ClipInfo,
    Faithfulness,
    Model,
    NotExplained,
    Prediction,
    Refinement,
    Result,
)
from staa_client.video.frames import Frames

__version__ = "0.1.0"

__all__ = [
    "Areas",
    "AsyncClient",
    "AsyncWatch",
    "AuthError",
    "BatchItem",
    "Card",
    "ClassName",
    "Client",
    "ClipInfo",
    "DecodeError",
    "Explanation",
    "Faithfulness",
    "Frames",
    "InsecureWarning",
    "MethodCard",
    "Model",
    "Moment",
    "NotExplained",
    "NotFoundError",
    "NotVideoError",
    "Options",
    "Prediction",
    "Refinement",
    "Replay",
    "ReplayCheck",
    "ReplyError",
    "RequestError",
    "Result",
    "RuledOptions",
    "Served",
    "ServerError",
    "Sight",
    "SourceError",
    "Span",
    "StaaError",
    "StatusError",
    "StoreError",
    "StreamError",
    "TimedOutError",
    "Timeline",
    "TimelineItem",
    "Timeout",
    "TooLargeError",
    "UnavailableError",
    "UnreachableError",
    "Watch",
    "__version__",
    "load",
    "of_result",
    "save",
]

if TYPE_CHECKING:
    from staa_client.async_client import AsyncClient
    from staa_client.client import Client
    from staa_client.evidence.replay import Replay, ReplayCheck
    from staa_client.timeline.result import Span, Timeline, TimelineItem
    from staa_client.transport.deadline import Timeout
    from staa_client.transport.options import Options, RuledOptions
    from staa_client.transport.status import Served
    from staa_client.watch.iterators import AsyncWatch, Watch
    from staa_client.watch.sight import Sight


def __getattr__(name: str) -> object:
    return _late.attribute(__name__, __all__, name)


def __dir__() -> list[str]:
    return sorted(__all__)
