"""A clip of the generator as a video file, with its truth beside it: `python -m training.movie clip.mp4`."""

import argparse
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import av
import numpy as np

from training.clips import LABELS, draw, render


def encode(
    file: Path | BinaryIO,
    pictures: Iterable[np.ndarray],
    size: tuple[int, int],
    fps: int,
    layout: str = "rgb24",
    **options: str,
) -> None:
    """Write pictures of a (width, height) as H.264, with these options of the encoder; what has no ending is MP4.

    Pictures are arrays as `av.VideoFrame.from_ndarray` takes them of a layout, such as (height, width, 3) of rgb24.
    """
    target, form = (str(file), None) if isinstance(file, Path) else (file, "mp4")
    with av.open(target, "w", format=form) as container:
        stream = container.add_stream("h264", rate=fps, options=options)
        (stream.width, stream.height), stream.pix_fmt = size, "yuv420p"
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, layout)))
        container.mux(stream.encode())


def write(path: Path, seed: int, label: int | None, size: tuple[int, int], seconds: float, fps: int) -> Path:
    """Write a clip to `path` and the truth to the same name with .json: label, event, and a box for every frame.

    Boxes are (x0, y0, x1, y1) in pixels, or null where the object is not to be seen.
    """
    rng = np.random.default_rng(seed)
    scene = draw(rng, label=label)
    frames = round(seconds * fps)
    boxes: list[list[int] | None] = []

    def pictures() -> Iterator[np.ndarray]:
        for start in range(0, frames, fps):
            sample = render(scene, np.arange(start, min(start + fps, frames)) / frames, *size, rng)
            boxes.extend(map(_box, sample.mask))
            yield from sample.frames

    encode(path, pictures(), size, fps, crf="28", preset="veryfast")
    event = [round(time * seconds, 3) for time in (scene.subject.start, scene.subject.end)]
    beside = path.with_suffix(".json")
    beside.write_text(json.dumps({"label": LABELS[scene.label], "when": event, "fps": fps, "boxes": boxes}) + "\n")
    return beside


def _box(mask: np.ndarray) -> list[int] | None:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return None
    return [int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1]


def main() -> None:
    """Write one clip."""
    parser = argparse.ArgumentParser(prog="python -m training.movie", description="Write a clip with known truth.")
    parser.add_argument("path", type=Path)
    parser.add_argument("--seed", type=int, default=57, help="the default is a scene with two distractors")
    parser.add_argument("--label", choices=LABELS)
    parser.add_argument("--size", type=int, nargs=2, default=(320, 240), metavar=("WIDTH", "HEIGHT"))
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--fps", type=int, default=25)
    options = parser.parse_args()
    label = LABELS.index(options.label) if options.label else None
    options.path.parent.mkdir(parents=True, exist_ok=True)
    truth = write(options.path, options.seed, label, tuple(options.size), options.seconds, options.fps)
    print(f"{options.path} and its truth {truth}")


if __name__ == "__main__":
    main()
