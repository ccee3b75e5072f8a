"""Saves explanations to files, and loads them; the ending of the file name chooses the format."""

import importlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from staa_client import contract
from staa_client.contract.document import MOST_BYTES
from staa_client.errors import ReplyError
from staa_client.pictures.colours import HEAT
from staa_client.pictures.layer import layers_of
from staa_client.results.draft import drafted
from staa_client.results.explanation import Explanation, maps_of
from staa_client.results.result import ClipInfo
from staa_client.results.save_job import Progress, SaveJob
from staa_client.video.source import Source


def save(
    path: str | Path,
    explanations: Explanation | Sequence[Explanation],
    video: str | Source | None = None,
    *,
    alpha: float = 0.8,
    colormap: str = HEAT,
    focus: bool = False,
    progress: Progress | None = None,
) -> Path:
    """Write one explanation, or several of the same clip, to a file; the ending of its name chooses the format.

    `.html` is a report that plays, `.png` a contact sheet, `.mp4` and `.gif` are movies; `.json`, `.npz` and `.parquet`
    hold the numbers of one explanation. After an error there is no file, or the old one is unchanged.

    Args:
        path: The file.
        explanations: One, or several of the same frames, for example by other methods, targets or models. An `.html`
            with its video also takes those of other frames of it.
        video: The video whose frames the pictures show; None is the one that was sent.
        alpha: How much of a frame the top of the colour scale covers, 0 to 1.
        colormap: "heat", "viridis", "grey", or "balance" for maps with signs, which "heat" draws in it too.
        focus: Whether to draw only the cells that reach the dynamic threshold.
        progress: Called after each picture of a movie with (done, total).

    Raises:
        ValueError: an argument is not valid, the explanations are of different clips, or `video` is not the one that
            was explained.
        ImportError: the file is an `.mp4` and the extra `video` is missing.
        OSError: the file cannot be written, or the video cannot be read.
    """
    path = Path(path)
    form = form_of(path)
    several = [explanations] if isinstance(explanations, Explanation) else list(explanations)
    sources = (explanation.source for explanation in several if explanation.source is not None)
    source = next(sources, None) if video is None else Path(video) if isinstance(video, str) else video
    _check_alike(several, form, path, has_video=source is not None)
    with drafted(path) as draft:
        job = SaveJob(several, source, draft, alpha, colormap, focus, progress)
        layers_of(job)  # a look that is none is told before anything is written, and of numbers too
        form.write(job)
    return path


@dataclass(frozen=True, slots=True)
class Form:
    """Holds a file format and the function that writes it."""

    module: str
    """The module of the function, imported only when it is used: pictures load Pillow, Parquet needs an extra."""
    function: str
    """The name of the function; it takes a `SaveJob`, and writes its target."""
    several: bool
    """Whether a file can hold more than one explanation."""
    other_frames: bool = False
    """Whether they may be of other frames of one video, if that is at hand."""

    def write(self, job: SaveJob) -> None:
        """Write the file.

        Raises:
            ImportError: a package is missing; the message names the extra.
        """
        getattr(importlib.import_module(self.module), self.function)(job)


def form_of(path: Path) -> Form:
    """Return the format for a file name.

    Raises:
        ValueError: the ending is not known, or the folder does not exist.
    """
    if path.suffix.lower() not in FORMS:
        raise ValueError(f"an explanation is saved as one of {', '.join(FORMS)}, got {path.name!r}")
    if not path.parent.is_dir():
        raise ValueError(f"there is no folder {path.parent}: make it, or name another")
    return FORMS[path.suffix.lower()]


def _check_alike(explanations: Sequence[Explanation], form: Form, path: Path, *, has_video: bool) -> None:
    """Raise ValueError if one file cannot hold these: there are none, too many for its format, or different clips."""
    if not explanations:
        raise ValueError("there is no explanation to save: give at least one")
    if len(explanations) > 1 and not form.several:
        msg = f"a {path.suffix} holds one explanation, got {len(explanations)}: save each on its own, or all as .html"
        raise ValueError(msg)
    clip = explanations[0].clip
    for other in (explanation.clip for explanation in explanations[1:]):
        if form.other_frames and has_video and _are_of_one_video(clip, other):
            continue
        same = (clip.width, clip.height) == (other.width, other.height) and np.array_equal(clip.frames, other.frames)
        if not (same and np.allclose(clip.times, other.times, atol=1e-3)):
            raise ValueError(
                "explanations side by side are of the same frames of the same video, these are of different ones: "
                "save each on its own, or those of one video as .html with that video"
            )


def _are_of_one_video(one: ClipInfo, other: ClipInfo) -> bool:
    """Return whether two clips can be of one video: its size, rate and length are the same, and times fit numbers."""
    numbers, times = np.concatenate([one.frames, other.frames]), np.concatenate([one.times, other.times])
    order = np.lexsort((times, numbers))
    later = np.diff(times[order])
    return (
        (one.width, one.height) == (other.width, other.height)
        and np.allclose([one.fps, one.duration], [other.fps, other.duration], rtol=1e-3, atol=1e-3)
        and bool(np.where(np.diff(numbers[order]) > 0, later > 0, later < 1e-3).all())
    )


def write_json(job: SaveJob) -> None:
    """Write an explanation as JSON, with the fields of the server's replies."""
    text = json.dumps(job.explanation.to_dict(), ensure_ascii=False, indent=1)
    job.target.write_bytes(text.encode("utf-8", "backslashreplace"))  # a lone surrogate becomes its escape in JSON


def write_npz(job: SaveJob) -> None:
    """Write an explanation as npz: its maps as arrays, and the rest as JSON."""
    explanation = job.explanation
    reply = np.frombuffer(json.dumps(explanation.without_maps()).encode(), np.uint8)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, reply=reply, **maps_of(explanation))  # type: ignore[arg-type]
    job.target.write_bytes(buffer.getvalue())


FORMS: Mapping[str, Form] = {
    ".html": Form("staa_client.pictures.report", "write", several=True, other_frames=True),
    ".png": Form("staa_client.pictures.sheet", "write", several=True),
    ".json": Form("staa_client.files", "write_json", several=False),
    ".npz": Form("staa_client.files", "write_npz", several=False),
    ".parquet": Form("staa_client.batch.parquet", "write_one", several=False),
    ".mp4": Form("staa_client.pictures.movies.movie", "write_mp4", several=True),
    ".gif": Form("staa_client.pictures.movies.movie", "write_gif", several=True),
}
"""The ending of a file name -> the format."""


def load(path: str | Path) -> Explanation:
    """Load an explanation from a `.json` or `.npz` file of `save`, or from a saved reply of the server.

    Raises:
        ReplyError: the file has other contents.
        OSError: it cannot be read.
    """
    with Path(path).open("rb") as file:
        data = file.read(MOST_BYTES + 1)
    try:
        return contract.explanation(200, {}, data)
    except ReplyError as reason:
        msg = (
            f"{path} is no saved result, or a damaged one: load takes a .json or .npz as save writes it, or a reply of "
            "/explanations as it came"
        )
        raise ReplyError(msg, code="reply_invalid") from reason
