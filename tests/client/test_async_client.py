"""AsyncClient does what Client does."""

import asyncio
import inspect
import io
import json
import threading
from pathlib import Path

import httpx2
import numpy as np
import pytest

from staa_client import AsyncClient, Client, NotVideoError, Result
from tests.client.conftest import server
from tests.client.servers import Recorder, client

BUSY = {"code": 503, "type": "ServiceUnavailableException", "message": "no worker is free"}


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


def test_as_many_calls_as_one_likes_read_at_once() -> None:
    """Calls whose videos come slowly do not wait for each other, however few threads the event loop has itself."""
    count = 50
    together = threading.Barrier(count)

    class Slow(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            together.wait(20)
            return super().read(size)

    async def all_of_them() -> list[Result]:
        async with AsyncClient(transport=httpx2.MockTransport(server())) as staa:
            return await asyncio.gather(*(staa.predict(Slow(b"abc")) for _ in range(count)))

    assert len(asyncio.run(all_of_them())) == count
