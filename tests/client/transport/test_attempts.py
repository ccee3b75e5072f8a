"""Everything that a server, or what stands before it, can do wrong: what the client raises, and how often it asks.

The table in docs/client.md is read here, row by row: it cannot say what is not so.
"""

import asyncio
import io
import socket
import time
from email.utils import formatdate
from pathlib import Path

import httpx2
import pytest

import staa_client
from staa_client import (
    AsyncClient,
    Client,
    StaaError,
    Timeout,
    UnavailableError,
    UnreachableError,
)
from tests.client.servers import Recorder, client
from tests.client.socket_servers import (
    DRIP_HEAD,
    LABELS,
    Fault,
    answer_with,
    contract_error,
    drips,
    raw_server,
    read_request,
    say_nothing,
    torchserve_error,
)

PAGE = Path(__file__).resolve().parents[3] / "docs" / "client.md"


def hang_up(connection: socket.socket) -> None:
    """Read, and hang up."""
    read_request(connection)


FAULTS: dict[str, Fault] = {
    "says nothing": say_nothing,
    "hangs up without a word": hang_up,
    "hangs up within the reply": answer_with("200 OK", LABELS[:100], length=len(LABELS)),
    "drips": drips(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", b" "),
    "drips within the head": DRIP_HEAD,
    "503, no worker is free": answer_with(
        "503 Busy", torchserve_error(503, "ServiceUnavailableException", "no worker is free")
    ),
    "503, the prediction failed": answer_with(
        "503 Failed", torchserve_error(503, "InternalServerException", "Prediction failed")
    ),
    "503 of the front proxy: the server is down or its queue full": answer_with(
        "503 Busy", contract_error("service_unavailable")
    ),
    "429 of the front proxy: a key asks too often": answer_with(
        "429 Slow Down", contract_error("too_many_requests"), "Retry-After: 0"
    ),
    "503 with another code": answer_with("503 Busy", contract_error("draining")),
    "502 with HTML": answer_with("502 Bad Gateway", b"<html>Bad Gateway</html>"),
    "502 with Retry-After": answer_with("502 Bad Gateway", b"<html>Bad Gateway</html>", "Retry-After: 0"),
    "504 with HTML": answer_with("504 Gateway Timeout", b"<html>Gateway Timeout</html>"),
    "504 with Retry-After": answer_with("504 Gateway Timeout", b"", "Retry-After: 0"),
    "429 with Retry-After": answer_with("429 Slow Down", b"", "Retry-After: 0"),
    "507": answer_with("507 Out Of Memory", torchserve_error(507, "InternalServerException", "Worker died.")),
    "500": answer_with("500 Oops", contract_error("internal")),
    "413 with an empty body": answer_with("413 Too Large"),
    "413 with an error of the contract": answer_with("413 Too Large", contract_error("too_long")),
    "415": answer_with("415 No Video", contract_error("not_a_video")),
    "422": answer_with("422 Broken", contract_error("video_undecodable")),
    "404, after which it is asked what it serves": answer_with(
        "404 None", torchserve_error(404, "ModelNotFoundException", "Model not found: motions")
    ),
    "400 InvalidKeyException": answer_with(
        "400 Bad", torchserve_error(400, "InvalidKeyException", "Token Authorization failed")
    ),
    "401 of the front proxy: no key, or one that is not known": answer_with("401 Who", contract_error("key_unknown")),
    "403 of the front proxy: a key of other models": answer_with("403 No", contract_error("model_forbidden")),
    "redirects": answer_with("302 Found", b"", "Location: http://127.0.0.1/elsewhere"),
    "200 with HTML": answer_with("200 OK", b"<html>a login page</html>"),
    "200 with other JSON": answer_with("200 OK", b'{"hello": 1}'),
}


def rows() -> dict[str, tuple[str, str, int]]:
    """The table in the docs: what happens -> class of the error, its code, number of attempts."""
    faults = {}
    for line in PAGE.read_text().splitlines():
        cells = [cell.strip().strip("`") for cell in line.strip("|").split("|")]
        if len(cells) == 4 and cells[3].isdigit():
            faults[cells[0]] = cells[1], cells[2], int(cells[3])
    return faults


def test_the_table_has_every_fault() -> None:
    """Each fault is in the table, and no other."""
    assert set(rows()) == set(FAULTS) | {"nobody listens"}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_answered_as_the_table_says(fault: str) -> None:
    """The error's class and code, and the number of attempts, for both clients, within the timeout."""
    kind, code, attempts = rows()[fault]
    waits = Timeout(connect=2, read=2, total=1.5 if fault.startswith("drips") else 4)

    def plain(url: str) -> None:
        with Client(url, "old", timeout=waits, max_retries=2, backoff=0.01) as staa:
            staa.predict(b"x" * 300_000)

    def twin(url: str) -> None:
        async def ask() -> None:
            async with AsyncClient(url, "old", timeout=waits, max_retries=2, backoff=0.01) as staa:
                await staa.predict(b"x" * 300_000)

        asyncio.run(ask())

    for way in (plain, twin):
        began = time.monotonic()
        with raw_server(FAULTS[fault]) as (url, asked), pytest.raises(StaaError) as caught:
            way(url)
        assert type(caught.value) is getattr(staa_client, kind)
        assert caught.value.code == code
        assert len(asked) == attempts
        assert time.monotonic() - began < 30


def test_nobody_listens_as_the_table_says() -> None:
    """A refused connection is tried again, then raised."""
    kind, code, attempts = rows()["nobody listens"]
    asked: list[httpx2.Request] = []

    class Counting(httpx2.HTTPTransport):
        def handle_request(self, request: httpx2.Request) -> httpx2.Response:
            asked.append(request)
            return super().handle_request(request)

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        client = Client(url, backoff=0.01, transport=Counting())
        with client as staa, pytest.raises(getattr(staa_client, kind)) as caught:
            staa.predict(b"x")
    assert caught.value.code == code
    assert len(asked) == attempts


def test_a_server_that_asks_for_more_time_than_there_is_is_not_asked_again() -> None:
    """A Retry-After, in seconds or as a date, is kept to: where the total ends before it, no attempt is made."""
    for after in ("40", formatdate(time.time() + 60, usegmt=True)):
        busy = answer_with("503 Busy", b"", f"Retry-After: {after}")
        with (
            raw_server(busy) as (url, asked),
            Client(url, timeout=Timeout(total=35), backoff=0.01) as staa,
            pytest.raises(staa_client.UnavailableError),
        ):
            staa.predict(b"x")
        assert len(asked) == 1
    far = answer_with("503 Busy", b"", "Retry-After: 9999999999")  # also where there is no total
    with raw_server(far) as (url, asked), Client(url) as staa, pytest.raises(staa_client.UnavailableError):
        staa.predict(b"x")
    assert len(asked) == 1
    past = answer_with("503 Busy", b"", "Retry-After: Fri, 31 Dec 1999 23:59:59 GMT")
    with (
        raw_server(past) as (url, asked),
        Client(url, backoff=60) as staa,
        pytest.raises(staa_client.UnavailableError),
    ):
        staa.predict(b"x")
    assert len(asked) == 3


@pytest.mark.parametrize("after", ["Mon, 01 Jan 99999999999999 00:00:00 GMT", "Mon, 01 Jan 0001 00:00:00 +2300", "?"])
def test_a_date_that_is_none_is_no_date(after: str) -> None:
    """A Retry-After without measure is as none: the waits are the client's own."""
    recorder = Recorder(httpx2.Response(429, headers={"Retry-After": after}))
    with client(recorder) as staa:
        staa.predict(b"x")
    assert len(recorder.requests) == 2


BUSY = {"code": 503, "type": "ServiceUnavailableException", "message": "no worker is free"}


FAILED = {"code": 503, "type": "InternalServerException", "message": "Prediction failed"}


@pytest.mark.parametrize(
    "trouble",
    [
        httpx2.ConnectError("refused"),
        httpx2.ConnectTimeout("slow"),
        httpx2.Response(502, content=b"<html>", headers={"retry-after": "0"}),
        httpx2.Response(503, json=BUSY),
        httpx2.Response(429, headers={"retry-after": "0"}),
    ],
)
def test_passing_trouble_is_tried_again_with_the_whole_video(
    trouble: httpx2.Response | httpx2.HTTPError, tmp_path: Path
) -> None:
    """No connection, or busy without a reason: the next attempt sends the same bytes from the start."""
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"abc" * 200_000)
    for source in (path, io.BytesIO(path.read_bytes())):
        recorder = Recorder(trouble)
        with client(recorder) as staa:
            staa.explain(source)
        assert len(recorder.requests) == 2
        assert recorder.requests[1].content == path.read_bytes()


@pytest.mark.parametrize(
    "trouble",
    [
        httpx2.Response(503, json={"error": {"code": "x", "message": "why"}}),
        httpx2.Response(429, json={"error": {"code": "x", "message": "why"}}),
        httpx2.Response(503, json={"error": {"code": ["x"], "message": "why"}}),
        httpx2.Response(503, json={"error": {"code": {}, "message": "why"}}),
        httpx2.Response(503, json=FAILED),
        httpx2.Response(415, json={"error": {"code": "not_a_video", "message": "why"}}),
        httpx2.Response(500),
        httpx2.Response(502, content=b"<html>"),
        httpx2.Response(504, headers={"retry-after": "0"}),
        httpx2.Response(507),
        httpx2.ReadTimeout("late"),
        httpx2.ReadError("cut"),
        httpx2.RemoteProtocolError("cut"),
    ],
)
def test_a_reason_or_a_computed_request_is_never_tried_again(trouble: httpx2.Response | httpx2.HTTPError) -> None:
    """When the server said why, or may have worked on the request, there is one attempt."""
    recorder = Recorder(trouble)
    with client(recorder) as staa, pytest.raises(StaaError):
        staa.explain(b"x")
    assert len(recorder.requests) == 1


def test_attempts_end() -> None:
    """After `max_retries` further attempts the last error is raised."""
    recorder = Recorder(*[httpx2.Response(503, json=BUSY)] * 5)
    with client(recorder, max_retries=3) as staa, pytest.raises(UnavailableError, match="no worker is free"):
        staa.predict(b"x")
    assert len(recorder.requests) == 4


def test_attempts_have_no_end_but_their_number() -> None:
    """A thousand attempts and more are made where they are asked for; what is no number of them is refused at once."""
    recorder = Recorder(*[httpx2.ConnectError("refused")] * 1100)
    with client(recorder, max_retries=1100) as staa:
        staa.predict(b"x")
    for wrong in ({"max_retries": -1}, {"backoff": -1.0}, {"backoff": float("nan")}):
        with pytest.raises(ValueError, match="numbers from 0"):
            Client(**wrong)


def test_nobody_there_says_what_to_do() -> None:
    """A refused connection is an UnreachableError with the address and how to start a server."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with Client(url, max_retries=1, backoff=0) as staa, pytest.raises(UnreachableError) as caught:
            staa.predict(b"x")
    assert url in str(caught.value)
    assert "./serve.sh" in str(caught.value)
    assert (caught.value.status, caught.value.code, caught.value.request_id) == (None, "unreachable", None)


@pytest.mark.filterwarnings("ignore::staa_client.errors.InsecureWarning")
@pytest.mark.parametrize(
    "trouble", [httpx2.ConnectError("refused"), httpx2.ReadTimeout("late"), httpx2.RemoteProtocolError("cut")]
)
def test_no_password_is_in_a_message(trouble: httpx2.HTTPError) -> None:
    """A name and password in the address are sent, and are in no message; the rest of the address is."""
    recorder = Recorder(*[trouble] * 3)
    transport = httpx2.MockTransport(recorder)
    with Client("http://user:hush@host:81/staa", transport=transport, max_retries=0) as staa:
        with pytest.raises(StaaError) as caught:
            staa.predict(b"x")
        assert "http://host:81/staa/ " in caught.value.message
        assert not any(secret in str(caught.value) for secret in ("user", "hush"))
        with (
            Client("http://a", management_url="http://user:hush@b:9", transport=transport, max_retries=0) as other,
            pytest.raises(StaaError) as caught,
        ):
            other.models()
        assert "http://b:9/ " in caught.value.message
        assert "hush" not in str(caught.value)
    assert recorder.requests[0].headers["authorization"].startswith("Basic ")


FAILED = {"code": 503, "type": "InternalServerException", "message": "Prediction failed"}
