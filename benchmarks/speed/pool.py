"""What decoding in a process of its own costs: `python -m benchmarks.speed.pool`, three tables.

Videos are decoded and scaled for the default model, in this process and in a child, by turns: one client, then four at
once. Then what a child takes at rest, how soon another one is there after a kill, and the least memory with which large
videos of many reference frames are still decoded.
"""

import io
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import replace
from functools import partial

import numpy as np
import psutil
from numpy.typing import NDArray

from benchmarks.report import argument_parser, heads, machine, row, timed
from staa.prepare import scaled
from staa.recipe import Recipe
from staa_video import LIMITS, Clip, errors
from staa_video.frames_archive import clip_of
from staa_video.pool import Pool
from training.movie import encode

RECIPE = Recipe.read({"image_processor_type": "VideoMAEImageProcessor"})
SIZES = {"320x240": (320, 240), "640x480": (640, 480), "1080p": (1920, 1080), "4K": (3840, 2160)}
DECODERS = 4
FRAMES = 8
MEMORIES = (128, 192, 256, 384, 512, 640, 768, 896, 1024)
Way = Callable[[bytes], Clip]


def film(width: int, height: int, count: int, **options: str) -> bytes:
    """Return an H.264 video of moving noise, with a key frame every two seconds unless the options say otherwise."""
    grain = np.random.default_rng(0).integers(0, 255, (height // 8, width // 8, 3), np.uint8)
    grain = np.repeat(np.repeat(grain, 8, 0), 8, 1)
    file = io.BytesIO()
    pictures: Iterator[NDArray[np.uint8]] = (np.roll(grain, 4 * index, 1) for index in range(count))
    encode(file, pictures, (width, height), 25, **{"preset": "ultrafast", "g": "50"} | options)
    return file.getvalue()


def compare(name: str, source: bytes, ways: dict[str, Way], turns: int, clients: int) -> None:
    """Let the ways take turns on one video, with so many clients each, and print a row."""
    times: list[list[float]] = []
    rates: list[list[float]] = []
    with ThreadPoolExecutor(clients) as threads:
        for _ in range(turns):
            turn = [timed(partial(_all, threads, decode, source, clients)) for decode in ways.values()]
            times.append([seconds for _, seconds in turn])
            rates.append([clients / seconds for _, seconds in turn])
    here, child = np.array(times).T * 1000
    more = np.percentile(child - here, [25, 50, 75])
    ratio = np.percentile(np.array(rates)[:, 1] / np.array(rates)[:, 0], [25, 50, 75])
    cells = [f"{np.median(each):.1f}" for each in (here, child)] + [f"{each.min():.1f}" for each in (here, child)]
    spread = f"{more[1]:+.1f} ({more[0]:+.1f} to {more[2]:+.1f})", f"{ratio[1]:.2f} ({ratio[0]:.2f}-{ratio[2]:.2f})"
    print(row(name, clients, turns, *cells, *spread), flush=True)


def _all(threads: Executor, decode: Way, source: bytes, clients: int) -> list[Clip]:
    return list(threads.map(decode, [source] * clients))


def least_memory(source: bytes, threads: int) -> str:
    """Return the least memory of a child, MiB, with which a video is decoded."""
    for memory in MEMORIES:
        limits = replace(LIMITS, memory=memory * 2**20, threads=threads, seconds=120)
        with Pool(1, limits) as pool:
            try:
                pool.decode(source, FRAMES, None, None, limits, partial(scaled, RECIPE))
            except (errors.TooMuchMemoryError, errors.DecodeError):  # FFmpeg does not always say what it lacked
                continue
            return str(memory)
    return f"over {MEMORIES[-1]}"


def rest_and_replacement(turns: int) -> None:
    """Print what a child takes when it is ready, and the seconds from a kill to the next clip."""
    source = film(320, 240, 50)
    sizes, seconds = [], []
    for _ in range(turns):
        with Pool(1) as pool:
            (child,) = map(psutil.Process, pool.pids)
            sizes.append(child.memory_info().rss / 1e6)
            child.kill()
            while child.status() != psutil.STATUS_ZOMBIE:
                time.sleep(0.001)
            seconds.append(timed(partial(pool.decode, source, FRAMES))[1])
    print(row(f"{max(sizes):.0f}", f"{np.median(seconds):.2f}", f"{max(seconds):.2f}"), flush=True)


def main() -> None:
    """Print the tables."""
    parser = argument_parser(__doc__)
    parser.add_argument("--turns", type=int, default=40)
    options = parser.parse_args()
    print(f"{machine()}, up to {LIMITS.threads} threads of FFmpeg a video, {FRAMES} frames of each\n")
    names = "ms here", "ms in a child", "least here", "least in a child", "ms more", "x rate here"
    print(heads("video", "at once", "turns", *names))
    with Pool(DECODERS) as pool:
        scale = partial(scaled, RECIPE)
        ways: dict[str, Way] = {
            "here": lambda source: clip_of(source, FRAMES, None, None, LIMITS, scale),
            "child": lambda source: pool.decode(source, FRAMES, None, None, LIMITS, scale),
        }
        for name, size in SIZES.items():
            source = film(*size, 250 if size[0] < 1000 else 50)
            for clients in (1, DECODERS):
                turns = max(3, options.turns // (1 if size[0] < 1000 else 8))
                compare(name, source, ways, turns, clients)
    print(f"\n{heads('MB of a child at rest', 's to the next clip after a kill', 'the longest')}")
    rest_and_replacement(5)
    print(f"\n{heads('video', 'threads', 'least MiB of memory')}")
    many = {"ref": "16", "x264-params": "ref=16:bframes=8:b-pyramid=normal", "preset": "medium", "g": "40"}
    for name, (width, height), how in (("1080p", SIZES["1080p"], {}), ("4096x2304, 16 references", (4096, 2304), many)):
        source = film(width, height, 40, **how)
        for threads in (2, 4):
            print(row(name, threads, least_memory(source, threads)), flush=True)


if __name__ == "__main__":
    main()
