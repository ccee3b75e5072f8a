"""Sending: what ends a call before a reply."""

import asyncio

import pytest

from staa_client import AsyncClient, Client, StaaError


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
