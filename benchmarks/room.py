"""What frames take while they are read: `python -m benchmarks.room`. Kept whole, or scaled one by one as they come.

Four videos at once, as a worker decodes them, to the pixels of a model of 224. By turns: the largest peak counts, and
the median of the times.
"""

import argparse
import io
import os
import platform
import time
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial

import av
import numpy as np
from torch import Tensor

from benchmarks.memory import peak
from staa import decode
from staa.prepare import Recipe, prepare
from staa.video import LIMITS

RECIPE = Recipe.read({"image_processor_type": "VideoMAEImageProcessor"})
SIZES = {"1080p": (1920, 1080), "4K": (3840, 2160)}
DECODERS = 4
Way = Callable[[bytes, int], Tensor]


def film(width: int, height: int, count: int) -> bytes:
    """H.264, a key frame a second: a noise that moves."""
    file = io.BytesIO()
    grain = np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8)
    grain = np.repeat(np.repeat(grain[::8, ::8], 8, 0), 8, 1)
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("h264", rate=25, options={"preset": "ultrafast", "g": "25"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number in range(count):
            frame = av.VideoFrame.from_ndarray(np.roll(grain, 4 * number, 1), "rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return file.getvalue()


def whole(source: bytes, frames: int) -> Tensor:
    """Return pixels, of frames that were all kept as they came."""
    return prepare(decode(source, frames).frames, RECIPE)[0]


def scaled(source: bytes, frames: int) -> Tensor:
    """Return pixels, of frames that were scaled one by one."""
    clip = decode(source, frames, scale=RECIPE.scaled)
    return prepare(clip.frames, RECIPE, size=clip.size)[0]


def at_once(pool: Executor, way: Way, source: bytes, frames: int) -> float:
    """Return the seconds that some videos took together."""
    began = time.perf_counter()
    list(pool.map(lambda _: way(source, frames), range(DECODERS)))
    return time.perf_counter() - began


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--frames", type=int, nargs="+", default=[16, 32])
    parser.add_argument("--turns", type=int, default=5)
    options = parser.parse_args()
    machine = f"{platform.machine()} CPU, {os.cpu_count()} cores, {LIMITS.threads} threads a video"
    print(f"{machine}, {time.strftime('%F')}; {DECODERS} videos at once\n")
    print("| video | frames | whole MB | scaled MB | whole s | scaled s | ratio of times |\n|" + " --- |" * 7)
    pool = ThreadPoolExecutor(DECODERS)
    for name, (width, height) in SIZES.items():
        source = film(width, height, 100)
        for frames in options.frames:
            room = np.max(
                [
                    [peak(partial(at_once, pool, way, source, frames))[1] / 1e6 for way in (whole, scaled)]
                    for _ in range(options.turns)
                ],
                0,
            )
            turns = [[at_once(pool, way, source, frames) for way in (whole, scaled)] for _ in range(options.turns)]
            cells = [f"{each:,.0f}" for each in room] + [f"{each:.2f}" for each in np.median(turns, 0)]
            ratio = np.median([after / before for before, after in turns])
            print(f"| {name} | {frames} | {' | '.join(cells)} | {ratio:.2f} |", flush=True)


if __name__ == "__main__":
    main()
