"""What several end-to-end tests need: a server of the default model, its archive, and ports for one of their own."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.made.programs import free_ports
from tests.made.torchserve import FLAGS, ROOT, Running, Server, start


@pytest.fixture
def ports() -> list[str]:
    """Return options for serve.sh: ports that nobody listens on."""
    return [f"{flag}={port}" for flag, port in zip(FLAGS, free_ports(len(FLAGS)), strict=True)]


@pytest.fixture(scope="session")
def running() -> Running:
    """Return a context manager that serves the archives of a folder by serve.sh."""
    return start


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the archive of the default model, freshly built."""
    folder = tmp_path_factory.mktemp("store")
    done = subprocess.run(
        [ROOT / "archive.sh", "motions", "--output", folder], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "motions.mar"


@pytest.fixture(scope="session")
def server(archive: Path) -> Iterator[Server]:
    """Serve the default model for all tests of the session; at the end it stops cleanly when asked."""
    with start(archive.parent, "motions") as up:
        yield up
        assert up.stop() == 0
