"""What tests of the command share: a server on loopback, and videos as files."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.client.socket_servers import fake_server


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """The address of a server on loopback."""
    with fake_server() as address:
        yield address


@pytest.fixture
def path(clip: bytes, tmp_path: Path) -> Path:
    """The video as a file."""
    file = tmp_path / "clip.mp4"
    file.write_bytes(clip)
    return file


@pytest.fixture
def folder(clip: bytes, tmp_path: Path) -> Path:
    """Three videos, and a file that is none."""
    for name in ("a.mp4", "b.mp4", "c.mp4"):
        (tmp_path / name).write_bytes(clip)
    (tmp_path / "noise.mp4").write_bytes(b"noise")
    return tmp_path
