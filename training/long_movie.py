"""A long video of events one after the other, with its truth: `python -m training.long_movie long.mp4 --events 6`.

One camera sees one background. Events of the generator, each of one object and one motion, follow each other with
pauses in which nothing moves. What is in the video when, and where, is known.
"""

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.clips import LABELS, Scene, draw, render
from training.movie import encode

CLIP_SECONDS = 10.0
"""The length that a clip of the generator stands for: an event lasts 5 to 9 of its 16 steps."""
_LEAST_CONTRAST = 45
"""The least mean difference between the colours of an object and of the background, grey levels, as in `clips`."""


@dataclass(frozen=True)
class Event:
    """One event of a long video."""

    label: int
    start: float
    """Seconds of the video."""
    end: float
    """Seconds of the video."""
    boxes: NDArray[np.int64]
    """(frames, 4) x0, y0, x1, y1 of the object in each frame, pixels; all 0 where it is not to be seen."""


class LongMovie:
    """Draws a long video; the events are known once its pictures are taken.

    Args:
        seed: the video is wholly given by it.
        events: how many events.
        size: (width, height) in pixels.
        fps: frames per second.
        pauses: the shortest and the longest pause before an event, seconds.
        labels: the labels of the events; None draws them.
    """

    def __init__(
        self,
        seed: int,
        events: int,
        size: tuple[int, int] = (112, 112),
        fps: int = 10,
        pauses: tuple[float, float] = (4.0, 8.0),
        labels: list[int] | None = None,
    ) -> None:
        self.size, self.fps, self.events = size, fps, list[Event]()
        self._rng = np.random.default_rng(seed)
        self._count, self._pauses, self._labels = events, pauses, labels
        self._frames = 0

    @property
    def seconds(self) -> float:
        """Return the length of what was drawn so far."""
        return self._frames / self.fps

    def pictures(self) -> Iterator[NDArray[np.uint8]]:
        """Yield the frames (H, W, 3) in their order; call it once."""
        ground = draw(self._rng)
        for number in range(self._count):
            yield from self._pause(ground)
            scene = self._scene(ground, None if self._labels is None else self._labels[number])
            subject, start = scene.subject, self.seconds
            frames = round((subject.end - subject.start) * CLIP_SECONDS * self.fps)
            boxes: list[list[int]] = []
            for first in range(0, frames, self.fps):  # a second at a time, so that memory does not grow
                places = np.arange(first, min(first + self.fps, frames))
                times = subject.start + places / (self.fps * CLIP_SECONDS)
                sample = render(scene, times, *self.size, self._rng)
                boxes += [_box(mask) for mask in sample.mask]
                self._frames += len(places)
                yield from sample.frames
            self.events.append(Event(scene.label, start, self.seconds, np.array(boxes)))
        yield from self._pause(ground)

    def _scene(self, ground: Scene, label: int | None) -> Scene:
        """Return a scene of one object over the background of the video, from which its colour can be told."""
        while True:
            scene = draw(self._rng, label=label)
            if np.abs(scene.subject.colour - ground.tint).mean() >= _LEAST_CONTRAST:
                break
        view = {"octaves": ground.octaves, "tint": ground.tint, "origin": ground.origin, "noise": ground.noise}
        return replace(scene, things=(scene.subject,), drift=(0.0, 0.0), **view)  # type: ignore[arg-type]

    def _pause(self, ground: Scene) -> Iterator[NDArray[np.uint8]]:
        """Yield the frames of a pause: the background alone, which stands still."""
        frames = round(self._rng.uniform(*self._pauses) * self.fps)
        absent = replace(ground.subject, start=2.0, end=3.0)
        empty = replace(ground, things=(absent,), drift=(0.0, 0.0))
        (picture,) = render(empty, np.zeros(1), *self.size, self._rng).frames
        self._frames += frames
        for _ in range(frames):
            yield picture


def _box(mask: NDArray[np.bool_]) -> list[int]:
    """Return the box around an object."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return [0, 0, 0, 0]
    return [int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1]


def write(path: Path, movie: LongMovie) -> list[Event]:
    """Write a long video as H.264, and return its events."""
    encode(path, movie.pictures(), movie.size, movie.fps, crf="23", preset="veryfast")
    return movie.events


def main() -> None:
    """Write one long video, and its truth beside it as JSON."""
    parser = argparse.ArgumentParser(prog="python -m training.long_movie", description="Write a long video.")
    parser.add_argument("path", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--events", type=int, default=6)
    parser.add_argument("--size", type=int, nargs=2, default=(112, 112), metavar=("WIDTH", "HEIGHT"))
    parser.add_argument("--fps", type=int, default=10)
    options = parser.parse_args()
    movie = LongMovie(options.seed, options.events, (options.size[0], options.size[1]), options.fps)
    events = write(options.path, movie)
    truth = [{"label": LABELS[event.label], "start": event.start, "end": event.end} for event in events]
    beside = options.path.with_suffix(".json")
    beside.write_text(json.dumps(truth, indent=1) + "\n")
    print(f"{options.path}, {movie.seconds:.1f} s, and its truth {beside}")


if __name__ == "__main__":
    main()
