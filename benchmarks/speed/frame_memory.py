"""What frames take while they are read, kept whole or scaled as they come: `python -m benchmarks.speed.frame_memory`.

Four videos at once, as a worker decodes them, to the pixels of a model of 224. By turns: the largest peak counts, and
the median of the times.
"""

import io
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial

import numpy as np
from torch import Tensor

from benchmarks.report import argument_parser, heads, machine, row, timed
from benchmarks.speed.peak_memory import peak
from staa import decode
from staa import prepare as preparation
from staa.prepare import prepare
from staa.recipe import Recipe
from staa_video import LIMITS
from training.movie import encode

RECIPE = Recipe.read({"image_processor_type": "VideoMAEImageProcessor"})
SIZES = {"1080p": (1920, 1080), "4K": (3840, 2160)}
DECODERS = 4
Way = Callable[[bytes, int], Tensor]


def film(width: int, height: int, count: int) -> bytes:
    """Return an H.264 video of moving noise, with a key frame every second."""
    grain = np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8)
    grain = np.repeat(np.repeat(grain[::8, ::8], 8, 0), 8, 1)
    file = io.BytesIO()
    pictures = (np.roll(grain, 4 * index, 1) for index in range(count))
    encode(file, pictures, (width, height), 25, preset="ultrafast", g="25")
    return file.getvalue()


def whole(source: bytes, frames: int) -> Tensor:
    """Return the pixels of frames that were all kept in full size."""
    return prepare(decode(source, frames).frames, RECIPE)[0]


def scaled(source: bytes, frames: int) -> Tensor:
    """Return the pixels of frames that were scaled one by one."""
    clip = decode(source, frames, scale=partial(preparation.scaled, RECIPE))
    return prepare(clip.frames, RECIPE, size=clip.size)[0]


def at_once(pool: Executor, way: Way, source: bytes, frames: int) -> None:
    """Decode several videos at the same time."""
    list(pool.map(lambda _: way(source, frames), range(DECODERS)))


def main() -> None:
    """Print the table."""
    parser = argument_parser(__doc__)
    parser.add_argument("--frames", type=int, nargs="+", default=[16, 32])
    parser.add_argument("--turns", type=int, default=5)
    options = parser.parse_args()
    print(f"{machine()}, {LIMITS.threads} threads a video; {DECODERS} videos at once\n")
    print(heads("video", "frames", "whole MB", "scaled MB", "whole s", "scaled s", "ratio of times"))
    pool = ThreadPoolExecutor(DECODERS)
    for name, size in SIZES.items():
        source = film(*size, 100)
        for frames in options.frames:
            ways = [partial(at_once, pool, way, source, frames) for way in (whole, scaled)]
            memory = np.max([[peak(way)[1] / 1e6 for way in ways] for _ in range(options.turns)], 0)
            turns = np.array([[timed(way)[1] for way in ways] for _ in range(options.turns)])
            cells = [f"{megabytes:,.0f}" for megabytes in memory] + [f"{median:.2f}" for median in np.median(turns, 0)]
            print(row(name, frames, *cells, f"{np.median(turns[:, 1] / turns[:, 0]):.2f}"), flush=True)


if __name__ == "__main__":
    main()
