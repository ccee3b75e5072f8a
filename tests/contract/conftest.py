"""What the contract is asked of: each home in turn, by itself and behind the front proxy."""

from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from staa_client import Client
from tests.conftest import HOMES
from tests.contract.description import video
from tests.deploy import proxies
from tests.deploy.proxies import UNHURRIED, Proxy
from tests.made.torchserve import Server

FIXTURES = {"torchserve": "server", "ray": "ray_server"}


@pytest.fixture(scope="session", params=HOMES)
def home(request: pytest.FixtureRequest) -> Server:
    """Return a home that serves the default model: every test that takes it is run against each of them."""
    found: Server = request.getfixturevalue(FIXTURES[request.param])
    return found


@pytest.fixture(scope="session")
def proxy(home: Server) -> Iterator[Proxy]:
    """Return a front proxy before the home."""
    ports = [urlsplit(url).port or 0 for url in (home.inference, home.health, home.metrics)]
    with proxies.running(ports[0], health=ports[1], metrics=ports[2], limits=UNHURRIED) as up:
        yield up


@pytest.fixture
def client(home: Server) -> Iterator[Client]:
    """Return a client of the home."""
    with Client(home.inference, management_url=home.management or None) as client:
        yield client


@pytest.fixture(scope="session")
def clip() -> bytes:
    """Return a good clip: 40 frames at 25 frames a second, 128 x 96."""
    return video()
