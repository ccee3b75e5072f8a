"""Adds up what all processes of this home measure, for one scrape of all; it loads neither torch nor a model."""

from collections.abc import Mapping, Sequence

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics, generate_latest

Measurement = tuple[str, float, tuple[str, ...]]
"""The key of a metric, a value, and the values of its labels after the model's."""
Names = Mapping[str, tuple[str, ...]]
"""The key of a metric -> its name in Prometheus, and the names of its labels after the model's."""


class Metrics:
    """Keep the sums. They begin anew if this process does, as Prometheus expects of counters."""

    def __init__(self, histograms: Names, counters: Names) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = CollectorRegistry()
        self._metrics: dict[str, Counter | Histogram] = {
            key: kind(name, f"{name}, as in metrics.yaml", ("ModelName", *labels), registry=self._registry)
            for kind, names in ((Histogram, histograms), (Counter, counters))
            for key, (name, *labels) in names.items()
        }

    def add(self, model: str, measurements: Sequence[Measurement]) -> None:
        """Add what was measured of one model."""
        for key, value, labels in measurements:
            series = self._metrics[key].labels(model, *labels)
            (series.inc if isinstance(series, Counter) else series.observe)(value)

    def text(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self._registry)
