"""The client of a STAA server: the labels of a video, and where and when the model looked."""

import importlib
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
    StreamError,
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
from staa_client._save import save
from staa_client._status import Served
from staa_client._timeout import Timeout
from staa_client._types import Explanation, Moment

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
    "Sight",
    "SourceError",
    "StaaError",
    "StatusError",
    "StreamError",
    "TimedOutError",
    "Timeout",
    "TooLargeError",
    "UnavailableError",
    "UnreachableError",
    "Watch",
    "__version__",
    "load",
    "save",
]

if TYPE_CHECKING:
    from staa_client._async_client import AsyncClient
    from staa_client._sight import Sight
    from staa_client.watch import AsyncWatch, Watch


_LATE = {
    "AsyncClient": "_async_client",
    "AsyncWatch": "watch",
    "Sight": "_sight",
    "Watch": "watch",
}
"""Name -> the module that has it, which only those load who name it: asyncio alone takes a fifth of the import."""


def __getattr__(name: str) -> Any:
    if name in _LATE:
        return getattr(importlib.import_module(f"staa_client.{_LATE[name]}"), name)
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
