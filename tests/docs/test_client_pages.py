"""Every example in docs/client.md and in the client's README runs."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from staa_client.cli.connection import read_settings
from tests.client.socket_servers import fake_server

ROOT = Path(__file__).resolve().parents[2]
PAGES = (ROOT / "docs" / "client.md", ROOT / "client" / "README.md")


def blocks(language: str) -> list[tuple[str, str]]:
    """(page and number, text) of every block of a language."""
    found = []
    for page in PAGES:
        texts = re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)
        found += [(f"{page.parent.name}/{page.name} {number}", text) for number, text in enumerate(texts)]
    return found


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """The address of a server on loopback."""
    with fake_server() as address:
        yield address


@pytest.fixture
def place(clip: bytes, tmp_path: Path) -> Path:
    """A folder with what the examples speak of."""
    for name in ("clip.mp4", "other.mp4"):
        (tmp_path / name).write_bytes(clip)
    (tmp_path / "key_file.json").write_text("secret")
    (tmp_path / "key_file.json").chmod(0o600)
    return tmp_path


def run(command: list[str], place: Path, url: str) -> "subprocess.CompletedProcess[str]":
    """Run it there."""
    inside = os.environ | {"STAA_SERVER": url, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    return subprocess.run(command, cwd=place, env=inside, capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.parametrize("text", [pytest.param(text, id=name) for name, text in blocks("python")])
def test_a_python_example_runs(text: str, place: Path, url: str) -> None:
    """As written, but for the server's port."""
    script = place / "example.py"
    script.write_text(text.replace("http://127.0.0.1:8080", url))
    done = run([sys.executable, "-W", "error", str(script)], place, url)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("text", [pytest.param(text, id=name) for name, text in blocks("sh")])
def test_commands_run(text: str, place: Path, url: str) -> None:
    """Line by line, each succeeds."""
    done = run(["bash", "-euo", "pipefail", "-c", text], place, url)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_settings_are_valid(tmp_path: Path) -> None:
    """The file of settings in the docs is one."""
    ((_, text),) = blocks("toml")
    path = tmp_path / "config.toml"
    path.write_text(text)
    assert read_settings(path)["timeout"] == 60
