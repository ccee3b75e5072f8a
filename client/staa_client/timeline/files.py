"""Saves a timeline to a file; the ending of its name chooses the format."""

import importlib
from collections.abc import Callable, Mapping
from pathlib import Path

from staa_client.batch.journal import json_line
from staa_client.batch.key import Key, key_of
from staa_client.results.draft import drafted
from staa_client.timeline import exports
from staa_client.timeline.book import lines_of
from staa_client.timeline.result import Timeline

TEXTS: Mapping[str, Callable[[Timeline], str]] = {
    ".vtt": exports.webvtt,
    ".eaf": exports.eaf,
    ".fiftyone.json": exports.fiftyone_text,
    ".json": exports.json_text,
}
"""The ending of a file of text -> the function that makes it; a longer ending stands first."""
PICTURES: Mapping[str, tuple[str, str]] = {
    ".html": ("staa_client.timeline.show.page", "write"),
    ".mp4": ("staa_client.timeline.show.movie", "write"),
}
"""The ending of a picture -> the module and the function that writes it, loaded when used: both need Pillow."""
ENDINGS = (*TEXTS, *PICTURES, ".jsonl", ".parquet")


def ending_of(path: Path) -> str:
    """Return the ending of a file name that chooses the format.

    Raises:
        ValueError: the ending is not known, or the folder does not exist.
    """
    ending = next((ending for ending in ENDINGS if path.name.lower().endswith(ending)), None)
    if ending is None:
        raise ValueError(f"a timeline is saved as one of {', '.join(ENDINGS)}, got {path.name!r}")
    if not path.parent.is_dir():
        raise ValueError(f"there is no folder {path.parent}: make it, or name another")
    return ending


def save_timeline(timeline: Timeline, path: Path, tracks: int) -> Path:
    """Write a timeline; after an error there is no file, or the old one is unchanged. See `Timeline.save`."""
    ending = ending_of(path)
    if tracks < 1:
        raise ValueError(f"tracks is {tracks}: expected 1 or more")
    with drafted(path) as draft:
        if ending in TEXTS:
            draft.write_bytes(TEXTS[ending](timeline).encode("utf-8", "backslashreplace"))
        elif ending in PICTURES:
            module, function = PICTURES[ending]
            getattr(importlib.import_module(module), function)(timeline, draft, tracks)
        else:
            lines = lines_of(timeline, _key_of(timeline), "")
            if ending == ".jsonl":
                draft.write_bytes(b"".join(map(json_line, lines)))
            else:
                importlib.import_module("staa_client.timeline.parquet").write_spans(draft, lines)
    return path


def _key_of(timeline: Timeline) -> Key:
    """Return by what the video is known in a file of spans."""
    if isinstance(timeline.source, Path):
        return key_of(timeline.source)[0]
    return Key(timeline.name, timeline.name)
