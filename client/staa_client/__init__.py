"""The client of a STAA server: the labels of a video, and where and when the model looked."""

from staa_client._client import AsyncClient, Client
from staa_client._errors import (
    AuthError,
    DecodeError,
    NotFoundError,
    NotVideoError,
    ReplyError,
    RequestError,
    ServerError,
    StaaError,
    StatusError,
    TimedOutError,
    TooLargeError,
    UnavailableError,
    UnreachableError,
)
from staa_client._faithfulness import Areas, Faithfulness
from staa_client._labels import ClassName, Prediction
from staa_client._types import ClipInfo, Explanation, Model, Moment, Result

__version__ = "0.1.0"

__all__ = [
    "Areas",
    "AsyncClient",
    "AuthError",
    "ClassName",
    "Client",
    "ClipInfo",
    "DecodeError",
    "Explanation",
    "Faithfulness",
    "Model",
    "Moment",
    "NotFoundError",
    "NotVideoError",
    "Prediction",
    "ReplyError",
    "RequestError",
    "Result",
    "ServerError",
    "StaaError",
    "StatusError",
    "TimedOutError",
    "TooLargeError",
    "UnavailableError",
    "UnreachableError",
    "__version__",
]
