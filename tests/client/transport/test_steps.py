"""A server whose default version is replaced while a client lives: frames are sampled for the one that answers."""

import asyncio
from typing import Any

import httpx2
import pytest

from staa_client import AsyncClient, Client
from tests.client.conftest import card, document, server
from tests.client.servers import archive, pictures


class Swapped:
    """A server that serves one version, and another from the moment that `version` says so; keeps what was asked."""

    def __init__(self, **frames: int) -> None:
        self.frames = {number.strip("v"): count for number, count in frames.items()}
        self.version = next(iter(self.frames))
        self.asked: list[str] = []
        self.sent: list[int] = []
        self.turns = False

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        """Answer one request."""
        now = self.version
        model = card()["model"] | {"version": now}
        if self.turns:
            assert len(self.asked) < 50
            versions = list(self.frames)
            self.version = versions[(versions.index(now) + 1) % len(versions)]
        if request.headers["content-type"] == "application/json":
            self.asked.append("card")
            told = card()
            return httpx2.Response(
                200, json=told | {"model": model, "input": told["input"] | {"frames": self.frames[now]}}
            )
        self.asked.append("video")
        self.sent.append(len(archive(request)[1]))
        return server(document() | {"model": model})(request)


def client(swapped: Swapped) -> Client:
    """A client of that server."""
    return Client(max_retries=0, transport=httpx2.MockTransport(swapped))


@pytest.mark.parametrize("ask", ["predict", "explain"])
def test_a_new_version_gets_the_frames_that_it_wants(ask: str) -> None:
    """After a swap from 8 to 16 frames the answer is of 16 frames, from the first call on, and the new card is kept."""
    swapped = Swapped(v1=8, v2=16)
    with client(swapped) as staa:
        getattr(staa, ask)(pictures(40))
        getattr(staa, ask)(pictures(40))
        assert swapped.sent == [8, 8]
        swapped.version = "2"
        assert getattr(staa, ask)(pictures(40)).model.version == "2"
        getattr(staa, ask)(pictures(40))
    assert swapped.sent == [8, 8, 8, 16, 16]
    assert swapped.asked == ["card", "video", "video", "video", "card", "video", "video"]


def test_a_new_version_that_wants_the_same_is_asked_once() -> None:
    """Where the new version wants the same frames, its card is read once and the answer that came is the answer."""
    swapped = Swapped(v1=8, v2=8)
    with client(swapped) as staa:
        staa.predict(pictures(40))
        swapped.version = "2"
        staa.predict(pictures(40))
        staa.predict(pictures(40))
    assert swapped.asked == ["card", "video", "video", "card", "video"]


def test_versions_in_turn_end() -> None:
    """Behind a door to three versions that answer in turn, a call sends a video twice at most."""
    swapped = Swapped(v1=8, v2=16, v3=4)
    swapped.turns = True
    with client(swapped) as staa:
        for _ in range(4):
            staa.predict(pictures(40))
    assert 4 < swapped.asked.count("video") <= 8


def test_the_async_twin_does_the_same() -> None:
    """AsyncClient asks for the new card and sends the frames that it wants, with many calls under way."""
    swapped = Swapped(v1=8, v2=16)

    async def both() -> list[Any]:
        async with AsyncClient(max_retries=0, transport=httpx2.MockTransport(swapped)) as staa:
            await staa.explain(pictures(40))
            swapped.version = "2"
            swapped.sent.clear()
            return [await asyncio.gather(*(staa.explain(pictures(40)) for _ in range(4))), await staa.card()]

    explanations, now = asyncio.run(both())
    assert {explanation.model.version for explanation in explanations} == {"2"}
    assert now.frames == 16
    assert swapped.sent.count(16) == 4
    assert swapped.sent.count(8) <= 4
