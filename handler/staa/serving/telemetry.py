"""Measures requests: times and counts go to the metrics of the server around this package, spans to a collector.

Spans are those of OpenTelemetry. They are optional and sent in the background: one for a request, which continues the
trace of its `traceparent` header (W3C Trace Context), and one for each of its stages. They need the packages
opentelemetry-sdk and opentelemetry-exporter-otlp-proto-http.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from staa.attribution import METHODS
from staa.errors import LoadError
from staa.serving.job import Job, failed_requests
from staa.serving.wire import Request
from staa.types import Options

STAGES = ("decode", "prepare", "forward", "refine", "verify", "encode")
"""The stages of a job; each has a histogram of seconds."""
COUNTERS = ("answers", "rows", "forwards")
"""The counters: requests that were answered, videos in them, and forward passes."""


@dataclass(frozen=True, slots=True)
class RequestSpan:
    """Hold the spans of one request and of its stages; starts and ends are in nanoseconds of the wall clock."""

    name: str
    headers: Mapping[str, str]
    """The headers of the request; its `traceparent` names the parent span."""
    times: tuple[int, int]
    stages: Mapping[str, tuple[int, int]]
    facts: Mapping[str, str | int]
    """The attributes of the span."""
    error_code: str | None
    """The code of the error, if the request failed."""


def _nowhere(_name: str, _value: float) -> None:
    """Discard a measurement."""


@dataclass(frozen=True, slots=True)
class Telemetry:
    """Pass measurements on; by default they are discarded."""

    observe: Callable[[str, float], None] = _nowhere
    """A function that takes a stage of STAGES and the seconds that a job spent in it."""
    count: Callable[[str, int], None] = _nowhere
    """A function that takes a counter of COUNTERS and by how much it increases."""
    send: Callable[[RequestSpan], None] | None = None
    """A function that takes the spans of a request and returns without waiting."""

    def measure(self, jobs: Sequence[Job], requests: int, forwards: int) -> None:
        """Report the times of a batch, and how many requests, videos and forward passes it had.

        A request for a card counts no video. A video without an error does not count either if another video of its
        request failed, since it has no result for that reason only.
        """
        failed = failed_requests(jobs)
        counted = [job for job in jobs if job.error is not None or job.request_key not in failed]
        for job in counted:
            for stage, seconds in job.seconds.items():
                self.observe(stage, seconds)
        videos = sum(not job.is_card for job in counted)
        for counter, count in zip(COUNTERS, (requests, videos, forwards), strict=True):
            if count:
                self.count(counter, count)

    def trace(
        self,
        request: Request,
        jobs: Sequence[Job],
        headers: Mapping[str, str],
        times: tuple[int, int],
        model: str,
        batch: int,
    ) -> None:
        """Send a request and its stages as spans that continue the trace of its caller.

        Args:
            request: the request that was read.
            jobs: the jobs of its videos.
            headers: the headers of the request.
            times: its start and end, in nanoseconds of the wall clock.
            model: the name of the model.
            batch: how many videos were answered together.
        """
        if self.send is None:
            return
        spans = {
            f"{stage} {index}" if len(jobs) > 1 else stage: span
            for index, job in enumerate(jobs)
            for stage, span in job.spans.items()
        }
        options = request.videos[0].options if request.videos else Options(explain=False)
        facts: dict[str, str | int] = {"staa.request_id": jobs[0].request_id, "staa.batch": batch}
        if options.explain and options.method in METHODS:  # not whatever a caller wrote
            facts["staa.method"] = options.method
        code = next((job.error.code for job in jobs if job.error is not None), None)
        name = f"{'explain' if options.explain else 'predict'} {model}"
        self.send(RequestSpan(name, headers, times, spans, facts, code))


def seconds_of(jobs: Sequence[Job]) -> dict[str, float]:
    """Return stage -> seconds, summed over the videos of one request; a shared forward pass counts once."""
    seconds = {stage: sum(job.seconds.get(stage, 0) for job in jobs) for job in jobs for stage in job.seconds}
    if "forward" in seconds:
        passes = {job.spans["forward"][0]: job.seconds["forward"] for job in jobs if "forward" in job.spans}
        seconds["forward"] = sum(passes.values())
    return seconds


def spans_to(endpoint: str | None, service: str) -> Callable[[RequestSpan], None] | None:
    """Return a function that sends spans to a collector by OTLP over HTTP; None if there is no endpoint.

    Args:
        endpoint: such as "http://127.0.0.1:4318/v1/traces"; None sends nothing.
        service: the name of this service in the traces.

    Raises:
        LoadError: the OpenTelemetry packages are missing.
    """
    if endpoint is None:
        return None
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

    def send(request: RequestSpan) -> None:
        began, ended = request.times
        above = propagator.extract({key.lower(): value for key, value in request.headers.items()})
        span = tracer.start_span(request.name, above, SpanKind.SERVER, dict(request.facts), start_time=began)
        if request.error_code is not None:
            span.set_status(StatusCode.ERROR, request.error_code)
        inside = set_span_in_context(span)
        for stage, (start, end) in request.stages.items():
            tracer.start_span(stage, inside, start_time=start).end(end)
        span.end(ended)

    return send
