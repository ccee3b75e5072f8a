"""Decodes frames of a video: spread over one segment or over several, with given numbers, or a range in its order.

If the packets alone tell which frames are displayed and when, only the packets that the wanted frames depend on are
decoded. If they do not (no times, edit lists, fields, a start between key frames), or if the decoded frames differ from
what the packets told, all frames are decoded twice: first to count them and to see which are damaged, then to keep the
wanted ones. Frame i of the source has the number i both ways, so the result is the same. Damage is seen, and its share
taken, of the frames that have to be decoded: a clean video costs nothing more. Nothing is written to disk, and no other
file or address that the source names is opened: a playlist is no video.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from staa_video import errors, picture, sampling
from staa_video.clip import LIMITS, Clip, Limits, Scale, bounded_notes
from staa_video.container import Source, guarded, has_clock, opening, undecodable
from staa_video.film import Video
from staa_video.picture import Image


def decode(
    source: Source,
    frames: int,
    start: float | None = None,
    end: float | None = None,
    limits: Limits = LIMITS,
    scale: Scale | None = None,
) -> Clip:
    """Decode `frames` frames, spread uniformly over [start, end) seconds of a video.

    Display rotation, colour matrix and colour range are applied; frames repeat where the segment holds fewer. Safe to
    call from many threads at once; everything is released before it returns.

    Args:
        source: the bytes of a video, its path, or a binary file, which is read from its start and left open.
        frames: number of frames wanted.
        start: start of the segment, seconds; None is the start of the video.
        end: end of the segment, seconds; None is the end of the video.
        limits: what may be spent.
        scale: applied to each wanted frame as soon as it is decoded; None keeps the frames as they are.

    Raises:
        OptionError: the segment is not valid, such as an end before the start.
        TooLargeError: the video is over a limit; the subclass says which.
        NotVideoError: the source is no container with a video stream.
        DecodeError: the video, or a frame on the way to a wanted one, cannot be read.
        NoFramesError: the video holds no frame in the segment.
        OSError: the file cannot be read.
    """

    def clip(video: Video) -> Clip:
        video.check_duration()
        indices = sampling.choose(video.seconds, video.duration, frames, start, end)
        first = 0 if start is None else int(indices[0])
        indices = video.damage.stand_ins(indices, first, len(video.seconds) - 1 if end is None else int(indices[-1]))
        images, size = np.empty(0, np.uint8), (0, 0)
        smaller = scale is not None and not getattr(scale, "whole", False)
        for number, image in guarded(video.pictures(set(indices.tolist()), smaller=smaller)):
            size = video.size
            kept = image if scale is None else scale(image, size)
            images = images if images.size else np.empty((len(indices), *kept.shape), np.uint8)
            images[indices == number] = kept
        notes = bounded_notes(video.notes)
        return Clip(images, video.seconds[indices], indices, video.fps, video.duration, size, notes)

    with opened(source, limits) as video:
        return video.planned_or_surveyed(clip)


def delay(source: Source, limits: Limits = LIMITS) -> float:
    """Return the seconds from the start of a file, from which players count, to its first frame; 0 if it says nothing.

    It is more than 0 where the sound begins earlier. The times of frames count from the first frame everywhere else.

    Raises:
        TooLargeError, NotVideoError, DecodeError, OSError: as `decode` does.
    """
    with opening(source, limits) as open_anew:
        container, track, _ = open_anew()
        first, begin = track.start_time, container.start_time
        if first is None or begin is None or not has_clock(container):
            return 0.0
        return max(0.0, float(first * (track.time_base or 0)) - begin / 1_000_000)


def pictures(source: Source, numbers: Collection[int], limits: Limits = LIMITS) -> dict[int, Image]:
    """Decode the frames with these numbers: number -> (H, W, 3) RGB, all in the size and rotation of the first of them.

    Raises:
        NoFramesError: the video has no frame with one of the numbers.
        TooLargeError, NotVideoError, DecodeError, OSError: as `decode` does.
    """

    def by_number(video: Video) -> dict[int, Image]:
        _check_numbers(video, numbers)
        video.damage.check_share()
        return dict(guarded(video.pictures(set(numbers))))

    with opened(source, limits) as video:
        return video.planned_or_surveyed(by_number) if numbers else {}


def in_order(
    source: Source,
    first: int,
    last: int | None,
    size: Callable[[tuple[int, int]], tuple[int, int]],
    rate: float = float("inf"),
    limits: Limits = LIMITS,
    always: Collection[int] = (),
) -> Iterator[tuple[float, Image]]:
    """Decode the frames from number `first` to number `last`, each with its time in seconds; the times ascend.

    Left out are frames that follow the one before them too closely for `rate`, frames with the same time as the one
    before, and damaged frames, however many. Only if frame `last` cannot be decoded, DecodeError is raised.

    Args:
        source: the same as for `decode`.
        first: number of the first frame.
        last: number of the last frame; None is that of the video.
        size: takes the (width, height) of the source and returns that of the pictures, in pixels.
        rate: the most pictures for one second of video.
        limits: what may be spent.
        always: numbers of frames that are not left out for `rate`.

    Raises:
        NoFramesError: the video has no frame `last`.
        TooLargeError, NotVideoError, DecodeError, OSError: as `decode` does.
    """
    with opened(source, limits) as video:
        scaler = picture.Scaler(size, shape=video.shape)
        number, latest = first - 1, -float("inf")
        while True:
            final = len(video.seconds) - 1 if last is None else last
            _check_numbers(video, range(first, final + 1))
            drawn = {*(first + sampling.thinned(video.seconds[first : final + 1], rate)).tolist()}
            drawn |= {*always} & {*range(first, final + 1)}
            drawn -= {*range(first, number + 1), *np.flatnonzero(video.damage.bad).tolist()}
            try:
                for number, frame, matrix in guarded(video.frames(drawn | {final})):
                    second = float(video.seconds[number])
                    if number in drawn and second > latest:
                        latest = second
                        yield second, scaler(frame, matrix)
            except errors.DecodeError:  # where frames break what packets promised, what is left is counted
                if not video.planned:
                    raise
                video.survey()
            else:
                return


def clips(
    source: Source,
    frames: int,
    segments: Callable[[float], Sequence[tuple[float, float]]],
    scale: Scale,
    limits: Limits = LIMITS,
) -> Iterator[Clip]:
    """Decode clips of one video, one after the other, each as `decode` gives it for its segment.

    The video is decoded once, from its start to its end, and only the scaled frames of clips that are not complete are
    in memory. If the packets do not tell which frames there are, it is decoded once more before, to count them.

    Args:
        source: the same as for `decode`.
        frames: number of frames of each clip.
        segments: takes the duration of the video in seconds, and returns the (start, end) of each clip, seconds, with
            ascending starts and ends; the same number of them when it is called again.
        scale: applied to each wanted frame as soon as it is decoded.
        limits: what may be spent.

    Raises:
        OptionError, TooLargeError, NotVideoError, DecodeError, NoFramesError, OSError: as `decode` does.
    """
    smaller = not getattr(scale, "whole", False)
    with opened(source, limits) as video:
        video.check_duration()
        done = 0
        while True:
            rows = [
                _undamaged(video, sampling.choose(video.seconds, video.duration, frames, *segment))
                for segment in segments(video.duration)
            ][done:]
            kept: dict[int, Image] = {}
            wanted = {number for row in rows for number in row.tolist()}
            try:
                for number, image in guarded(video.pictures(wanted, smaller=smaller)) if wanted else ():
                    kept[number] = scale(image, video.size)
                    while rows and rows[0][-1] <= number:
                        row = rows.pop(0)
                        about = video.fps, video.duration, video.size, bounded_notes(video.notes)
                        yield Clip(np.stack([kept[each] for each in row.tolist()]), video.seconds[row], row, *about)
                        done += 1
                        first = min((int(later[0]) for later in rows[:1]), default=number + 1)
                        kept = {each: picture for each, picture in kept.items() if each >= first}
            except errors.DecodeError:  # where frames break what packets promised, what is left is counted
                if not video.planned:
                    raise
                with undecodable():
                    video.survey()
            else:
                return


def _undamaged(video: Video, indices: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the chosen frames of a clip, with those beside them in place of damaged ones."""
    return video.damage.stand_ins(indices, int(indices[0]), int(indices[-1]))


@contextmanager
def opened(source: Source, limits: Limits = LIMITS) -> Iterator[Video]:
    """Open a video, whose frames have numbers and times."""
    with opening(source, limits) as open_anew:
        with undecodable():
            video = Video(open_anew, limits)
        yield video


def _check_numbers(video: Video, numbers: Collection[int]) -> None:
    missing = [number for number in numbers if not 0 <= number < len(video.seconds)]
    if missing:
        msg = f"the video has no frame {min(missing)}, but {len(video.seconds)} of them"
        raise errors.NoFramesError(msg)
