"""Run TorchServe's Java frontend as a child process, in its own process group together with its workers.

So a Ctrl-C in the terminal reaches only this process, which lets running requests finish first. And the whole group can
be ended at the end. A guard ends it if this process is killed.
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

from staa_serve.java import Java
from staa_serve.log import Log, StartError

LOGGING = Path(__file__).resolve().with_name("log4j2.xml")
# The pipe's other end is held by this process alone: the read returns when it is gone. Builtins only, so no PATH;
# `kill -KILL --` is an error in dash.
_GUARD = 'read -r _; kill -s KILL -- "-$1"'

Process = subprocess.Popen[bytes]


@contextlib.contextmanager
def run(java: Java, config: Mapping[str, str], scratch: Path, logs: Path) -> Iterator[Process]:
    """Run the frontend with scratch/config.properties; at the end stop it, its workers, and all that they started."""
    site = Path(str(importlib.metadata.distribution("torchserve").locate_file("")))
    command = [java.path, *java.options, f"-Dmodel_server_home={site}", f"-Djava.io.tmpdir={scratch}"]
    command += [f"-Dlog4j.configurationFile=file://{LOGGING}", *config.get("vmargs", "").split()]
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
    with _guarded(process.pid):
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
        raise StartError(f"TorchServe ended by itself, exit code {process.returncode}:\n{server.tail()}\n{said}")


@contextlib.contextmanager
def _guarded(group: int) -> Iterator[None]:
    """Start a shell that kills the process group if this process dies, even by SIGKILL; end the shell after the block.

    Unlike prctl(PR_SET_PDEATHSIG), this works on every POSIX system, and for the whole group, not only one child.
    """
    command = ["/bin/sh", "-c", _GUARD, "staa-guard", str(group)]
    pipe, quiet = subprocess.PIPE, subprocess.DEVNULL
    # A session of its own: a Ctrl-C of the terminal must not end it.
    with subprocess.Popen(command, stdin=pipe, stdout=quiet, stderr=quiet, start_new_session=True) as guard:
        try:
            yield
        finally:
            guard.kill()  # before the pipe is closed


def _end_group(process: Process) -> None:
    """Kill what is left of the frontend's process group, and reap the processes that are children of this one.

    As process 1 of a container, this process becomes the parent of the workers when the frontend ends.
    """
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
