"""TorchServe's door to the core: rows of a batch -> clips -> one forward pass -> replies, a status for every row."""

import logging
import os
import re
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from http import HTTPStatus
from itertools import zip_longest
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from ts.metrics.metric_type_enum import MetricTypes

from staa import Clip, Explainer, Options, Settings, StaaError, decode, frames, wire
from staa.attribution import METHODS
from staa.errors import BusyError, TooSlowError
from staa.passes import BUSY, Passes
from staa.row import Row
from staa.traces import Send, sender
from staa.watch import Watch

logger = logging.getLogger(__name__)
T = TypeVar("T")
STAGES = ("decode", "prepare", "forward", "verify", "encode")
PATIENCE = 120
"""Seconds: TorchServe's own default of responseTimeout."""
COUNTERS = ("answers", "rows", "forwards")


class StaaHandler:
    """Labels for /predictions, labels and maps for /explanations; a batch mixes both."""

    def initialize(self, context: Any) -> None:
        """Load and warm the model; an exception here keeps the worker from becoming READY."""
        config = context.model_yaml_config or {}
        settings = Settings.read(config.get("handler") or {})
        properties = context.system_properties
        folder = Path(properties["model_dir"]) / settings.weights
        device, gpu = settings.device, properties.get("gpu_id")
        if device == "auto":  # TorchServe names a GPU where its deviceType allows one
            device = "cpu" if gpu is None or not torch.cuda.is_available() else f"cuda:{gpu}"
        if settings.threads:
            torch.set_num_threads(settings.threads)
        self.settings = settings
        weights = folder if folder.is_dir() else settings.weights
        self.explainer = Explainer.load(weights, device, settings.dtype, settings.stride)
        self.pool = ThreadPoolExecutor(settings.decoders, "decode")
        version = context.manifest["model"]["modelVersion"]
        self.model = wire.Model(context.model_name, version, self.explainer.family, self.explainer.labels)
        self.card = wire.card(self.model, self.explainer.grid, self.explainer.recipe, settings)
        self.metrics = _metrics(context.metrics)
        self.trace = sender(settings.traces, f"staa-serve {self.model.name}") if settings.traces else None
        self.batch = int(properties.get("batch_size") or 1)
        self.seconds = min(settings.batch_seconds, 0.75 * (config.get("responseTimeout") or PATIENCE))
        self._warm(self.batch)

    def _warm(self, batch: int) -> None:
        """Let lazy work (kernels, memory) happen before the first request, for one row and for a full batch."""
        grid = self.explainer.grid
        blank = np.zeros((grid.frames, 64, 64, 3), np.uint8)
        clip = Clip(blank, np.arange(grid.frames) / 25, np.arange(grid.frames), 25.0, grid.frames / 25)
        for rows in sorted({1, batch}):
            self.explainer([clip] * rows)

    def handle(self, data: list[Mapping[str, Any]], context: Any) -> list[bytes]:
        """Answer every row of a batch: its own result, or its own error."""
        clock, until = time.time_ns(), time.monotonic() + self.seconds
        calls = list(self.pool.map(lambda number: self._parse(number, data[number], context), range(len(data))))
        rows = [row for _, own in calls for row in own]

        def guarded(rows: list[Row], work: Callable[[], T]) -> T | None:
            return self._guarded(rows, context, work)

        turns = [row for turn in zip_longest(*(own for _, own in calls)) for row in turn if row]
        self._decode(turns, context, until)
        failed = {row.number for row in rows if row.error is not None}
        good = [row for row in turns if row.number not in failed and row.pixels is not None]
        forwards = Passes(self.explainer, self.batch, self.settings.verify_seconds, guarded).run(good, until)
        replies = [self._reply(call, own, context) for call, own in calls]
        self._count(rows, len(calls), forwards)
        if self.trace is not None:
            for call, own in calls:
                self._send_spans(self.trace, call, own, clock, len(rows), context)
        return replies

    def _parse(self, number: int, data: Mapping[str, Any], context: Any) -> tuple[wire.Call, list[Row]]:
        """A request, and a row for each of its videos; one row with the error where it cannot be read."""
        row = Row(number)
        explain = context.get_request_header(number, "explain") == "True"
        headers = context.get_all_request_header(number)
        call = self._guarded([row], context, lambda: wire.read(data, headers, explain=explain)) or wire.Call(())
        return call, [Row(number, request) for request in call.requests] or [row]

    def _decode(self, rows: list[Row], context: Any, until: float) -> None:
        """Read videos, in the pool and in this order: the first of every request, so that many of one hold no other up.

        The videos of one request share its time, which runs while any of them is read; once one of them has failed the
        others are left alone.
        """
        watches = {row.number: Watch() for row in rows}
        failed: set[int] = set()

        def read(row: Row) -> None:
            if row.number in failed:
                return
            with watches[row.number] as spent:
                own, shared = self.settings.limits.seconds - spent, until - time.monotonic()
                self._guarded([row], context, lambda: self._read(row, own, shared))
            if row.error is not None:
                failed.add(row.number)

        list(self.pool.map(read, rows))

    def _read(self, row: Row, own: float, shared: float) -> None:
        """Request -> clip -> pixels; frames are scaled one by one, as they come, for they are large.

        Args:
            row: one video.
            own: seconds that its request has left.
            shared: seconds that the batch has left.
        """
        request = row.request
        if request is None or request.describe:
            return  # the card needs no clip
        options = request.options
        self.settings.check(options)
        self.explainer.check(options)
        with row.timed("decode"):
            read = frames.unpack if frames.packed(request.video) else decode
            if shared <= 0:
                raise BusyError(BUSY)
            if own <= 0:
                raise TooSlowError(
                    "the videos took all of the time that they have together: send fewer, or shorter ones"
                )
            limits = replace(self.settings.limits, seconds=round(min(own, shared), 2))
            wanted, scaled = self.explainer.grid.frames, self.explainer.recipe.scaled
            try:
                clip = read(request.video, wanted, options.start, options.end, limits, scaled)
            except TooSlowError as error:
                raise BusyError(BUSY) if shared < own else error from None
        with row.timed("prepare"):
            row.pixels, (row.box,) = self.explainer.prepare([clip])
        row.clip = clip.bare()

    def _encode(self, call: wire.Call, rows: list[Row]) -> wire.Reply:
        if call.requests[0].describe:
            return self.card
        answers = []
        for row in rows:
            if row.clip is None or row.result is None:
                raise RuntimeError("a row without an error has a result")
            answers.append(wire.Answer(row.clip, row.result, row.seconds.get("verify", 0)))
        clock, began = time.time_ns(), time.perf_counter()
        made = wire.answer(call, self.model, answers)
        for row in rows:  # a share of it each, so that every stage has counted as many rows
            row.took("encode", clock, (time.perf_counter() - began) / len(rows))
        return made

    def _reply(self, call: wire.Call, rows: list[Row], context: Any) -> bytes:
        """Encode, or say why not, and set what TorchServe sends beside the body; one bad video fails its request."""
        number = rows[0].number
        failed = next(((part, row.error) for part, row in enumerate(rows) if row.error is not None), None)
        made = None if failed else self._guarded(rows, context, lambda: self._encode(call, rows))
        part, error = failed or (0, rows[0].error)
        body, kind = made or wire.failure(error or StaaError("no reply was made"), call.name(part))
        status = HTTPStatus.OK if made else error.status if error else HTTPStatus.INTERNAL_SERVER_ERROR
        context.set_response_status(int(status), HTTPStatus(status).phrase, number)
        context.set_response_content_type(number, kind)
        spent = _spent(rows)
        if spent:
            timing = ", ".join(f"{stage};dur={seconds * 1000:.1f}" for stage, seconds in spent.items())
            context.set_response_header(number, "Server-Timing", timing)
        return body

    def _send_spans(self, send: Send, call: wire.Call, rows: list[Row], began: int, batch: int, context: Any) -> None:
        """A request and its stages, as spans that continue the trace of its caller."""
        number = rows[0].number
        several = len(rows) > 1
        spans = {
            f"{stage} {part}" if several else stage: span
            for part, row in enumerate(rows)
            for stage, span in row.spans.items()
        }
        options = call.requests[0].options if call.requests else Options(explain=False)
        error = next((row.error for row in rows if row.error is not None), None)
        facts: dict[str, str | int] = {"staa.request_id": context.get_request_id(number), "staa.batch": batch}
        facts |= {"staa.method": options.method} if options.explain and options.method in METHODS else {}
        name = f"{'explain' if options.explain else 'predict'} {self.model.name}"
        headers = {
            key: value for key, value in context.get_all_request_header(number).items() if isinstance(value, str)
        }
        try:
            send(name, headers, began, time.time_ns(), spans, facts, None if error is None else error.code)
        except Exception:  # the replies are made: what a caller wrote into its trace must not take them
            logger.exception("the spans of a request could not be sent")

    def _guarded(self, rows: list[Row], context: Any, work: Callable[[], T]) -> T | None:
        """Run a part of the work; what it raises becomes the error of its rows and nobody else's."""
        try:
            return work()
        except StaaError as error:
            for row in rows:
                row.error = error
                logger.info("request %s refused: %s %r", _names(row, context), error.code, str(error))
        except Exception as error:
            if isinstance(error, torch.AcceleratorError) and not self._gpu_works():
                logger.exception("nothing runs on the GPU any more: this worker ends, TorchServe starts another")
                logging.shutdown()
                os._exit(1)
            for row in rows:
                logger.exception("request %s failed", _names(row, context))
                name = context.get_request_id(row.number)
                row.error = StaaError(f"the server failed on this request; its log says why under {name}")
        return None

    def _gpu_works(self) -> bool:
        try:
            return bool(torch.ones(1, device=self.explainer.device).sum().item() == 1)
        except RuntimeError:
            return False

    def _count(self, rows: list[Row], requests: int, forwards: int) -> None:
        """Times into histograms of seconds; how many requests, rows and forward passes into counters.

        A card is no row. Nor is a video that was well, in a request that another one failed: it was neither a fault of
        its own nor one of the server that left it without a result.
        """
        name = [self.model.name]
        failed = {row.number for row in rows if row.error is not None}
        counted = [row for row in rows if row.error is not None or row.number not in failed]
        for row in counted:
            for stage, seconds in row.seconds.items():
                self.metrics[stage].add_or_update(seconds, name)
        videos = [row for row in counted if row.request is None or not row.request.describe]
        for counter, count in (("answers", requests), ("rows", len(videos)), ("forwards", forwards)):
            if count:
                self.metrics[counter].add_or_update(count, name)


def _names(row: Row, context: Any) -> str:
    """TorchServe's id of a request, and the caller's where there is one that can be printed."""
    names = [context.get_request_id(row.number)]
    given = context.get_request_header(row.number, "x-request-id")
    if isinstance(given, str) and re.fullmatch(r"[A-Za-z0-9._:+/=-]{1,128}", given):
        names.append(f"(of the caller: {given})")
    return " ".join(names)


def _spent(rows: list[Row]) -> dict[str, float]:
    """Stage -> seconds of all videos of one request; a forward pass that several shared counts once."""
    spent = {stage: sum(row.seconds.get(stage, 0) for row in rows) for row in rows for stage in row.seconds}
    if "forward" in spent:
        passes = {row.spans["forward"][0]: row.seconds["forward"] for row in rows if "forward" in row.spans}
        spent["forward"] = sum(passes.values())
    return spent


def _metrics(cache: Any) -> dict[str, Any]:
    """TorchServe's metric objects, named as in metrics.yaml."""
    found = {stage: cache.get_metric(f"staa_{stage}_seconds", MetricTypes.HISTOGRAM) for stage in STAGES}
    counters = {name: cache.get_metric(f"staa_{name}_total", MetricTypes.COUNTER) for name in COUNTERS}
    return found | counters
