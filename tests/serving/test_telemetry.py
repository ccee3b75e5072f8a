"""Spans of a request, received by a collector on loopback."""

import itertools
import json
import time
from collections.abc import Iterator

import numpy as np
import pytest

from staa.errors import LoadError
from staa.serving import Incoming, Settings, Telemetry, spans_to
from tests.made import videos
from tests.made.collector import Collector, collecting
from tests.made.requests import NOISE
from tests.made.services import ask, service

TRACE, CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.fixture
def collector() -> Iterator[Collector]:
    """Return a collector of spans."""
    with collecting() as up:
        yield up


def test_a_request_is_a_span_with_its_stages(collector: Collector) -> None:
    """The caller's trace goes on: a span a request with its id or error, and its stages in it, in their order."""
    served = service(telemetry=Telemetry(send=spans_to(collector.address, "staa-serve tiny")), batch_size=2)
    film = videos.encode([np.full((48, 64, 3), grey, np.uint8) for grey in range(0, 200, 10)])
    traced = {"Traceparent": f"00-{TRACE}-{CALLER}-01"}
    reply, _ = served.answer(
        [Incoming({"body": film}, traced, explain=True, id="request-0"), Incoming({"body": b"noise"}, id="request-1")]
    )
    assert "explanation" in json.loads(reply.body)
    spans = collector.wait(6)
    whole, refused = (next(span for span in spans if span.name == name) for name in ("explain tiny", "predict tiny"))
    assert (whole.trace_id.hex(), whole.parent_span_id.hex()) == (TRACE, CALLER)
    facts = {fact.key: fact.value.string_value or fact.value.int_value for fact in whole.attributes}
    assert facts == {"staa.request_id": "request-0", "staa.batch": 2, "staa.method": "staa"}
    assert (refused.status.code, refused.status.message) == (2, "not_a_video")
    assert refused.trace_id.hex() != TRACE
    stages = sorted(
        (span for span in spans if span.parent_span_id == whole.span_id), key=lambda s: s.start_time_unix_nano
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
