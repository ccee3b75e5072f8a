"""What TorchServe adds to the bare work, and what maps add to labels: `python -m benchmarks.serve`, one table.

A real server, started by ./serve.sh on free ports, is asked by closed-loop clients (each sends its next clip when its
answer is there). The bare loop does decode, prepare, forward and encode in this process, one batch after the other,
before the server is started. `--random` serves a TimeSformer-base of random weights; `--set maxBatchDelay=5` tries
another value of the model's yaml, of its handler block too.
"""

import argparse
import contextlib
import itertools
import json
import os
import platform
import signal
import socket
import subprocess
import tempfile
import threading
import time
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import torch
import yaml
from transformers import TimesformerConfig, TimesformerForVideoClassification

from staa import Explainer, Options, decode, wire
from training.movie import write

ROOT = Path(__file__).resolve().parents[1]
MIXES = {"labels": ("predictions",), "maps": ("explanations",), "half and half": ("predictions", "explanations")}


STAGES = ("decode", "prepare", "forward", "encode")


def checkpoint(folder: Path) -> Path:
    """A TimeSformer-base as facebook/timesformer-base-finetuned-k400, with random weights."""
    facts: dict[str, Any] = {"num_frames": 8, "num_labels": 400}
    TimesformerForVideoClassification(TimesformerConfig(**facts)).save_pretrained(folder)
    recipe = {"image_processor_type": "VideoMAEImageProcessor", "size": {"shortest_edge": 224}, "crop_size": 224}
    (folder / "preprocessor_config.json").write_text(json.dumps(recipe))
    return folder


def pack(name: str, weights: Path, store: Path, changes: list[str]) -> dict[str, Any]:
    """Build the archive into a store, with these changes of its yaml; the settings it has."""
    subprocess.run([ROOT / "archive.sh", name, "--weights", weights, "--output", store], check=True, stdout=-3)
    path = store / f"{name}.mar"
    with zipfile.ZipFile(path) as archive:
        files = {info: archive.read(info) for info in archive.infolist()}
    settings: dict[str, Any] = {}
    with zipfile.ZipFile(path, "w") as archive:
        for info, content in files.items():
            if info.filename == "model-config.yaml":
                settings = yaml.safe_load(content)
                for change in changes:
                    key, value = change.split("=")
                    block = settings if key in settings else settings["handler"]
                    block[key] = yaml.safe_load(value)
                archive.writestr(info, yaml.safe_dump(settings))
            else:
                archive.writestr(info, content)
    return settings


def bare(explainer: Explainer, clip: bytes, batch: int, seconds: float, *, explain: bool) -> list[float]:
    """Seconds of each round of a batch, decoded two at a time as the handler does."""
    model = wire.Model("bare", "0", explainer.family, explainer.labels)
    options = [Options(explain=explain)] * batch
    rounds: list[float] = []
    began = time.perf_counter()
    with ThreadPoolExecutor(2) as pool:
        while time.perf_counter() - began < seconds:
            start = time.perf_counter()
            clips = list(pool.map(lambda _: decode(clip, explainer.grid.frames), range(batch)))
            for one, result in zip(clips, explainer(clips, options), strict=True):
                wire.reply(model, wire.Answer(one, result), "base64")
            rounds.append(time.perf_counter() - start)
    return rounds


@contextlib.contextmanager
def server(name: str, store: Path) -> Iterator[str]:
    """The address of a server that is ready."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(4)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        ports = [str(one.getsockname()[1]) for one in sockets]
    flags = ["--port", ports[0], "--management-port", ports[1], "--metrics-port", ports[2], "--health-port", ports[3]]
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen([ROOT / "serve.sh", "--store", store, *flags, name], stdout=log, stderr=log)
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


def load(
    url: str, name: str, clip: bytes, clients: int, mix: tuple[str, ...], seconds: float
) -> tuple[list[float], dict[str, float]]:
    """Latencies, in seconds, of the requests that were answered in the time, and the median ms of each stage."""
    latencies: list[float] = []
    stages: dict[str, list[float]] = {stage: [] for stage in STAGES}
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
                    for part in reply.headers["Server-Timing"].split(", "):
                        stage, _, spent = part.partition(";dur=")
                        stages[stage].append(float(spent))

    with ThreadPoolExecutor(clients) as pool:
        for future in [pool.submit(client) for _ in range(clients)]:
            future.result()
    return latencies, {stage: float(np.median(spent)) for stage, spent in stages.items()}


def row(
    way: str, clients: str, mix: str, rate: float, latencies: list[float], best: float, stages: dict[str, float]
) -> None:
    """Print one line of the table."""
    p50, p95, p99 = np.percentile(np.array(latencies) * 1000, [50, 95, 99])
    ratio = f"{rate / best:.2f}" if best else "-"
    print(f"| {way} | {clients} | {mix} | {rate:.2f} | {ratio} | {p50:.0f} | {p95:.0f} | {p99:.0f} |", end="")
    print("".join(f" {stages[stage]:.1f} |" if stages else " - |" for stage in STAGES), flush=True)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--random", action="store_true", help="a TimeSformer-base, not the default model")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--seconds", type=float, default=10.0, help="of each line")
    parser.add_argument("--size", type=int, nargs=2, default=(640, 480), help="of the clip, pixels")
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="changes of the model's yaml")
    options = parser.parse_args()
    name = "timesformer-base" if options.random else "motions"
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder)
        write(store / "clip.mp4", 37, None, tuple(options.size), 10.0, 25)
        clip = (store / "clip.mp4").read_bytes()
        weights = checkpoint(store / "weights") if options.random else ROOT / "model_store" / name
        settings = pack(name, weights, store, options.set)
        print(
            f"{platform.machine()} CPU, {os.cpu_count()} cores, torch {torch.__version__}, {time.strftime('%Y-%m-%d')};"
        )
        print(
            f"model {name}, batchSize {settings['batchSize']}, maxBatchDelay {settings['maxBatchDelay']} ms, ", end=""
        )
        print(
            f"{' '.join(options.set)}; a clip of {len(clip) / 1e6:.2f} MB, {options.size[0]}x{options.size[1]}, 10 s; "
        )
        print(f"{options.seconds:g} s a line; the stages are medians, ms\n")
        print("| way | clients | asked for | clips/s | x bare loop's best | p50 ms | p95 ms | p99 ms |", end="")
        print("".join(f" {stage} |" for stage in STAGES))
        print("|" + " --- |" * (8 + len(STAGES)))
        compare(name, weights, store, clip, options)


def compare(name: str, weights: Path, store: Path, clip: bytes, options: argparse.Namespace) -> None:
    """Print the lines: first the bare loop, then the server."""
    explainer = Explainer.load(weights)
    found = {}
    for explain, batch in itertools.product((False, True), (1, 4)):
        bare(explainer, clip, batch, 1.0, explain=explain)
        found[explain, batch] = bare(explainer, clip, batch, options.seconds, explain=explain)
    rates = {key: key[1] * len(rounds) / sum(rounds) for key, rounds in found.items()}
    best = max(rates.values())
    for (explain, batch), rounds in found.items():
        row(f"bare loop, batch {batch}", "-", "maps" if explain else "labels", rates[explain, batch], rounds, best, {})
    del explainer
    with server(name, store) as url:
        for clients, (mix, paths) in itertools.product(options.clients, MIXES.items()):
            load(url, name, clip, clients, paths, 1.0)
            began = time.perf_counter()
            latencies, stages = load(url, name, clip, clients, paths, options.seconds)
            rate = len(latencies) / (time.perf_counter() - began)
            row("server", str(clients), mix, rate, latencies, best, stages)


if __name__ == "__main__":
    main()
