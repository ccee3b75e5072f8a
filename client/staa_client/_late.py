"""Imports some public names only when they are used, so that `import staa_client` stays fast."""

import importlib
from collections.abc import Collection
from typing import Any, Final

TABLE: Final = {
    # public names that `import staa_client` need not load: asyncio takes a fifth of the import, httpx2 another, and the
    # process that reads a live source needs neither
    "AsyncClient": "staa_client.async_client",
    "AsyncWatch": "staa_client.watch.iterators",
    "Client": "staa_client.client",
    "Latency": "staa_client.watch.settings",
    "LiveSource": "staa_client.watch.stream",
    "OnError": "staa_client.watch.settings",
    "Options": "staa_client.transport.options",
    "Replay": "staa_client.evidence.replay",
    "ReplayCheck": "staa_client.evidence.replay",
    "RuledOptions": "staa_client.transport.options",
    "Served": "staa_client.transport.status",
    "Sight": "staa_client.watch.sight",
    "Span": "staa_client.timeline.result",
    "Timeline": "staa_client.timeline.result",
    "TimelineItem": "staa_client.timeline.result",
    "Timeout": "staa_client.transport.deadline",
    "Watch": "staa_client.watch.iterators",
    # the command, whose packages are an extra
    "main": "staa_client.cli.app",
    # a map on a terminal, which alone loads Pillow
    "draw_on_terminal": "staa_client.cli.output.terminal_picture",
    # the gallery of a batch, which loads Pillow too
    "GENERATOR": "staa_client.pictures.gallery",
    "Tile": "staa_client.pictures.gallery",
    "render_gallery": "staa_client.pictures.gallery",
    "thumbnail_of": "staa_client.pictures.gallery",
    # what the methods `watch` of both clients call
    "watch": "staa_client.watch.factory",
    "watch_async": "staa_client.watch.factory",
    # what the methods `timeline` and `timelines` of both clients call, and those of `Timeline`
    "save_timeline": "staa_client.timeline.files",
    "timeline": "staa_client.timeline.factory",
    "timeline_async": "staa_client.timeline.factory",
    "timeline_html_of": "staa_client.timeline.show.notebook",
    "timelines": "staa_client.timeline.factory",
    "timelines_async": "staa_client.timeline.factory",
    # what the methods of `Explanation` call: pictures load Pillow, Parquet is an extra
    "html_of": "staa_client.pictures.notebook",
    "labels_html_of": "staa_client.pictures.notebook",
    "save": "staa_client.files",
    "write_explanation": "staa_client.batch.parquet",
}
"""Name -> the module that defines it, which is imported when the name is used."""


def load(name: str) -> Any:
    """Import the module that TABLE has for `name`, and return the object."""
    return getattr(importlib.import_module(TABLE[name]), name)


def attribute(module: str, names: Collection[str], name: str) -> Any:
    """Return the object `name` for the `__getattr__` of a module, if it is one of the module's late `names`.

    Raises:
        AttributeError: the module has no such name.
    """
    if name in names and name in TABLE:
        return load(name)
    raise AttributeError(f"module {module!r} has no attribute {name!r}")
