"""What it costs to get uniform frames out of a video: `python benchmarks/decode.py`, one table.

Three ways: every frame decoded and converted to RGB, then picked (what the authors of STAA do); `staa.decode`; and
torchcodec, where it is installed. All read the same bytes from memory, as a server does, give the same frames, leave
the number of threads to FFmpeg, and take turns, so that what else the machine does falls on all alike; the fastest turn
counts. Decode-all is favoured: it knows which frames are wanted, holds no others, and one pass serves all rows.

Clips are those of ../shared/clips, and long ones that are made once, in --folder: ten seconds of drifting texture and
grain at the bit rate of a streaming site, repeated packet by packet.
"""

import argparse
import importlib
import io
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any, cast
from unittest import mock

import av
import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray
from PIL import Image

import staa
from staa import video

Frames = NDArray[np.uint8]
Rows = list[NDArray[np.int64]]
"""Frame numbers of each row of the table."""

CLIPS = Path(__file__).parents[2] / "shared" / "clips"
WANTED = (8, 16, 32)
RATE = 30
PART = 10
LIMITS = staa.Limits(seconds=600)
ALL, OURS, OTHER = "all", "ours", "torchcodec"


@dataclass(frozen=True, slots=True)
class Long:
    """A video to generate: H.264 with B-frames in MP4, 30 frames a second."""

    height: int
    width: int
    seconds: int
    keys: int
    """Seconds from key frame to key frame."""
    rate: int
    """Bits per second."""

    def __str__(self) -> str:
        return f"{self.height}p {self.seconds} s, keys {self.keys} s"


@dataclass(frozen=True, slots=True)
class Turn:
    """What a way did for one row."""

    seconds: float
    frames: Frames
    """(T, H, W, 3) RGB."""
    decoded: int = 0
    """Frames decoded; 0 where the way does not tell."""


Way = Callable[[bytes, Rows], list[Turn]]

LONG = (
    Long(1080, 1920, 60, 1, 6_000_000),
    Long(1080, 1920, 60, 5, 6_000_000),
    Long(1080, 1920, 60, 10, 6_000_000),
    Long(2160, 3840, 10, 2, 24_000_000),
)


def texture(rng: np.random.Generator, height: int, width: int) -> Frames:
    """Draw (height, width) of smooth noise, the finer the fainter."""
    total = np.zeros((height, width), np.float32)
    for size, strength in ((128, 0.5), (32, 0.25), (8, 0.15), (2, 0.1)):
        coarse = rng.integers(0, 256, (height // size + 2, width // size + 2), np.uint8)
        total += strength * np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))
    return total.astype(np.uint8)


def pictures(long: Long, count: int) -> Iterator[VideoFrame]:
    """Yield yuv420p frames: a background that drifts, a patch that crosses it, and grain."""
    rng = np.random.default_rng(0)
    height, width, drift = long.height, long.width, 2 * count
    scene = texture(rng, height + drift, width + drift)
    colour = [texture(rng, height // 2, width // 2) // 4 + 96 for _ in range(2)]
    patch = texture(rng, height // 3, height // 3)
    grain = [rng.integers(0, 7, (height, width), np.uint8) for _ in range(4)]
    planes = np.empty((height * 3 // 2, width), np.uint8)
    for i in range(count):
        luma = planes[:height]
        np.add(scene[i : i + height, 2 * i : 2 * i + width] // 4 * 3, grain[i % 4] + 16, out=luma)
        x = (width - height // 3) * i // count
        luma[height // 3 : height // 3 * 2, x : x + height // 3] = patch
        planes[height:] = np.stack([np.roll(plane, -i, axis=1) for plane in colour]).reshape(height // 2, width)
        frame = VideoFrame.from_ndarray(planes, format="yuv420p")
        frame.pts, frame.time_base = i, Fraction(1, RATE)
        yield frame


def generate(long: Long, folder: Path) -> Path:
    """Give the path of a generated video, made the first time."""
    path = folder / f"{long.height}p-{long.seconds}s-key{long.keys}s.mp4"
    if path.exists():
        return path
    report(f"generating {path}")
    folder.mkdir(parents=True, exist_ok=True)
    part = io.BytesIO()
    keys = str(long.keys * RATE)
    with av.open(part, "w", format="mp4") as output:
        stream: Any = output.add_stream("libx264", rate=RATE)
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = long.width, long.height, "yuv420p", long.rate
        stream.codec_context.time_base = Fraction(1, RATE)
        stream.options = {"preset": "veryfast", "g": keys, "keyint_min": keys, "sc_threshold": "0"}
        for frame in pictures(long, PART * RATE):
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    unfinished = path.with_suffix(".part")
    with av.open(str(unfinished), "w", format="mp4") as output:
        target: Any = None
        for repeat in range(long.seconds // PART):
            with av.open(io.BytesIO(part.getvalue()), "r") as container:
                source = container.streams.video[0]
                target = target or output.add_stream_from_template(source)
                shift = int(repeat * PART / (source.time_base or 1))
                for packet in container.demux(source):
                    if packet.pts is not None and packet.dts is not None:
                        packet.pts, packet.dts, packet.stream = packet.pts + shift, packet.dts + shift, target
                        output.mux(packet)
    unfinished.rename(path)
    return path


def decode_all(source: bytes, rows: Rows) -> list[Turn]:
    """Convert every frame to RGB; each row takes its own. One pass, whose time counts for each row."""
    began = time.perf_counter()
    wanted = set(np.concatenate(rows).tolist())
    kept: dict[int, Frames] = {}
    number = -1
    with av.open(io.BytesIO(source), "r") as container:
        container.streams.video[0].thread_type = "AUTO"
        for number, frame in enumerate(container.decode(video=0)):
            image = frame.to_ndarray(format="rgb24")
            if number in wanted:
                kept[number] = np.asarray(image, np.uint8)
    seconds = time.perf_counter() - began
    return [Turn(seconds, np.stack([kept[i] for i in row]), number + 1) for row in rows]


def decode_ours(source: bytes, rows: Rows) -> list[Turn]:
    """Decode with `staa.decode`, which chooses the frames itself."""

    def frames(row: NDArray[np.int64]) -> Frames:
        return staa.decode(source, len(row), limits=LIMITS).frames

    return [_timed(partial(frames, row)) for row in rows]


def decode_torchcodec(source: bytes, rows: Rows) -> list[Turn]:
    """Decode with torchcodec, which reads all packets first as we do (seek_mode "exact", its default)."""
    decoder = importlib.import_module("torchcodec.decoders").VideoDecoder

    def frames(row: NDArray[np.int64]) -> Frames:
        made = decoder(source, dimension_order="NHWC", num_ffmpeg_threads=0)
        return cast(Frames, made.get_frames_at(row.tolist()).data.numpy())

    return [_timed(partial(frames, row)) for row in rows]


def plan(source: bytes) -> tuple[Rows, list[int]]:
    """Give the frame numbers of each row, and how many frames `staa.decode` has the decoder give out for it.

    Frames that it leaves in the decoder when it has what it wants are counted too.
    """
    inner = video._Decoder.frames  # noqa: SLF001 - where all frames come from
    rows, counts = [], []
    for wanted in WANTED:
        count = 0

        def counting(*args: Any) -> Iterator[VideoFrame]:
            nonlocal count
            frames = inner(*args)
            try:
                for frame in frames:
                    count += 1
                    yield frame
            finally:
                count += sum(1 for _ in frames)

        with mock.patch.object(video._Decoder, "frames", counting):  # noqa: SLF001
            rows.append(staa.decode(source, wanted, limits=LIMITS).indices)
        counts.append(count)
    return rows, counts


def compare(name: str, source: bytes, ways: dict[str, Way], options: argparse.Namespace) -> None:
    """Let all ways take turns on one clip, and print its rows."""
    try:
        rows, counts = plan(source)
    except staa.StaaError as error:
        report(f"{name} is left out: {error}")
        return
    best = {way: [float("inf")] * len(rows) for way in ways}
    total, turns, deadline = 0, 0, time.monotonic() + options.seconds
    while turns < options.turns and (turns == 0 or time.monotonic() < deadline):
        turns += 1
        found: dict[str, list[Turn]] = {}
        for way, decode in ways.items():
            report(f"{name}: turn {turns}, {way}")
            found[way] = decode(source, rows)
            best[way] = [min(pair) for pair in zip(best[way], (turn.seconds for turn in found[way]), strict=True)]
        if turns == 1:
            same(name, found[ALL], found[OURS])
            total = found[ALL][0].decoded
    for i, wanted in enumerate(WANTED):
        cells = [name, f"{len(source) / 1e6:.1f}", wanted, turns, *(f"{best[way][i] * 1e3:.1f}" for way in ways)]
        cells += [f"{best[OURS][i] / best[way][i]:.2f}" for way in ways if way != OURS]
        print("|", " | ".join(map(str, [*cells, total, counts[i]])), "|", flush=True)


def same(name: str, expected: list[Turn], got: list[Turn]) -> None:
    """Check that two ways gave the same frames; those that one of them turned for display are not compared."""
    for one, other in zip(expected, got, strict=True):
        a, b = one.frames[:, ::8, ::8], other.frames[:, ::8, ::8]
        if a.shape == b.shape and np.abs(a.astype(int) - b).mean() > 1:
            msg = f"{name}: the ways give different frames"
            raise RuntimeError(msg)


def report(line: str) -> None:
    """Tell the progress."""
    print(line, file=sys.stderr, flush=True)


def _timed(decode: Callable[[], Frames]) -> Turn:
    began = time.perf_counter()
    frames = decode()
    return Turn(time.perf_counter() - began, frames)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--folder", type=Path, default=Path(tempfile.gettempdir()) / "staa-decode", help="of long clips"
    )
    parser.add_argument("--cores", type=int, default=0, help="that all ways may use; 0 is all of them")
    parser.add_argument("--turns", type=int, default=10, help="at most")
    parser.add_argument("--seconds", type=float, default=60, help="no turn but the first starts later, for each clip")
    parser.add_argument("--only", default="", help="part of a clip's name")
    options = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))[: options.cores or None]
    os.sched_setaffinity(0, cores)
    ways: dict[str, Way] = {ALL: decode_all, OURS: decode_ours}
    versions = f"PyAV {av.__version__} with FFmpeg {av.ffmpeg_version_info}, "
    try:
        other = importlib.import_module("torchcodec")
        importlib.import_module("torchcodec.decoders")
    except (ImportError, OSError, RuntimeError) as error:
        report(f"no torchcodec: {str(error).strip().splitlines()[0]}")
        versions += "no torchcodec"
    else:
        ways[OTHER] = decode_torchcodec
        versions += f"torchcodec {other.__version__} with FFmpeg {other.ffmpeg_major_version}"
    print(
        f"{platform.machine()} CPU, {len(cores)} cores, threads of all ways: FFmpeg's choice for these cores, ", end=""
    )
    print(f"{versions}, {time.strftime('%Y-%m-%d')}, fastest of up to {options.turns} turns\n")
    heads = ["clip", "MB", "wanted", "turns", *(f"{way} ms" for way in ways)]
    heads += [f"ours / {way}" for way in ways if way != OURS]
    heads += [f"frames decoded: {way}" for way in (ALL, OURS)]
    print("|", " | ".join(heads), "|\n|" + " --- |" * len(heads), flush=True)
    if not CLIPS.is_dir():
        report(f"no real clips: {CLIPS} is not there")
    for path in sorted(CLIPS.glob("*.m[pko][4v]")):
        if options.only in path.name:
            compare(path.name, path.read_bytes(), ways, options)
    for long in LONG:
        if options.only in str(long):
            compare(str(long), generate(long, options.folder).read_bytes(), ways, options)


if __name__ == "__main__":
    main()
