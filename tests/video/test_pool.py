"""A pool of processes that decode: the same clips as in-process, errors that travel, and children that are replaced."""

import gc
import os
import pickle
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import psutil
import pytest
from numpy.typing import NDArray

from staa_video import LIMITS, Clip, decode, errors
from staa_video.frames_archive import clip_of
from staa_video.pool import Pool
from staa_video.pool.worker import Worker
from tests.made import archives, videos
from tests.made.waiting import until

READ = "tests.made.readers:read"
VIDEO = videos.encode(videos.images(20))


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    """Return a pool of two children."""
    with Pool(2) as pool:
        yield pool


def assert_same(clip: Clip, other: Clip) -> None:
    """Check that two clips have the same fields, to the bit."""
    for field in fields(Clip):
        mine, its = getattr(clip, field.name), getattr(other, field.name)
        assert np.array_equal(mine, its), field.name
        assert type(mine) is type(its), field.name


@pytest.mark.parametrize("form", ["mp4", "matroska", "avi", "mpegts"])
def test_a_clip_is_that_of_the_same_process(pool: Pool, form: str) -> None:
    """Frames, times, numbers and whatever else a clip has are the same to the bit, scaled or not, by segment or not."""

    def half(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
        assert size == (64, 48)
        return image[::2, ::2]

    source = videos.encode(videos.images(20), form)
    for arguments in ((8,), (30, 0.1, 0.5), (1, None, 0.3, LIMITS, half), (8, None, None, LIMITS, half)):
        assert_same(pool.decode(source, *arguments), decode(source, *arguments))


def test_an_archive_of_frames_is_read_too(pool: Pool) -> None:
    """A child reads what the in-process way reads."""
    source = archives.pack(archives.steady(8), map(archives.encode, archives.greys(8)))
    assert_same(pool.decode(source, 4), clip_of(source, 4))
    notes = [f"{chr(0x1F600) * 199}{number}" for number in range(8)]  # 12 bytes of JSON each
    source = archives.pack(archives.steady(8, notes=notes), map(archives.encode, archives.greys(8)))
    assert_same(pool.decode(source, 4), clip_of(source, 4))


def test_errors_are_those_of_the_same_process(pool: Pool) -> None:
    """Class, code and words travel; the child goes on."""
    pids = set(pool.pids)
    for source, limits in ((b"noise", LIMITS), (VIDEO[:300], LIMITS), (VIDEO, replace(LIMITS, pixels=100, frames=3))):
        with pytest.raises(errors.StaaError) as expected:
            decode(source, 4, limits=limits)
        with pytest.raises(errors.StaaError) as got:
            pool.decode(source, 4, None, None, limits)
        assert (got.type, str(got.value)) == (expected.type, str(expected.value))
    with pytest.raises(errors.OptionError):
        pool.decode(VIDEO, 4, 0.4, 0.2)
    assert set(pool.pids) == pids


def test_a_scale_that_refuses_ends_the_job_alone(pool: Pool) -> None:
    """Its error is the caller's own, whatever it is; the next video finds a child that is in step."""

    def refuse(_image: NDArray[np.uint8], _size: tuple[int, int]) -> NDArray[np.uint8]:
        raise TimeoutError("not this one")

    for _ in range(5):
        with pytest.raises(TimeoutError, match="not this one"):
            pool.decode(VIDEO, 8, None, None, LIMITS, refuse)
        assert_same(pool.decode(VIDEO, 8), decode(VIDEO, 8))


def test_many_at_once(pool: Pool) -> None:
    """More threads than children wait for one another, and each gets the clip of its own video."""
    sources = [videos.encode(videos.images(count)) for count in range(2, 14)]
    with ThreadPoolExecutor(6) as threads:
        clips = list(threads.map(lambda source: pool.decode(source, 3), sources * 2))
    for source, clip in zip(sources * 2, clips, strict=True):
        assert_same(clip, decode(source, 3))
    assert len(pool.pids) == 2


def test_a_child_is_small_and_knows_no_model() -> None:
    """At rest it takes less than 80 MB, and what it may take beyond is bounded by the kernel."""
    with Pool(1) as pool:
        (pid,) = pool.pids
        child = psutil.Process(pid)
        assert child.memory_info().rss < 80e6
        assert child.rlimit(psutil.RLIMIT_AS)[1] <= child.memory_info().vms + LIMITS.memory + 2**20
        assert child.rlimit(psutil.RLIMIT_FSIZE) == child.rlimit(psutil.RLIMIT_CORE) == (0, 0)
        opened = [int(each.name) for each in Path(f"/proc/{pid}/fd").iterdir()]
        assert child.rlimit(psutil.RLIMIT_NOFILE)[1] <= max(opened) + 1, "it opens no further file"
        loaded = Path(f"/proc/{pid}/maps").read_text()
        assert "libtorch" not in loaded
        assert "libavcodec" in loaded
        assert os.getsid(pid) == pid, "a signal of the terminal is for its parent"


def test_a_pool_starts_children_when_they_are_needed() -> None:
    """One that nobody asks has none, nor has one that was pickled; each ends with its pool."""
    pool = Pool(3)
    assert pool.pids == []
    assert_same(pool.decode(VIDEO, 2), decode(VIDEO, 2))
    assert len(pool.pids) == 1
    other = pickle.loads(pickle.dumps(pool))  # noqa: S301 - our own
    assert other.pids == []
    pids = [*pool.pids]
    del pool
    gc.collect()
    until(lambda: not any(psutil.pid_exists(pid) for pid in pids))


def test_a_pool_that_is_closed() -> None:
    """It leaves no process and no file behind, and says so to whoever still asks."""
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - a count
    with Pool(2) as pool:
        pids = pool.pids
    assert not any(psutil.pid_exists(pid) for pid in pids)
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
    with pytest.raises(RuntimeError, match="closed"):
        pool.decode(VIDEO, 2)


@pytest.mark.parametrize("end", ["os._exit(0)", "os.kill(os.getpid(), 9)", "sys.exit()"])
def test_children_end_with_their_parent(end: str) -> None:
    """However it ends, also while a child hangs in C."""
    program = f"""
import os, sys, threading, time
from staa_video.pool import Pool
from staa_video.pool.worker import Worker
pool = Pool(2, read={READ!r})
pool.start()
print(*pool.pids, flush=True)
threading.Thread(target=pool.decode, args=(b"hang", 1), daemon=True).start()
time.sleep(0.3)
{end}
"""
    done = subprocess.run([sys.executable, "-c", program], stdout=-1, timeout=60, check=False, env=os.environ)
    pids = list(map(int, done.stdout.split()))
    assert len(pids) == 2
    until(lambda: not any(psutil.pid_exists(pid) for pid in pids))


def test_a_child_that_cannot_start() -> None:
    """Whoever asks is told at once, and every time."""
    pool = Pool(1, read="tests.made.readers:nothing")
    for _ in range(2):
        with pytest.raises(RuntimeError, match="did not start"):
            pool.decode(VIDEO, 2)
    pool.close()


def test_a_child_that_was_killed_while_it_waited_costs_no_video() -> None:
    """Children that end between two videos, by another's hand, are replaced before the next one, in seconds."""
    with Pool(2) as pool:
        ended = [psutil.Process(pid) for pid in pool.pids]
        for child in ended:
            child.kill()
        until(lambda: all(not child.is_running() or child.status() == psutil.STATUS_ZOMBIE for child in ended))
        began = time.monotonic()
        for _ in range(3):
            assert_same(pool.decode(VIDEO, 2), decode(VIDEO, 2))
        assert time.monotonic() - began < 30
        assert not {child.pid for child in ended} & set(pool.pids)


def test_the_memory_of_pictures_cannot_be_cut_off() -> None:
    """Its parent reads pixels where they lie: what a child could cut off would end its parent, not itself."""
    worker = Worker(LIMITS, READ)
    try:
        size = os.fstat(worker._pictures).st_size
        for other in (0, size - 1, size + 1):
            with pytest.raises(PermissionError):
                os.ftruncate(worker._pictures, other)
        assert os.fstat(worker._pictures).st_size == size
    finally:
        worker.close()


def test_a_child_that_is_first_used_long_after_its_start() -> None:
    """A child that took the place of another, and was wanted by nobody for minutes, is used as any other."""
    worker = Worker(LIMITS, "staa_video.frames_archive:clip_of")
    try:
        until(lambda: worker._channel.recv(4, socket.MSG_PEEK))  # it has said that it is ready
        worker._until = time.monotonic() - 100  # as if it had been started so long ago
        worker.wait_until_ready()
        assert_same(worker.decode(VIDEO, 2, None, None, LIMITS, None), decode(VIDEO, 2))
    finally:
        worker.close()
