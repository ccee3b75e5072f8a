"""Sending: what ends a call before a reply."""

import asyncio

import httpx2
import pytest

from staa_client import AsyncClient, Client, ReplyError, StaaError


def test_a_client_that_was_closed_says_so() -> None:
    """Every method of a closed client raises an error of the tree at once, and a batch collects it."""
    plain = Client()
    plain.close()
    for call in (plain.predict, plain.explain):
        with pytest.raises(StaaError, match="this client was closed") as caught:
            call(b"x")
        assert caught.value.code == "client_closed"
    for ask in (plain.card, plain.models, plain.ready, plain.wait_until_ready):
        with pytest.raises(StaaError, match="this client was closed"):
            ask()
    (item,) = plain.batch([b"x"], on_error="collect")
    assert isinstance(item.error, StaaError)

    async def twin() -> None:
        staa = AsyncClient()
        await staa.aclose()
        await staa.predict(b"x")

    with pytest.raises(StaaError, match="this client was closed"):
        asyncio.run(twin())


def test_a_redirect_to_no_address_is_said() -> None:
    """An address without a host is a ReplyError of both clients."""
    transport = httpx2.MockTransport(lambda _: httpx2.Response(302, headers={"Location": "//:80"}))
    with Client(transport=transport) as staa, pytest.raises(ReplyError, match="without a host"):
        staa.predict(b"x")

    async def twin() -> None:
        async with AsyncClient(transport=transport) as staa:
            await staa.predict(b"x")

    with pytest.raises(ReplyError, match="without a host"):
        asyncio.run(twin())
