"""Spans of a request, received by a collector on loopback."""

import gzip
import itertools
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import numpy as np
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from staa.errors import LoadError
from staa.serving import Incoming, Settings, Telemetry, spans_to
from tests.made import videos
from tests.made.requests import NOISE
from tests.made.services import ask, service

TRACE, CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


class Collector(BaseHTTPRequestHandler):
    """Keep the spans that it gets."""

    spans: ClassVar[list[Any]] = []

    def do_POST(self) -> None:
        """Take a batch of spans."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        body = gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body
        request = ExportTraceServiceRequest.FromString(body)
        self.spans.extend(span for one in request.resource_spans for scope in one.scope_spans for span in scope.spans)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name is http.server's
        """Say nothing."""


@pytest.fixture
def endpoint() -> Iterator[str]:
    """Return the address of a collector."""
    Collector.spans.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Collector) as house:
        thread = threading.Thread(target=house.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{house.server_port}/v1/traces"
        house.shutdown()
        thread.join()


def test_a_request_is_a_span_with_its_stages(endpoint: str) -> None:
    """The caller's trace goes on: a span a request with its id or error, and its stages in it, in their order."""
    served = service(telemetry=Telemetry(send=spans_to(endpoint, "staa-serve tiny")), batch_size=2)
    film = videos.encode([np.full((48, 64, 3), grey, np.uint8) for grey in range(0, 200, 10)])
    traced = {"Traceparent": f"00-{TRACE}-{CALLER}-01"}
    reply, _ = served.answer(
        [Incoming({"body": film}, traced, explain=True, id="request-0"), Incoming({"body": b"noise"}, id="request-1")]
    )
    assert "explanation" in json.loads(reply.body)
    until = time.monotonic() + 10
    while len(Collector.spans) < 6 and time.monotonic() < until:
        time.sleep(0.05)

    whole, refused = (
        next(span for span in Collector.spans if span.name == name) for name in ("explain tiny", "predict tiny")
    )
    assert (whole.trace_id.hex(), whole.parent_span_id.hex()) == (TRACE, CALLER)
    facts = {fact.key: fact.value.string_value or fact.value.int_value for fact in whole.attributes}
    assert facts == {"staa.request_id": "request-0", "staa.batch": 2, "staa.method": "staa"}
    assert (refused.status.code, refused.status.message) == (2, "not_a_video")
    assert refused.trace_id.hex() != TRACE
    stages = sorted(
        (span for span in Collector.spans if span.parent_span_id == whole.span_id), key=lambda s: s.start_time_unix_nano
    )
    assert [span.name for span in stages] == ["decode", "prepare", "forward", "encode"]
    assert whole.start_time_unix_nano <= stages[0].start_time_unix_nano
    for one, other in itertools.pairwise(stages):
        assert one.start_time_unix_nano <= one.end_time_unix_nano <= other.start_time_unix_nano + 2_000_000
    assert stages[-1].end_time_unix_nano <= whole.end_time_unix_nano + 2_000_000


def test_a_collector_that_is_away_costs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """Nobody at the address: requests are answered as ever, also after spans could not be sent."""
    served = service(telemetry=Telemetry(send=spans_to("http://127.0.0.1:9/v1/traces", "staa-serve tiny")))
    for _ in range(2):
        assert ask(served, [{"video": NOISE}])[1] == [415]
        until = time.monotonic() + 10
        while not any("opentelemetry" in record.name for record in caplog.records) and time.monotonic() < until:
            time.sleep(0.05)
    assert any("export" in record.getMessage() for record in caplog.records)


@pytest.mark.parametrize("value", ["127.0.0.1:4318", 4318, True])
def test_an_address_is_checked(value: object) -> None:
    """What is no URL is told when the model is loaded."""
    with pytest.raises(LoadError, match=r"handler\.traces"):
        Settings.read({"weights": "x", "traces": value})
