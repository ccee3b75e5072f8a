"""A server behind the front proxy, in a bound of memory, that is started again when it ends, as a pod would be."""

import contextlib
import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import psutil

from benchmarks.report import ROOT
from tests.deploy import proxies
from tests.made.programs import free_ports

FLAGS = ("--port", "--management-port", "--metrics-port", "--health-port")
MEMORY = Path("/sys/fs/cgroup/memory")  # version 1
ROLES = ("serve", "frontend", "worker", "decoders", "nginx")


class Bound:
    """Bounds the memory of processes by a cgroup, where the machine gives one to this user."""

    def __init__(self, bytes_: int) -> None:
        own = next((line for line in Path("/proc/self/cgroup").read_text().splitlines() if ":memory:" in line), "")
        self._home = MEMORY / own.rpartition(":")[2].lstrip("/")
        self.folder: Path | None = self._home / f"soak-{os.getpid()}"
        try:
            self.folder.mkdir()
            (self.folder / "memory.limit_in_bytes").write_text(str(bytes_))
        except OSError:
            self.folder = None

    def start(self, command: list[Any], **options: Any) -> "subprocess.Popen[bytes]":
        """Start a program within the bound."""
        if self.folder is None:
            return subprocess.Popen(command, **options)
        shell = 'echo $$ > "$0"; exec "$@"'
        return subprocess.Popen(["/bin/sh", "-c", shell, self.folder / "cgroup.procs", *command], **options)

    def take(self, process: int) -> None:
        """Put a process that runs, and what it starts later, within the bound."""
        if self.folder is not None:
            (self.folder / "cgroup.procs").write_text(str(process))

    def facts(self) -> dict[str, int]:
        """Return the most bytes that were in use, and how many processes were ended for want of memory."""
        if self.folder is None:
            return {}
        control = dict(line.split() for line in (self.folder / "memory.oom_control").read_text().splitlines())
        most = int((self.folder / "memory.max_usage_in_bytes").read_text())
        return {"most_bytes": most, "killed_for_memory": int(control.get("oom_kill", 0))}

    def close(self) -> None:
        """Remove the bound, once nothing is left in it."""
        if self.folder is not None:
            with contextlib.suppress(OSError):
                self.folder.rmdir()


@dataclass
class Served:
    """Holds a server that runs, and says what it is made of."""

    temporary: Path
    """TMPDIR of the server and of the proxy: a file system of its own, where this user may mount one."""
    log: Path
    ports: list[int]
    bound: Bound
    process: "subprocess.Popen[bytes]"
    proxy: proxies.Proxy | None = None
    restarts: int = 0
    stopping: bool = False
    samples: list[dict[str, float]] = field(default_factory=list)
    """Seconds since the start, and the MB of each role, by its name."""

    @property
    def url(self) -> str:
        """The address of TorchServe."""
        return f"http://127.0.0.1:{self.ports[0]}"

    def start(self) -> None:
        """Start the server; it is not waited for."""
        flags = [str(part) for pair in zip(FLAGS, self.ports, strict=True) for part in pair]
        command = [ROOT / "serve.sh", *flags, "--drain", "60", "motions"]
        with self.log.open("ab") as log:
            self.process = self.bound.start(
                command, stdout=log, stderr=log, env=os.environ | {"TMPDIR": str(self.temporary)}
            )

    def ready(self) -> bool:
        """Return whether a worker is ready."""
        with contextlib.suppress(httpx2.HTTPError):
            return httpx2.get(f"http://127.0.0.1:{self.ports[3]}/ready", timeout=2).status_code == 200
        return False

    def wait(self, patience: float = 300) -> None:
        """Wait until a worker is ready; raise RuntimeError where none is in time."""
        deadline = time.monotonic() + patience
        while not self.ready():
            if time.monotonic() > deadline:
                raise RuntimeError(f"not ready in {patience:g} s:\n{self.log.read_text(errors='replace')[-4000:]}")
            time.sleep(0.25)

    def keep_alive(self) -> None:
        """Start the server again whenever it has ended, until it is asked to stop."""
        while not self.stopping:
            if self.process.poll() is not None and not self.stopping:
                self.restarts += 1
                self.start()
            time.sleep(0.5)

    def members(self) -> dict[str, list[psutil.Process]]:
        """Return the processes of each role."""
        found: dict[str, list[psutil.Process]] = {role: [] for role in ROLES}
        with contextlib.suppress(psutil.NoSuchProcess):
            head = psutil.Process(self.process.pid)
            for member in (head, *head.children(recursive=True)):
                with contextlib.suppress(psutil.Error):
                    found[self._role(member, head)].append(member)
        if self.proxy is not None:
            with contextlib.suppress(psutil.NoSuchProcess):
                nginx = psutil.Process(self.proxy.process.pid)
                found["nginx"] = [nginx, *nginx.children()]
        return found

    @staticmethod
    def _role(member: psutil.Process, head: psutil.Process) -> str:
        """Return the role of a process, by its command and those that it comes from."""
        if member.pid == head.pid:
            return "serve"
        command = " ".join(member.cmdline())
        if "org.pytorch.serve" in command:
            return "frontend"
        above = [" ".join(parent.cmdline()) for parent in member.parents()]
        if "model_service_worker" in command and "org.pytorch.serve" in above[0]:
            return "worker"
        return "decoders" if any("model_service_worker" in parent for parent in above) else "serve"

    def sample(self, began: float) -> dict[str, float]:
        """Measure the memory of each role, in MB, shared pages by halves, and the files in TMPDIR."""
        taken = {"seconds": round(time.monotonic() - began, 1)}
        for role, members in self.members().items():
            total = 0
            for member in members:
                with contextlib.suppress(psutil.Error):
                    total += member.memory_full_info().pss
            taken[role] = round(total / 1e6, 1)
        taken["all"] = round(sum(taken[role] for role in ROLES), 1)
        taken["files"] = sum(path.is_file() for path in self.temporary.rglob("*"))
        self.samples.append(taken)
        return taken

    def slope(self, since: float) -> dict[str, float]:
        """Return by how many MB an hour each role grew after some seconds of the run, by least squares."""
        late = [sample for sample in self.samples if sample["seconds"] >= since]
        if len(late) < 10:
            return {}
        times = [sample["seconds"] / 3600 for sample in late]
        middle = sum(times) / len(times)
        spread = sum((moment - middle) ** 2 for moment in times)
        return {
            role: round(sum((t - middle) * sample[role] for t, sample in zip(times, late, strict=True)) / spread, 1)
            for role in (*ROLES, "all")
        }

    def stop(self) -> dict[str, Any]:
        """Ask the server to stop; return its exit code, the processes that outlived it and the files that it left."""
        self.stopping = True
        family = [member for members in self.members().values() for member in members]
        family = [member for member in family if self.proxy is None or member.pid != self.proxy.process.pid]
        self.process.send_signal(signal.SIGTERM)
        try:
            code: int | str = self.process.wait(150)
        except subprocess.TimeoutExpired:
            code = "none in 150 s"
        own = {member.pid for member in self.members()["nginx"]}
        alive = [member for member in family if member.pid not in own and _lives(member)]
        for member in alive:
            with contextlib.suppress(psutil.Error):
                member.kill()
        left = [str(path.relative_to(self.temporary)) for path in self.temporary.iterdir() if "proxy-" not in path.name]
        return {"exit_code": code, "processes_left": len(alive), "files_left": left}


def _lives(member: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return member.is_running() and member.status() != psutil.STATUS_ZOMBIE
    return False


@contextlib.contextmanager
def serving(memory: int, disk: int) -> Iterator[Served]:
    """Serve the default model behind nginx until the block ends.

    Args:
        memory: The most bytes of memory of all processes.
        disk: Bytes of the file system for temporary files.
    """
    bound = Bound(memory)
    with tempfile.TemporaryDirectory(prefix="soak-", dir="/tmp") as name:  # a short path for sockets
        folder = Path(name)
        folder.chmod(0o755)
        temporary = folder / "tmp"
        temporary.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", f"size={disk},mode=1777", "tmpfs", str(temporary)]
        mounted = subprocess.run(mount, check=False, capture_output=True).returncode == 0
        served = Served(temporary, folder / "log", free_ports(4), bound, None)  # type: ignore[arg-type]
        served.start()
        kept, tempfile.tempdir = tempfile.tempdir, str(temporary)
        try:
            served.wait()
            with proxies.running(
                served.ports[0], health=served.ports[3], metrics=served.ports[2], limits=proxies.UNHURRIED
            ) as served.proxy:
                tempfile.tempdir = kept
                for member in served.members()["nginx"]:
                    bound.take(member.pid)
                threading.Thread(target=served.keep_alive, daemon=True).start()
                yield served
        finally:
            tempfile.tempdir = kept
            served.stopping = True
            if served.process.poll() is None:
                served.stop()
            if mounted:
                subprocess.run(["umount", "-l", temporary], check=False)  # noqa: S607  # root's
            bound.close()
