"""The client of a STAA server: the labels of a video, and where and when the model looked."""

from typing import TYPE_CHECKING, Any

from staa_client._batch import BatchItem
from staa_client._card import Card, MethodCard
from staa_client._client import Client
from staa_client._errors import (
    AuthError,
    DecodeError,
    NotFoundError,
    NotVideoError,
    ReplyError,
    RequestError,
    ServerError,
    SourceError,
    StaaError,
    StatusError,
    TimedOutError,
    TooLargeError,
    UnavailableError,
    UnreachableError,
)
from staa_client._faithfulness import Areas, Faithfulness
from staa_client._frames import Frames
from staa_client._labels import ClassName, Prediction
from staa_client._load import load
from staa_client._options import Options
from staa_client._result import ClipInfo, Model, Result
from staa_client._status import Served
from staa_client._timeout import Timeout
from staa_client._types import Explanation, Moment

__version__ = "0.1.0"

__all__ = [
    "Areas",
    "AsyncClient",
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
    "MethodCard",
    "Model",
    "Moment",
    "NotFoundError",
    "NotVideoError",
    "Options",
    "Prediction",
    "ReplyError",
    "RequestError",
    "Result",
    "Served",
    "ServerError",
    "SourceError",
    "StaaError",
    "StatusError",
    "TimedOutError",
    "Timeout",
    "TooLargeError",
    "UnavailableError",
    "UnreachableError",
    "__version__",
    "load",
]

if TYPE_CHECKING:
    from staa_client._async_client import AsyncClient


def __getattr__(name: str) -> Any:
    """AsyncClient is loaded by those who name it: asyncio takes a fifth of the time that the import takes."""
    if name == "AsyncClient":
        from staa_client._async_client import AsyncClient  # noqa: PLC0415  # see above

        return AsyncClient
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
