"""Maps are verified while nothing is asked: a sample of them, one at a time, at nobody's cost."""

import itertools
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest

from staa import Clip
from staa.serving import Job, Service, Settings, Telemetry
from staa.serving.audit import POINTS, REST, Audit
from staa.serving.wire import VideoRequest
from staa.types import Areas, Faithfulness, Options
from staa.verify import VERDICTS
from tests.made.requests import film
from tests.made.services import Clock, Scripted, ask, scripted, service

PASSES = 8 * POINTS + 3
"""The clip for its best class, then the clip, its blur and 8 clips for each point."""


@pytest.fixture
def explainer() -> Scripted:
    """Return an explainer of a tiny model."""
    return scripted()


@pytest.fixture
def counted() -> Counter[Sequence[str]]:
    """Return what counts the verdicts: method, verdict, source -> how many."""
    return Counter()


@pytest.fixture
def audited(explainer: Scripted, counted: Counter[Sequence[str]]) -> Iterator[Callable[..., Service]]:
    """Make a service that audits every map it can, and close it after the test."""
    made: list[Service] = []

    def count(name: str, value: int, labels: Sequence[str]) -> None:
        if name == "verdicts":
            counted[tuple(labels)] += value

    def make(share: float = 1.0, **home: Any) -> Service:
        settings = Settings("tiny", decoders=1, audit=share)
        made.append(service(explainer, settings=settings, telemetry=Telemetry(count=count), **home))
        return made[-1]

    yield make
    for each in made:
        each.close()


def wait(condition: Callable[[], Any], seconds: float = 20) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"it does not hold after {seconds:g} s"
        time.sleep(0.02)


def test_a_map_is_verified_once_nothing_is_asked(
    audited: Callable[..., Service], counted: Counter[Sequence[str]]
) -> None:
    """One verdict for a batch of several maps, by the map's method; the other verdicts appear beside it as 0."""
    served = audited(batch_size=4)
    bodies = [{"video": film(index), "method": "rollout"} for index in range(3)]
    replies, statuses = ask(served, bodies)
    assert statuses == [200, 200, 200]
    assert all("faithfulness" not in reply["explanation"] for reply in replies)
    wait(counted.total)
    assert set(counted) == {("rollout", code, "audit") for code in VERDICTS}
    assert counted.total() == 1


def test_what_needs_no_audit_has_none(audited: Callable[..., Service], counted: Counter[Sequence[str]]) -> None:
    """Labels alone, a map that its request had verified, and any map where nothing is to be audited."""
    clock = itertools.count().__next__  # a second passes whenever it is read: there is always rest
    verified = {"video": film(1), "verify": 2}
    served = audited(clock=clock)
    assert ask(served, [{"video": film(1)}], explain=False)[1] == ask(served, [verified])[1] == [200]
    assert ask(audited(0.0, clock=clock), [{"video": film(1)}])[1] == [200]
    time.sleep(0.3)
    assert {source for _, _, source in counted} == {"request"}
    assert counted.total() == 1


def test_no_pass_begins_while_a_batch_is_under_way(
    audited: Callable[..., Service], explainer: Scripted, counted: Counter[Sequence[str]]
) -> None:
    """A batch finds at most the pass that goes on; the next one waits for its end and for a rest after it."""
    clock, passes = Clock(), Counter[str]()
    at_tenth, go_on, decoding, decode_on = (threading.Event() for _ in range(4))

    def forward(true: Any, *arguments: Any) -> Any:
        name = threading.current_thread().name
        passes[name] += 1
        if name == "audit" and passes[name] == 10:
            at_tenth.set()
            assert go_on.wait(20)
        return true(*arguments)

    def decode(_video: bytes, frames: int, *_: Any) -> Clip:
        decoding.set()
        assert decode_on.wait(20)
        return Clip(np.zeros((frames, 48, 64, 3), np.uint8), np.arange(frames) / 25, np.arange(frames), 25.0, 1.0)

    explainer.on_forward = forward
    decode_on.set()
    served = audited(clock=clock, decode=decode)
    ask(served, [{"video": film(1)}])
    clock.now += REST - 0.01
    time.sleep(0.3)
    assert passes == {"MainThread": 1}, "the last batch has only just ended"
    clock.now += 0.01
    assert at_tenth.wait(20)

    decoding.clear()
    decode_on.clear()
    batch = threading.Thread(target=ask, args=(served, [{"video": film(2)}]))
    batch.start()
    assert decoding.wait(20)
    go_on.set()
    clock.now += 10
    time.sleep(0.3)
    assert passes["audit"] == 10, "a pass began while a batch was under way"
    decode_on.set()
    batch.join(20)
    time.sleep(0.3)
    assert passes["audit"] == 10, "a pass began as soon as the batch had ended"
    assert not counted
    clock.now += REST
    wait(counted.total)
    assert passes["audit"] == PASSES


def test_the_pixels_of_one_clip_are_kept(audited: Callable[..., Service], explainer: Scripted) -> None:
    """What is drawn while a map waits is left out, and the next one has its turn after that."""
    clock, seen = Clock(), list[str]()

    def verify(_true: Any, _pixels: Any, _logits: Any, shown: Any, *_: Any) -> Faithfulness:
        seen.append(shown.method)
        return verdict_of(0)

    explainer.on_verify = verify
    served = audited(clock=clock)
    for method in ("staa", "rollout", "paper"):
        ask(served, [{"video": film(1), "method": method}])
    clock.now += REST
    wait(lambda: seen)
    wait(lambda: not auditing())
    ask(served, [{"video": film(1), "method": "paper"}])
    clock.now += REST
    wait(lambda: len(seen) == 2)
    assert seen == ["staa", "paper"]


def auditing() -> list[threading.Thread]:
    """Return the threads that verify a map or wait to do so."""
    return [thread for thread in threading.enumerate() if thread.name == "audit"]


def verdict_of(gain: float) -> Faithfulness:
    """Return a check of a map that is so much better than others."""
    return Faithfulness(0, None, POINTS, 0.9, 0.1, Areas(0.5 - gain, 0.5), Areas(0.5, 0.5), Areas(0.5, 0.5))


def test_an_audit_that_fails_is_logged(
    audited: Callable[..., Service],
    explainer: Scripted,
    counted: Counter[Sequence[str]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Requests are answered as ever, and the next map is audited."""

    def fail(*_: Any) -> Any:
        raise ZeroDivisionError

    explainer.on_verify = fail
    served = audited(clock=itertools.count().__next__)
    assert ask(served, [{"video": film(1)}])[1] == [200]
    wait(lambda: not auditing())
    assert any("could not be audited" in record.getMessage() for record in caplog.records)
    explainer.on_verify = None
    assert ask(served, [{"video": film(1)}])[1] == [200]
    wait(counted.total)


@pytest.mark.parametrize("rest", [0, REST])
def test_it_ends_with_its_service(
    audited: Callable[..., Service], explainer: Scripted, counted: Counter[Sequence[str]], rest: float
) -> None:
    """A map that waits is dropped, and of one that is being verified the pass under way is the last."""
    clock, passes = Clock(), Counter[str]()

    def forward(true: Any, *arguments: Any) -> Any:
        passes[threading.current_thread().name] += 1
        return true(*arguments)

    explainer.on_forward = forward
    served = audited(clock=clock)
    ask(served, [{"video": film(1)}])
    assert auditing()
    clock.now += rest
    if rest:
        wait(lambda: passes["audit"] > 1)
    served.close()
    assert not auditing()
    assert passes["audit"] < PASSES
    assert not counted
    served.close()


ENDS_WITHOUT_CLOSE = """
import time
import torch
from staa.serving import Settings
from tests.made.requests import film
from tests.made.services import ask, scripted, service

explainer, passes = scripted(), []

def forward(true, *arguments):
    passes.append(arguments)
    if len(passes) > 1:
        numbers @ numbers  # as long as a pass of a large model, in which torch does not hold Python's lock
    return true(*arguments)

numbers = torch.ones(3000, 3000)
explainer.on_forward = forward
served = service(explainer, settings=Settings("tiny", decoders=1, audit=1))
ask(served, [{"video": film(1)}])
while len(passes) < 3:
    time.sleep(0.01)
print("ends", flush=True)
"""


def test_a_process_ends_during_an_audit() -> None:
    """A home that just ends, as TorchServe's worker does, waits for one pass, and has nothing to say about it."""
    done = subprocess.run(
        [sys.executable, "-c", ENDS_WITHOUT_CLOSE], capture_output=True, text=True, check=False, timeout=300
    )
    assert (done.returncode, done.stdout) == (0, "ends\n")
    assert "Error" not in done.stderr
    assert "terminate" not in done.stderr


def test_the_share_is_that_of_the_setting(explainer: Scripted) -> None:
    """Of 400 maps offered one after the other about a quarter is verified."""
    frames = explainer.grid.frames
    clip = Clip(np.zeros((frames, 48, 64, 3), np.uint8), np.arange(frames) / 25, np.arange(frames), 25.0, 1.0)
    counted = Counter[str]()
    explainer.on_verify = lambda *_: verdict_of(0.4)
    telemetry = Telemetry(count=lambda _name, value, labels: counted.update({labels[1]: value}))
    audit = Audit(explainer, telemetry, 0.25, itertools.count().__next__)
    pixels, (result,) = explainer.pixels([clip]), explainer([clip])
    for index in range(400):
        audit.offer([Job(index, request=VideoRequest(b"", Options(), "json"), pixels=pixels, result=result)])
        wait(lambda: not auditing())
    audit.close()
    assert counted["faithful"] == counted.total()
    assert 60 <= counted.total() <= 140
