"""What is made of the management API's answers: workers, or none, and never an exception."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from staa_serve.workers import Workers, ask


class Management(ThreadingHTTPServer):
    """A stand-in for the management API: it answers every request with the same status and bytes."""

    status = 200
    body = b""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        """Return where it listens."""
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Management

    def do_GET(self) -> None:
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(self.server.body)))
        self.end_headers()
        self.wfile.write(self.server.body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def management() -> Iterator[Management]:
    """Run a stand-in for the management API; a test sets its answer."""
    with Management() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def test_what_was_known_stays_known(management: Management) -> None:
    """A poll without an answer counts no worker, and keeps version and batch."""
    known = Workers(1, 1, "1.0", 4, 2)
    management.body = b"nonsense"
    assert ask(management.url, "m").or_known(known) == Workers(0, 0, "1.0", 4)
    assert Workers(1, 2, "2.0", 8).or_known(known) == Workers(1, 2, "2.0", 8)


def test_workers_are_counted(management: Management) -> None:
    """Those that are READY and all of them, of the version that the API describes; what has no status is not READY."""
    statuses = ["READY", "LOADING", "READY", 1, None]
    management.body = json.dumps([{"workers": [*({"status": each} for each in statuses), {}]}]).encode()
    assert ask(management.url, "m") == Workers(2, 6)
    management.body = b'[{"workers": [{"status": "READY"}]}]'
    assert ask(management.url, "m").all_ready
    management.body = b'[{"workers": []}]'
    assert not ask(management.url, "m").all_ready


def test_the_model_is_described_too(management: Management) -> None:
    """Version, batch and queue of the model come along; what is of another kind counts as not known."""
    one = {"modelVersion": "1.0", "batchSize": 4, "jobQueueStatus": {"pendingRequests": 3}, "workers": []}
    management.body = json.dumps([one]).encode()
    answer = ask(management.url, "m")
    assert (answer.version, answer.batch, answer.waiting) == ("1.0", 4, 3)
    for wrong in ({"modelVersion": 1}, {"batchSize": "4"}, {"jobQueueStatus": [3]}, {"batchSize": -1}):
        management.body = json.dumps([one | wrong]).encode()
        answer = ask(management.url, "m")
        assert [answer.version, answer.batch, answer.waiting].count("" if "modelVersion" in wrong else 0) == 1


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"[]", b"{}", b"null", b"0", b'"READY"', b"[[]]", b"[{}]", b"[null]", b'{"workers": []}'),
        *(
            b'[{"workers": null}]',
            b'[{"workers": "READY"}]',
            b'[{"workers": {"status": "READY"}}]',
            pytest.param(b"[" * 100_000, id="deep"),
        ),
        *(b"\xff", b"<html>", b'[{"workers": [{"status": "READY"'),
    ],
)
def test_an_answer_of_another_shape_is_no_worker(management: Management, body: bytes) -> None:
    """Whatever comes with 200, no exception leaves: it would end the server that it looks after."""
    management.body = body
    assert ask(management.url, "m") == Workers(0, 0)


def test_workers_that_are_no_objects_are_counted_and_not_ready(management: Management) -> None:
    """A list of workers of another kind counts them, and none of them is READY."""
    management.body = b'[{"workers": [null, 1, "READY", []]}]'
    assert ask(management.url, "m") == Workers(0, 4)


def test_an_error_is_no_worker(management: Management) -> None:
    """A status that is not 200, an answer that is cut, and nobody who listens are all the same."""
    management.body = b'[{"workers": [{"status": "READY"}]}]'
    management.status = 404
    assert ask(management.url, "m") == Workers(0, 0)
    management.server_close()
    management.shutdown()
    assert ask(management.url, "m") == Workers(0, 0)
