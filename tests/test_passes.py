"""A batch ends in time, and what fails in a pass is no failure of its neighbours."""

from typing import Any

import pytest
import torch

from staa import Clip, errors
from staa.watch import Watch
from tests import families
from tests.families import VARIANTS
from tests.test_budgets import Clock, ask, slow
from tests.test_budgets import clock as clock  # noqa: PLC0414 - a fixture
from tests.test_budgets import handler as handler  # noqa: PLC0414 - a fixture
from tests.test_handler import Context
from tests.test_kserve import B64, film

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
"""TorchServe leaves files open, when it is imported too."""


def delay(handler: Any, clock: Clock, monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Let each forward pass take so long."""
    inner = handler.explainer.forward

    def forward(*arguments: Any) -> Any:
        clock.now += seconds
        return inner(*arguments)

    monkeypatch.setattr(handler.explainer, "forward", forward)


def test_decoding_ends_with_the_time_of_the_batch(handler: Any, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where one decoder reads all, the last ones have what is left of the batch's time; TorchServe kills no worker."""
    seen: list[float] = []
    monkeypatch.setattr("staa_handler.decode", slow(clock, seen))
    handler.seconds, handler.batch = 25, 4
    replies, context = ask(handler, [{"video": B64[0]}] * 4)
    assert seen == [25, 15, 5]
    assert context.statuses == {0: 200, 1: 200, 2: 200, 3: 503}
    assert replies[3]["error"]["code"] == "service_unavailable"
    assert "again" in replies[3]["error"]["message"]


def test_decoding_that_has_less_than_its_own_time(handler: Any, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """A video that would have had time enough by itself is not to blame; one that took all of its own is."""

    def decode(_video: bytes, _frames: int, _start: object, _end: object, limits: Any, _scale: object) -> Clip:
        clock.now += limits.seconds
        raise errors.TooSlowError("decoding took too long")

    monkeypatch.setattr("staa_handler.decode", decode)
    handler.seconds = 40
    replies, context = ask(handler, [{"video": B64[0]}] * 3)
    assert context.statuses == {0: 413, 1: 503, 2: 503}
    assert [reply["error"]["code"] for reply in replies] == ["too_slow", "service_unavailable", "service_unavailable"]


def test_no_pass_begins_that_could_end_too_late(handler: Any, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """To judge by the longest pass so far; the first video of every request goes first."""
    delay(handler, clock, monkeypatch, 20)
    handler.seconds = 59
    (many, one), context = ask(handler, [{"instances": [film(1), film(2), film(3)]}, {"video": film(4)}])
    assert context.statuses == {0: 413, 1: 200}
    assert many["error"]["code"] == "too_slow"
    assert "send fewer" in many["error"]["message"]
    assert "explanation" in one
    assert clock.now == 1000 + 40
    handler.seconds = 80
    _, context = ask(handler, [{"instances": [film(1), film(2), film(3)]}, {"video": film(4)}])
    assert context.statuses == {0: 200, 1: 200}


def test_a_request_that_comes_too_late_is_not_to_blame(
    handler: Any, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request of one video whose pass cannot begin in time is to be sent again."""
    delay(handler, clock, monkeypatch, 20)
    handler.seconds = 39
    replies, context = ask(handler, [{"video": film(1)}, {"video": film(2)}])
    assert context.statuses == {0: 200, 1: 503}
    assert replies[1]["error"]["code"] == "service_unavailable"


def test_verifying_ends_with_the_time_of_the_batch(handler: Any, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """What decoding and the forward pass took is not there for it."""
    given: list[float] = []
    delay(handler, clock, monkeypatch, 8)
    monkeypatch.setattr("staa_handler.decode", slow(clock, []))
    monkeypatch.setattr(handler.explainer, "verify", lambda *arguments: given.append(arguments[-1]))
    handler.seconds = 25
    ask(handler, [{"video": B64[0], "verify": 2}])
    assert given == [25 - 10 - 8]


@pytest.mark.parametrize(
    ("setting", "patience", "seconds"),
    [(None, None, 90), (None, 60, 45), (20, 60, 20), (100, 200, 100), (200, 200, 150)],
)
def test_the_time_of_a_batch_is_less_than_torchserve_waits(
    tmp_path: Any, setting: float | None, patience: float | None, seconds: float
) -> None:
    """Whatever is set: three quarters of responseTimeout at most."""
    from staa_handler import StaaHandler

    context = Context(str(families.save(VARIANTS["vivit"].make(), tmp_path)), [])
    context.model_yaml_config["handler"] |= {"batch_seconds": setting}
    block: dict[str, Any] = context.model_yaml_config
    block["responseTimeout"] = patience
    made = StaaHandler()
    made.initialize(context)
    made.pool.shutdown()
    assert made.seconds == seconds


def test_a_batch_that_the_gpu_does_not_hold(handler: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its rows are tried one by one, and only the one that does not fit by itself is without an answer."""
    inner = handler.explainer.forward
    rows: list[int] = []
    handler.batch = 4

    def forward(pixels: Any, asked: Any) -> Any:
        rows.append(len(pixels))
        if len(pixels) > 1 or "rollout" in asked.values():
            raise torch.OutOfMemoryError("CUDA out of memory")
        return inner(pixels, asked)

    monkeypatch.setattr(handler.explainer, "forward", forward)
    bodies = [{"video": film(1)}, {"video": film(2), "method": "rollout"}, {"video": film(3)}]
    replies, context = ask(handler, bodies)
    assert rows == [3, 1, 1, 1]
    assert context.statuses == {0: 200, 1: 500, 2: 200}
    monkeypatch.undo()
    (alone,), _ = ask(handler, bodies[:1])
    assert replies[0]["predictions"] == alone["predictions"]


def test_a_gpu_that_fails_ends_the_worker(handler: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing would run on it any more, while TorchServe took the worker for ready."""

    class EndedError(BaseException):
        """In place of the end of this process."""

    def end(code: int) -> None:
        raise EndedError(code)

    def forward(*_: object, **_named: object) -> None:
        raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered")

    monkeypatch.setattr("os._exit", end)
    monkeypatch.setattr("logging.shutdown", lambda: None)
    monkeypatch.setattr(handler.explainer, "forward", forward)
    _, context = ask(handler, [{"video": film(1)}])
    assert context.statuses == {0: 500}, "what runs on it still runs: one request failed"
    monkeypatch.setattr("torch.ones", forward)
    with pytest.raises(EndedError, match="1"):
        ask(handler, [{"video": film(1)}])


def test_spans_that_fail_take_no_reply(handler: Any) -> None:
    """What is made of a caller's trace comes after the replies."""

    def send(*_: object) -> None:
        raise ValueError("a trace")

    handler.trace = send
    (reply,), context = ask(handler, [{"video": film(1)}])
    assert context.statuses == {0: 200}
    assert "explanation" in reply


def test_a_watch_runs_while_anything_goes_on(clock: Clock) -> None:
    """Two at once count once, and the time between them does not."""
    watch = Watch()
    with watch as before:
        assert before == 0
        clock.now += 3
        with watch as meanwhile:
            assert meanwhile == 3
            clock.now += 4
    clock.now += 100
    with watch as before:
        assert before == 7
