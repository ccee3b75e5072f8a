"""A container of the image, run with hardened flags by whatever engine there is.

It has no network at all: the server listens on its loopback, and is asked from inside.
"""

import contextlib
import json
import os
import shlex
import subprocess
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

IMAGE_SH = Path(__file__).with_name("image.sh")
PATIENCE = 600  # seconds for any command of an engine

# PORT METHOD PATH TIMES: sends its standard input TIMES times at once; prints [status, body] of each answer.
_ASK = """
import http.client, json, sys
from concurrent.futures import ThreadPoolExecutor
port, method, path, times = int(sys.argv[1]), *sys.argv[2:4], int(sys.argv[4])
body = sys.stdin.buffer.read()
def ask(_):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    try:
        connection.request(method, path, body, {"Content-Type": "application/octet-stream"})
        reply = connection.getresponse()
        return reply.status, reply.read().decode()
    except (OSError, http.client.HTTPException) as error:
        return 0, repr(error)
with ThreadPoolExecutor(times) as pool:
    print(json.dumps(list(pool.map(ask, range(times)))), flush=True)
"""
# WORD: prints the processes with a word in their command line.
_FIND = """
import os, psutil, sys
for process in psutil.process_iter():
    if process.pid != os.getpid() and any(sys.argv[1] in word for word in process.cmdline()):
        print(process.pid)
"""


@dataclass(frozen=True)
class Engine:
    """A command such as docker or podman, with options of its own if need be."""

    command: tuple[str, ...]
    image: str

    @classmethod
    def there(cls, image: str) -> "Engine":
        """Return the one that ENGINE names, else docker or podman, whichever answers; raises LookupError."""
        for command in [os.environ["ENGINE"]] if "ENGINE" in os.environ else ["docker", "podman"]:
            with contextlib.suppress(FileNotFoundError):
                words = tuple(shlex.split(command))
                if subprocess.run([*words, "info"], capture_output=True, timeout=60, check=False).returncode == 0:
                    return cls(words, image)
        raise LookupError("neither docker nor podman answers. Debian or Ubuntu: apt-get install podman; or set ENGINE")

    def __call__(self, *arguments: str, stdin: bytes = b"", ok: bool = True) -> "subprocess.CompletedProcess[bytes]":
        """Run a command of the engine; with `ok` it must succeed."""
        done = subprocess.run(
            [*self.command, *arguments], input=stdin, capture_output=True, timeout=PATIENCE, check=False
        )
        assert not (ok and done.returncode), f"{arguments}: exit code {done.returncode}\n{done.stderr.decode()}"
        return done

    def script(self, what: str, *arguments: str, flags: str = "") -> "subprocess.CompletedProcess[bytes]":
        """Run image.sh with this engine on this image."""
        environ = os.environ | {"ENGINE": shlex.join(self.command), "RUN_FLAGS": flags}
        command = [str(IMAGE_SH), what, self.image, *arguments]
        return subprocess.run(command, env=environ, capture_output=True, timeout=4 * PATIENCE, check=False)

    def inspect(self, kind: str, name: str) -> Any:
        """Return what the engine knows of an image or a container."""
        return json.loads(self(kind, "inspect", name).stdout)[0]

    @contextlib.contextmanager
    def run(self, *arguments: str, flags: str = "") -> Iterator["Container"]:
        """Run serve.sh in a container until the block ends."""
        name = f"staa-test-{uuid.uuid4().hex[:8]}"
        done = self.script("run", *arguments, flags=f"--detach --name {name} --network none {flags}")
        assert done.returncode == 0, done.stderr.decode()
        container = Container(self, name)
        try:
            yield container
        except BaseException as error:
            error.add_note(f"the container said, at last:\n{container.log()[-4000:]}")
            raise
        finally:
            self("rm", "--force", "--time", "5", name, ok=False)
            self("rm", "--force", name, ok=False)


@dataclass(frozen=True)
class Container:
    """A container that runs, or ran."""

    engine: Engine
    name: str

    def exec(self, *command: str, stdin: bytes = b"", ok: bool = True) -> str:
        """Run a command in it, as its user; return what it prints."""
        return self.engine("exec", "--interactive", self.name, *command, stdin=stdin, ok=ok).stdout.decode()

    def ask(self, port: int, path: str, body: bytes = b"", times: int = 1) -> list[tuple[int, str]]:
        """Return (status, body) of requests that are sent at once; status 0 where there was no answer."""
        method = "POST" if body else "GET"
        command = ["python", "-c", _ASK, str(port), method, path, str(times)]
        return [(status, text) for status, text in json.loads(self.exec(*command, stdin=body))]

    def log(self) -> str:
        """Return what it printed."""
        done = self.engine("logs", self.name, ok=False)
        return (done.stdout + done.stderr).decode(errors="replace")

    def wait_ready(self, patience: float = 120) -> float:
        """Wait for /ready, and return the seconds that it took."""
        began = time.monotonic()
        while self.engine("exec", self.name, "/app/deploy/staa_serve/probe.sh", "ready", ok=False).returncode:
            assert self.running(), f"it ended with exit code {self.wait()}"
            assert time.monotonic() - began < patience, f"not ready after {patience} s"
            time.sleep(0.1)
        return time.monotonic() - began

    def running(self) -> bool:
        """Return whether it runs."""
        return bool(self.engine.inspect("container", self.name)["State"]["Running"])

    def wait(self) -> int:
        """Wait for its end, and return its exit code."""
        return int(self.engine("wait", self.name).stdout)

    def signal(self, pid: int, number: int) -> None:
        """Send a signal to a process in it."""
        self.exec("python", "-c", f"import os; os.kill({pid}, {int(number)})")

    def pids(self, word: str) -> list[int]:
        """Return the processes in it with a word in their command line."""
        return [int(pid) for pid in self.exec("python", "-c", _FIND, word).split()]
