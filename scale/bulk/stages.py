"""The two stages of a bulk job: bytes -> pixels on CPUs, and pixels -> rows where the model is.

Each is a class that Ray Data keeps in processes of its own. Options, decoding, forward passes and replies are those of
`staa.serving`, and a reply becomes a row as in `staa batch`: the row is the same as if a server had been asked.
"""

import logging
import os
import pickle
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import ray
import torch

from scale.bulk.sources import Source
from scale.served import Served
from staa.errors import StaaError
from staa.serving import Decoding, Incoming, Job, Scheduler, accept, load_explainer, wire, word
from staa.serving.decoding import Decode
from staa_client import contract
from staa_client import errors as client_errors
from staa_client.batch.journal import line_of
from staa_client.batch.parquet import SCHEMA, row_of
from staa_client.errors import Failure
from staa_client.results.explanation import Answer
from staa_video.pool import Pool

logger = logging.getLogger(__name__)
ATTEMPTS = 3
"""How many processes may end while they have one video, before it is given up."""
MAPS = "npz"
"""How maps travel from a reply into a row, a key of wire.ENCODINGS: as float32."""
_DECODED = pa.schema([("work", pa.binary()), ("pixels", pa.large_binary())])
"""The rows between the stages. `work` is pickled: a source, and its job without the pixels or the error of its
storage. `pixels` are float32, null where there are none; the model's process reads them where they lie."""


@dataclass(frozen=True)
class Work:
    """Say what is asked about every video of a bulk job; it can be sent to another process."""

    served: Served
    explain: bool
    options: Mapping[str, str]
    """The options of the request, as a form has them."""
    request: str
    """The same as a row has it, with the name of the model."""
    batch: int
    """The most videos of one forward pass."""
    threads: int
    """The number of torch's threads for one model."""

    def accept(self, video: bytes, name: str) -> Job:
        """Return the job of a video, read as a server reads a request; it has an error if there is no video."""
        fields = {**self.options, "maps": MAPS, "video": video}
        _, (job,) = accept(0, Incoming(fields, explain=self.explain, id=name))
        return job


class KillerError(StaaError):
    """Each process that had this video ended."""

    status = 422
    code = "worker_died"


class Attempts:
    """Count how often a process began a video without ending it, since what kills a process cannot be caught in it."""

    def __init__(self) -> None:
        self._begun: Counter[str] = Counter()

    def begun(self, names: Sequence[str]) -> list[int]:
        """Return how often each was begun."""
        return [self._begun[name] for name in names]

    def begin(self, names: Sequence[str]) -> None:
        """Count once more for each."""
        self._begun.update(names)

    def end(self, names: Sequence[str]) -> None:
        """Forget the names."""
        for name in names:
            del self._begun[name]


class SharedAttempts(Attempts):
    """Are attempts that a Ray actor counts, for the processes of a job."""

    def __init__(self, actor: Any) -> None:
        self._actor = actor

    def begun(self, names: Sequence[str]) -> list[int]:
        """Return how often each was begun."""
        return list(ray.get(self._actor.begun.remote(names)))

    def begin(self, names: Sequence[str]) -> None:
        """Count once more for each."""
        ray.get(self._actor.begin.remote(names))

    def end(self, names: Sequence[str]) -> None:
        """Forget the names."""
        ray.get(self._actor.end.remote(names))


class Decoder:
    """Turn sources into jobs with pixels; each video is decoded in a child process, as in a server."""

    def __init__(self, work: Work, attempts: Attempts, decode: Decode | None = None) -> None:
        torch.set_num_threads(1)
        self._work, self._attempts = work, attempts
        settings = work.served.settings
        self._most = int(settings.limits.bytes)
        self._decoding = Decoding(work.served.signature, settings, decode=decode or Pool(1, settings.limits).decode)

    def __call__(self, table: pa.Table) -> pa.Table:
        """Return a row of `_DECODED` for each pickled source."""
        return pa.Table.from_pylist([self._row(source) for source in _unpickled(table["source"])], _DECODED)

    def _row(self, source: Source) -> dict[str, Any]:
        outcome, pixels = self._decode(source), None
        if isinstance(outcome, Job):
            pixels, outcome.pixels = outcome.pixels, None
            if outcome.request is not None:
                outcome.request = replace(outcome.request, video=b"")  # a job with an error still has it
        data = None if pixels is None else pixels.numpy().tobytes()
        return {"work": pickle.dumps((source.key, outcome)), "pixels": data}

    def _decode(self, source: Source) -> "Job | OSError":
        name = source.key.identity
        (begun,) = self._attempts.begun([name])
        if begun >= ATTEMPTS:
            job = self._work.accept(b"-", name)
            job.error = _killer(begun)
            return job
        self._attempts.begin([name])
        outcome: Job | OSError
        try:
            outcome = self._work.accept(source.read(self._most), name)
            self._decoding.run_one(outcome)
        except Exception as error:  # whatever a storage raises is the error of this video
            logger.warning("%s cannot be read", name, exc_info=True)
            outcome = error if isinstance(error, OSError) else OSError(f"{type(error).__name__}: {error}")
        self._attempts.end([name])
        return outcome


class Model:
    """Turn jobs with pixels into rows of answers."""

    def __init__(self, work: Work, attempts: Attempts) -> None:
        self._work, self._attempts = work, attempts
        gpu = 0 if ray.is_initialized() and ray.get_gpu_ids() else None  # Ray shows a process its own GPUs only
        settings = replace(work.served.settings, threads=work.threads)
        self.explainer = load_explainer(settings, Path(), gpu)
        self._scheduler = Scheduler(self.explainer, work.batch, settings.verify_seconds)

    def __call__(self, table: pa.Table) -> pa.Table:
        """Return a row of an answer or an error for each row of `_DECODED`."""
        works = _unpickled(table["work"])
        for (_, outcome), pixels in zip(works, table["pixels"], strict=True):
            if pixels.is_valid:
                outcome.pixels = self._pixels(pixels.as_buffer())
        self._run([outcome for _, outcome in works if isinstance(outcome, Job) and outcome.pixels is not None])
        lines = [line_of(key, self._work.request, self._answer(outcome)) for key, outcome in works]
        return pa.Table.from_pylist([row_of(line) for line in lines], SCHEMA)

    def _pixels(self, buffer: pa.Buffer) -> torch.Tensor:
        signature = self._work.served.signature
        shape = 1, signature.grid.frames, 3, *(signature.recipe.shape or ())
        return torch.tensor(np.frombuffer(memoryview(buffer), np.float32)).reshape(shape)

    def _run(self, jobs: list[Job]) -> None:
        """Answer jobs together; one by one where a process ended while it had some of them."""
        names = [f"pass {job.request_id}" for job in jobs]
        groups = [(jobs, names)]
        if any(self._attempts.begun(names)):
            groups = [([job], [name]) for job, name in zip(jobs, names, strict=True)]
        for group, its_names in groups:
            if (begun := max(self._attempts.begun(its_names), default=0)) >= ATTEMPTS:
                group[0].error = _killer(begun)
                continue
            self._attempts.begin(its_names)
            self._scheduler.run(group)
            if any(job.device_failed for job in group) and not self.explainer.device_works():
                logger.error("nothing runs on the GPU any more: this process ends, Ray starts another")
                logging.shutdown()
                os._exit(1)
            self._attempts.end(its_names)

    def _answer(self, outcome: "Job | OSError") -> Answer | Failure:
        """Return what a client would make of a server's reply."""
        if not isinstance(outcome, Job):
            return outcome
        request = wire.Request(() if outcome.request is None else (outcome.request,))
        reply = word(request, [outcome], self._work.served.model, (b"", ""))
        read = contract.answer if self._work.explain else contract.result
        try:
            return read(reply.status, reply.headers, reply.body)
        except client_errors.StaaError as error:
            return error


def _unpickled(column: "pa.ChunkedArray[Any]") -> list[Any]:
    """Return what the driver or a decoder of this job has pickled."""
    return [pickle.loads(value.as_buffer()) for value in column]  # noqa: S301 - it comes from nowhere else


def _killer(count: int) -> KillerError:
    return KillerError(f"the process that had this video ended, {count} times: it is not opened again")
