"""The way of a request through stages that a test plays: what is lost is asked once more, and no longer."""

import asyncio
import json
import pickle
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from ray.exceptions import ActorDiedError, ActorUnavailableError, ObjectLostError, RayTaskError

from scale.measure import Measurements
from scale.pipeline import Pipeline
from scale.served import Served
from staa.serving import Decoding, Incoming, Job, Outgoing, Scheduler
from tests.made.requests import NOISE, film
from tests.made.services import Scripted, scripted


class Stage:
    """A deployment as its caller sees it: `handle.method.remote(...)` gives what is awaited."""

    def __init__(self, method: str, work: Any, *losses: Exception) -> None:
        self.calls, self._work, self._losses = 0, work, list(losses)
        setattr(self, method, self)

    def remote(self, *arguments: Any) -> "asyncio.Future[Any]":
        """Begin a call."""
        return asyncio.ensure_future(self._run(arguments))

    async def _run(self, arguments: Sequence[Any]) -> Any:
        self.calls += 1
        given = [await argument if asyncio.isfuture(argument) else argument for argument in arguments]
        if self._losses:
            raise self._losses.pop(0)
        return self._work(*pickle.loads(pickle.dumps(given)))  # noqa: S301 - our own; Ray copies what it passes, too


class Home:
    """A pipeline of a tiny model, with a Decoder and a Model that lose a process as told."""

    def __init__(self, decoder: Sequence[Exception] = (), model: Sequence[Exception] = (), **served: Any) -> None:
        explainer = scripted()
        self.served = replace(Served.read("motions"), name="tiny", **served)
        self.served.__dict__["signature"] = explainer.signature
        self.decoder = Stage("decode", self._decode, *decoder)
        self.model = Stage("answer", self._answer, *model)
        self.metrics = Stage("add", lambda *_: None)
        self.explainer: Scripted = explainer

    def _decode(self, jobs: list[Job]) -> list[Job]:
        stage = Decoding(self.explainer.signature, self.served.settings)
        for job in jobs:
            stage.run_one(job)
        return jobs

    def _answer(self, jobs: list[Job]) -> list[Job]:
        Scheduler(self.explainer, 1).run(jobs)
        return jobs

    def ask(self, *bodies: Any, explain: bool = True) -> list[Outgoing]:
        """Return the replies to requests that come at the same time."""

        async def run() -> list[Outgoing]:
            pipeline = Pipeline(self.served, self.decoder, self.model, self.metrics)  # type: ignore[arg-type]
            replies = await asyncio.gather(*(pipeline.answer(Incoming({"body": body}, {}, explain)) for body in bodies))
            assert pipeline.under_way == 0
            return replies

        return asyncio.run(run())


def code(reply: Outgoing) -> str:
    """Return the code of an error."""
    return str(json.loads(reply.body)["error"]["code"])


def test_a_request_is_answered() -> None:
    """With its labels and map; noise and a card beside it get their own answers, and a card asks no stage."""
    home = Home()
    good, noise, card = home.ask({"video": film(1)}, {"video": NOISE}, {"describe": True})
    assert json.loads(good.body)["explanation"]["method"] == "staa"
    assert (noise.status, code(noise)) == (415, "not_a_video")
    assert json.loads(card.body)["model"]["name"] == "tiny"
    assert home.decoder.calls == 2


LOST = ActorDiedError()


@pytest.mark.parametrize(
    "stages", [{"decoder": [LOST]}, {"model": [LOST]}, {"model": [ObjectLostError("0" * 56, None, "")]}]
)
def test_a_lost_process_is_not_noticed(stages: dict[str, Any]) -> None:
    """Its request is decoded and answered by another one."""
    home = Home(**stages)
    assert home.ask({"video": film(1)})[0].status == 200
    assert home.decoder.calls == 2


@pytest.mark.parametrize("stages", [{"decoder": [LOST, LOST]}, {"model": [LOST, LOST]}])
def test_a_video_that_ends_two_processes_is_refused(stages: dict[str, Any]) -> None:
    """It is not tried a third time."""
    home = Home(**stages)
    (reply,) = home.ask({"video": film(1)})
    assert (reply.status, code(reply)) == (422, "video_undecodable")
    assert home.decoder.calls == 2


def test_a_lost_node_is_waited_for() -> None:
    """As long as Ray does not know of it, its processes cannot be reached; no request had them end."""
    home = Home(decoder=[ActorUnavailableError("a node is lost", None)] * 3)
    assert home.ask({"video": film(1)})[0].status == 200
    assert home.decoder.calls == 4


def test_a_fault_of_ours_is_not_tried_again() -> None:
    """It would come again; the reply says nothing of it."""
    fault = RayTaskError("answer", "secret", ValueError("secret"))  # type: ignore[no-untyped-call]
    home = Home(model=[fault])
    (reply,) = home.ask({"video": film(1)})
    assert (reply.status, code(reply)) == (500, "internal")
    assert b"secret" not in reply.body
    assert home.model.calls == 1


def test_a_full_queue_refuses_at_once() -> None:
    """As many as the queue and a batch hold are taken; those beyond ask no stage."""
    home = Home(queue=1, batch_size=1)
    statuses = [reply.status for reply in home.ask(*[{"video": film(index)} for index in range(4)])]
    assert sorted(statuses) == [200, 200, 503, 503]
    assert home.decoder.calls == 2


def test_a_stage_that_hangs_is_given_up() -> None:
    """After `responseTimeout`."""
    home = Home(patience=0.2)

    async def hang() -> None:
        await asyncio.sleep(60)

    home.model._run = lambda _: hang()  # type: ignore[method-assign,assignment]
    (reply,) = home.ask({"video": film(1)})
    assert (reply.status, code(reply)) == (503, "service_unavailable")


def test_measurements_go_on_their_way_once() -> None:
    """What was kept is sent with the next reply, and forgotten."""
    sent: list[Any] = []
    stage = Stage("add", lambda model, measured: sent.append((model, measured)))

    async def run() -> None:
        measurements = Measurements(stage, "m")  # type: ignore[arg-type]
        measurements.telemetry.count("answers", 1, ())
        measurements.send(("requests", 1, ("200",)))
        measurements.send()
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    asyncio.run(run())
    assert sent == [("m", [("requests", 1, ("200",)), ("answers", 1, ())])]
