"""The commands of docs/how-to/move-from-torchserve.md succeed at both homes, but for what is said to be of one."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.made.torchserve import Server

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "how-to" / "move-from-torchserve.md").read_text()
BOTH, RAY = (
    re.findall(r"^```sh\n(.*?)^```", part, re.DOTALL | re.MULTILINE) for part in PAGE.split("\nAt Ray alone", 1)
)


@pytest.mark.parametrize("block", BOTH + RAY)
def test_commands_run(block: str, home: Server, clip: bytes, tmp_path: Path) -> None:
    """Line by line, each succeeds; those of Ray alone do not at the other home."""
    (tmp_path / "clip.mp4").write_bytes(clip)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block],
        cwd=tmp_path,
        env=os.environ | {"STAA": home.inference, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert (done.returncode == 0) == (block in BOTH or home.home == "ray"), done.stdout + done.stderr
