"""Takes the frames of a window that a line of a store names from their video again."""

from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np

from staa_client.evidence.record import Record
from staa_client.transport.deadline import Deadline
from staa_client.transport.fetch import fetch
from staa_client.video.frames import Frame, Frames, smaller
from staa_client.video.origin import Origin
from staa_client.video.pictures_of import frames_at, live_pictures
from staa_client.video.source import Link, Video, name_of, source_of


def frames_again(record: Record, video: Video, deadline: Deadline) -> Frames:
    """Return the frames of a video that have the numbers of those that a timeline or a watch sent then.

    Frames in memory are returned as they are: the caller has kept them.

    Raises:
        ValueError: they are of a live source, of which nothing is left; or the video cannot be read, or has no such
            frames.
        OSError, StaaError: the video cannot be read or fetched.
        ImportError: the extra `video` is missing.
    """
    given = source_of(video)
    if isinstance(given, Frames):
        return given
    if record.video.kind == "live":
        what = f"its frames came from {record.video.name}, a live source, and no video holds them"
        raise ValueError(f"this line cannot be asked again: {what}; give the frames themselves, if they were kept")
    source = fetch(given, deadline) if isinstance(given, Link) else given
    clip, longest = record.answer.clip, record.video.longest
    images = frames_at(source, clip.frames) if longest is None else _watched(source, clip.frames.tolist(), longest)
    height, width = images[0].shape[:2]
    if longest is None and (width, height) != (clip.width, clip.height):
        raise ValueError(f"the video has {width}x{height} pixels, that of the line {clip.width}x{clip.height}: another")
    about = clip.fps, clip.duration, (clip.width, clip.height), clip.notes
    return Frames(np.stack(images), clip.times, clip.frames, *about, Origin(name_of(given), source, longest))


def _watched(source: Path | bytes, numbers: list[int], longest: int) -> list[Frame]:
    """Return the frames with these ascending numbers as a watch of the file reads and scales them."""
    if isinstance(source, bytes):
        raise ValueError("the line is of a watch of a file: give its path")  # noqa: TRY004  # of a kind that others take
    size = partial(smaller, longest=longest)
    with live_pictures("file", str(source), None, {}, size, "AUTO") as (_, pictures):
        first = enumerate(islice(pictures, numbers[-1] + 1))
        kept = {number: picture[0] for number, picture in first if number in numbers}
    if missing := [number for number in numbers if number not in kept]:
        raise ValueError(f"the video has no frame {missing[0]}; is it the file that was watched?")
    return [kept[number] for number in numbers]
