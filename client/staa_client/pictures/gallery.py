"""Writes the gallery of many videos: one HTML file with a thumbnail, labels and the verdict of each, offline."""

import html
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

import numpy as np
from PIL import Image

from staa_client.pictures.badge import Badge, Tone
from staa_client.pictures.html_page import Assets, jpeg_address
from staa_client.pictures.layer import Layer, absence_words, score_words
from staa_client.pictures.overlay import paint_alone, paint_over
from staa_client.results.explanation import Explanation
from staa_client.results.maps import scaled_box
from staa_client.results.result import Prediction, Result
from staa_client.video.pictures_of import frames_at
from staa_client.video.source import Source

_ASSETS: Final = Assets("staa_client.pictures")
_SIZE: Final = (320, 240)
"""The most pixels of a thumbnail, (width, height)."""
_RANKS: Final[dict[Tone, int]] = {"bad": 0, "doubtful": 1, "unknown": 2, "good": 3}
"""The order of verdicts, worst first; a video without a verdict comes behind them, and one without an answer last."""
GENERATOR: Final = '<meta name="generator" content="staa gallery">'
"""What says in a page that it is such a gallery."""
_LABELS: Final = 3
"""The most labels of a video."""


@dataclass(frozen=True, slots=True)
class Tile:
    """Holds one video of a gallery."""

    name: str
    """The path or URL of the video."""
    predictions: tuple[Prediction, ...] = ()
    """Strongest first."""
    badge: Badge | None = None
    """The verdict on its map; None without a map."""
    page: str | None = None
    """The name of its report, beside the gallery; None without one."""
    thumbnail: bytes | None = None
    """A JPEG; None if the video cannot be shown."""
    error: str = ""
    """Why there is no answer, or no report."""
    about: str = ""
    """What a reader must know of the model; empty if it says nothing."""
    subject: str = ""
    """What a class map shows, and of which class; empty for a map of attention."""
    why_not: str = ""
    """Why there is no map, if rules left the video out."""
    notes: tuple[str, ...] = ()
    """What was done to the video beyond plain decoding, and what else a reader of its map must know."""

    @property
    def score(self) -> float:
        """Return the score of the best label, 0 to 1; -1 without one."""
        return self.predictions[0].score if self.predictions else -1.0

    @property
    def rank(self) -> int:
        """Return the place of the verdict in the order of verdicts, worst first."""
        if self.badge is None:
            return len(_RANKS) + bool(self.error)
        return _RANKS[self.badge.tone]


def render_gallery(tiles: Sequence[Tile], title: str) -> str:
    """Return the gallery as HTML text, its videos in the order given; its reader may sort them."""
    failed = sum(bool(tile.error) and not tile.predictions for tile in tiles)
    videos = f"{len(tiles)} video{'' if len(tiles) == 1 else 's'}"
    values = {
        "title": html.escape(title),
        "generator": GENERATOR,
        "counts": videos + (f", {failed} without an answer" if failed else ""),
        "style": _ASSETS.read("gallery.css"),
        "tiles": "\n".join(_tile_html(tile) for tile in tiles),
        **_ASSETS.script(("gallery.js",)),
    }
    return _ASSETS.fill("gallery.html", values)


def thumbnail_of(answer: Result | Explanation, source: Source | None) -> bytes | None:
    """Return a JPEG of the video with the map of its strongest step, or of the middle of a clip without a map.

    Without the frames, or the extra `video`, it is the map alone; None if there is none either.

    Raises:
        OSError, ValueError: the video cannot be read.
    """
    step = int(np.argmax(answer.temporal)) if isinstance(answer, Explanation) else 0
    steps = len(answer.temporal) if isinstance(answer, Explanation) else 1
    count = len(answer.clip.frames)
    position = min((2 * step + 1) * count // (2 * steps), count - 1)
    frame = None
    if source is not None:
        try:
            frame = Image.fromarray(frames_at(source, answer.clip.frames[position : position + 1])[0])
        except ImportError:  # drawn without it
            frame = None
    if isinstance(answer, Explanation):
        layer = Layer(answer)
        size = frame.size if frame else (answer.clip.width, answer.clip.height)
        box = scaled_box(answer.box, (answer.clip.width, answer.clip.height), size)
        if frame is None:
            frame = paint_alone(size, layer.values[step], box, layer.scale)
        else:
            frame = paint_over(frame, layer.values[step], box, opacity=layer.look.alpha, scale=layer.scale)
    if frame is None:
        return None
    frame.thumbnail(_SIZE, Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    frame.save(buffer, "JPEG", quality=80)
    return buffer.getvalue()


def _tile_html(tile: Tile) -> str:
    """Return the HTML of one video; every text in it is escaped."""
    name = html.escape(tile.name)
    picture = '<div class="nothing">no picture</div>'
    if tile.thumbnail is not None:
        picture = f'<img alt="" loading="lazy" src="{jpeg_address(tile.thumbnail)}">'
    heading = f"{picture}<h2>{name}</h2>"
    if tile.page is not None:
        heading = f'<a href="{html.escape(quote(tile.page))}">{heading}</a>'
    labels = "".join(
        f"<li><span>{html.escape(guess.label)}</span> <b>{html.escape(score_words(guess))}</b></li>"
        for guess in tile.predictions[:_LABELS]
    )
    parts = [heading]
    if labels:
        parts.append(f'<ol class="labels">{labels}</ol>')
    if absent := absence_words(tile.predictions):
        parts.append(f'<p class="about">{html.escape(absent)}</p>')
    if labels and tile.about:
        parts.append(f'<p class="about">{html.escape(tile.about)}</p>')
    if tile.subject:
        parts.append(f'<p class="subject">Map: {html.escape(tile.subject)}</p>')
    if tile.why_not:
        parts.append(f'<p class="why-not">Not explained: {html.escape(tile.why_not)}</p>')
    if tile.badge is not None:
        words, sentence = html.escape(tile.badge.words), html.escape(tile.badge.sentence)
        parts.append(f'<p class="trust {tile.badge.tone}"><b>{words}</b> <span>{sentence}</span></p>')
    parts += [f'<p class="note">Note: {html.escape(note)}</p>' for note in tile.notes]
    if tile.error:
        parts.append(f'<p class="error">{html.escape(tile.error)}</p>')
    return f'<li class="tile" data-score="{tile.score:.6f}" data-verdict="{tile.rank}">{"".join(parts)}</li>'
