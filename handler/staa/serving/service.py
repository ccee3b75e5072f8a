"""Turns requests into replies: a batch goes through the stages, and each request gets a reply whatever happens.

Each stage can also run alone, in its own process: `accept` makes the jobs of a request, `decoding.Decoding` adds their
pixels, `scheduler.Scheduler` their results, and `word` writes the reply. The server around this package, TorchServe or
another, calls it and sends the replies.
"""

import logging
import math
import re
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import torch

from staa.explainer import Explainer
from staa.serving import wire
from staa.serving.audit import Audit
from staa.serving.decoding import Decode, Decoding
from staa.serving.job import Job, errors_to
from staa.serving.scheduler import Scheduler
from staa.serving.settings import Settings
from staa.serving.telemetry import Telemetry, seconds_of
from staa_video import Clip
from staa_video.pool import Pool

logger = logging.getLogger(__name__)
_PRINTABLE_ID = re.compile(r"[A-Za-z0-9._:+/=-]{1,128}")


@dataclass(frozen=True, slots=True)
class Incoming:
    """Hold one HTTP request, as the server around this package (TorchServe or another) passes it on."""

    fields: Mapping[str, Any]
    """The fields of a form, by name. Any other body is the field "body": its bytes, be it JSON or a form, or its
    parsed JSON."""
    headers: Mapping[str, str] = field(default_factory=dict)
    explain: bool = False
    """Whether the request came to a route for explanations."""
    id: str = ""
    """The id that the server around this package gives the request, in its log and in the reply."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """Hold the HTTP reply that the server around this package sends."""

    status: int
    """The HTTP status."""
    content_type: str
    headers: Mapping[str, str]
    body: bytes


def accept(index: int, incoming: Incoming) -> tuple[wire.Request, list[Job]]:
    """Read request number `index` of a batch; return it with a job for each video, or one job with the error."""
    caller_id = next((value for name, value in incoming.headers.items() if name.lower() == "x-request-id"), "")
    names = incoming.id, caller_id if _PRINTABLE_ID.fullmatch(caller_id) else ""
    unread = Job(index, *names)
    request = wire.Request(())
    with errors_to([unread]):
        request = wire.read(incoming.fields, incoming.headers, explain=incoming.explain)
    return request, [Job(index, *names, video) for video in request.videos] or [unread]


def word(request: wire.Request, jobs: Sequence[Job], model: wire.Model, card: wire.Reply) -> Outgoing:
    """Write the reply to a request after all stages; if one of its videos failed, the reply is its error."""
    written: wire.Reply | None = None
    if all(job.error is None for job in jobs):
        with errors_to(jobs):
            written = card if jobs[0].is_card else _encode(request, jobs, model)
    status = 200
    if written is None:
        index, error = next((index, job.error) for index, job in enumerate(jobs) if job.error is not None)
        written, status = wire.failure(error, request.name_of(index)), error.status
    seconds = seconds_of(jobs)
    timing = ", ".join(f"{stage};dur={spent * 1000:.1f}" for stage, spent in seconds.items())
    body, content_type = written
    return Outgoing(status, content_type, {"Server-Timing": timing} if timing else {}, body)


def _encode(request: wire.Request, jobs: Sequence[Job], model: wire.Model) -> wire.Reply:
    """Write the results of all videos of a request; the time for this is divided equally between its jobs."""
    answers = []
    for job in jobs:
        if job.clip is None or job.result is None:
            raise RuntimeError("a job without an error has a result")
        verified, refined = (job.seconds.get(stage, 0) for stage in ("verify", "refine"))
        answers.append(wire.Answer(job.clip, job.result, verified, refined, job.why_not))
    clock, began = time.time_ns(), time.perf_counter()
    written = wire.answer(request, model, answers)
    for job in jobs:
        job.took("encode", clock, (time.perf_counter() - began) / len(jobs))
    return written


def in_turn(requests: Sequence[Sequence[Job]]) -> list[Job]:
    """Return the jobs of several requests, the first of each before the second of any: many of one hold no other up."""
    return [job for turn in zip_longest(*requests) for job in turn if job is not None]


def warm(explainer: Explainer, batch_size: int) -> None:
    """Run a model with one clip and with a full batch, for the first requests' sake."""
    grid = explainer.grid
    blank = np.zeros((grid.frames, 64, 64, 3), np.uint8)
    clip = Clip(blank, np.arange(grid.frames) / 25, np.arange(grid.frames), 25.0, grid.frames / 25)
    for count in sorted({1, batch_size}):
        explainer([clip] * count)


def _ignore() -> None:
    """Do nothing about a lost device."""


def load_explainer(settings: Settings, folder: Path, gpu: int | None) -> Explainer:
    """Load the model that the settings name.

    Args:
        settings: the settings of the model.
        folder: the folder that a relative path of weights starts from.
        gpu: the number of the GPU that the server around this package gives this process; None is no GPU.

    Raises:
        LoadError: the model cannot be loaded.
    """
    device = settings.device
    if device == "auto":
        device = "cpu" if gpu is None or not torch.cuda.is_available() else f"cuda:{gpu}"
    if settings.threads:
        torch.set_num_threads(settings.threads)
    weights = folder / settings.weights
    source = weights if weights.is_dir() else settings.weights
    return Explainer.load(source, device, settings.dtype, settings.stride)


class Service:
    """Answer requests with a model, by the HTTP contract, inside any server."""

    def __init__(
        self,
        explainer: Explainer,
        settings: Settings,
        telemetry: Telemetry | None = None,
        *,
        name: str = "model",
        version: str = "0",
        batch_size: int = 1,
        patience: float = math.inf,
        device_lost: Callable[[], None] = _ignore,
        decode: Decode | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take a loaded model.

        Args:
            explainer: the model.
            settings: what requests may ask for, and what they may cost.
            telemetry: takes the measurements; None discards them.
            name: the name of the model.
            version: the version of the model.
            batch_size: the most videos of one forward pass.
            patience: the seconds after which the server around this package gives up a batch; a batch uses at most
                three quarters of them.
            device_lost: called when the model's device does not work any more.
            decode: turns the bytes of a video into a clip; None does so in a pool of processes, one for each of
                `settings.decoders`.
            clock: returns seconds that never run backwards.

        Raises:
            LoadError: the settings do not fit the model.
        """
        self.explainer, self.telemetry = explainer, telemetry or Telemetry()
        self.model = wire.Model.of(name, version, explainer.signature, settings)
        self.card = wire.card(self.model, explainer.signature, settings)
        self.batch_seconds = min(settings.batch_seconds, 0.75 * patience)
        self._children: Pool | None = None
        if decode is None:
            self._children = Pool(settings.decoders, settings.limits)
            decode = self._children.decode
        self.decoding = Decoding(explainer.signature, settings, explainer.device, explainer.dtype, decode, clock)
        self.scheduler = Scheduler(explainer, batch_size, settings.verify_seconds, clock)
        self._audit = Audit(explainer, self.telemetry, settings.audit, clock)
        self._device_lost, self._clock = device_lost, clock
        self._pool = ThreadPoolExecutor(settings.decoders, "decode")

    def warm(self) -> None:
        """Start what decodes, and run the model with one video and with a full batch, for the first requests' sake."""
        if self._children is not None:
            self._children.start()
        warm(self.explainer, self.scheduler.batch_size)

    def answer(self, incoming: Sequence[Incoming]) -> list[Outgoing]:
        """Return a reply to every request of a batch: its result or its error."""
        with self._audit.interrupted():
            return self._answer(incoming)

    def _answer(self, incoming: Sequence[Incoming]) -> list[Outgoing]:
        began, until = time.time_ns(), self._clock() + self.batch_seconds
        accepted = list(self._pool.map(accept, range(len(incoming)), incoming))
        jobs = in_turn([jobs for _, jobs in accepted])
        self.decoding.run(jobs, self._pool, until)
        forwards = self.scheduler.run(jobs, until)
        if any(job.device_failed for job in jobs) and not self.explainer.device_works():
            self._device_lost()
        replies = [word(request, its_jobs, self.model, self.card) for request, its_jobs in accepted]
        try:
            self.telemetry.measure(jobs, len(incoming), forwards)
            for (request, its_jobs), came in zip(accepted, incoming, strict=True):
                times = began, time.time_ns()
                self.telemetry.trace(request, its_jobs, came.headers, times, self.model.name, len(jobs))
            self._audit.offer(jobs)
        except Exception:  # the replies are made: what a caller wrote into its trace must not take them
            logger.exception("a batch could not be measured")
        return replies

    def close(self) -> None:
        """End the audit, and the decoding threads and processes."""
        self._audit.close()
        self._pool.shutdown()
        if self._children is not None:
            self._children.close()
