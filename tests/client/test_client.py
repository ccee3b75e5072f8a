"""The two shells: what is sent, what is sent again, and what is raised."""

import asyncio
import io
from pathlib import Path

import httpx2
import pytest

from staa_client import AsyncClient
from tests.client.conftest import document
from tests.client.servers import Recorder, client

BUSY = {"code": 503, "type": "ServiceUnavailableException", "message": "no worker is free"}


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
        explanation = staa.explain(b"x", maps=maps)  # type: ignore[call-overload]  # a parameter is no literal
    assert recorder.requests[0].headers["x-staa-maps"] == maps
    assert explanation.top(1)[0].step == 9


def test_the_small_encoding_is_the_default() -> None:
    """Without a word about maps, base64 is asked for."""
    recorder = Recorder()
    with client(recorder) as staa:
        staa.explain(b"x")
    assert recorder.requests[0].headers["x-staa-maps"] == "base64"


def test_tests_of_a_map_are_asked_for_by_their_size() -> None:
    """What the server may spend on choosing a map, and on checking it, are headers; neither is sent unasked."""
    recorder = Recorder()
    with client(recorder) as staa:
        staa.explain(b"1", method="staa_class", refine=16, verify=4)
        staa.explain(b"1")
    asked, plain = (request.headers for request in recorder.requests)
    assert (asked["x-staa-refine"], asked["x-staa-verify"]) == ("16", "4")
    assert not {"x-staa-refine", "x-staa-verify"} & set(plain)


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
