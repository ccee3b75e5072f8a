"""What it costs to get uniform frames out of a video: `python -m benchmarks.speed.decode`, one table.

Three ways: every frame decoded and converted to RGB, then picked (what the authors of STAA do); `staa.decode`; and
torchcodec, where it is installed. All read the same bytes from memory, as a server does, give the same frames, leave
the number of threads to FFmpeg, and take turns, so that what else the machine does falls on all alike; the fastest turn
counts. Decode-all is favoured: it knows which frames are wanted, holds no others, and one pass serves all rows.

Clips are those of ../shared/clips, and long ones that are made once, in a temporary folder: ten seconds of drifting
texture and grain at the bit rate of a streaming site, again and again.
"""

import importlib
import io
import itertools
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import cast

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image

import staa
from benchmarks.report import ROOT, argument_parser, heads, machine, row, timed
from staa_video import decoder, sampling
from training.movie import encode

Frames = NDArray[np.uint8]
Rows = list[NDArray[np.int64]]
"""Frame numbers of each row of the table."""

CLIPS = ROOT.parent / "shared" / "clips"
FOLDER = Path(tempfile.gettempdir()) / "staa-decode"
COUNTS = (8, 16, 32)
"""Numbers of wanted frames; the table has a row for each."""
MOST_TURNS = 10
RATE, LOOP = 30, 10
"""Frames per second of a generated video, and the seconds after which its pictures repeat."""
LIMITS = staa.Limits(seconds=600)
ALL, OURS, OTHER = "all", "ours", "torchcodec"


@dataclass(frozen=True, slots=True)
class Long:
    """Describes a video to generate: H.264 with B-frames in MP4, 30 frames/s."""

    height: int
    width: int
    seconds: int
    keys: int
    """Seconds between two key frames."""
    rate: int
    """Bits per second."""

    def __str__(self) -> str:
        return f"{self.height}p {self.seconds} s, keys {self.keys} s"


@dataclass(frozen=True, slots=True)
class Turn:
    """Holds the result of one way for one row of the table."""

    frames: Frames
    """(T, H, W, 3) RGB."""
    seconds: float
    decoded: int = 0
    """How many frames were decoded; 0 if the way does not tell."""


Way = Callable[[bytes, Rows], list[Turn]]

LONG = (
    Long(1080, 1920, 60, 1, 6_000_000),
    Long(1080, 1920, 60, 5, 6_000_000),
    Long(1080, 1920, 60, 10, 6_000_000),
    Long(2160, 3840, 10, 2, 24_000_000),
)


def texture(rng: np.random.Generator, height: int, width: int) -> Frames:
    """Return smooth noise (height, width); finer details are fainter."""
    total = np.zeros((height, width), np.float32)
    for size, strength in ((128, 0.5), (32, 0.25), (8, 0.15), (2, 0.1)):
        coarse = rng.integers(0, 256, (height // size + 2, width // size + 2), np.uint8)
        total += strength * np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))
    return total.astype(np.uint8)


def pictures(long: Long) -> Iterator[NDArray[np.uint8]]:
    """Yield planes of yuv420p: a background that drifts, a patch that crosses it, and grain, again and again."""
    rng = np.random.default_rng(0)
    height, width, count = long.height, long.width, LOOP * RATE
    scene = texture(rng, height + 2 * count, width + 2 * count)
    colour = [texture(rng, height // 2, width // 2) // 4 + 96 for _ in range(2)]
    patch = texture(rng, height // 3, height // 3)
    grain = [rng.integers(0, 7, (height, width), np.uint8) for _ in range(4)]
    planes = np.empty((height * 3 // 2, width), np.uint8)
    for i in itertools.chain.from_iterable(itertools.repeat(range(count), long.seconds // LOOP)):
        luma = planes[:height]
        np.add(scene[i : i + height, 2 * i : 2 * i + width] // 4 * 3, grain[i % 4] + 16, out=luma)
        x = (width - height // 3) * i // count
        luma[height // 3 : height // 3 * 2, x : x + height // 3] = patch
        planes[height:] = np.stack([np.roll(plane, -i, axis=1) for plane in colour]).reshape(height // 2, width)
        yield planes


def generate(long: Long) -> bytes:
    """Return a generated video; it is made only once."""
    path = FOLDER / f"{long.height}p-{long.seconds}s-key{long.keys}s.mp4"
    if not path.exists():
        report(f"generating {path}")
        FOLDER.mkdir(parents=True, exist_ok=True)
        unfinished, keys = path.with_suffix(".part.mp4"), str(long.keys * RATE)
        choices = {"preset": "veryfast", "b": str(long.rate), "g": keys, "keyint_min": keys, "sc_threshold": "0"}
        encode(unfinished, pictures(long), (long.width, long.height), RATE, "yuv420p", **choices)
        unfinished.rename(path)
    return path.read_bytes()


def decode_all(source: bytes, rows: Rows) -> list[Turn]:
    """Convert every frame to RGB in one pass, from which each row takes its frames; the time counts for each row."""
    indices = set(np.concatenate(rows).tolist())

    def read() -> tuple[dict[int, Frames], int]:
        kept: dict[int, Frames] = {}
        count = 0
        with av.open(io.BytesIO(source), "r") as container:
            container.streams.video[0].thread_type = "AUTO"
            for frame in container.decode(video=0):
                image = frame.to_ndarray(format="rgb24")
                if count in indices:
                    kept[count] = np.asarray(image, np.uint8)
                count += 1
        return kept, count

    (kept, count), seconds = timed(read)
    return [Turn(np.stack([kept[index] for index in row]), seconds, count) for row in rows]


def decode_ours(source: bytes, rows: Rows) -> list[Turn]:
    """Decode with `staa.decode`, which chooses the frames itself."""
    return [Turn(*timed(partial(_decode_frames, source, len(row)))) for row in rows]


def _decode_frames(source: bytes, count: int) -> Frames:
    return staa.decode(source, count, limits=LIMITS).frames


def decode_torchcodec(source: bytes, rows: Rows) -> list[Turn]:
    """Decode with torchcodec, which reads all packets first as we do (seek_mode "exact", its default)."""
    opened = importlib.import_module("torchcodec.decoders").VideoDecoder

    def frames(row: NDArray[np.int64]) -> Frames:
        video = opened(source, dimension_order="NHWC", num_ffmpeg_threads=0)
        return cast("Frames", video.get_frames_at(row.tolist()).data.numpy())

    return [Turn(*timed(partial(frames, row))) for row in rows]


def choose_rows(source: bytes) -> tuple[Rows, list[int]]:
    """Return the frame numbers of each row, and how many frames the decoder gives out for it."""
    rows, counts = [], []
    for count in COUNTS:
        with decoder.opened(source, LIMITS) as video:
            rows.append(sampling.choose(video.seconds, video.duration, count))
            deque(video.pictures(rows[-1].tolist()), 0)
            counts.append(video.decoded)
    return rows, counts


def compare(name: str, source: bytes, ways: dict[str, Way], seconds: float) -> None:
    """Let all ways take turns on one clip, and print its rows."""
    try:
        rows, counts = choose_rows(source)
    except staa.StaaError as error:
        report(f"{name} is left out: {error}")
        return
    times: list[list[list[float]]] = []  # of each turn, of each way, of each row
    deadline = time.monotonic() + seconds
    while len(times) < MOST_TURNS and (not times or time.monotonic() < deadline):
        report(f"{name}: turn {len(times) + 1}")
        turns = {way: decode(source, rows) for way, decode in ways.items()}
        check_same(name, turns[ALL], turns[OURS])
        times.append([[turn.seconds for turn in turns[way]] for way in ways])
        total = turns[ALL][0].decoded
    for index, count in enumerate(COUNTS):
        best = dict(zip(ways, np.min(times, 0)[:, index], strict=True))
        milliseconds = [f"{seconds * 1e3:.1f}" for seconds in best.values()]
        ratios = [f"{best[OURS] / best[way]:.2f}" for way in ways if way != OURS]
        sizes = f"{len(source) / 1e6:.1f}", count, len(times)
        print(row(name, *sizes, *milliseconds, *ratios, total, counts[index]), flush=True)


def check_same(name: str, expected: list[Turn], got: list[Turn]) -> None:
    """Check that two ways gave the same frames; frames that only one of them rotated are not compared."""
    for turn, other in zip(expected, got, strict=True):
        a, b = turn.frames[:, ::8, ::8], other.frames[:, ::8, ::8]
        if a.shape == b.shape and np.abs(a.astype(int) - b).mean() > 1:
            raise RuntimeError(f"{name}: the ways give different frames")


def report(line: str) -> None:
    """Print the progress."""
    print(line, file=sys.stderr, flush=True)


def main() -> None:
    """Print the table."""
    parser = argument_parser(__doc__)
    parser.add_argument("--seconds", type=float, default=60, help="no turn but the first starts later, for each clip")
    parser.add_argument("--only", default="", help="part of a clip's name")
    options = parser.parse_args()
    ways: dict[str, Way] = {ALL: decode_all, OURS: decode_ours}
    versions = f"PyAV {av.__version__} with FFmpeg {av.ffmpeg_version_info}"
    try:
        torchcodec = importlib.import_module("torchcodec")
        importlib.import_module("torchcodec.decoders")
    except (ImportError, OSError, RuntimeError) as error:
        report(f"no torchcodec: {str(error).strip().splitlines()[0]}")
    else:
        ways[OTHER] = decode_torchcodec
        versions += f", torchcodec {torchcodec.__version__} with FFmpeg {torchcodec.ffmpeg_major_version}"
    print(f"{machine()}, {versions}, FFmpeg's choice of threads, fastest of up to {MOST_TURNS} turns\n")
    names = ["clip", "MB", "wanted", "turns", *(f"{way} ms" for way in ways)]
    names += [f"ours / {way}" for way in ways if way != OURS]
    print(heads(*names, *(f"frames decoded: {way}" for way in (ALL, OURS))), flush=True)
    if not CLIPS.is_dir():
        report(f"no real clips: {CLIPS} is not there")
    for path in sorted(CLIPS.glob("*.m[pko][4v]")):
        if options.only in path.name:
            compare(path.name, path.read_bytes(), ways, options.seconds)
    for long in LONG:
        if options.only in str(long):
            compare(str(long), generate(long), ways, options.seconds)


if __name__ == "__main__":
    main()
