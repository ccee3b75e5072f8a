"""Tokens: from where, how often asked for, and what happens when one is refused."""

import asyncio
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from staa_client import AsyncClient, AuthError, Client, InsecureWarning
from tests.client.servers import Recorder


@pytest.fixture(autouse=True)
def private() -> Iterator[None]:
    """No file that a test makes can be read by others."""
    before = os.umask(0o077)
    yield
    os.umask(before)


def refused() -> httpx2.Response:
    """What TorchServe answers to a token that it does not know."""
    told = {"code": 400, "type": "InvalidKeyException", "message": "Token Authorization failed."}
    return httpx2.Response(400, json=told)


def keys(inference: str) -> str:
    """TorchServe's key_file.json."""
    both = {"inference": inference, "management": inference + "-m"}
    return json.dumps({name: {"key": key, "expiration time": "2026"} for name, key in both.items()})


def sent(recorder: Recorder) -> list[str]:
    """The tokens of the requests."""
    return [request.headers["authorization"].removeprefix("Bearer ") for request in recorder.requests]


def test_a_file_is_read_again_when_it_changes(tmp_path: Path) -> None:
    """TorchServe's key file gives the inference key, the new one after it was rotated, and is not read in between."""
    path = tmp_path / "key_file.json"
    path.write_text(keys("one"))
    recorder = Recorder()
    with Client(token=path, transport=httpx2.MockTransport(recorder)) as staa:
        staa.predict(b"x")
        staa.predict(b"x")
        path.write_text(keys("second"))
        staa.predict(b"x")
        path.unlink()
        with pytest.raises(FileNotFoundError):
            staa.predict(b"x")
    assert sent(recorder) == ["one", "one", "second"]


def test_a_file_with_the_bare_token_will_do(tmp_path: Path) -> None:
    """A file that is no JSON is the token, less the line's end."""
    path = tmp_path / "token"
    path.write_text("secret\n")
    recorder = Recorder()
    with Client(token=path, transport=httpx2.MockTransport(recorder)) as staa:
        staa.predict(b"x")
    assert sent(recorder) == ["secret"]


def test_a_refused_token_is_asked_for_again_once(tmp_path: Path) -> None:
    """On TorchServe's refusal the provider is asked again, and the video is sent again; a second refusal is the end."""
    given = iter(["old", "new", "third", "fourth"])
    recorder = Recorder(refused())
    with Client(token=lambda: next(given), transport=httpx2.MockTransport(recorder)) as staa:
        staa.predict(b"the video")
        recorder.first = [refused(), refused()]
        with pytest.raises(AuthError, match="invalid_key"):
            staa.predict(b"x")
    assert sent(recorder) == ["old", "new", "third", "fourth"]
    assert {request.content for request in recorder.requests[:2]} == {b"the video"}

    path = tmp_path / "key_file.json"
    path.write_text(keys("old"))
    os.utime(path, (1, 1))

    def rotate(request: httpx2.Request) -> httpx2.Response:
        path.write_text(keys("rotated"))
        return Recorder(refused() if "old" in request.headers["authorization"] else httpx2.Response(403))(request)

    with Client(token=path, transport=httpx2.MockTransport(rotate)) as staa, pytest.raises(AuthError, match="403"):
        staa.predict(b"x")


def test_a_fixed_token_is_refused_once() -> None:
    """A string cannot change: there is one attempt, without a wait."""
    recorder = Recorder(refused(), refused())
    with (
        Client(token="old", transport=httpx2.MockTransport(recorder)) as staa,  # noqa: S106  # no secret
        pytest.raises(AuthError),
    ):
        staa.predict(b"x")
    assert len(recorder.requests) == 1


def test_a_coroutine_function_gives_the_async_twin_its_token() -> None:
    """AsyncClient awaits its provider, and asks it again after a refusal."""
    given = iter(["old", "new"])

    async def provider() -> str:
        await asyncio.sleep(0)
        return next(given)

    recorder = Recorder(refused())

    async def ask() -> None:
        async with AsyncClient(token=provider, transport=httpx2.MockTransport(recorder)) as staa:
            await staa.predict(b"x")

    asyncio.run(ask())
    assert sent(recorder) == ["old", "new"]


@pytest.mark.parametrize("text", ["", " \n", "zwei\nZeilen", "schlüssel", "{}", '{"inference": 3}', "{half"])
def test_a_token_that_cannot_be_sent_is_said(text: str, tmp_path: Path) -> None:
    """A file without a token in it is a ValueError that never shows what is in the file."""
    path = tmp_path / "key_file.json"
    path.write_text(text)
    recorder = Recorder()
    with (
        Client(token=path, transport=httpx2.MockTransport(recorder)) as staa,
        pytest.raises(ValueError, match="token") as caught,
    ):
        staa.predict(b"x")
    assert "Zeilen" not in str(caught.value)
    assert not recorder.requests


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_a_file_that_others_can_read_is_warned_of_once(kind: type, tmp_path: Path) -> None:
    """A token that lies open is told when the client is made, where it is made."""
    path = tmp_path / "token"
    path.write_text("secret")
    kind(token=path)
    path.chmod(0o640)
    with pytest.warns(InsecureWarning, match=r"holds a token, and others can read it \(mode 0640\)") as caught:
        kind(token=path)
    assert [warning.filename for warning in caught] == [__file__]


def test_a_slow_token_file_does_not_stop_the_event_loop(tmp_path: Path) -> None:
    """AsyncClient reads the token's file beside the loop, which goes on meanwhile."""
    path = tmp_path / "token"
    os.mkfifo(path)
    recorder = Recorder()

    async def both() -> None:
        async with AsyncClient(token=path, transport=httpx2.MockTransport(recorder)) as staa:
            call = asyncio.create_task(staa.predict(b"x"))
            await asyncio.sleep(0.05)
            await asyncio.to_thread(path.write_text, "by the loop\n")
            await call

    late = threading.Timer(20, path.write_text, ("too late\n",))
    late.start()
    asyncio.run(both())
    late.cancel()
    assert sent(recorder) == ["by the loop"]


def test_what_is_no_token_is_said(tmp_path: Path) -> None:
    """A token of a wrong kind, and a function or file that gives none, is a TypeError or ValueError with a sentence."""
    with pytest.raises(TypeError, match="a token is its text, a function that gives it, or a Path, got bytes"):
        Client(token=b"secret")  # type: ignore[arg-type]  # what is tested
    with Client(token=lambda: b"secret") as staa, pytest.raises(TypeError, match="a token is text, got bytes"):  # type: ignore[arg-type]  # what is tested
        staa.predict(b"x")
    for text in (b"\xff\xfe\x00", b'{"a":' * 100_000):
        (tmp_path / "token").write_bytes(text)
        with Client(token=tmp_path / "token") as staa, pytest.raises(ValueError, match="token") as caught:
            staa.predict(b"x")
        assert "\\xff" not in str(caught.value)
