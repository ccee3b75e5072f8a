"""Both homes in one run, turn by turn: `python -m benchmarks.speed.homes`, and how Ray grows with its Decoders.

TorchServe by ./serve.sh and Ray by ./scale.sh, once with one Decoder and once with two, serve the default model at the
same time. Closed-loop clients ask one of them for some seconds, then the next, for some rounds; what is not asked only
waits. Memory is the proportional set size of all processes of a home, after the load.
"""

import contextlib
import itertools
import signal
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil

from benchmarks.report import ROOT, argument_parser, heads, machine, row
from benchmarks.speed.server import PORTS, load
from tests.made.programs import free_ports
from training.movie import write

HOMES = {
    "TorchServe": ("serve.sh",),
    "Ray, 1 Decoder": ("scale.sh",),
    "Ray, 2 Decoders": ("scale.sh", "--decoders", "2"),
}


@dataclass
class Home:
    """A home that is up, and what it was measured at."""

    url: str
    process: "subprocess.Popen[bytes]"
    start_seconds: float
    rates: dict[int, list[float]] = field(default_factory=dict)
    """Clients -> clips a second of each round."""
    latencies: dict[int, list[float]] = field(default_factory=dict)

    def memory(self) -> float:
        """Return the bytes of all its processes, each shared page counted once."""
        root = psutil.Process(self.process.pid)
        return sum(process.memory_full_info().pss for process in (root, *root.children(recursive=True)))


@contextlib.contextmanager
def run(script: str, *options: str) -> Iterator[Home]:
    """Start a home on free ports, and stop it."""
    ports = free_ports(len(PORTS))
    flags = [f"{flag}={port}" for flag, port in zip(PORTS, ports, strict=True)]
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="homes-") as folder:
        log = Path(folder, "log")
        command = [str(ROOT / script), *(flags if script == "serve.sh" else flags[:1]), *options, "motions"]
        with log.open("wb") as output:
            process = subprocess.Popen(command, stdout=output, stderr=output)
        try:
            while b"ready after" not in log.read_bytes():
                if process.poll() is not None:
                    raise RuntimeError(log.read_text())
                time.sleep(0.1)
            yield Home(f"http://127.0.0.1:{ports[0]}", process, time.monotonic() - began)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(120)


def main() -> None:
    """Print the table."""
    parser = argument_parser(__doc__)
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--seconds", type=float, default=5.0, help="of each turn")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--size", type=int, nargs=2, default=(640, 480), help="of the clip, pixels")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        file = Path(folder, "clip.mp4")
        write(file, 37, None, tuple(options.size), 10.0, 25)
        clip = file.read_bytes()
        homes = {name: stack.enter_context(run(*command)) for name, command in HOMES.items()}
        for clients, home in itertools.product(options.clients, homes.values()):
            load(home.url, "motions", clip, clients, ["explanations"], 2.0)  # nothing of it counts
        for _, clients, home in itertools.product(range(options.rounds), options.clients, homes.values()):
            latencies, _ = load(home.url, "motions", clip, clients, ["explanations"], options.seconds)
            home.rates.setdefault(clients, []).append(len(latencies) / options.seconds)
            home.latencies.setdefault(clients, []).extend(latencies)
        print(
            f"{machine()}; maps of the default model, a clip of {len(clip) / 1e6:.2f} MB, {options.size[0]}x"
            f"{options.size[1]}, 10 s; {options.rounds} turns of {options.seconds:g} s each\n"
        )
        columns = "home", "clients", "clips/s", "x TorchServe (turns)", "p50 ms", "p95 ms", "start s", "memory MiB"
        print(heads(*columns))
        first = next(iter(homes.values()))
        for clients, (name, home) in itertools.product(options.clients, homes.items()):
            ratios = [rate / base for rate, base in zip(home.rates[clients], first.rates[clients], strict=True)]
            spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})"
            p50, p95 = np.percentile(np.array(home.latencies[clients]) * 1000, [50, 95])
            rate, memory = statistics.median(home.rates[clients]), home.memory() / 2**20
            print(
                row(
                    name,
                    clients,
                    f"{rate:.2f}",
                    spread,
                    f"{p50:.0f}",
                    f"{p95:.0f}",
                    f"{home.start_seconds:.0f}",
                    f"{memory:.0f}",
                )
            )


if __name__ == "__main__":
    main()
