"""Explanations as files: the ending of the name chooses the form."""

import io
import json
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from staa_client._colours import HEAT
from staa_client._frames import Frame, Frames
from staa_client._layer import Layer, Look
from staa_client._types import Explanation
from staa_client.video import frames_at

Source = Path | bytes | Frames | None
Progress = Callable[[int, int], None]
"""Called with how many pictures of a movie are done, and how many there will be."""


def save(
    path: str | Path,
    explanations: Explanation | Sequence[Explanation],
    video: str | Source = None,
    *,
    alpha: float = 0.8,
    colormap: str = HEAT,
    focus: bool = False,
    progress: Progress | None = None,
) -> Path:
    """Write one explanation, or several of the same clip side by side, in the form of the name's ending.

    `.html` is a report that plays, `.png` a contact sheet, `.mp4` and `.gif` are movies; `.json`, `.npz` and `.parquet`
    hold the numbers of one explanation. The file is written whole or not at all.

    Args:
        path: The file; its ending chooses.
        explanations: One, or several of the same frames: other methods, other targets, other models.
        video: The video for pictures with frames; None is the one that was sent.
        alpha: How much of a frame the top of the colour scale covers, 0 to 1.
        colormap: "heat", "viridis", "grey", or "balance" for maps with signs, which "heat" draws in it too.
        focus: Draw only what reaches the dynamic threshold.
        progress: Called after each picture of a movie with (done, total).

    Raises:
        ValueError: an argument is none of these, the explanations are of different clips, or `video` is not the one
            that was explained.
        ImportError: `.mp4`, and the package `av` is missing.
        OSError: the file cannot be written, or the video not be read.
    """
    path = Path(path)
    form = check(path)
    each = [explanations] if isinstance(explanations, Explanation) else list(explanations)
    _same_clip(each, path)
    look = Look(alpha, colormap, focus)
    layers = [Layer(one, look) for one in each]
    sources = (one.source for one in each if one.source is not None)
    source = next(sources, None) if video is None else Path(video) if isinstance(video, str) else video
    target = path.resolve()  # a link stays one
    part = target.with_name(f".{secrets.token_hex(8)}.part")
    try:
        form.write(Job(layers, source, part, progress))
        part.replace(target)
    except OSError as reason:
        if str(reason.filename) == str(part):  # what was asked for, not its draft
            reason.filename, reason.filename2 = str(path), None
        raise
    finally:
        part.unlink(missing_ok=True)
    return path


@dataclass(frozen=True, slots=True)
class Job:
    """What is written, and where."""

    layers: Sequence[Layer]
    source: Source
    target: Path
    progress: Progress | None


@dataclass(frozen=True, slots=True)
class Form:
    """A kind of file."""

    write: Callable[[Job], None]
    several: bool
    """Whether it holds more than one explanation."""


def check(path: Path) -> Form:
    """The form of a file. Raises ValueError if the name's ending is no known one, or its folder does not exist."""
    if path.suffix.lower() not in FORMS:
        msg = f"an explanation is saved as one of {', '.join(FORMS)}, got {path.name!r}"
        raise ValueError(msg)
    if not path.parent.is_dir():
        msg = f"there is no folder {path.parent}: make it, or name another"
        raise ValueError(msg)
    return FORMS[path.suffix.lower()]


def _same_clip(each: Sequence[Explanation], path: Path) -> None:
    if not each:
        raise ValueError("there is no explanation to save: give at least one")
    if len(each) > 1 and not check(path).several:
        msg = f"a {path.suffix} holds one explanation, got {len(each)}: save each on its own, or all as .html"
        raise ValueError(msg)
    clip = each[0].clip
    for other in (one.clip for one in each[1:]):
        same = (clip.width, clip.height) == (other.width, other.height) and np.array_equal(clip.frames, other.frames)
        if not (same and np.allclose(clip.times, other.times, atol=1e-3)):
            raise ValueError(
                "explanations side by side are of the same frames of the same video, these are of different ones: "
                "save each on its own"
            )


def clip_frames(explanation: Explanation, source: Source) -> tuple[list[Frame] | None, str]:
    """The T frames of the clip, and ""; or None, and why there are none.

    Raises:
        ValueError: the source is not the video that was explained.
    """
    if source is None:
        return None, "drawn without frames: no video was given"
    wanted = (explanation.clip.width, explanation.clip.height)
    if isinstance(source, Frames):
        frames, found = [source.frame(int(index)) for index in explanation.clip.frames], source.size
    else:
        try:
            frames = frames_at(source, explanation.clip.frames)
        except ImportError as reason:
            return None, f"drawn without frames: {str(reason).partition(': ')[2]}"
        found = (frames[0].shape[1], frames[0].shape[0])
    if found != wanted:
        from staa_client._reel import other_size  # noqa: PLC0415  # loads Pillow

        raise ValueError(other_size(wanted, found))
    return frames, ""


def _html(job: Job) -> None:
    from staa_client.report import report  # noqa: PLC0415  # pictures load Pillow, numbers need none of it

    job.target.write_text(report(job.layers, *clip_frames(job.layers[0].explanation, job.source)), "utf-8")


def _png(job: Job) -> None:
    from staa_client.render import contact_sheets  # noqa: PLC0415  # pictures load Pillow, numbers need none of it

    frames = clip_frames(job.layers[0].explanation, job.source)
    contact_sheets(job.layers, *frames).save(job.target, "PNG", optimize=True)


def _mp4(job: Job) -> None:
    from staa_client.movie import film  # noqa: PLC0415  # pictures load Pillow, numbers need none of it

    film(job.layers, job.source, job.target, job.progress)


def _gif(job: Job) -> None:
    from staa_client.movie import animation  # noqa: PLC0415  # pictures load Pillow, numbers need none of it

    job.target.write_bytes(animation(job.layers, job.source, job.progress))


def _json(job: Job) -> None:
    text = json.dumps(job.layers[0].explanation.to_dict(), ensure_ascii=False, indent=1)
    job.target.write_text(text, "utf-8")


def _npz(job: Job) -> None:
    explanation = job.layers[0].explanation
    reply = np.frombuffer(json.dumps(explanation.without_maps()).encode(), np.uint8)
    maps = {"temporal": explanation.temporal, "spatial": explanation.spatial, "joint": explanation.joint}
    signed = {} if explanation.signed is None else {"signed": explanation.signed}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, reply=reply, **maps, **signed)  # type: ignore[arg-type]
    job.target.write_bytes(buffer.getvalue())


def _parquet(job: Job) -> None:
    job.layers[0].explanation.to_parquet(job.target)


FORMS: dict[str, Form] = {
    ".html": Form(_html, several=True),
    ".png": Form(_png, several=True),
    ".json": Form(_json, several=False),
    ".npz": Form(_npz, several=False),
    ".parquet": Form(_parquet, several=False),
    ".mp4": Form(_mp4, several=True),
    ".gif": Form(_gif, several=True),
}
