"""Finds the folder of a checkpoint that is named by its path, or by its id on the hub."""

import re
from pathlib import Path

from staa.checkpoint.files import PATTERNS

_HUB_ID = re.compile(r"(?P<repo>\w[\w.-]*/\w[\w.-]*)(@(?P<revision>[\w./-]+))?")


def locate(weights: str | Path) -> Path:
    """Return the folder of a checkpoint; download it if it is named by an id of the hub, "owner/name@revision".

    A name such as "model_store/motions" is a path if there is a folder "model_store": then the hub is not asked, unless
    a revision is named.

    Raises:
        ValueError: it is neither a folder nor an id of the hub, or cannot be downloaded.
    """
    text = str(weights)
    path = Path(text)
    if path.is_dir():
        return path
    if path.exists():
        raise ValueError(f"{text} is a file: give the folder that holds it")
    match = _HUB_ID.fullmatch(text)
    if match is None:
        raise ValueError(f"{text} is no folder, and no hub id (owner/name, or owner/name@revision)")
    repo, revision = match["repo"], match["revision"]
    if revision is None and path.parent.is_dir():
        owner = path.parent
        msg = f"there is no folder {text}, though there is {owner}; if the hub is meant, name a revision: {text}@main"
        raise ValueError(msg)
    return _download(repo, revision)


def _download(repo: str, revision: str | None) -> Path:
    """Download what is read of a checkpoint, and return its folder in the hub's cache; the hub is asked once."""
    from huggingface_hub import snapshot_download  # noqa: PLC0415  # slow to import, and mostly not needed
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError  # noqa: PLC0415

    try:
        folder = snapshot_download(repo, revision=revision, allow_patterns=list(PATTERNS), ignore_patterns=["*/*"])
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError) as reason:
        msg = f"{repo} is no folder here, and cannot be fetched from the hub: {reason}\nCheck the name, the network"
        raise ValueError(f"{msg} and, for a gated model, `hf auth login`") from reason
    return Path(folder)
