"""What TorchServe adds to the bare work, and what maps add to labels: `python -m benchmarks.speed.server`, one table.

A real server, started by ./serve.sh on free ports, is asked by closed-loop clients (each sends its next clip when its
answer is there). The bare loop does decode, prepare, forward and encode in this process, one batch after the other,
before the server is started. `--random` serves a TimeSformer-base of random weights; `--set maxBatchDelay=5` tries
another value of the model's yaml, of its handler block too.
"""

import argparse
import contextlib
import itertools
import json
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import yaml
from transformers import TimesformerConfig, TimesformerForVideoClassification

from benchmarks.report import ROOT, argument_parser, heads, machine, row, timed
from staa import Explainer, Options, decode
from staa.serving import wire
from training.movie import write

MIXES = {"labels": ("predictions",), "maps": ("explanations",), "half and half": ("predictions", "explanations")}
STAGES = ("decode", "prepare", "forward", "encode")
PORTS = ("--port", "--management-port", "--metrics-port", "--health-port")


def checkpoint(folder: Path) -> Path:
    """Write a TimeSformer-base as facebook/timesformer-base-finetuned-k400, with random weights."""
    facts: dict[str, Any] = {"num_frames": 8, "num_labels": 400}
    TimesformerForVideoClassification(TimesformerConfig(**facts)).save_pretrained(folder)
    recipe = {"image_processor_type": "VideoMAEImageProcessor", "size": {"shortest_edge": 224}, "crop_size": 224}
    (folder / "preprocessor_config.json").write_text(json.dumps(recipe))
    return folder


def pack(name: str, weights: Path, store: Path, changes: list[str]) -> dict[str, Any]:
    """Build the archive into a store, with these changes of its yaml; return the settings that it has."""
    subprocess.run([ROOT / "archive.sh", name, "--weights", weights, "--output", store], check=True, stdout=-3)
    archive, content = store / f"{name}.mar", store / "content"
    shutil.unpack_archive(archive, content, "zip")
    file = content / "model-config.yaml"
    settings: dict[str, Any] = yaml.safe_load(file.read_text())
    for change in changes:
        key, value = change.split("=")
        block = settings if key in settings else settings["handler"]
        block[key] = yaml.safe_load(value)
    file.write_text(yaml.safe_dump(settings))
    Path(shutil.make_archive(str(content), "zip", content)).replace(archive)
    return settings


def bare(explainer: Explainer, clip: bytes, batch: int, seconds: float, *, explain: bool) -> list[float]:
    """Return the seconds of each round of a batch, decoded two at a time as the handler does."""
    model = wire.Model("bare", "0", explainer.family, explainer.labels)
    options = [Options(explain=explain)] * batch

    def answer() -> None:
        clips = list(pool.map(lambda _: decode(clip, explainer.grid.frames), range(batch)))
        for decoded, result in zip(clips, explainer(clips, options), strict=True):
            wire.reply(model, wire.Answer(decoded, result), "base64")

    rounds: list[float] = []
    until = time.perf_counter() + seconds
    with ThreadPoolExecutor(2) as pool:
        while time.perf_counter() < until:
            rounds.append(timed(answer)[1])
    return rounds


@contextlib.contextmanager
def server(name: str, store: Path) -> Iterator[str]:
    """Start a server, yield its address once it is ready, and stop it."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in PORTS]
        ports = [str(listener.getsockname()[1]) for listener in sockets]
    flags = itertools.chain(*zip(PORTS, ports, strict=True))
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen([ROOT / "serve.sh", "--store", store, *flags, name], stdout=log, stderr=log)
        try:
            text = ""
            while "serve: ready" not in text:
                if process.poll() is not None:
                    raise RuntimeError(text)
                time.sleep(0.2)
                log.seek(0)
                text = log.read()
            yield f"http://127.0.0.1:{ports[0]}"
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def load(
    url: str, name: str, clip: bytes, clients: int, mix: Sequence[str], seconds: float
) -> tuple[list[float], dict[str, float]]:
    """Return the latencies of the requests that were answered in the time, seconds, and the median ms of a stage."""
    latencies: list[float] = []
    stages: dict[str, list[float]] = defaultdict(list)
    turn, lock = itertools.count(), threading.Lock()
    until = time.perf_counter() + seconds

    def ask(_client: int) -> None:
        headers = {"Content-Type": "video/mp4", "X-Staa-Maps": "base64"}
        with httpx2.Client(base_url=url, headers=headers, timeout=120) as session:
            while time.perf_counter() < until:
                path = f"/{mix[next(turn) % len(mix)]}/{name}"
                reply, spent = timed(partial(session.post, path, content=clip))
                if reply.status_code != 200:
                    raise RuntimeError(reply.text)
                with lock:
                    latencies.append(spent)
                    for timing in reply.headers["Server-Timing"].split(", "):
                        stage, _, milliseconds = timing.partition(";dur=")
                        stages[stage].append(float(milliseconds))

    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(ask, range(clients)))
    return latencies, {stage: float(np.median(spent)) for stage, spent in stages.items()}


def print_row(
    way: str, clients: object, mix: str, rate: float, latencies: list[float], best: float, stages: Mapping[str, float]
) -> None:
    """Print one line of the table."""
    quantiles = [f"{value:.0f}" for value in np.percentile(np.array(latencies) * 1000, [50, 95, 99])]
    medians = [f"{stages[stage]:.1f}" if stages else "-" for stage in STAGES]
    print(row(way, clients, mix, f"{rate:.2f}", f"{rate / best:.2f}", *quantiles, *medians), flush=True)


def main() -> None:
    """Print the table."""
    parser = argument_parser(__doc__)
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
            f"{machine()}; model {name}, batchSize {settings['batchSize']}, maxBatchDelay {settings['maxBatchDelay']} "
            f"ms, {' '.join(options.set)}; a clip of {len(clip) / 1e6:.2f} MB, {options.size[0]}x{options.size[1]}, "
            f"10 s; {options.seconds:g} s a line; the stages are medians, ms\n"
        )
        columns = "way", "clients", "asked for", "clips/s", "x bare loop's best", "p50 ms", "p95 ms", "p99 ms"
        print(heads(*columns, *STAGES))
        compare(name, weights, store, clip, options)


def compare(name: str, weights: Path, store: Path, clip: bytes, options: argparse.Namespace) -> None:
    """Print the lines: first the bare loop, then the server."""
    explainer = Explainer.load(weights)
    loops = {}
    for explain, batch in itertools.product((False, True), (1, 4)):
        bare(explainer, clip, batch, 1.0, explain=explain)
        rounds = bare(explainer, clip, batch, options.seconds, explain=explain)
        loops[explain, batch] = batch * len(rounds) / sum(rounds), rounds
    best = max(rate for rate, _ in loops.values())
    for (explain, batch), (rate, rounds) in loops.items():
        print_row(f"bare loop, batch {batch}", "-", "maps" if explain else "labels", rate, rounds, best, {})
    del explainer
    with server(name, store) as url:
        for clients, (mix, paths) in itertools.product(options.clients, MIXES.items()):
            load(url, name, clip, clients, paths, 1.0)
            work = partial(load, url, name, clip, clients, paths, options.seconds)
            (latencies, stages), seconds = timed(work)
            print_row("server", clients, mix, len(latencies) / seconds, latencies, best, stages)


if __name__ == "__main__":
    main()
