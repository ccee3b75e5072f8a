"""TorchServe's adapter: its rows -> staa.serving, and back. All that is decided is decided there."""

import logging
import os
from collections.abc import Mapping, Sequence
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any

from ts.metrics.metric_type_enum import MetricTypes

from staa.serving import Incoming, Service, Settings, Telemetry, load_explainer, spans_to
from staa.serving.telemetry import COUNTERS, LABEL_FIGURES, MAP_FIGURES, STAGES

logger = logging.getLogger(__name__)
RESPONSE_TIMEOUT = 120
"""Seconds: TorchServe's own default of responseTimeout."""


class StaaHandler:
    """Answer with labels on /predictions, with labels and maps on /explanations; a batch mixes both."""

    def initialize(self, context: Any) -> None:
        """Load and warm the model; an exception here keeps the worker from becoming READY."""
        # Else TorchServe's part of this worker parses JSON before this handler can look how large it becomes. It reads
        # the variable anew for each request, so that it counts whoever started TorchServe.
        os.environ["TS_DECODE_INPUT_REQUEST"] = "false"
        config, properties = context.model_yaml_config or {}, context.system_properties
        settings = Settings.read(config.get("handler") or {})
        name = context.model_name
        telemetry = Telemetry(*_metrics(context.metrics, name), spans_to(settings.traces, f"staa-serve {name}"))
        self.service = Service(
            load_explainer(settings, Path(properties["model_dir"]), properties.get("gpu_id")),
            settings,
            telemetry,
            name=name,
            version=context.manifest["model"]["modelVersion"],
            batch_size=int(properties.get("batch_size") or 1),
            patience=config.get("responseTimeout") or RESPONSE_TIMEOUT,
            device_lost=_end_worker,
        )
        self.service.warm()

    def handle(self, data: list[Mapping[str, Any]], context: Any) -> list[bytes]:
        """Answer every row of a batch."""
        replies = self.service.answer([_incoming(row, index, context) for index, row in enumerate(data)])
        for index, reply in enumerate(replies):
            context.set_response_status(reply.status, HTTPStatus(reply.status).phrase, index)
            context.set_response_content_type(index, reply.content_type)
            for name, value in reply.headers.items():
                context.set_response_header(index, name, value)
        return [reply.body for reply in replies]


def _incoming(row: Mapping[str, Any], index: int, context: Any) -> Incoming:
    explain = context.get_request_header(index, "explain") == "True"
    return Incoming(row, context.get_all_request_header(index), explain, context.get_request_id(index))


def _metrics(cache: Any, model: str) -> tuple[Any, Any]:
    """Return what takes histograms' values, and what takes counts, into TorchServe's metric objects of metrics.yaml.

    Any thread may call it: such an object keeps no state, it logs a line that TorchServe's frontend reads and adds up.
    """
    names = {stage: f"staa_{stage}_seconds" for stage in STAGES}
    names |= {figure: f"staa_{figure}" for figure in (*LABEL_FIGURES, *MAP_FIGURES)}
    metrics = {key: cache.get_metric(name, MetricTypes.HISTOGRAM) for key, name in names.items()}
    metrics |= {counter: cache.get_metric(f"staa_{counter}_total", MetricTypes.COUNTER) for counter in COUNTERS}
    add = partial(_add, metrics, model)
    return add, add


def _add(metrics: Mapping[str, Any], model: str, name: str, value: float, labels: Sequence[str]) -> None:
    metrics[name].add_or_update(value, [model, *labels])


def _end_worker() -> None:
    """End this process, which TorchServe would take for ready; it starts another."""
    logger.error("nothing runs on the GPU any more: this worker ends, TorchServe starts another")
    logging.shutdown()
    os._exit(1)
