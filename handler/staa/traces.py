"""Spans of OpenTelemetry for what became of a request; optional, and sent in the background.

A span for the request, continuing the trace of its `traceparent` header (W3C Trace Context), and one for each stage.
Needs the packages opentelemetry-sdk and opentelemetry-exporter-otlp-proto-http.
"""

from collections.abc import Mapping
from typing import Protocol

from staa.errors import LoadError

Spans = Mapping[str, tuple[int, int]]
"""Stage -> start and end, nanoseconds of the wall clock."""


class Send(Protocol):
    """Hands the spans of one request on; returns at once."""

    def __call__(
        self,
        name: str,
        headers: Mapping[str, str],
        began: int,
        ended: int,
        spans: Spans,
        facts: Mapping[str, str | int],
        failed: str | None,
    ) -> None:
        """Send a span from `began` to `ended` with its stages, `facts` as attributes, and why it `failed`."""


def sender(endpoint: str, service: str) -> Send:
    """What sends spans to a collector by OTLP over HTTP.

    Args:
        endpoint: such as "http://127.0.0.1:4318/v1/traces".
        service: the name of this service in the traces.

    Raises:
        LoadError: the packages are missing.
    """
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415  # optional
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
        from opentelemetry.trace import SpanKind, StatusCode, set_span_in_context  # noqa: PLC0415
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator  # noqa: PLC0415
    except ImportError as error:
        msg = "handler.traces needs opentelemetry-sdk and opentelemetry-exporter-otlp-proto-http: install them"
        raise LoadError(msg) from error
    provider = TracerProvider(resource=Resource.create({"service.name": service}))
    provider.add_span_processor(
        BatchSpanProcessor(OTLPSpanExporter(endpoint, timeout=5), schedule_delay_millis=1000, max_queue_size=2048)
    )
    tracer, propagator = provider.get_tracer("staa"), TraceContextTextMapPropagator()

    def send(
        name: str,
        headers: Mapping[str, str],
        began: int,
        ended: int,
        spans: Spans,
        facts: Mapping[str, str | int],
        failed: str | None,
    ) -> None:
        above = propagator.extract({key.lower(): value for key, value in headers.items()})
        whole = tracer.start_span(name, above, SpanKind.SERVER, dict(facts), start_time=began)
        if failed is not None:
            whole.set_status(StatusCode.ERROR, failed)
        inside = set_span_in_context(whole)
        for stage, (start, end) in spans.items():
            tracer.start_span(stage, inside, start_time=start).end(end)
        whole.end(ended)

    return send
