"""What several end-to-end tests need beside the session's server: one of their own, and ports for it."""

import pytest

from tests.made.programs import free_ports
from tests.made.torchserve import FLAGS, Running, start


@pytest.fixture
def ports() -> list[str]:
    """Return options for serve.sh: ports that nobody listens on."""
    return [f"{flag}={port}" for flag, port in zip(FLAGS, free_ports(len(FLAGS)), strict=True)]


@pytest.fixture(scope="session")
def running() -> Running:
    """Return a context manager that serves the archives of a folder by serve.sh."""
    return start
