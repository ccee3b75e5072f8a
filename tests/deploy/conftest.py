"""What several tests of the front proxy need: stand-ins for what is behind it."""

from collections.abc import Iterator

import pytest

from tests.deploy.upstreams import Upstream, listening, reply


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    """Return a stand-in for TorchServe."""
    with listening() as up:
        yield up


@pytest.fixture(scope="module")
def ready() -> Iterator[Upstream]:
    """Return a stand-in for the health endpoint, which says that motions is ready."""
    with listening(lambda _: reply({"ready": True, "models": {"motions": {"ready": 1, "workers": 1}}})) as up:
        yield up
