"""Videos of many containers and codecs, damaged, for the processes that decode: each an answer or an error in time."""

import logging
import math
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial

import psutil

from staa_video import Limits, StaaError
from staa_video.pool import Pool
from tests.fuzz.kinds import Check, Finding, Kind
from tests.fuzz.mutations import mutate
from tests.made import awkward, hostile, videos

LIMITS = Limits(seconds=2, threads=1, memory=512 * 2**20)
LATE = 1.0
"""Seconds over those of the limits until an answer must be there."""
BUSY = 1.5
"""Seconds more for a machine that does other work, before a late answer is a finding."""
GROWTH = 400e6
"""Bytes by which this process may grow, whatever is decoded in the others."""
EVERY = 25
"""After so many inputs a good video must be answered rightly."""

QUICK = {"deadline": "realtime", "cpu-used": "8"}
X265 = {"x265-params": "log-level=none:keyint=8"}
FORMS: dict[str, tuple[str, str, str, dict[str, str], dict[str, str]]] = {
    "mp4 h264": ("mp4", "libx264", "yuv420p", {"g": "8"}, {}),
    "mp4 h264 fragments": ("mp4", "libx264", "yuv420p", {"g": "8"}, {"movflags": "frag_keyframe+empty_moov"}),
    "mp4 h264 frames": ("mp4", "libx264", "yuv420p", {"g": "8"}, {"movflags": "frag_every_frame+empty_moov"}),
    "mp4 hevc": ("mp4", "libx265", "yuv420p", X265, {}),
    "mp4 av1": ("mp4", "libsvtav1", "yuv420p", {"preset": "12"}, {}),
    "mp4 mpeg4": ("mp4", "mpeg4", "yuv420p", {}, {}),
    "mov prores": ("mov", "prores_ks", "yuv422p10le", {}, {}),
    "mov mjpeg": ("mov", "mjpeg", "yuvj420p", {}, {}),
    "mov qtrle": ("mov", "qtrle", "rgb24", {}, {}),
    "mov png": ("mov", "png", "rgb24", {}, {}),
    "matroska h264": ("matroska", "libx264", "yuv420p", {"g": "8"}, {}),
    "matroska ffv1": ("matroska", "ffv1", "yuv420p", {}, {}),
    "matroska hevc": ("matroska", "libx265", "yuv420p", X265, {}),
    "webm vp8": ("webm", "libvpx", "yuv420p", QUICK, {}),
    "webm vp9": ("webm", "libvpx-vp9", "yuv420p", QUICK, {}),
    "ts h264": ("mpegts", "libx264", "yuv420p", {"g": "8"}, {}),
    "ts mpeg2": ("mpegts", "mpeg2video", "yuv420p", {"g": "8"}, {}),
    "avi mpeg4": ("avi", "mpeg4", "yuv420p", {"bf": "2"}, {}),
    "avi mjpeg": ("avi", "mjpeg", "yuvj420p", {}, {}),
    "avi raw": ("avi", "rawvideo", "yuv420p", {}, {}),
    "avi huffyuv": ("avi", "huffyuv", "yuv422p", {}, {}),
    "flv": ("flv", "flv", "yuv420p", {}, {}),
    "flv h264": ("flv", "libx264", "yuv420p", {"g": "8"}, {}),
    "asf wmv2": ("asf", "wmv2", "yuv420p", {}, {}),
    "ogg vp8": ("ogg", "libvpx", "yuv420p", QUICK, {}),
    "gif": ("gif", "gif", "rgb8", {}, {}),
    "apng": ("apng", "apng", "rgb24", {}, {}),
    "mpg": ("mpeg", "mpeg1video", "yuv420p", {}, {}),
    "mxf mpeg2": ("mxf", "mpeg2video", "yuv422p", {"g": "8"}, {}),
    "mxf dnxhd": ("mxf", "dnxhd", "yuv422p", {"profile": "dnxhr_sq"}, {}),
    "ivf vp8": ("ivf", "libvpx", "yuv420p", QUICK, {}),
    "ivf av1": ("ivf", "libsvtav1", "yuv420p", {"preset": "12"}, {}),
    "h264": ("h264", "libx264", "yuv420p", {"g": "8"}, {}),
    "hevc": ("hevc", "libx265", "yuv420p", X265, {}),
    "m2v": ("mpeg2video", "mpeg2video", "yuv420p", {"g": "8"}, {}),
    "3gp h263": ("3gp", "h263", "yuv420p", {}, {}),
}
"""Container, codec, pixels, and options of coding and of muxing."""
SIZES = {"3gp h263": (96, 128), "mxf dnxhd": (144, 256)}
"""(height, width) where a codec does not take every one."""
SMALL: dict[str, Callable[[], bytes]] = {
    "AVI, names in INFO": partial(hostile.avi_names, 300),
    "Ogg, comments": partial(hostile.ogg_comments, 300),
    "Matroska, tags": partial(hostile.matroska_tags, 200),
    "Matroska, chapters": partial(hostile.matroska_chapters, 200),
    "Matroska, cues": partial(hostile.matroska_cues, 200),
    "MP4, names": partial(hostile.mp4_names, 200),
    "MP4, fragments": partial(hostile.mp4_fragments, 200, 8),
    "MP4, chapters": partial(hostile.mp4_chapters, 2000),
    "JPEG, scans": partial(hostile.scans, 40),
    "streams": partial(hostile.streams, 6, 256),
    "AV1, one packet": partial(hostile.one_packet, 10, 256, 144),
    "rotated": partial(awkward.film, degrees=90),
    "two tracks": awkward.two_tracks,
    "cover": awkward.cover_first,
    "palette": awkward.palette,
    "edit list": partial(awkward.film, ticks=list(range(-7, 23))),
    "music": partial(videos.music, cover=True),
}
"""Little of what was hostile in great numbers, and files with rare parts."""


def seed(name: str) -> bytes:
    """Return a good video, or a little one of a hostile kind, by its name."""
    return _made(name)


@cache
def _made(name: str) -> bytes:
    if name in SMALL:
        return SMALL[name]()
    container, codec, pixels, coding, muxing = FORMS[name]
    height, width = SIZES.get(name, (48, 64))
    frames = videos.images(16, height, width)
    muxing = {**hostile.SAME_BYTES, **muxing}
    return videos.encode(frames, container, codec, pixels, coding, rate=25, muxing=muxing)


def make(chance: random.Random) -> bytes:
    """Damage a video."""
    names = [*FORMS, *SMALL]
    name, other = chance.choice(names), chance.choice(names)
    return mutate(chance, seed(name), seed(other))


class Told(logging.Handler):
    """Holds the errors that a pool logs: an exception that is in no tree, or a process that breaks the rules."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.records: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Take a record."""
        self.records.append(record.getMessage()[-1000:])


class Decoder:
    """Holds the processes that decode, and what must be true of them."""

    def __init__(self, pool: Pool, told: "Told") -> None:
        self._pool, self._told = pool, told
        self._host = psutil.Process()
        self._good = awkward.film()
        self._count = 0
        self._grown = 0  # bytes, while inputs were decoded: making them takes memory, too
        self._answer_rightly()

    def __call__(self, data: bytes) -> str:
        """Decode an input; raise Finding for whatever is neither an answer nor an error of the tree, in time."""
        before, began = self._host.memory_info().rss, time.monotonic()
        try:
            clip = self._pool.decode(data, 8, limits=LIMITS)
        except StaaError as error:
            outcome = error.code
            if error.status >= 500:
                raise Finding(f"{error.status} for a caller's bytes: {error!r}") from error
        except Exception as error:
            raise Finding(f"an error in no tree: {error!r}") from error
        else:
            outcome = "answer"
            if len(clip.frames) != 8 or not math.isfinite(clip.duration):
                raise Finding(f"an answer that cannot be: {clip.frames.shape}, {clip.duration} s")
        spent = time.monotonic() - began
        if self._told.records:
            raise Finding(f"{outcome}, and the pool says: {self._told.records.pop()}")
        if spent > LIMITS.seconds + LATE + BUSY:
            raise Finding(f"{outcome} after {spent:.1f} s, {LIMITS.seconds:g} s and {LATE:g} s are allowed")
        self._grown += self._host.memory_info().rss - before
        if self._grown > GROWTH:
            raise Finding(f"this process grew by {self._grown / 1e6:.0f} MB while it waited for what decodes")
        self._count += 1
        if self._count % EVERY == 0 or outcome in {"too_much_memory", "too_slow"}:
            self._answer_rightly()
        return outcome

    def _answer_rightly(self) -> None:
        """Raise Finding unless a good video is decoded to the pictures that it shows."""
        try:
            clip = self._pool.decode(self._good, 8, limits=LIMITS)
        except Exception as error:
            raise Finding(f"the next good video is not decoded: {error!r}") from error
        shown = [awkward.number(frame) for frame in clip.frames]
        if shown != clip.indices.tolist() or not 1.1 < clip.duration < 1.3:
            raise Finding(f"the next good video shows {shown} for {clip.indices.tolist()}")


@contextmanager
def opened() -> Iterator[Check]:
    """Give a check by a pool of two processes."""
    logger, told = logging.getLogger("staa_video.pool"), Told()
    logger.addHandler(told)
    try:
        with Pool(workers=2, limits=LIMITS) as pool:
            yield Decoder(pool, told)
    finally:
        logger.removeHandler(told)


def regressions() -> Iterator[tuple[str, bytes]]:
    """Yield what was found by attacks, at its full size, and the given files where they are there."""
    for name, whole in hostile.KINDS.items():
        yield name.replace(", ", "-").replace(" ", "_"), whole()
    if awkward.SHARED.is_dir():
        for path in sorted(awkward.SHARED.iterdir()):
            if path.suffix not in {".md", ".req"}:
                yield path.name, path.read_bytes()


KIND = Kind("videos", make, opened, regressions)
