"""Files that took FFmpeg's memory or time, through a pool: answered or refused in time, and the parent stays small."""

import resource
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from staa_video import LIMITS, Limits, decode, errors
from staa_video.pool import Pool
from tests.made import hostile, videos

CASES = Path(__file__).parents[3] / "shared" / "cases"
SECONDS = 5.0
LIMITED = replace(LIMITS, seconds=SECONDS)
HOSTILE = [
    *("av1_200_frames_in_one_packet.mkv", "mjpeg_2000_scans.mp4", "mjpeg_with_exif.mp4", "metadata-ogg_comments.bin"),
    *("metadata-mp4_keys.bin", "memory-chapters.bin", "animated.avif", "unknown_codec.mp4", "mjpeg_exif.avi"),
]


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    """Return a pool of one child."""
    with Pool(1, LIMITED) as pool:
        yield pool


def check(pool: Pool, source: bytes, limits: Limits) -> None:
    """Check that a source is answered or refused in its time, and costs the process that asked nothing."""
    process = psutil.Process()
    before, began = process.memory_info().rss, time.monotonic()
    try:
        clip = pool.decode(source, 2, None, None, limits, lambda image, _: image[::8, ::8])
    except errors.StaaError as error:
        assert error.status in {413, 415, 422}  # noqa: PT017 - not every one is refused
    else:
        assert len(clip.frames) == 2
    assert time.monotonic() - began < SECONDS + 1
    assert process.memory_info().rss < before + 2**26


@pytest.mark.skipif(not CASES.is_dir(), reason="no ../shared/cases")
@pytest.mark.parametrize("name", HOSTILE)
def test_a_case(pool: Pool, name: str) -> None:
    """It is answered or refused by itself, and the next video is answered."""
    pool.start()
    check(pool, (CASES / name).read_bytes(), LIMITED)
    pool.start()
    assert len(pool.decode(videos.encode(videos.images(3)), 2).frames) == 2


MADE: dict[str, Callable[[], bytes]] = {
    "AVI of 60,000 entries": lambda: hostile.avi_names(60_000),
    "Matroska of 40,000 tags": lambda: hostile.matroska_tags(40_000),
    "Matroska of 100,000 chapters": lambda: hostile.matroska_chapters(100_000),
    "Matroska of 200,000 cues": lambda: hostile.matroska_cues(200_000),
    "MP4 of 60,000 names": lambda: hostile.mp4_names(60_000),
    "MP4 of 300,000 fragments and 30 tracks": lambda: hostile.mp4_fragments(300_000, 30),
    "MP4 of a million chapters": lambda: hostile.mp4_chapters(1_000_000),
    "200,000 scans": lambda: hostile.scans(200_000),
    "32 streams of VP9": lambda: hostile.streams(32, 4096),
    "1,000 frames of AV1 in a packet": lambda: hostile.one_packet(1000),
}


@pytest.mark.parametrize("name", MADE)
def test_more_of_the_kind(name: str) -> None:
    """Files that take FFmpeg more still, which a child with 256 MiB meets: the same holds."""
    low = replace(LIMITED, memory=2**28)
    with Pool(1, low) as pool:
        check(pool, MADE[name](), low)


def test_pictures_too_large_for_a_look() -> None:
    """A container of them is refused for its pixels, and none is decoded to know it."""
    source = hostile.streams(8, 4096)
    limits = replace(LIMITED, pixels=64 * 48)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(errors.TooManyPixelsError, match="4096x4096"):
        decode(source, 2, None, None, limits)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < before + 2**15
