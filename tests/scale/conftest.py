"""The second home, as everybody starts it, for the tests of this folder."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.made.programs import free_ports
from tests.made.torchserve import PATIENCE, Server
from tests.made.waiting import until


@pytest.fixture(scope="session")
def ray_server() -> Iterator[Server]:
    """Serve the default model by Ray for all tests of the session; at the end it stops cleanly when asked."""
    (port,) = free_ports(1)
    with tempfile.TemporaryDirectory(prefix="ray-") as folder:
        log, temporary = Path(folder, "log"), Path(folder, "tmp")
        temporary.mkdir()
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "scale", "--port", str(port), "motions"],
                stdout=output,
                stderr=subprocess.STDOUT,
                env=os.environ | {"TMPDIR": str(temporary)},
            )
        try:
            until(lambda: process.poll() is not None or "ready after " in log.read_text(), PATIENCE)
            assert process.poll() is None, log.read_text()
            url = f"http://127.0.0.1:{port}"
            yield Server(url, "", url, url, log, temporary, process)
            process.send_signal(signal.SIGTERM)
            assert process.wait(120) == 0
        finally:
            if process.poll() is None:
                family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
                for each in family:
                    with contextlib.suppress(psutil.NoSuchProcess):
                        each.kill()
                process.wait(120)
