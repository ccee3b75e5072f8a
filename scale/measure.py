"""Takes what the stages measure, under the names of metrics.yaml, to the process that adds it up."""

from collections import deque
from collections.abc import Sequence
from typing import Any

from ray.serve.handle import DeploymentHandle

from scale.metrics import Measurement, Names
from staa.serving import Telemetry, spans_to
from staa.serving.telemetry import COUNTERS, LABEL_FIGURES, MAP_FIGURES, STAGES

Handle = DeploymentHandle[Any]
"""By which one deployment calls another."""
REQUESTS = "requests"
"""The counter of replies, by status: the first home has Requests2XX, 4XX and 5XX for it."""
HISTOGRAMS: Names = {
    **{stage: (f"staa_{stage}_seconds",) for stage in STAGES},
    **{figure: (f"staa_{figure}",) for figure in LABEL_FIGURES},
    **{figure: (f"staa_{figure}", "Method") for figure in MAP_FIGURES},
}
_LABELS = {"verdicts": ("Method", "Verdict", "Source"), REQUESTS: ("Status",)}
COUNTERS_NAMED: Names = {key: (f"staa_{key}_total", *_LABELS.get(key, ())) for key in (*COUNTERS, REQUESTS)}


class Measurements:
    """Collect what one process measures of one model, and send it on without waiting."""

    def __init__(self, metrics: Handle, model: str, traces: str | None = None) -> None:
        self._metrics, self._model = metrics, model
        self._kept: deque[Measurement] = deque()
        self.telemetry = Telemetry(self._keep, self._keep, spans_to(traces, f"staa-serve {model}"))

    def _keep(self, name: str, value: float, labels: Sequence[str]) -> None:
        self._kept.append((name, value, tuple(labels)))

    def send(self, *more: Measurement) -> None:
        """Send what was kept, and more; any thread may call it."""
        sent = list(more)
        while self._kept:
            sent.append(self._kept.popleft())
        if sent:
            self._metrics.add.remote(self._model, sent)
