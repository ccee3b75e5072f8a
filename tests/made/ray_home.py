"""A real second home, on Ray, started the way everybody starts it, on a free port of the loopback."""

import contextlib
import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.made.programs import free_ports
from tests.made.torchserve import ROOT, Server, ended, ready

PATIENCE = 300
"""Seconds for a start on a busy machine."""


@contextlib.contextmanager
def start(*names: str, options: tuple[str, ...] = (), environment: Mapping[str, str] | None = None) -> Iterator[Server]:
    """Run ./scale.sh until the block ends; whatever happens, nothing of it is left."""
    (port,) = free_ports()
    with tempfile.TemporaryDirectory(prefix="e2e-") as folder:  # short, for the paths of Ray's sockets
        log, temporary = Path(folder, "log"), Path(folder, "tmp")
        temporary.mkdir()
        with log.open("wb") as output:
            process = subprocess.Popen(
                [ROOT / "scale.sh", f"--port={port}", *options, *names],
                stdout=output,
                stderr=subprocess.STDOUT,
                env=os.environ | {"TMPDIR": str(temporary)} | dict(environment or {}),
            )
        address = f"http://127.0.0.1:{port}"
        with ended(process, log):
            ready(process, log, PATIENCE)
            yield Server(address, "", address, address, log, temporary, process, "ray")
