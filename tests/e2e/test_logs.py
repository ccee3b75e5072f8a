"""What the server prints as JSON: an object a line, with the request's id."""

import json
from pathlib import Path

from tests.made.torchserve import Running


def test_json_logs_have_the_request_id(running: Running, archive: Path) -> None:
    """`--log-format json`: every line is an object with the same keys, and a refusal has the id that the reply had."""
    with running(archive.parent, "motions", options=("--log-format=json",)) as server:
        reply = server.call("/predictions/motions", b'noise "quoted"\n')
        assert reply.status == 415
        assert server.stop() == 0
        lines = [json.loads(line) for line in server.log.read_text().splitlines()]
    assert {tuple(line) for line in lines} == {("time", "level", "logger", "request", "message")}
    (refused,) = [line for line in lines if line["request"]]
    assert refused["request"] == reply.headers["x-request-id"]
    assert "refused: not_a_video" in refused["message"]
    assert any(line["logger"] == "serve" and line["message"].startswith("ready after") for line in lines)
