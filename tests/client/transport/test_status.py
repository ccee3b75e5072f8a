"""Readiness, and what is served."""

import asyncio
import io
import json
import time
from typing import Any

import httpx2
import pytest

from staa_client import AsyncClient, AuthError, Client, NotFoundError, ReplyError, Result, Served, TimedOutError
from tests.client.conftest import Server, card, server
from tests.client.servers import Recorder, client, management

LISTED = {"name": "motions", "version": "1.0", "workers": 2, "ready": 1, "batch": 4, "waiting": 3}
"""A model as the front proxy lists it."""
STARTING: list[httpx2.Response | httpx2.HTTPError] = [
    httpx2.ConnectError("refused"),
    httpx2.Response(404, json={"code": 404, "type": "ModelNotFoundException", "message": "Model not found: motions"}),
    httpx2.Response(503, json={"code": 503, "type": "ServiceUnavailableException", "message": "no worker"}),
]


@pytest.mark.parametrize("trouble", STARTING)
def test_a_model_that_starts_is_not_ready(trouble: httpx2.Response | httpx2.HTTPError) -> None:
    """No server, no such model yet, no worker yet: not ready, after one attempt. A worker that answers is ready."""
    recorder = Recorder(trouble)
    with client(recorder) as staa:
        assert not staa.ready()
        assert [request.method for request in recorder.requests].count("POST") == 1
        assert staa.ready("motions/1.0")
    assert recorder.requests[-1].url.path == "/predictions/motions/1.0"


def test_waiting_ends_with_the_model_ready_or_with_the_reason() -> None:
    """`wait_until_ready` asks again until it is so; too late, the last reason is in the error."""
    recorder = Recorder(STARTING[0], httpx2.Response(404), STARTING[2])
    with client(recorder) as staa:
        staa.wait_until_ready(every=0.01)
        assert len(recorder.requests) == 4
        recorder.first = [httpx2.ConnectError("refused")] * 1000
        began = time.monotonic()
        with pytest.raises(TimedOutError, match=r"motions was not ready within 0\.2 s; at last: unreachable") as caught:
            staa.wait_until_ready(timeout=0.2, every=0.02)
        assert time.monotonic() - began < 30
    assert caught.value.code == "not_ready"


@pytest.mark.parametrize("kind", ["ModelNotFoundException", "ModelVersionNotFoundException"])
def test_nobody_waits_for_a_model_that_is_not_served(kind: str) -> None:
    """A server that is up and has no such model, or no such version, is not asked twice."""
    recorder = Recorder(STARTING[0], httpx2.Response(404, json={"code": 404, "type": kind, "message": "not found: x"}))
    with client(recorder) as staa, pytest.raises(NotFoundError, match="not found: x"):
        staa.wait_until_ready("x", every=0.01)
    assert [request.method for request in recorder.requests] == ["POST", "POST", "GET", "GET"]


def test_other_trouble_is_no_readiness() -> None:
    """A refused token is an error: waiting would not help."""
    with client(Recorder(httpx2.Response(403))) as staa, pytest.raises(AuthError):
        staa.wait_until_ready()


def test_the_card_is_what_the_server_says() -> None:
    """Labels, frames, size, methods and limits, asked for anew at each call."""
    recorder = Recorder()
    with client(recorder) as staa:
        about = staa.card()
        staa.card()
    assert len(recorder.requests) == 2
    assert (about.model.name, about.labels[4], about.frames, about.size) == ("motions", "spins", 16, (96, 96))
    assert about.methods["staa_class"].classes
    assert about.limits["duration"] == 600


def test_models_are_listed_with_their_workers() -> None:
    """All pages, all versions, from the management address: on this machine one port above."""
    asked: list[httpx2.Request] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        asked.append(request)
        return management(request)

    with Client("127.0.0.1:9000", transport=httpx2.MockTransport(answer)) as staa:
        served = staa.models()
    assert served == tuple(Served(name, "1.0", 2, ready, 4, 3) for name, ready in (("a", 2), ("b", 1), ("c", 1)))
    assert [request.url.path for request in asked if request.url.port == 9000] == ["/models"]
    assert {request.url.port for request in asked} == {9000, 9001}

    async def twin() -> tuple[Served, ...]:
        async with AsyncClient(management_url="10.0.0.1:1", transport=httpx2.MockTransport(answer)) as staa:
            return await staa.models()

    assert asyncio.run(twin()) == served
    assert str(asked[-1].url).startswith("http://10.0.0.1:1/models/")


def test_the_front_proxy_lists_its_models() -> None:
    """A server that lists its models itself is asked for no other address, wherever it is."""
    asked: list[httpx2.Request] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        asked.append(request)
        return httpx2.Response(200, json={"models": [LISTED, LISTED | {"name": "other", "ready": 0}]})

    with Client("https://staa.example.com/eu", "key", transport=httpx2.MockTransport(answer)) as staa:
        assert staa.models() == (Served("motions", "1.0", 2, 1, 4, 3), Served("other", "1.0", 2, 0, 4, 3))
    assert [str(request.url) for request in asked] == ["https://staa.example.com/eu/models"]
    assert asked[0].headers["authorization"] == "Bearer key"


def test_a_far_management_address_must_be_given() -> None:
    """For another machine that lists no models it cannot be guessed: a ValueError says what to do."""
    nothing = httpx2.MockTransport(lambda _: httpx2.Response(404))
    with (
        Client("https://staa.example.com", transport=nothing) as staa,
        pytest.raises(ValueError, match="management_url"),
    ):
        staa.models()


def test_a_refused_key_is_said_when_models_are_listed() -> None:
    """A key that is not known is an AuthError, not an unknown address."""
    refuse = httpx2.MockTransport(lambda _: httpx2.Response(401))
    with Client("https://staa.example.com", "old", transport=refuse) as staa, pytest.raises(AuthError):
        staa.models()


def _serves(*names: str) -> tuple[Server, list[httpx2.Request]]:
    """A server of the contract with these models, which lists them; and what was asked."""
    asked: list[httpx2.Request] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        asked.append(request)
        if request.url.path == "/models":
            return httpx2.Response(200, json={"models": [LISTED | {"name": name} for name in names]})
        if request.url.path.split("/")[2] in names:
            return server()(request)
        about = {"code": 404, "type": "ModelNotFoundException", "message": "Model not found: motions"}
        return httpx2.Response(404, json=about)

    return answer, asked


def test_the_only_served_model_is_taken(clip: bytes) -> None:
    """Without a name, a server of one model is asked for that, also of a pipe's video; and from then on at once."""
    answer, asked = _serves("actions")
    with Client(transport=httpx2.MockTransport(answer)) as staa:
        assert staa.predict(io.BytesIO(clip)).predictions
        assert [request.url.path for request in asked] == ["/predictions/motions", "/models", "/predictions/actions"]
        assert asked[0].content == asked[2].content == clip
        staa.explain(clip, sample="client")
        assert staa.ready()
    assert {request.url.path for request in asked[3:]} == {"/predictions/actions", "/explanations/actions"}

    async def twin() -> Result:
        async with AsyncClient(transport=httpx2.MockTransport(answer)) as staa:
            return await staa.predict(clip)

    assert asyncio.run(twin()).predictions


@pytest.mark.parametrize(
    ("model", "names", "said"),
    [
        ("nosuch", ("actions", "motions"), "no model nosuch is served here; served here: actions/1.0, motions/1.0"),
        ("nosuch", ("actions",), "served here: actions/1.0"),
        (None, ("a", "b"), "none is named, and no model motions is served here; served here: a/1.0, b/1.0"),
    ],
)
def test_what_is_served_is_said_of_a_name_that_is_not(model: str | None, names: tuple[str, ...], said: str) -> None:
    """The error of an unknown model names those that are served, by both clients, and no other one is asked."""
    answer, asked = _serves(*names)
    with Client(transport=httpx2.MockTransport(answer)) as staa, pytest.raises(NotFoundError) as caught:
        staa.predict(b"video", model)
    assert said in caught.value.message
    assert (caught.value.status, caught.value.code) == (404, "model_not_found")
    assert [request.url.path for request in asked] == [f"/predictions/{model or 'motions'}", "/models"]


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"models": [{}]}', json.dumps(card()).encode()])
def test_what_is_no_management_api_is_said(body: bytes) -> None:
    """Another server's reply is a ReplyError."""
    transport = httpx2.MockTransport(lambda _: httpx2.Response(200, content=body))
    with Client(transport=transport) as staa, pytest.raises(ReplyError):
        staa.models()


@pytest.mark.parametrize("every", [float("inf"), float("nan"), -1.0, 1e300])
def test_the_time_between_two_questions_is_checked(every: float) -> None:
    """What nobody can wait is a ValueError before anything is asked, also where there is no end."""
    recorder = Recorder(STARTING[0])
    with client(recorder) as staa, pytest.raises(ValueError, match="every is a number of seconds"):
        staa.wait_until_ready(timeout=None, every=every)
    assert not recorder.requests


def test_a_list_of_new_pages_without_end_is_said() -> None:
    """A management API that names another page each time, or more models than any server has, is a ReplyError."""
    for count, most in ((0, 200), (20_000, 2)):
        models, asked = [{"modelName": "a"}] * count, iter(range(most))

        def answer(_: httpx2.Request, models: Any = models, asked: Any = asked) -> httpx2.Response:
            return httpx2.Response(200, json={"models": models, "nextPageToken": str(next(asked))})

        with Client(transport=httpx2.MockTransport(answer)) as staa, pytest.raises(ReplyError, match="does not end"):
            staa.models()


def test_pages_without_end_or_names_that_are_none_are_said() -> None:
    """A management API whose pages come round again, or whose names no address can hold, is a ReplyError."""
    for page in ({"models": [], "nextPageToken": "1"}, {"models": [{"modelName": "\ud800"}]}):
        transport = httpx2.MockTransport(lambda _, page=page: httpx2.Response(200, content=json.dumps(page).encode()))
        with Client(transport=transport) as staa, pytest.raises(ReplyError):
            staa.models()


@pytest.mark.parametrize(
    "wrong", [3, [3], {"models": 3}, [{"modelName": "a", "modelVersion": "1", "minWorkers": 1, "workers": [3]}]]
)
def test_a_management_api_of_another_form_is_said(wrong: Any) -> None:
    """A list of versions that TorchServe would not give is a ReplyError."""
    whole = {"modelName": "a", "modelVersion": "1", "minWorkers": 1, "workers": [], "batchSize": 1}
    more = [whole | {"jobQueueStatus": [3]}], [whole | {"batchSize": float("inf")}], [whole | {"workers": 1}]

    for versions in (wrong, *more):

        def answer(request: httpx2.Request, versions: Any = versions) -> httpx2.Response:
            page = {"models": [{"modelName": "a"}]} if request.url.path == "/models" else versions
            return httpx2.Response(200, content=json.dumps(page).encode())

        with Client(transport=httpx2.MockTransport(answer)) as staa, pytest.raises(ReplyError):
            staa.models()
