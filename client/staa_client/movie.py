"""Movies of maps: `.mp4` with every frame of the clip, and `.gif`, which plays anywhere."""

import io
import itertools
import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image

from staa_client._board import Board, plan
from staa_client._colours import table
from staa_client._layer import Layer
from staa_client._reel import EXTRA, Reel, Source
from staa_client._result import ClipInfo

Progress = Callable[[int, int], None]
"""Called with how many pictures are done, and how many there will be."""

MOST_MAPS = 6
"""Side by side in one movie."""
MOST_FRAMES = 9000
"""Of an mp4, five minutes at 30 frames/s: of a longer clip every second, third, ... frame is drawn."""
MP4_SIZE, MP4_SEVERAL = (1280, 1280), (1920, 1280)
"""(width, height) in pixels, at most: of one map, and of several together."""
GIF_SIZE, GIF_SEVERAL = (480, 480), (720, 720)
"""The same of a GIF."""
GIF_RATE, GIF_FRAMES = 12.0, 240
"""Pictures a second and in all, at most: of a long clip there are fewer a second."""
GIF_BYTES = 3_000_000
_RUNGS = ((255, 6, 1), (128, 9, 1), (96, 12, 1), (64, 18, 1), (64, 18, 2), (48, 24, 2), (32, 32, 3), (24, 40, 4))
"""Colours, largest difference to the picture before that is left as it was, and every how manieth picture is kept."""
_TICKS = 90_000
"""Of an mp4's clock, a second: keeps the times of any source to 11 microseconds."""


def film(layers: Sequence[Layer], source: Source, target: Path, progress: Progress | None = None) -> None:
    """Write an mp4 (H.264, yuv420p, the index first) with the maps over every frame from the clip's first to its last.

    The map is interpolated in time, and each frame keeps the time that it has in the source. Frames are decoded, drawn
    and encoded one by one: memory does not grow with the length.

    Raises:
        ImportError: the package `av` is missing.
        ValueError: too many maps, or the source is not the video that was explained.
    """
    try:
        import av  # noqa: PLC0415  # an optional extra
    except ImportError as reason:
        msg = f"movies as .mp4 {EXTRA}; .gif and .html show the same"
        raise ImportError(msg) from reason
    clip = _checked(layers)
    reel = Reel(source, clip)
    if len(reel) > MOST_FRAMES:
        reel = Reel(source, clip, reel.rate / math.ceil(len(reel) / MOST_FRAMES))
    board = Board(
        layers, plan((clip.width, clip.height), len(layers), MP4_SEVERAL if layers[1:] else MP4_SIZE), _note(source)
    )
    with av.open(str(target.absolute()), "w", format="mp4", options={"movflags": "+faststart"}) as container:
        rate = Fraction(reel.rate).limit_denominator(1001)
        stream = container.add_stream("libx264", rate=rate, options={"preset": "veryfast", "crf": "20"})
        stream.width, stream.height = board.plan.size
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = Fraction(1, _TICKS)
        stream.codec_context.color_range = av.video.reformatter.ColorRange.MPEG
        stream.codec_context.colorspace = stream.codec_context.color_primaries = stream.codec_context.color_trc = (
            1  # BT.709
        )
        reformatter = av.video.reformatter.VideoReformatter()
        done, begin = 0, float(clip.times[0])
        for done, (second, picture) in enumerate(reel.shots(board.plan.frame), 1):
            drawn = av.VideoFrame.from_ndarray(np.asarray(board.at(second, picture)), format="rgb24")
            frame = reformatter.reformat(drawn, format="yuv420p", dst_colorspace=av.video.reformatter.Colorspace.ITU709)
            frame.pts, frame.time_base = round((second - begin) * _TICKS), Fraction(1, _TICKS)
            container.mux(stream.encode(frame))
            if progress:
                progress(done, max(done, len(reel)))
        container.mux(stream.encode(None))
    if progress:
        progress(done, done)


def animation(layers: Sequence[Layer], source: Source, progress: Progress | None = None) -> bytes:
    """A GIF that loops: at most 12 pictures a second, 240 in all and 480 pixels (720 for several maps).

    It stays below 3 MB where that is possible: colours, still noise and pictures give way.

    Raises:
        ImportError: the package `av` is missing, and the source is a video.
        ValueError: too many maps, or the source is not the video that was explained.
    """
    clip = _checked(layers)
    length = Reel(source, clip).length
    reel = Reel(source, clip, min(GIF_RATE, GIF_FRAMES / length))
    board = Board(
        layers, plan((clip.width, clip.height), len(layers), GIF_SEVERAL if layers[1:] else GIF_SIZE), _note(source)
    )
    seconds: list[float] = []
    pictures: list[Image.Image] = []
    for second, picture in reel.shots(board.plan.frame):
        seconds.append(second)
        pictures.append(board.at(second, picture))
        if progress:
            progress(len(seconds), max(len(seconds), len(reel)))
    if progress:
        progress(len(seconds), len(seconds))
    data, scales = b"", {layer.scale for layer in layers}
    for colours, tolerance, every in _RUNGS:
        ends = [*seconds[every::every], seconds[0] + length]
        data = _gif(pictures[::every], [end - seconds[0] for end in ends], scales, colours, tolerance)
        if len(data) <= GIF_BYTES:
            break
    return data


def _gif(
    pictures: Sequence[Image.Image], ends: Sequence[float], scales: set[str], colours: int, tolerance: int
) -> bytes:
    """Pictures with the second at which each ends, in one palette for all of them.

    A pixel that changes by no more than `tolerance`, 0 to 255, stays as it was: noise of the video costs nothing.
    """
    palette = _palette(pictures, scales, colours - 1)  # one is left for "as it was"
    before = np.asarray(pictures[0], np.int16)
    frames: list[Image.Image] = []
    for picture in pictures:
        now = np.asarray(picture, np.int16)
        changed = np.abs(now - before).max(-1, keepdims=True) > tolerance
        before = np.where(changed, now, before) if frames else now
        frames.append(Image.fromarray(before.astype(np.uint8)).quantize(palette=palette, dither=Image.Dither.NONE))
    marks = [0, *(round(end * 100) for end in ends)]  # a GIF counts hundredths of a second
    durations = [max(after - mark, 2) * 10 for mark, after in itertools.pairwise(marks)]
    buffer = io.BytesIO()
    frames[0].save(
        buffer, "GIF", save_all=True, append_images=frames[1:], duration=durations, loop=0, optimize=True, disposal=1
    )
    return buffer.getvalue()


def _palette(pictures: Sequence[Image.Image], scales: set[str], colours: int) -> Image.Image:
    """A picture whose palette serves all pictures, and the colours of the maps, which are rare and matter most."""
    chosen = pictures[:: max(len(pictures) // 6, 1)]
    width, height = pictures[0].size
    share = max(height // 2, 1)
    montage = Image.new("RGB", (width, height * len(chosen) + share * len(scales)))
    for number, picture in enumerate(chosen):
        montage.paste(picture, (0, number * height))
    for number, scale in enumerate(sorted(scales)):
        block = Image.fromarray(table(scale)[None]).resize((width, share))
        montage.paste(block, (0, height * len(chosen) + number * share))
    return montage.quantize(colours, Image.Quantize.MEDIANCUT)


def _note(source: Source) -> str:
    return "drawn without frames" if source is None else ""


def _checked(layers: Sequence[Layer]) -> ClipInfo:
    if len(layers) > MOST_MAPS:
        msg = f"a movie shows at most {MOST_MAPS} maps, got {len(layers)}: save a .html, or several movies"
        raise ValueError(msg)
    return layers[0].explanation.clip
