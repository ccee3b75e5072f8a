"""The simulation of scaling: it loses and invents nothing, agrees with queueing theory, and is what the docs show."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.speed import capacity
from benchmarks.speed.scaling import CHOICES, RESULTS, STEPS, Outcome, Scaler, Server, measured, simulate, table

SERVER = Server(base=0.05, per_request=0.08)
OPERATIONS = Path(__file__).resolve().parents[2] / "docs" / "operations.md"


def check(outcome: Outcome, server: Server) -> None:
    """Hold what is true of every run: each request is answered once and in time order, or refused."""
    answered = ~outcome.refused
    spent = outcome.answered - outcome.arrived
    assert (np.isnan(outcome.queued) == outcome.refused).all()
    assert (spent[answered] >= outcome.queued[answered] + server.seconds(1) - 1e-9).all()
    assert (spent[answered] <= outcome.queued[answered] + server.delay + server.seconds(server.batch) + 1e-9).all()


@pytest.mark.parametrize("rate", [0.5, 8, 60])
@pytest.mark.parametrize("scaler", [None, Scaler(start=20, period=10)], ids=["fixed", "scaled"])
def test_nothing_is_lost_or_answered_twice(rate: float, scaler: Scaler | None) -> None:
    """Every request is answered once or refused once, while replicas come and go."""
    outcome = simulate(SERVER, [(rate, 300), (1, 600)], scaler, seed=3)
    check(outcome, SERVER)
    assert len(outcome.arrived) == pytest.approx(rate * 300 + 600, rel=0.2)
    assert (~outcome.refused).sum() + outcome.refused.sum() == len(outcome.arrived) == len(outcome.answered)
    if rate == 60 and scaler:
        counts = [count for _, count in outcome.replicas]
        assert max(counts) > 5
        assert counts[-1] == scaler.least, "the others have left, with their work done"


@pytest.mark.parametrize("load", [0.3, 0.6, 0.8])
def test_without_batches_it_is_the_queue_of_the_formula(load: float) -> None:
    """M/D/1: the mean wait is load * service / (2 (1 - load))."""
    server = Server(base=0.0, per_request=0.1, batch=1, delay=0, queue=math.inf)
    outcome = simulate(server, [(load / 0.1, 20_000)], seed=1)
    assert not outcome.refused.any()
    assert outcome.queued.mean() == pytest.approx(load * 0.1 / (2 * (1 - load)), rel=0.05)


def test_overload_answers_what_it_can_and_refuses_the_rest() -> None:
    """The rate of answers is that of full batches; a request waits for the whole queue before it, and no longer."""
    outcome = simulate(SERVER, [(3 * SERVER.capacity, 600)])
    check(outcome, SERVER)
    assert (~outcome.refused).sum() / 600 == pytest.approx(SERVER.capacity, rel=0.02)
    assert outcome.refused.mean() == pytest.approx(2 / 3, abs=0.02)
    assert np.nanmax(outcome.queued) <= (SERVER.queue / SERVER.batch + 1) * SERVER.seconds(SERVER.batch)


def test_a_lone_request_waits_the_whole_delay() -> None:
    """As TorchServe's does: no other comes, so the batch of one begins when the delay is over."""
    outcome = simulate(replace(SERVER, delay=0.5), [(0.01, 1000)], seed=2)
    lone = np.diff(outcome.arrived, prepend=-9, append=9999).min() > 1
    assert lone
    np.testing.assert_allclose(outcome.answered - outcome.arrived, 0.5 + SERVER.seconds(1))


def test_the_same_seed_is_the_same_run() -> None:
    """A run can be repeated, and another seed is another run."""
    runs = [simulate(SERVER, [(20, 300)], Scaler(), seed=seed).answered for seed in (0, 0, 1)]
    np.testing.assert_array_equal(runs[0], runs[1])
    assert len(runs[0]) != len(runs[2])


def test_service_times_are_those_of_the_results() -> None:
    """By hand of the tables: one client 134 and 135 ms less the delay, four 11.48 and 11.00 clips a second."""
    server = measured(RESULTS.read_text())
    assert server.seconds(1) == pytest.approx((0.124 + 0.125) / 2, abs=0.001)
    assert server.seconds(4) == pytest.approx((4 / 11.48 + 4 / 11.00) / 2, abs=0.002)


@pytest.mark.parametrize("name", CHOICES)
def test_the_docs_show_what_the_simulation_prints(name: str) -> None:
    """The tables of docs/operations.md are those of the script, line by line."""
    page = OPERATIONS.read_text()
    wanted = list(table(measured(RESULTS.read_text()), CHOICES[name]))
    assert len(wanted) == len(STEPS) + 2
    assert "\n".join(wanted) in page.partition(f"\n{name}:\n")[2]


def test_the_docs_show_the_plan() -> None:
    """The plan of docs/operations.md is what benchmarks/speed/capacity.py prints, with the assumptions that it says."""
    assert "\n".join(capacity.lines(0.7, 0.04, 0.005, 0.32)) in OPERATIONS.read_text()
    small, dear = (list(capacity.lines(share, 0.04, 0.005, 0.32)) for share in (0.7, 0.35))
    assert small[3].split("|")[3].strip() == "13"  # 100 / (11.3 * 0.7), by hand
    assert dear[3].split("|")[3].strip() == "26"
