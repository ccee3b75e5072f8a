"""TorchServe's Java frontend as a child process, in a process group of its own with its workers.

A Ctrl-C of the terminal thus reaches only serve.py, which lets what is in flight finish first, and every worker can be
found at the end.
"""

import contextlib
import importlib.metadata
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from errors import StartError
from guard import guard
from java import Java
from log import Log

DEPLOY = Path(__file__).resolve().parent
LOG_FORMAT = "STAA_LOG_FORMAT"
"""The environment variable that log4j2.xml reads: "plain" or "json"."""

Process = subprocess.Popen[bytes]


@contextlib.contextmanager
def run(java: Java, config: Mapping[str, str], scratch: Path, logs: Path) -> Iterator[Process]:
    """Run the frontend on scratch/config.properties; at the end stop it, its workers, and whatever they started."""
    site = Path(str(importlib.metadata.distribution("torchserve").locate_file("")))
    command = [java.path, *java.options, f"-Dmodel_server_home={site}", f"-Djava.io.tmpdir={scratch}"]
    command += [f"-Dlog4j.configurationFile=file://{DEPLOY / 'log4j2.xml'}", *config.get("vmargs", "").split()]
    command += ["-cp", f"{site}/ts/frontend/*", "org.pytorch.serve.ModelServer", "--python", sys.executable]
    command += ["-f", "config.properties", "-s", config["model_store"], "-ncs"]
    # The archives hold all that the models need: nothing is asked of the hub, and no progress bar goes to the log.
    environ = {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"} | os.environ
    environ |= {"TMPDIR": str(scratch), "TEMP": str(scratch)}
    environ |= {"LOG_LOCATION": str(logs), "METRICS_LOCATION": str(logs)}
    # Its log comes by stderr. By stdout come notes that help nobody (no nvidia-smi, a slow reflection), and Java's last
    # words: they are kept, and shown if it ends by itself.
    with (logs / "frontend.out").open("wb") as said:
        process = subprocess.Popen(
            command,
            cwd=scratch,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=sys.stdout,
            start_new_session=True,
        )
    with guard(process.pid):
        try:
            yield process
        finally:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(15)
            _end_group(process)


def check_alive(process: Process, server: Log) -> None:
    """Raise StartError if the frontend has ended."""
    if process.poll() is not None:
        said = Log(server.path.with_name("frontend.out"), 0).tail()
        msg = f"TorchServe ended by itself, exit code {process.returncode}:\n{server.tail()}\n{said}"
        raise StartError(msg)


def _end_group(process: Process) -> None:
    """End what is left of the frontend's process group, and collect it where it became our child (as process 1)."""
    for _ in range(50):
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):  # macOS says the latter of a group of ended processes
            break
        process.poll()
        with contextlib.suppress(ChildProcessError):
            os.waitpid(-process.pid, os.WNOHANG)
        time.sleep(0.1)
    process.wait()
