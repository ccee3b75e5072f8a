"""A request that Ray answered is a span of its caller's trace, whatever processes it went through."""

from tests.made.collector import Collector
from tests.made.torchserve import Server

CALLER = "00f067aa0ba902b7"


def test_a_request_is_a_span_with_its_stages(ray_server: Server, collector: Collector, clip: bytes) -> None:
    """The stages of the Door, the Decoder and the Model lie in one span, in their order."""
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    headers = {"Traceparent": f"00-{trace}-{CALLER}-01", "X-Request-Id": "traced"}
    assert ray_server.call("/explanations/motions", clip, headers).status == 200
    spans = collector.wait(5, trace)
    (whole,) = [span for span in spans if span.name == "explain motions"]
    assert whole.parent_span_id.hex() == CALLER
    facts = {fact.key: fact.value.string_value or fact.value.int_value for fact in whole.attributes}
    assert facts == {"staa.request_id": "traced", "staa.batch": 1, "staa.method": "staa"}
    stages = sorted((span for span in spans if span is not whole), key=lambda span: span.start_time_unix_nano)
    assert [span.name for span in stages] == ["decode", "prepare", "forward", "encode"]
    assert {span.parent_span_id for span in stages} == {whole.span_id}


def test_a_refused_request_names_its_error(ray_server: Server, collector: Collector) -> None:
    """What could not be decoded is a span that failed."""
    trace = "4bf92f3577b34da6a3ce929d0e0e4737"
    assert ray_server.call("/predictions/motions", b"noise", {"Traceparent": f"00-{trace}-{CALLER}-01"}).status == 415
    (span,) = collector.wait(1, trace)
    assert (span.status.code, span.status.message) == (2, "not_a_video")
