"""The stage from pixels to results: passes end in time, and what fails in one is no failure of its neighbours."""

from typing import Any

import numpy as np
import pytest
import torch

from staa import Explainer, attribution, errors
from staa.attribution import Method, Reading
from staa.serving import Service, Settings
from tests.made.requests import B64, film
from tests.made.services import Clock, Scripted, ask, scripted, service, slow_decode


@pytest.fixture
def explainer() -> Scripted:
    """Return an explainer of a tiny model."""
    return scripted()


def delayed(explainer: Scripted, seconds: float, batch_seconds: float, **home: Any) -> tuple[Service, Clock]:
    """Return a service whose passes take so long each, and whose batches have so long; and its clock."""
    clock = Clock()

    def wait(forward: Any, *arguments: Any) -> Any:
        clock.now += seconds
        return forward(*arguments)

    explainer.on_forward = wait
    return service(explainer, clock=clock, patience=batch_seconds / 0.75, **home), clock


def test_no_pass_begins_that_could_end_too_late(explainer: Scripted) -> None:
    """To judge by the longest pass so far; the first video of every request goes first."""
    bodies: list[Any] = [{"instances": [film(1), film(2), film(3)]}, {"video": film(4)}]
    served, clock = delayed(explainer, 20, 59)
    (many, alone), statuses = ask(served, bodies)
    assert statuses == [413, 200]
    assert many["error"]["code"] == "too_slow"
    assert "send fewer" in many["error"]["message"]
    assert "explanation" in alone
    assert clock.now == 1000 + 40
    assert ask(delayed(explainer, 20, 80)[0], bodies)[1] == [200, 200]


def test_a_request_that_comes_too_late_is_not_to_blame(explainer: Scripted) -> None:
    """A request of one video whose pass cannot begin in time is to be sent again."""
    replies, statuses = ask(delayed(explainer, 20, 39)[0], [{"video": film(1)}, {"video": film(2)}])
    assert statuses == [200, 503]
    assert replies[1]["error"]["code"] == "service_unavailable"


def test_all_maps_of_a_batch_share_the_time_for_verifying(explainer: Scripted) -> None:
    """A second pass has what the first one left, not as much again."""
    given: list[float] = []
    clock = Clock()

    def verify(*arguments: Any) -> Any:
        given.append(arguments[-1])
        clock.now += 20
        raise errors.TooSlowError("it took too long: ask for fewer points")

    explainer.on_verify = verify
    body = {"instances": [{"b64": film(1), "verify": 2}, {"b64": film(2), "verify": 2}]}
    ask(service(explainer, clock=clock), [body])
    assert given == [30, 10]


def test_choosing_and_checking_maps_share_the_time(explainer: Scripted) -> None:
    """What was spent on choosing the map of a request, and on its neighbour's, is not there for checking it."""
    given: list[float] = []
    clock = Clock()

    def spend(true: Any, *arguments: Any) -> Any:
        given.append(arguments[-1])
        clock.now += 8
        return true(*arguments)

    explainer.on_choose = explainer.on_verify = spend
    both = {"method": "staa_class", "refine": 8, "verify": 2}
    served = service(explainer, clock=clock, batch_size=2)
    replies, statuses = ask(served, [{"video": film(1), **both}, {"video": film(2), **both}])
    assert given == [30, 22, 14, 6]
    assert statuses == [200, 200]
    assert all({"refinement", "faithfulness"} <= set(reply["explanation"]) for reply in replies)


def test_verifying_ends_with_the_time_of_the_batch(explainer: Scripted) -> None:
    """What decoding and the forward pass took is not there for it."""
    given: list[float] = []
    explainer.on_verify = lambda *arguments: given.append(arguments[-1])
    clock = Clock()

    def wait(forward: Any, *arguments: Any) -> Any:
        clock.now += 8
        return forward(*arguments)

    explainer.on_forward = wait
    served = service(explainer, clock=clock, patience=25 / 0.75, decode=slow_decode(clock, []))
    ask(served, [{"video": B64[0], "verify": 2}])
    assert given == [25 - 10 - 8]


def test_a_batch_that_the_gpu_does_not_hold(explainer: Scripted) -> None:
    """Its videos are tried one by one, and only the one that does not fit by itself is without an answer."""
    sizes: list[int] = []

    def crowded(forward: Any, pixels: Any, asked: Any) -> Any:
        sizes.append(len(pixels))
        if len(pixels) > 1 or "rollout" in asked.values():
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(pixels, asked)

    explainer.on_forward = crowded
    bodies = [{"video": film(1)}, {"video": film(2), "method": "rollout"}, {"video": film(3)}]
    served = service(explainer, batch_size=4)
    replies, statuses = ask(served, bodies)
    assert sizes == [3, 1, 1, 1]
    assert statuses == [200, 500, 200]
    explainer.on_forward = None
    assert replies[0]["predictions"] == ask(served, bodies[:1])[0][0]["predictions"]


def test_a_gpu_that_fails_is_told_to_the_home(explainer: Scripted) -> None:
    """Where nothing runs on it any more the home hears of it; one request that failed there is no such case."""

    def fail(*_: object) -> Any:
        raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered")

    lost: list[str] = []
    explainer.on_forward = fail
    served = service(explainer, device_lost=lambda: lost.append("lost"))
    assert ask(served, [{"video": film(1)}])[1] == [500]
    assert not lost, "what runs on it still runs: one request failed"
    explainer.works = False
    ask(served, [{"video": film(1)}])
    assert lost == ["lost"]
    assert Explainer.device_works(explainer), "a device that is well is known as such"


def not_possible(_reading: Reading) -> Any:
    """Be a method that fails."""
    raise ZeroDivisionError


def not_a_number(reading: Reading) -> Any:
    """Be a method whose numbers overflowed."""
    joint, _ = attribution.staa(reading)
    return joint * float("nan"), None


@pytest.mark.parametrize("method", [not_possible, not_a_number])
def test_a_map_that_fails_is_its_requests_error_alone(
    explainer: Scripted, monkeypatch: pytest.MonkeyPatch, method: Any
) -> None:
    """A method that raises, or gives NaN, is 500 for its request; labels and maps of the others are as ever."""
    monkeypatch.setitem(attribution.METHODS, "broken", Method(method))
    served = service(explainer, batch_size=4, settings=Settings("tiny", methods=("staa", "broken")))
    maps, statuses = ask(served, [{"video": film(1)}, {"video": film(1), "method": "broken"}, {"video": film(1)}])
    assert statuses == [200, 500, 200]
    assert maps[1]["error"]["code"] == "internal"
    assert "request-1" in maps[1]["error"]["message"]
    assert np.sum(maps[0]["explanation"]["joint"]) == pytest.approx(1, abs=1e-3)
    best = [[guess["label"] for guess in maps[index]["predictions"]] for index in (0, 2)]
    assert best[0] == best[1]


def test_a_map_that_cannot_be_verified_is_its_requests_error_alone(explainer: Scripted) -> None:
    """Checking one map fails, another takes too long, a third is well: 500, 413 and 200, and labels are as ever."""

    def verify(true: Any, pixels: Any, logits: Any, shown: Any, points: int, batch: int, seconds: float) -> Any:
        assert batch == 4
        if points == 2:
            raise ZeroDivisionError
        if points == 3:
            raise errors.TooSlowError(
                "as `verify` raises it"
            )  # when it does so depends on the processor, and is tested there
        return true(pixels, logits, shown, points, batch, seconds)

    explainer.on_verify = verify
    bodies = [{"video": film(1), "verify": points} for points in (2, 3, 4, 0)]
    replies, statuses = ask(service(explainer, batch_size=4), bodies)
    assert statuses == [500, 413, 200, 200]
    assert [reply["error"]["code"] for reply in replies[:2]] == ["internal", "too_slow"]
    assert replies[2]["explanation"]["faithfulness"]["cost"]["clips"] == 34
    assert replies[2]["predictions"] == replies[3]["predictions"]


def test_a_map_that_cannot_be_chosen_is_its_requests_error_alone(explainer: Scripted) -> None:
    """Choosing one map fails, another takes too long, a third is well: 500, 413 and 200; no failure is checked."""

    def choose(true: Any, pixels: Any, maps: Any, clips: int, batch: int, seconds: float) -> Any:
        assert batch == 4
        if clips == 8:
            raise ZeroDivisionError
        if clips == 9:  # when `refine` raises it depends on the processor, and is tested there
            raise errors.TooSlowError("as `refine` raises it")
        return true(pixels, maps, clips, batch, seconds)

    explainer.on_choose = choose
    asked = {"method": "staa_class", "verify": 2}
    bodies = [{"video": film(1), "refine": clips, **asked} for clips in (8, 9, 12, 0)]
    served = service(explainer, batch_size=4)
    replies, statuses = ask(served, bodies)
    assert statuses == [500, 413, 200, 200]
    assert [reply["error"]["code"] for reply in replies[:2]] == ["internal", "too_slow"]
    assert replies[2]["explanation"]["refinement"]["cost"]["clips"] == 12
    assert "refinement" not in replies[3]["explanation"]
    assert replies[2]["predictions"] == replies[3]["predictions"]
