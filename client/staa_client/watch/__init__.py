"""Watches a camera, a stream or a file: cuts it into windows, and asks the server about each as it comes.

The names are imported only when they are used, since the process that reads a live source needs none of them.
"""

from typing import TYPE_CHECKING, Any

from staa_client import _late
from staa_client.errors import StreamError

if TYPE_CHECKING:
    from staa_client.watch.factory import watch, watch_async
    from staa_client.watch.iterators import AsyncWatch, Watch
    from staa_client.watch.settings import Latency, OnError
    from staa_client.watch.sight import Sight
    from staa_client.watch.stream import LiveSource

__all__ = ["AsyncWatch", "Latency", "LiveSource", "OnError", "Sight", "StreamError", "Watch", "watch", "watch_async"]


def __getattr__(name: str) -> Any:
    return _late.attribute(__name__, __all__, name)


def __dir__() -> list[str]:
    return sorted(__all__)
