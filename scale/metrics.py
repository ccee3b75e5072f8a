"""Adds up what all processes of this home measure, under the names of metrics.yaml, for one scrape of all of them."""

from collections import deque
from collections.abc import Sequence
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics, generate_latest
from ray.serve.handle import DeploymentHandle

from staa.serving import Telemetry, spans_to
from staa.serving.telemetry import COUNTERS, LABEL_FIGURES, MAP_FIGURES, STAGES

Handle = DeploymentHandle[Any]
"""By which one deployment calls another."""
Measurement = tuple[str, float, tuple[str, ...]]
"""The name of a metric of METRICS, a value, and the values of its labels after the model's."""
REQUESTS = "requests"
"""The counter of replies, by status: the first home has Requests2XX, 4XX and 5XX for it."""
LABELS = {"verdicts": ("Method", "Verdict", "Source"), REQUESTS: ("Status",)} | dict.fromkeys(MAP_FIGURES, ("Method",))


class Metrics:
    """Keep the sums. They begin anew if this process does, as Prometheus expects of counters."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = CollectorRegistry()
        self._metrics: dict[str, Counter | Histogram] = {}
        names = {stage: f"staa_{stage}_seconds" for stage in STAGES}
        names |= {figure: f"staa_{figure}" for figure in (*LABEL_FIGURES, *MAP_FIGURES)}
        for key, name in names.items():
            labels = ("ModelName", *LABELS.get(key, ()))
            self._metrics[key] = Histogram(name, f"{name}, as in metrics.yaml", labels, registry=self._registry)
        for key in (*COUNTERS, REQUESTS):
            name, labels = f"staa_{key}_total", ("ModelName", *LABELS.get(key, ()))
            self._metrics[key] = Counter(name, f"{name}, as in metrics.yaml", labels, registry=self._registry)

    def add(self, model: str, measurements: Sequence[Measurement]) -> None:
        """Add what was measured of one model."""
        for key, value, labels in measurements:
            series = self._metrics[key].labels(model, *labels)
            if isinstance(series, Counter):
                series.inc(value)
            else:
                series.observe(value)

    def text(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self._registry)


class Measurements:
    """Collect what one process measures of one model, and send it on without waiting."""

    def __init__(self, metrics: Handle, model: str, traces: str | None = None) -> None:
        """Take the deployment that adds up, the name of the model, and where its spans go."""
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
