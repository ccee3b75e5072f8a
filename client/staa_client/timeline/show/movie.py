"""Writes the movie of a timeline: the whole video with its tracks below, and a mark at the present time."""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from staa_client.pictures.letters import fit_text, font_of, load_font, wrap_text
from staa_client.pictures.movies.h264 import PictureTrack
from staa_client.pictures.movies.movie_page import ENLARGED
from staa_client.pictures.overlay import round_seconds
from staa_client.timeline.result import Timeline
from staa_client.video.frames import Frame, Frames, smaller
from staa_client.video.pictures_of import in_order, require_extra
from staa_client.video.source import Source

RATE = 25.0
"""The most pictures for one second of video."""
MOST_PICTURES = 20_000
"""The most pictures of a movie: of a longer video there are fewer a second."""
LONGEST_EDGE = 960
"""The longer edge of the video in a movie, in pixels."""
LEAST_WIDTH = 480
"""The least width of a movie in pixels, for the letters below a small video."""
_ROW, _AXIS, _ABOUT, _MARGIN = 26, 24, 20, 8
_GROUND, _INK, _SOFT, _MARK = (24, 24, 32), (236, 236, 242), (150, 152, 165), (255, 255, 255)
_COLOURS = ((141, 147, 214), (255, 138, 117), (112, 214, 158), (242, 184, 92), (205, 150, 240), (90, 200, 210))


def write(timeline: Timeline, target: Path, tracks: int) -> None:
    """Write the mp4; the pictures are decoded, drawn and encoded one by one, so that memory does not grow.

    Raises:
        ImportError: the extra `video` is missing.
        ValueError: the timeline has no video any more.
        OSError: the video cannot be read.
    """
    require_extra("movies as .mp4", "; .html shows the same")
    import av  # noqa: PLC0415  # an optional extra

    if timeline.source is None:
        raise ValueError("a movie needs the video itself, which this timeline has not: make the timeline of a file")
    rate = min(RATE, timeline.fps, MOST_PICTURES / max(timeline.duration, 1e-3))
    size = smaller(timeline.size, LONGEST_EDGE)
    enlarged = max(1.0, ENLARGED / max(size))  # as in the movie of a map
    size = round(size[0] * enlarged), round(size[1] * enlarged)
    strip = TrackStrip(timeline, timeline.tracks(tracks), max(size[0], LEAST_WIDTH))
    width, height = strip.picture.width // 2 * 2, (size[1] + strip.picture.height) // 2 * 2
    left = (width - size[0]) // 2
    with av.open(str(target.absolute()), "w", format="mp4", options={"movflags": "+faststart"}) as container:
        track = PictureTrack(container, (width, height), rate, {"crf": "23"})
        for second, frame in _frames(timeline.source, size, rate):
            page = Image.new("RGB", (width, height), _GROUND)
            page.paste(Image.fromarray(frame).resize(size), (left, 0))
            page.paste(strip.at(second), (0, size[1]))
            track.add(second, np.asarray(page))
        track.finish()


def _frames(source: Source, size: tuple[int, int], rate: float) -> Iterator[tuple[float, Frame]]:
    """Yield the frames of the video in their order, at most `rate` a second, each with its second."""
    if isinstance(source, Frames):
        yield from zip(source.seconds.tolist(), source.images, strict=True)
        return
    yield from in_order(source, 0, None, lambda _: size, rate)


class TrackStrip:
    """Draws the tracks below a frame: once without the mark, and a mark for each moment."""

    def __init__(self, timeline: Timeline, classes: list[int], width: int) -> None:
        self._timeline, self._classes = timeline, classes
        self._left = min(150, width // 4)
        self._width = width
        self.picture = self._draw()

    def x_of(self, second: float) -> float:
        """Return the place of a second in the strip, pixels."""
        share = second / max(self._timeline.duration, 1e-9)
        return self._left + min(max(share, 0.0), 1.0) * (self._width - self._left - _MARGIN)

    def at(self, second: float) -> Image.Image:
        """Return the strip with a mark at a second; spans that go on there are named by brighter bars."""
        picture = self.picture.copy()
        x = self.x_of(second)
        ImageDraw.Draw(picture).line([(x, 0), (x, len(self._classes) * _ROW)], _MARK, 2)
        return picture

    def _draw(self) -> Image.Image:
        timeline, wide = self._timeline, self._width - 2 * _MARGIN
        said = [text for text in (timeline.model.about, *timeline.notes) if text]
        about = [line for text in said for line in wrap_text(text, 12, wide)]
        height = len(self._classes) * _ROW + _AXIS + _ABOUT * len(about)
        picture = Image.new("RGB", (self._width, height), _GROUND)
        pen = ImageDraw.Draw(picture)
        middles, curves = timeline.middles, timeline.curves
        for row, class_id in enumerate(self._classes):
            top, floor, colour = row * _ROW, (row + 1) * _ROW - 4, _COLOURS[row % len(_COLOURS)]
            label = timeline.labels[class_id]
            pen.text((_MARGIN, top + 5), fit_text(label, 13, self._left - 12), _INK, font_of(label, 13))
            for span in timeline.known:
                if span.class_id == class_id:
                    start = self.x_of(span.start)
                    pen.rectangle([start, top + 4, max(self.x_of(span.end), start + 2), floor], colour)
            heights = floor - curves[:, class_id] * (_ROW - 8)
            points = list(zip(map(self.x_of, middles.tolist()), heights.tolist(), strict=True))
            if points[1:]:
                pen.line([*chain.from_iterable(points)], _SOFT, 1)
        floor = len(self._classes) * _ROW
        for second in round_seconds(0.0, max(timeline.duration, 0.1)):
            pen.line([(self.x_of(second), floor), (self.x_of(second), floor + 4)], _SOFT)
            pen.text((self.x_of(second), floor + 6), f"{second:g}", _SOFT, load_font(11), anchor="ma")
        for row, text in enumerate(about):
            place = _MARGIN, floor + _AXIS + row * _ABOUT
            pen.text(place, text, _INK, font_of(text, 12))
        return picture
