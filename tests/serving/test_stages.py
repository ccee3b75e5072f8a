"""The stages one by one, in processes of their own: what a home that spans processes does with them."""

import base64
import json
import multiprocessing
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from staa import Options
from staa.serving import Decoding, Incoming, Job, Scheduler, Settings, accept, wire, word
from tests.made.requests import NOISE, film, tensor
from tests.made.services import ask, scripted, service

BODIES: list[Any] = [
    {"video": film(1)},
    {"instances": [{"b64": film(2)}, {"b64": film(3), "method": "rollout"}]},
    tensor(film(4), id="a7"),
    {"video": NOISE},
    {"video": film(5), "colour": "red"},
    {"describe": True},
]


def decode_all(stage: Decoding, pickled: bytes) -> bytes:
    """Decode jobs in a process that has no model."""
    jobs: list[Job] = pickle.loads(pickled)  # noqa: S301 - our own
    for job in jobs:
        stage.run_one(job)
    return pickle.dumps(jobs)


def run_all(pickled: bytes) -> bytes:
    """Answer jobs in the process of the model."""
    jobs: list[Job] = pickle.loads(pickled)  # noqa: S301 - our own
    Scheduler(scripted(), 4).run(jobs)
    for job in jobs:
        job.pixels = None
    return pickle.dumps(jobs)


def in_a_process(work: Callable[..., bytes], *arguments: Any) -> bytes:
    """Run a function in a process of its own, started afresh."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(work, arguments)


def test_each_stage_runs_in_a_process_of_its_own() -> None:
    """Read here, decoded there, run in a third process and worded here again: the replies are those of one process."""
    explainer = scripted()
    settings = Settings("tiny")
    accepted = [accept(index, Incoming({"body": body}, {}, explain=True)) for index, body in enumerate(BODIES)]
    jobs = [job for _, jobs in accepted for job in jobs]
    decoded = in_a_process(decode_all, Decoding(explainer.signature, settings), pickle.dumps(jobs))
    done: list[Job] = pickle.loads(in_a_process(run_all, decoded))  # noqa: S301 - our own
    model = wire.Model("tiny", "1.0", explainer.family, explainer.labels)
    card = wire.card(model, explainer.signature, settings)
    replies = [
        word(request, [job for job in done if job.request_index == index], model, card)
        for index, (request, _) in enumerate(accepted)
    ]
    wanted, statuses = ask(service(explainer, settings=settings), BODIES)
    assert [int(reply.status) for reply in replies] == statuses == [200, 200, 200, 415, 400, 200]
    for reply, same in zip(replies, wanted, strict=True):
        assert numbers(json.loads(reply.body)) == pytest.approx(numbers(same), abs=1e-5)


def numbers(reply: Any) -> list[float]:
    """Return all numbers of a reply, in order."""
    if isinstance(reply, dict):
        return [number for value in reply.values() for number in numbers(value)]
    if isinstance(reply, list):
        return [number for value in reply for number in numbers(value)]
    return [float(reply)] if isinstance(reply, int | float) else []


def test_a_job_without_a_batch() -> None:
    """One video, each stage called by hand: no pool, no times, no service."""
    explainer = scripted()
    job = Job(0, request=wire.VideoRequest(base64.b64decode(film(1)), Options(top_k=2), "json"))
    Decoding(explainer.signature, Settings("tiny")).run_one(job)
    assert Scheduler(explainer, 1).run([job]) == 1
    assert job.result is not None
    assert len(job.result.predictions) == 2
    assert job.result.attribution is not None
