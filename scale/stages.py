"""The two stages that scale by themselves: Decoder, bytes -> pixels, on CPUs, and Model, pixels -> results, on GPUs."""

import asyncio
import logging
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import ray
import torch
from ray import serve

from scale.measure import Handle, Measurements
from scale.served import Served
from staa.serving import Audit, Decoding, Job, Scheduler, in_turn, load_explainer, warm
from staa_video.pool import Pool

logger = logging.getLogger(__name__)


class Decoder:
    """Turn the videos of requests into pixels, each in a child process: a video that kills it costs its own request."""

    def __init__(self, served: Served) -> None:
        settings = served.settings
        self._seconds = served.batch_seconds
        self._pool = Pool(settings.decoders, settings.limits)
        self._pool.start()
        self._threads = ThreadPoolExecutor(settings.decoders, "decode")
        self._decoding = Decoding(served.signature, settings, decode=self._pool.decode)

    async def decode(self, jobs: list[Job]) -> list[Job]:
        """Return the jobs of one request with their pixels, or the error of the one that failed."""
        until = time.monotonic() + self._seconds
        await asyncio.to_thread(self._decoding.run, jobs, self._threads, until)
        return jobs


class Model:
    """Answer jobs that have pixels: one forward pass for a batch, by the scheduler of the first home."""

    def __init__(self, served: Served, metrics: Handle) -> None:
        settings = served.settings
        self._seconds, self._patience = served.batch_seconds, served.patience
        torch.set_num_threads(settings.threads or len(os.sched_getaffinity(0)))  # Ray leaves one thread a process
        gpu = 0 if ray.get_gpu_ids() else None  # Ray shows each process its own GPUs only
        self._explainer = load_explainer(settings, Path(), gpu)
        self._scheduler = Scheduler(self._explainer, served.batch_size, settings.verify_seconds)
        self._measurements = Measurements(metrics, served.name)
        self._audit = Audit(self._explainer, self._measurements.telemetry, settings.audit)
        self._began: float | None = None
        batch = serve.batch(max_batch_size=served.batch_size, batch_wait_timeout_s=served.batch_wait)
        self._batched = batch(self._answer_batch)
        warm(self._explainer, served.batch_size)

    async def answer(self, jobs: list[Job]) -> list[Job]:
        """Return the jobs of one request with their results, without their pixels; a failed request joins no batch."""
        answered = jobs if any(job.error for job in jobs) else await self._batched(jobs)
        for job in answered:
            job.pixels = None
        return answered

    async def _answer_batch(self, requests: list[list[Job]]) -> list[list[Job]]:
        """Answer a batch; the next one is decoded and collected meanwhile."""
        self._began = time.monotonic()
        try:
            forwards = await asyncio.to_thread(self._run, in_turn(requests))
        finally:
            self._began = None
        self._measurements.send(("forwards", forwards, ()))
        return requests

    def _run(self, jobs: list[Job]) -> int:
        with self._audit.interrupted():
            forwards = self._scheduler.run(jobs, time.monotonic() + self._seconds)
            if any(job.device_failed for job in jobs) and not self._explainer.device_works():
                logger.error("nothing runs on the GPU any more: this process ends, Ray starts another")
                logging.shutdown()
                os._exit(1)
            self._audit.offer(jobs)
        return forwards

    def check_health(self) -> None:
        """Raise RuntimeError if a batch hangs: then Ray replaces this process, as TorchServe does its worker."""
        began = self._began
        if began is not None and time.monotonic() - began > self._patience:
            raise RuntimeError(f"a batch has taken more than {self._patience} s")
