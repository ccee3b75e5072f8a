"""What tests of evidence share: a server that gives each reply an id, and a client of it that keeps its answers."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from staa_client import Client
from tests.client.conftest import document, server

Made = Callable[..., Client]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """The file of a store, which is not there yet."""
    return tmp_path / "evidence.jsonl"


@pytest.fixture
def video(clip: bytes, tmp_path: Path) -> Path:
    """The video as a file."""
    file = tmp_path / "clip.mp4"
    file.write_bytes(clip)
    return file


@pytest.fixture
def client() -> Iterator[Made]:
    """Make clients of a server that answers with this document, and gives its replies ids."""
    made: list[Client] = []

    def make(store: Path | None = None, reply: dict[str, Any] | None = None) -> Client:
        answer, numbers = server(reply or document()), itertools.count(1)

        def named(request: httpx2.Request) -> httpx2.Response:
            response = answer(request)
            response.headers["X-Request-Id"] = f"request-{next(numbers)}"
            return response

        made.append(Client(store=store, transport=httpx2.MockTransport(named)))
        return made[-1]

    yield make
    for each in made:
        each.close()
