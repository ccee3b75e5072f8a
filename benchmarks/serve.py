"""What TorchServe adds to the bare work, and what maps add to labels: `python -m benchmarks.serve`, one table.

A real server, started by ./serve.sh on free ports, is asked by closed-loop clients (each sends its next clip when its
answer is there). The bare loop does decode, prepare, forward and encode in this process, one batch after the other,
before the server is started.
"""

import argparse
import contextlib
import itertools
import os
import platform
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import numpy as np
import torch

from staa import Explainer, Options, decode, wire
from training.movie import write

ROOT = Path(__file__).resolve().parents[1]
MIXES = {"labels": ("predictions",), "maps": ("explanations",), "half and half": ("predictions", "explanations")}


def bare(explainer: Explainer, clip: bytes, batch: int, seconds: float, *, explain: bool) -> list[float]:
    """Seconds of each round of a batch, decoded two at a time as the handler does."""
    model = wire.Model("bare", "0", explainer.family, len(explainer.labels))
    options = [Options(explain=explain)] * batch
    rounds: list[float] = []
    began = time.perf_counter()
    with ThreadPoolExecutor(2) as pool:
        while time.perf_counter() - began < seconds:
            start = time.perf_counter()
            clips = list(pool.map(lambda _: decode(clip, explainer.grid.frames), range(batch)))
            for one, result in zip(clips, explainer(clips, options), strict=True):
                wire.reply(model, one, result, "base64")
            rounds.append(time.perf_counter() - start)
    return rounds


@contextlib.contextmanager
def server(name: str) -> Iterator[str]:
    """The address of a server that is ready."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(3)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        ports = [str(one.getsockname()[1]) for one in sockets]
    flags = ["--port", ports[0], "--management-port", ports[1], "--metrics-port", ports[2]]
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen([ROOT / "serve.sh", *flags, name], stdout=log, stderr=log)
        try:
            while True:
                log.seek(0)
                text = log.read()
                if "serve: ready" in text:
                    break
                if process.poll() is not None:
                    raise RuntimeError(text)
                time.sleep(0.2)
            yield f"http://127.0.0.1:{ports[0]}"
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def load(url: str, name: str, clip: bytes, clients: int, mix: tuple[str, ...], seconds: float) -> list[float]:
    """Latencies, in seconds, of the requests that were answered in the time."""
    latencies: list[float] = []
    turn, lock = itertools.count(), threading.Lock()
    until = time.perf_counter() + seconds

    def client() -> None:
        headers = {"Content-Type": "video/mp4", "X-Staa-Maps": "base64"}
        with httpx2.Client(base_url=url, headers=headers, timeout=120) as session:
            while time.perf_counter() < until:
                start = time.perf_counter()
                reply = session.post(f"/{mix[next(turn) % len(mix)]}/{name}", content=clip)
                if reply.status_code != 200:
                    raise RuntimeError(reply.text)
                with lock:
                    latencies.append(time.perf_counter() - start)

    with ThreadPoolExecutor(clients) as pool:
        for future in [pool.submit(client) for _ in range(clients)]:
            future.result()
    return latencies


def row(way: str, clients: str, mix: str, rate: float, latencies: list[float], best: float) -> None:
    """Print one line of the table."""
    p50, p95, p99 = np.percentile(np.array(latencies) * 1000, [50, 95, 99])
    ratio = f"{rate / best:.2f}" if best else "-"
    print(f"| {way} | {clients} | {mix} | {rate:.1f} | {ratio} | {p50:.0f} | {p95:.0f} | {p99:.0f} |", flush=True)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="motions", help="a name in model_store/")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--seconds", type=float, default=10.0, help="of each line")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "clip.mp4")
        write(path, 37, None, (640, 480), 10.0, 25)
        clip = path.read_bytes()
    print(f"{platform.machine()} CPU, {os.cpu_count()} cores, torch {torch.__version__}, {time.strftime('%Y-%m-%d')};")
    print(f"model {options.model}; a clip of {len(clip) / 1e6:.2f} MB, 640x480, 10 s; {options.seconds:g} s a line\n")
    print("| way | clients | asked for | clips/s | x bare loop's best | p50 ms | p95 ms | p99 ms |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    explainer = Explainer.load(ROOT / "model_store" / options.model)
    found = {}
    for explain, batch in itertools.product((False, True), (1, 4)):
        bare(explainer, clip, batch, 1.0, explain=explain)
        found[explain, batch] = bare(explainer, clip, batch, options.seconds, explain=explain)
    rates = {key: key[1] * len(rounds) / sum(rounds) for key, rounds in found.items()}
    best = max(rates.values())
    for (explain, batch), rounds in found.items():
        row(f"bare loop, batch {batch}", "-", "maps" if explain else "labels", rates[explain, batch], rounds, best)
    with server(options.model) as url:
        for clients, (mix, paths) in itertools.product(options.clients, MIXES.items()):
            load(url, options.model, clip, clients, paths, 1.0)
            began = time.perf_counter()
            latencies = load(url, options.model, clip, clients, paths, options.seconds)
            row("server", str(clients), mix, len(latencies) / (time.perf_counter() - began), latencies, best)


if __name__ == "__main__":
    main()
