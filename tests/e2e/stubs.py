"""Archives of handlers that need no weights: what the server does does not depend on a model."""

import os
import subprocess
import sys
from pathlib import Path

SLOW = """
import time

class Handler:
    def initialize(self, context):
        pass

    def handle(self, data, context):
        time.sleep(max(float(bytes(row["body"])) for row in data))
        return [b"answered"] * len(data)
"""
BROKEN = """
class Handler:
    def initialize(self, context):
        raise ValueError("the weights are of another model")

    def handle(self, data, context):
        return data
"""


def stub(folder: Path, handler: str) -> Path:
    """Build stub.mar of a handler that needs no weights; return its folder."""
    file = folder / "handler.py"
    file.write_text(handler)
    temporary = folder / "tmp"
    temporary.mkdir()
    packer = [sys.executable, "-m", "model_archiver.model_packaging", "--model-name", "stub", "--version", "1"]
    command = [*packer, "--handler", str(file), "--export-path", str(folder)]
    environ = os.environ | {"TMPDIR": str(temporary)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, env=environ)
    assert done.returncode == 0, done.stderr
    return folder
