"""A clip of the generator as a video file, with its truth beside it: `python -m training.movie clip.mp4`."""

import argparse
import json
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from training.clips import LABELS, draw, render


def write(path: Path, seed: int, label: int | None, size: tuple[int, int], seconds: float, fps: int) -> Path:
    """Write H.264 to `path` and the truth to the same name with .json: label, event, and a box for every frame.

    Boxes are (x0, y0, x1, y1) in pixels, or null where the object is not to be seen.
    """
    width, height = size
    rng = np.random.default_rng(seed)
    scene = draw(rng, label=label)
    frames = round(seconds * fps)
    boxes: list[list[int] | None] = []
    with av.open(str(path), "w") as container:
        stream = container.add_stream("h264", rate=fps, options={"crf": "28", "preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.time_base = Fraction(1, fps)
        for start in range(0, frames, fps):
            times = np.arange(start, min(start + fps, frames)) / frames
            sample = render(scene, times, width, height, rng)
            for picture, mask in zip(sample.frames, sample.mask, strict=True):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
                boxes.append(_box(mask))
        container.mux(stream.encode())
    subject = scene.subject
    truth = {
        "label": LABELS[scene.label],
        "when": [round(subject.start * seconds, 3), round(subject.end * seconds, 3)],
        "fps": fps,
        "boxes": boxes,
    }
    beside = path.with_suffix(".json")
    beside.write_text(json.dumps(truth) + "\n")
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
    parser.add_argument("--seed", type=int, default=37, help="the default is a scene with two distractors")
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
