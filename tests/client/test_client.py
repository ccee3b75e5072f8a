"""The two shells: what is sent, what is sent again, and what is raised."""

import asyncio
import inspect
import io
import json
import pickle
import socket
from pathlib import Path

import httpx2
import numpy as np
import pytest

from staa_client import AsyncClient, Client, NotVideoError, StaaError, TimedOutError, UnavailableError, UnreachableError
from tests.client.conftest import Server, document, server

BUSY = {"code": 503, "type": "ServiceUnavailableException", "message": "no worker is free"}
FAILED = {"code": 503, "type": "InternalServerException", "message": "Prediction failed"}


class Recorder:
    """A server that answers with these responses in turn, then as `server()` does, and keeps the requests."""

    def __init__(self, *first: httpx2.Response | httpx2.HTTPError) -> None:
        self.first = list(first)
        self.requests: list[httpx2.Request] = []
        self.then: Server = server()

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        """Answer one request."""
        self.requests.append(request)
        if not self.first:
            return self.then(request)
        answer = self.first.pop(0)
        if isinstance(answer, httpx2.HTTPError):
            raise answer
        return answer


def client(recorder: Recorder, max_retries: int = 2, token: str | None = None) -> Client:
    """A client of that server that does not wait."""
    return Client(token=token, max_retries=max_retries, backoff=0, transport=httpx2.MockTransport(recorder))


def test_the_video_is_the_body_and_options_are_headers() -> None:
    """A prediction is a POST of the file's bytes as they are, with length, options and token in headers."""
    recorder = Recorder()
    with client(recorder, token="secret\n") as staa:  # noqa: S106  # as read from a file
        result = staa.predict(b"the bytes", "motions/2.0", top_k=2, start=1.5)
    (request,) = recorder.requests
    assert (request.method, request.url.path, request.content) == ("POST", "/predictions/motions/2.0", b"the bytes")
    assert request.headers["content-length"] == "9"
    assert "transfer-encoding" not in request.headers
    assert request.headers["authorization"] == "Bearer secret"
    assert (request.headers["x-staa-top-k"], request.headers["x-staa-start"]) == ("2", "1.5")
    assert result.predictions[0].label == "moves down"
    assert result.to_dict() == {name: value for name, value in document().items() if name != "explanation"}


def test_every_kind_of_source_sends_the_same_bytes(tmp_path: Path) -> None:
    """A path, its text, bytes, a file object and one that cannot seek are the same request."""
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"abc" * 200_000)
    recorder = Recorder()

    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

    with client(recorder) as staa, path.open("rb") as file:
        for source in (path, str(path), path.read_bytes(), file, Pipe(path.read_bytes())):
            staa.predict(source)
    assert {request.content for request in recorder.requests} == {b"abc" * 200_000}
    assert {request.headers["content-length"] for request in recorder.requests} == {"600000"}


def test_an_explanation_remembers_its_video(tmp_path: Path) -> None:
    """`source` is the absolute path, or the bytes, so that pictures can show the frames."""
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"abc")
    with client(Recorder()) as staa:
        assert staa.explain(str(path)).source == path
        assert staa.explain(io.BytesIO(b"abc")).source == b"abc"
        assert staa.explain(path).name == "clip.mp4"


@pytest.mark.parametrize("maps", ["json", "base64", "npz"])
def test_maps_are_asked_for_by_name(maps: str) -> None:
    """Each encoding of the maps is asked for in a header and gives the same strongest moment."""
    recorder = Recorder()
    with client(recorder) as staa:
        explanation = staa.explain(b"x", maps=maps)  # type: ignore[arg-type]  # a parameter is no literal
    assert recorder.requests[0].headers["x-staa-maps"] == maps
    assert explanation.top(1)[0].step == 9


def test_the_small_encoding_is_the_default() -> None:
    """Without a word about maps, base64 is asked for."""
    recorder = Recorder()
    with client(recorder) as staa:
        staa.explain(b"x")
    assert recorder.requests[0].headers["x-staa-maps"] == "base64"


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


def test_a_silent_server_times_out() -> None:
    """A server that accepts and says nothing is a TimedOutError after the timeout."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with Client(url, timeout=0.2) as staa, pytest.raises(TimedOutError, match="longer timeout"):
            staa.predict(b"x")


def test_a_path_before_the_routes_is_kept() -> None:
    """A base_url with a path, as behind a proxy, is kept before /predictions."""
    recorder = Recorder()
    with Client("https://host/staa/", transport=httpx2.MockTransport(recorder)) as staa:
        staa.predict(b"x")
    assert str(recorder.requests[0].url) == "https://host/staa/predictions/motions"


@pytest.mark.parametrize("url", ["", "ftp://host", "http://", "http://a b:x", "http:/localhost:8080", "http:localhost"])
def test_an_address_is_checked_at_once(url: str) -> None:
    """An address that cannot be one is a ValueError that shows one that can."""
    with pytest.raises(ValueError, match="looks like"):
        Client(url)


@pytest.mark.parametrize("url", ["localhost:8080", "127.0.0.1:8080/staa", "[::1]:8080", "a.host-name"])
def test_an_address_without_a_scheme_is_http(url: str) -> None:
    """What is typed without a scheme is asked by http at the same host, port and path."""
    recorder = Recorder()
    with Client(url, transport=httpx2.MockTransport(recorder)) as staa:
        staa.predict(b"x")
    assert str(recorder.requests[0].url) == f"http://{url}/predictions/motions"


def test_every_request_says_what_its_body_is(tmp_path: Path) -> None:
    """Both clients name the body's type in every attempt: TorchServe reads a body without one as a form and fails."""
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"abc")
    recorder = Recorder(httpx2.Response(503, json=BUSY))

    async def other() -> None:
        async with AsyncClient(transport=httpx2.MockTransport(recorder)) as staa:
            await staa.explain(path)

    with client(recorder) as staa:
        for source in (path, b"abc", io.BytesIO(b"abc")):
            staa.predict(source)
        staa.explain(path)
    asyncio.run(other())
    assert [request.headers.get_list("content-type") for request in recorder.requests] == (
        [["application/octet-stream"]] * 6
    )


def test_a_wrong_kind_of_video_is_a_type_error(tmp_path: Path) -> None:
    """A text file, a number or a missing file is refused before anything is sent."""
    recorder = Recorder()
    with client(recorder) as staa:
        for wrong in (io.StringIO("text"), 3, None):
            with pytest.raises(TypeError, match="a video is"):
                staa.predict(wrong)  # type: ignore[arg-type]
        with pytest.raises(FileNotFoundError):
            staa.predict(tmp_path / "none.mp4")
    assert not recorder.requests


def test_errors_cross_processes() -> None:
    """An error survives pickling with all it says."""
    with (
        client(Recorder(httpx2.Response(415, json={"error": {"code": "c", "message": "m"}}))) as staa,
        pytest.raises(NotVideoError) as caught,
    ):
        staa.predict(b"x")
    copy = pickle.loads(pickle.dumps(caught.value))  # noqa: S301  # our own bytes
    assert (type(copy), str(copy), copy.status) == (NotVideoError, "415 c: m", 415)


def test_the_twins_have_the_same_arguments() -> None:
    """AsyncClient takes what Client takes, name by name and default by default."""
    for name in ("__init__", "predict", "explain", "batch", "card", "models", "ready", "wait_until_ready"):
        one, other = (inspect.signature(getattr(kind, name)).parameters for kind in (Client, AsyncClient))
        assert [(p.name, p.default, p.kind) for p in one.values()] == [
            (p.name, p.default, p.kind) for p in other.values()
        ]


def test_the_async_twin_does_the_same(tmp_path: Path) -> None:
    """AsyncClient streams, tries again, parses and fails as Client does."""
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"abc" * 200_000)
    recorder = Recorder(httpx2.Response(503, json=BUSY))
    refuses = Recorder(httpx2.Response(415, content=json.dumps({"error": {"code": "c", "message": "m"}})))

    async def both() -> None:
        async with AsyncClient(backoff=0, transport=httpx2.MockTransport(recorder)) as staa:
            explanation = await staa.explain(path)
            result = await staa.predict(path)
        assert explanation.source == path
        assert result.predictions == explanation.predictions
        with client(Recorder()) as plain:
            np.testing.assert_array_equal(explanation.joint, plain.explain(path).joint)
        async with AsyncClient(transport=httpx2.MockTransport(refuses)) as staa:
            with pytest.raises(NotVideoError):
                await staa.predict(b"x")

    asyncio.run(both())
    assert [len(request.content) for request in recorder.requests] == [600_000] * 3
