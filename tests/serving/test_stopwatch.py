"""A stopwatch of several threads."""

from staa.serving.stopwatch import Stopwatch
from tests.made.services import Clock


def test_it_runs_while_anything_goes_on() -> None:
    """Two at once count once, and the time between them does not."""
    clock = Clock()
    stopwatch = Stopwatch(clock)
    with stopwatch as before:
        assert before == 0
        clock.now += 3
        with stopwatch as meanwhile:
            assert meanwhile == 3
            clock.now += 4
    clock.now += 100
    with stopwatch as before:
        assert before == 7
