"""A child that was taken over, or that a video broke: its own request is refused in time, and nobody else's."""

import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import psutil
import pytest

from staa_video import LIMITS, decode, errors
from staa_video.pool import Pool
from tests.made import videos
from tests.made.waiting import until

SECONDS = 1.5
LOW = replace(LIMITS, seconds=SECONDS, memory=2**28)
VIDEO = videos.encode(videos.images(20))


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    """Return a pool whose children do what an attacker wants."""
    with Pool(2, LOW, "tests.made.readers:read") as pool:
        yield pool


@pytest.mark.parametrize(
    ("attack", "error"),
    [
        ("segfault", errors.DecodeError),
        ("die", errors.DecodeError),
        ("stumble", errors.DecodeError),
        ("hang", errors.TooSlowError),
        ("spin", errors.TooSlowError),
        ("allocate", errors.TooMuchMemoryError),
        ("many", errors.DecodeError),
        ("nan", errors.DecodeError),
        ("wrong", errors.DecodeError),
        ("huge", errors.TooManyPixelsError),
    ],
)
def test_an_attack_is_its_own_requests_error(pool: Pool, attack: str, error: type[errors.StaaError]) -> None:
    """It is refused within a second of the time that it has, while a neighbour is decoded."""
    # a busy machine must not make another attack look slow
    limits = LOW if error is errors.TooSlowError else replace(LOW, seconds=20)
    with ThreadPoolExecutor(2) as threads:
        pool.start()
        began = time.monotonic()
        hostile = threads.submit(pool.decode, attack.encode(), 1, None, None, limits)
        neighbour = threads.submit(pool.decode, VIDEO, 4)
        with pytest.raises(error) as got:
            hostile.result()
        assert time.monotonic() - began < limits.seconds + 1
        assert type(got.value) is error
        assert "\x1b" not in str(got.value)
        assert (neighbour.result().frames == decode(VIDEO, 4).frames).all()
    pool.start()
    assert len(pool.pids) == 2
    assert (pool.decode(VIDEO, 4).frames == decode(VIDEO, 4).frames).all()


def test_the_parent_does_not_grow(pool: Pool) -> None:
    """Whatever a child takes, the process that asked is as large as before."""
    pool.start()
    before = psutil.Process().memory_info().rss
    for _ in range(3):
        with pytest.raises(errors.TooMuchMemoryError, match="256 MiB"):
            pool.decode(b"allocate", 1, None, None, replace(LOW, seconds=20))
        with pytest.raises((errors.TooMuchMemoryError, errors.DecodeError)):
            pool.decode(b"allocate_in_c", 1, None, None, replace(LOW, seconds=20))
    assert psutil.Process().memory_info().rss < before + 2**25


def test_a_crash_for_want_of_memory_is_told_from_another() -> None:
    """Where the parent is smaller than the bound: a child's peak, as the kernel tells it, begins with its parent's."""
    program = """
from staa_video import LIMITS, errors
from staa_video.pool import Pool
for attack in (b"allocate_in_c", b"segfault"):
    try:
        Pool(1, LIMITS, "tests.made.readers:read").decode(attack, 1)
    except errors.StaaError as error:
        print(error.code)
"""
    done = subprocess.run(
        ["sh", "-c", '"$0" -c "$1"; exit $?', sys.executable, program], stdout=-1, timeout=120, check=False
    )  # by a shell, since the peak of a process begins with that of what started it
    assert done.stdout.split() == [b"too_much_memory", b"video_undecodable"]


def test_what_a_child_can_do(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    """It starts threads and nothing else: no file, socket, program or other process, and no secret of its parent."""
    monkeypatch.setenv("STAA_SECRET", "of the parent")
    with pytest.raises(errors.DecodeError) as got:
        pool.decode(b"look_around", 1)
    assert str(got.value).startswith("did thread; loaded ; environment ")
    assert "SECRET" not in str(got.value)
    assert pool.lacks == []


def test_the_fault_of_a_child_is_logged(pool: Pool, caplog: pytest.LogCaptureFixture) -> None:
    """Its trace is in the parent's log, without a control character of a caller."""
    with pytest.raises(errors.DecodeError, match="cannot be read"):
        pool.decode(b"stumble", 1)
    (record,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert "in stumble" in record.getMessage()
    assert "expected this" in record.getMessage()
    assert "\x1b" not in record.getMessage()


def test_the_neighbours_of_a_kill() -> None:
    """Of four videos at once the killed child's alone fails."""
    with Pool(4, read="tests.made.readers:read") as pool, ThreadPoolExecutor(4) as threads:
        hanging = threads.submit(pool.decode, b"hang", 1)
        until(lambda: pool._busy)
        (victim,) = pool._busy
        others = [threads.submit(pool.decode, VIDEO, 4) for _ in range(3)]
        psutil.Process(victim.pid).kill()
        with pytest.raises(errors.TooMuchMemoryError):
            hanging.result()
        for other in others:
            assert len(other.result().frames) == 4
