"""Waiting for a condition: never a sleep that is long enough on one machine and too short on another."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def until(condition: Callable[[], T], patience: float = 60, every: float = 0.02) -> T:
    """Return what `condition` returns as soon as that is true; it is asked every so many seconds.

    Raises AssertionError where it was not so within `patience` seconds: far more than a busy machine needs.
    """
    deadline = time.monotonic() + patience
    while not (answer := condition()):
        assert time.monotonic() < deadline, f"not so within {patience:g} s"
        time.sleep(every)
    return answer
