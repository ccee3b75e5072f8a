"""Measures requests: times and counts go to the metrics of the server around this package, spans to a collector.

Spans are those of OpenTelemetry. They are optional and sent in the background: one for a request, which continues the
trace of its `traceparent` header (W3C Trace Context), and one for each of its stages. They need the packages
opentelemetry-sdk and opentelemetry-exporter-otlp-proto-http.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from staa.attribution import METHODS
from staa.errors import LoadError
from staa.serving.job import Job, failed_requests
from staa.serving.wire import Request
from staa.types import Attribution, Faithfulness, Options, Result
from staa.verify import VERDICTS, verdict

STAGES = ("decode", "prepare", "forward", "refine", "verify", "encode")
"""The stages of a job; each has a histogram of seconds."""
LABEL_FIGURES = ("doubt", "margin")
"""What is said of the labels of a video; each has a histogram: `label_figures`."""
MAP_FIGURES = ("map_concentration", "map_strongest_step", "map_strongest_cell", "map_against")
"""What is said of a map; each has a histogram, with the method as label: `map_figures`."""
COUNTERS = ("answers", "rows", "forwards", "unexplained", "verdicts")
"""The counters: requests that were answered, videos in them, forward passes, videos without a map as the rules of their
request left them out, and maps that were verified. The last has the labels method, verdict (a key of VERDICTS), and
source: "request" asked for it, or it is a sample, "audit"."""


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


def _nowhere(_name: str, _value: float, _labels: Sequence[str]) -> None:
    """Discard a measurement."""


@dataclass(frozen=True, slots=True)
class Telemetry:
    """Pass measurements on; by default they are discarded."""

    observe: Callable[[str, float, Sequence[str]], None] = _nowhere
    """A function that takes a histogram, a value and the values of its labels: a stage of STAGES and the seconds that
    a job spent in it, or a name of LABEL_FIGURES or MAP_FIGURES and a number from 0 to 1."""
    count: Callable[[str, int, Sequence[str]], None] = _nowhere
    """A function that takes a counter of COUNTERS, by how much it increases, and the values of its labels. It is also
    called from the thread of the audit."""
    send: Callable[[RequestSpan], None] | None = None
    """A function that takes the spans of a request and returns without waiting."""

    def measure(self, jobs: Sequence[Job], requests: int, forwards: int) -> None:
        """Report the times and results of a batch, and how many requests, videos and forward passes it had.

        A request for a card counts no video. A video without an error does not count either if another video of its
        request failed, since it has no result for that reason only.
        """
        failed = failed_requests(jobs)
        counted = [job for job in jobs if job.error is not None or job.request_key not in failed]
        for job in counted:
            for stage, seconds in job.seconds.items():
                self.observe(stage, seconds, ())
            if job.error is None and job.result is not None:
                self._measure_result(job.result)
        videos = sum(not job.is_card for job in counted)
        unexplained = sum(job.error is None and job.why_not is not None for job in counted)
        counts = {"answers": requests, "rows": videos, "forwards": forwards, "unexplained": unexplained}
        for counter, count in counts.items():
            if count:
                self.count(counter, count, ())

    def _measure_result(self, result: Result) -> None:
        """Report what the labels and the map of one video are like, and the verdict on the map if there is one."""
        for name, value in label_figures(result).items():
            self.observe(name, value, ())
        shown = result.attribution
        if shown is None:
            return
        for name, value in map_figures(shown).items():
            self.observe(name, value, (shown.method,))
        if result.faithfulness is not None:
            self.count_verdict(shown.method, result.faithfulness, "request")

    def count_verdict(self, method: str, checked: Faithfulness, source: str) -> None:
        """Count the verdict on a map; the other verdicts count 0, so that their series begin together with it.

        Prometheus takes the first value of a series for nothing: the rarest verdict would lose most by that.
        """
        code = verdict(checked)
        for each in VERDICTS:
            self.count("verdicts", int(each == code), (method, each, source))

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


def label_figures(result: Result) -> dict[str, float]:
    """Return how sure the model is of its labels, each a number from 0 to 1.

    doubt: 1 less the best score. margin: the best score less the second; only where the result has two labels.
    """
    scores = [prediction.score for prediction in result.predictions[:2]]
    figures = {"doubt": 1 - scores[0]}
    if len(scores) > 1:
        figures["margin"] = scores[0] - scores[1]
    return figures


def map_figures(shown: Attribution) -> dict[str, float]:
    """Return how a map looks, each a number from 0 to 1.

    map_concentration: 1 less the entropy of `joint` divided by that of an even map; 0 is even, 1 is a single cell.
    map_strongest_step: the largest share of the map in one step. map_strongest_cell: the same of one cell.
    map_against: the share of `signed` that speaks against the class; only for class maps that are not 0 everywhere.
    """
    joint = shown.joint.astype(np.float64)
    cells = joint[joint > 0]
    evenness = -float((cells * np.log(cells)).sum()) / (math.log(joint.size) or 1)
    figures = {
        "map_concentration": max(1 - evenness, 0.0),
        "map_strongest_step": float(shown.temporal.max()),
        "map_strongest_cell": float(shown.joint.max()),
    }
    if shown.signed is not None and shown.signed.any():
        figures["map_against"] = -float(shown.signed.clip(max=0).sum(dtype=np.float64))
    return figures


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
