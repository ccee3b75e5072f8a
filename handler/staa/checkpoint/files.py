"""Finds the files of a checkpoint: named ones only, and none that a link takes from outside of the checkpoint.

Only the standard library is imported, so that an archive is built, or refused, without torch.
"""

import json
import re
import struct
from pathlib import Path
from typing import Any

from staa.checkpoint import config

CONFIG = "config.json"
RECIPE_FILES = ("preprocessor_config.json", "video_preprocessor_config.json")
"""The files that may hold the preprocessing; the first one that exists counts."""
INDEX = "model.safetensors.index.json"
"""The file that says which file holds which weights, if there are several."""
PATTERNS = ("config.json", "*preprocessor_config.json", "model*.safetensors", INDEX)
"""The patterns of all files that are read, for a download from the hub; `named` is stricter."""
MOST_JSON_BYTES = config.MOST_BYTES
_WEIGHTS = re.compile(r"model(-\d{1,6}-of-\d{1,6})?\.safetensors")
_HEAD = "classifier.weight"
"""The name of the head's matrix (classes, width), the same in every family."""


def is_named(name: str) -> bool:
    """Return whether a file of this name is read: no vocabulary, no code, no pickle, no other framework's weights."""
    return name in {CONFIG, INDEX, *RECIPE_FILES} or _WEIGHTS.fullmatch(name) is not None


def find(folder: Path) -> dict[str, Path]:
    """Return the files of a checkpoint folder: name -> the regular file itself, after all links.

    A link may lead to a file of the folder, or as in the hub's cache (models--x/snapshots/REVISION/name) to one of
    models--x/blobs. The contents of small files are checked, and of the weights the number of classes.

    Raises:
        ValueError: a file is missing or no regular file, a link leads elsewhere, or the contents cannot be served.
        OSError: the folder cannot be read.
    """
    names = sorted(path.name for path in folder.iterdir() if is_named(path.name))
    found = {name: _resolved(folder, name) for name in names}
    if lacking := missing(found):
        raise ValueError(f"{folder} is no checkpoint of a video model: it lacks {' and '.join(lacking)}")
    facts = read_config(found)
    for name in RECIPE_FILES:
        if name in found:
            read_json(found[name])
    shards = _shards(found)
    if rows := _head_rows(found, shards):
        config.check_classes(facts, rows)
    return found


def missing(found: dict[str, Path]) -> list[str]:
    """Return the patterns of the files that a checkpoint needs and these lack."""
    wanted = {
        CONFIG: CONFIG in found,
        "model*.safetensors": any(_WEIGHTS.fullmatch(name) for name in found),
        "*preprocessor_config.json": any(name in found for name in RECIPE_FILES),
    }
    return [pattern for pattern, is_there in wanted.items() if not is_there]


def read_config(found: dict[str, Path]) -> dict[str, Any]:
    """Return what is read of the configuration; see `config.clean`."""
    return config.clean(read_json(found[CONFIG]), str(found[CONFIG]))


def read_json(path: Path) -> Any:
    """Return the data in a small JSON file.

    Raises:
        ValueError: it is too large, or no JSON.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        data = file.read(MOST_JSON_BYTES + 1)
    if len(data) > MOST_JSON_BYTES:
        raise ValueError(f"{path} has more than {MOST_JSON_BYTES} bytes, more than any real one: take out what is odd")
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as reason:
        raise ValueError(f"{path} is no JSON ({reason or type(reason).__name__})") from None


def _resolved(folder: Path, name: str) -> Path:
    """Return the regular file behind a name, if it lies in the folder or in the hub's cache around it."""
    path = folder / name
    try:
        target = path.resolve(strict=True)
    except (OSError, RuntimeError) as reason:  # a circle of links is a RuntimeError before Python 3.13
        raise ValueError(f"{path} is a link that leads to no file ({reason}): put the file itself there") from None
    inside = folder.resolve()
    roots = [inside]
    if inside.parent.name == "snapshots" and inside.parents[1].name.startswith("models--"):
        roots.append(inside.parents[1] / "blobs")
    if not any(target.is_relative_to(root) for root in roots):
        raise ValueError(f"{path} is a link to {str(target)!r}, outside of the checkpoint: put the file itself there")
    if not target.is_file():
        raise ValueError(f"{path} is no regular file: put the file itself there")
    return target


def _shards(found: dict[str, Path]) -> dict[str, str]:
    """Return weight -> file, as the index says; {} without one."""
    if INDEX not in found or "model.safetensors" in found:
        return {}
    index = read_json(found[INDEX])
    shards = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(shards, dict) or not all(isinstance(name, str) for name in shards.values()):
        raise ValueError(f"{found[INDEX]} has no weight_map of names")
    if strange := sorted({name for name in shards.values() if name not in found or not _WEIGHTS.fullmatch(name)}):
        raise ValueError(f"{found[INDEX]} names {strange[0]!r}, which is no file of this checkpoint")
    return shards


def _head_rows(found: dict[str, Path], shards: dict[str, str]) -> int | None:
    """Return how many classes the weights of the head have; None if the weights have no head, or are not readable."""
    path = found.get(shards.get(_HEAD, "model.safetensors"))
    if path is None:
        return None
    with path.open("rb") as file:
        prefix = file.read(8)
        length = struct.unpack("<Q", prefix)[0] if len(prefix) == 8 else 0
        header = file.read(length) if length <= MOST_JSON_BYTES else b""
    try:
        rows = json.loads(header)[_HEAD]["shape"][0]
    except (ValueError, LookupError, TypeError, RecursionError):
        return None  # the loader says what is wrong with it
    return rows if isinstance(rows, int) else None
