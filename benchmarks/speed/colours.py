"""What it costs to make a plain picture of a decoded frame: `python -m benchmarks.speed.colours`, one table.

A frame of noise is converted again and again by `staa_video.picture.Scaler`; the fastest time of the processor counts,
as other work is on the machine. "Smaller" is what a model gets: a picture that is scaled down anyway may be halved
before its colours are converted. The first frame of a kind takes longer, as its table is made.
"""

import sys
import time

import numpy as np
from av.video.frame import VideoFrame

from benchmarks.report import argument_parser, heads, machine, row
from staa_video.picture import Scaler

SIZES = {"160x120": (160, 120), "1080p": (1920, 1080), "4K": (3840, 2160)}
KINDS = {  # format, matrix, primaries and transfer (H.273)
    "SDR, 8 bits": ("yuv420p", 1, 1, 1),
    "SDR, 10 bits": ("yuv420p10le", 1, 1, 1),
    "PQ, 10 bits": ("yuv420p10le", 9, 9, 16),
    "HLG, 10 bits": ("yuv420p10le", 9, 9, 18),
    "Display P3, 8 bits": ("yuv420p", 1, 12, 1),
    "ICtCp, 10 bits": ("yuv420p10le", 14, 9, 16),
}


def frame(size: tuple[int, int], kind: tuple[str, int, int, int]) -> VideoFrame:
    """Return a frame of noise of this (width, height) that names its colours."""
    grain = np.random.default_rng(0).integers(0, 255, (size[1] // 8 + 1, size[0] // 8 + 1, 3), np.uint8)
    image = np.repeat(np.repeat(grain, 8, 0), 8, 1)[: size[1], : size[0]]
    made = VideoFrame.from_ndarray(np.ascontiguousarray(image), "rgb24").reformat(format=kind[0])
    made.colorspace, made.color_primaries, made.color_trc = kind[1:]
    return made


def milliseconds(made: VideoFrame, matrix: int, turns: int, *, smaller: bool) -> tuple[float, float]:
    """Return the least time of a frame, and the time of the first one, in milliseconds of the processor."""
    scaler, times = Scaler(smaller=smaller), []
    for _ in range(turns + 1):
        made.colorspace = matrix
        began = time.process_time()
        scaler(made, None)
        times.append(1000 * (time.process_time() - began))
    return min(times[1:]), times[0]


def main() -> None:
    """Print the table."""
    parser = argument_parser(__doc__)
    parser.add_argument("--turns", type=int, default=20)
    given = parser.parse_args()
    lines = [machine(), heads("frame", "colours", "ms", "smaller ms", "first ms")]
    for name, size in SIZES.items():
        for colours, kind in KINDS.items():
            made = frame(size, kind)
            least, first = milliseconds(made, kind[1], given.turns, smaller=False)
            halved, _ = milliseconds(made, kind[1], given.turns, smaller=True)
            lines.append(row(name, colours, f"{least:.1f}", f"{halved:.1f}", f"{first:.0f}"))
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
