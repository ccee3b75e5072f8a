"""Writes movies of maps: `.mp4` with every frame of the clip, and `.gif`, which plays anywhere."""

import io
import itertools
import math
from collections.abc import Sequence

import numpy as np
from PIL import Image

from staa_client.pictures.clip_frames import ClipFrames
from staa_client.pictures.colours import cover_table_of
from staa_client.pictures.layer import Layer, layers_of
from staa_client.pictures.movies.h264 import PictureTrack
from staa_client.pictures.movies.movie_page import MoviePage, Size, lay_out
from staa_client.results.save_job import SaveJob
from staa_client.video.pictures_of import require_extra
from staa_client.video.source import Source

MOST_MAPS = 6
"""The most maps side by side in one movie."""
MOST_FRAMES = 9000
"""The most frames of an mp4, five minutes at 30 frames/s; of a longer clip only every second, third, ... is drawn."""
MP4_SIZE, MP4_SEVERAL = (1280, 1280), (1920, 1280)
"""The largest (width, height) of an mp4 whose texts are short, in pixels, for one map and for several."""
GIF_SIZE, GIF_SEVERAL = (480, 480), (720, 720)
"""The largest (width, height) of a GIF whose texts are short, in pixels, for one map and for several.

With larger ones, real clips would have fewer colours and pictures to stay below `GIF_BYTES`.
"""
GIF_RATE, GIF_FRAMES = 12.0, 240
"""The most pictures per second, and in all; a long clip has fewer per second."""
GIF_BYTES = 3_000_000
"""The most bytes of a GIF."""
_GIF_QUALITIES = (
    (255, 6, 1, 1),
    (128, 9, 1, 1),
    (96, 12, 1, 1),
    (64, 18, 1, 1),
    (64, 18, 2, 1),
    (48, 24, 2, 1),
    (32, 32, 3, 1),
    (24, 40, 4, 1),
    (24, 40, 4, 2),
    (16, 64, 8, 4),
)
"""Tried in turn: colours, the largest difference to the picture before that is left as it was, of how many pictures one
is kept, and by what edges are divided. The last one is below GIF_BYTES whatever the pictures show."""
_LONGEST = 0xFFFF
"""The longest time, in hundredths of a second, that a GIF can show a picture: 11 minutes."""


def write_mp4(job: SaveJob, most_frames: int = MOST_FRAMES) -> None:
    """Write an mp4 (H.264, yuv420p, the index first) with the maps over every frame from the clip's first to its last.

    The map is interpolated in time, and each frame keeps its time in the source. Frames are decoded, drawn and encoded
    one by one, so that memory does not grow with the length.

    Args:
        job: The explanations, their look, and the file.
        most_frames: If a clip has more frames, only every second, third, ... one is drawn.

    Raises:
        ImportError: the extra `video` is missing.
        ValueError: too many maps, or the source is not the video that was explained.
    """
    require_extra("movies as .mp4", "; .gif and .html show the same")
    import av  # noqa: PLC0415  # an optional extra

    layers, source, progress = layers_of(job), job.source, job.progress
    clip = layers[0].explanation.clip
    page = _page(layers, source, MP4_SEVERAL if layers[1:] else MP4_SIZE)
    clip_frames = ClipFrames(source, clip)
    if len(clip_frames) > most_frames:
        clip_frames = ClipFrames(source, clip, clip_frames.rate / math.ceil(len(clip_frames) / most_frames))
    with av.open(str(job.target.absolute()), "w", format="mp4", options={"movflags": "+faststart"}) as container:
        track = PictureTrack(container, page.layout.size, clip_frames.rate, {"crf": "20"})
        done, start = 0, float(clip.times[0])
        for done, (second, picture) in enumerate(clip_frames.pictures(page.layout.frame), 1):
            track.add(second - start, np.asarray(page.draw(second, picture)))
            if progress:
                progress(done, max(done, len(clip_frames)))
        track.finish()
    if progress:
        progress(done, done)


def write_gif(job: SaveJob) -> None:
    """Write a GIF that loops: at most 12 pictures a second, 240 in all and 480 pixels (720 for several maps).

    Long texts need more height. It stays below 3 MB: with fewer colours, less noise in still parts, then fewer
    pictures, and at last smaller ones.

    Raises:
        ImportError: the extra `video` is missing, and the source is a video.
        ValueError: too many maps, or the source is not the video that was explained.
    """
    layers, source, progress = layers_of(job), job.source, job.progress
    clip = layers[0].explanation.clip
    page = _page(layers, source, GIF_SEVERAL if layers[1:] else GIF_SIZE)
    length = ClipFrames(source, clip).length
    clip_frames = ClipFrames(source, clip, min(GIF_RATE, GIF_FRAMES / length))
    seconds: list[float] = []
    pictures: list[Image.Image] = []
    for second, picture in clip_frames.pictures(page.layout.frame):
        seconds.append(second)
        pictures.append(page.draw(second, picture))
        if progress:
            progress(len(seconds), max(len(seconds), len(clip_frames)))
    if progress:
        progress(len(seconds), len(seconds))
    data, scales = b"", {layer.scale for layer in layers}
    for colours, tolerance, every, divided in _GIF_QUALITIES:
        ends = [*seconds[every::every], seconds[0] + length]
        chosen = [picture.reduce(divided) for picture in pictures[::every]] if divided > 1 else pictures[::every]
        data = _encode_gif(chosen, [end - seconds[0] for end in ends], scales, colours, tolerance)
        if len(data) <= GIF_BYTES:
            break
    job.target.write_bytes(data)


def _encode_gif(
    pictures: Sequence[Image.Image], ends: Sequence[float], scales: set[str], colours: int, tolerance: int
) -> bytes:
    """Return a GIF of pictures, with one palette for all of them; `ends` are the seconds at which each one ends.

    A pixel that changes by at most `tolerance`, 0 to 255, is left unchanged, so that noise needs no bytes.
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
    durations = [min(max(after - mark, 2), _LONGEST) * 10 for mark, after in itertools.pairwise(marks)]
    buffer = io.BytesIO()
    frames[0].save(
        buffer, "GIF", save_all=True, append_images=frames[1:], duration=durations, loop=0, optimize=True, disposal=1
    )
    return buffer.getvalue()


def _palette(pictures: Sequence[Image.Image], scales: set[str], colours: int) -> Image.Image:
    """Return a picture with a palette for all pictures, which includes the rare but important colours of maps."""
    sample = pictures[:: max(len(pictures) // 6, 1)]
    width, height = pictures[0].size
    scale_height = max(height // 2, 1)
    montage = Image.new("RGB", (width, height * len(sample) + scale_height * len(scales)))
    for row, picture in enumerate(sample):
        montage.paste(picture, (0, row * height))
    for row, scale in enumerate(sorted(scales)):
        block = Image.fromarray(cover_table_of(scale)[None]).resize((width, scale_height))
        montage.paste(block, (0, height * len(sample) + row * scale_height))
    return montage.quantize(colours, Image.Quantize.MEDIANCUT)


def _page(layers: Sequence[Layer], source: Source | None, most: Size) -> MoviePage:
    """Return the page that draws the pictures, as large as `most` allows.

    Raises:
        ValueError: there are too many maps.
    """
    if len(layers) > MOST_MAPS:
        raise ValueError(f"a movie shows at most {MOST_MAPS} maps, got {len(layers)}: save a .html, or several movies")
    clip = layers[0].explanation.clip
    layout = lay_out((clip.width, clip.height), len(layers), most)
    return MoviePage(layers, layout, "drawn without frames" if source is None else "")
