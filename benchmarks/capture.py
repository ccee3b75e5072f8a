"""What an explanation costs beside the prediction it comes with: `python benchmarks/capture.py`, one table.

Every way runs in a process of its own (for its peak memory), all of them take turns forward by forward, so that what
else the machine does falls on all alike, and the fastest turn counts. Models have the configuration of their best-known
checkpoint and random weights. On a GPU: `--device cuda --dtype bfloat16 --batch 1 8 32`.
"""

import argparse
import json
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import AutoModelForVideoClassification
from transformers.models.timesformer import TimesformerConfig
from transformers.models.videomae import VideoMAEConfig
from transformers.models.vivit import VivitConfig
from transformers.models.vjepa2 import VJEPA2Config

from staa import Explainer, attribution
from staa.prepare import Recipe

CONFIGS: dict[str, tuple[Any, dict[str, Any]]] = {
    "TimeSformer-B 8x224": (TimesformerConfig, {"num_frames": 8, "num_labels": 400}),
    "ViViT-B 32x224": (VivitConfig, {"num_labels": 400}),
    "VideoMAE-B 16x224": (VideoMAEConfig, {"num_labels": 400, "use_mean_pooling": True}),
    "V-JEPA2-L 16x256": (VJEPA2Config, {"crop_size": 256, "frames_per_clip": 16, "num_labels": 174}),
}
"""facebook/timesformer-base-finetuned-k400, google/vivit-b-16x2-kinetics400, MCG-NJU/videomae-base-finetuned-kinetics,
facebook/vjepa2-vitl-fpc16-256-ssv2."""
WAYS = {
    "plain": "transformers' default forward",
    "attentions": "output_attentions=True",
    "labels": "ours, labels only",
    "staa": "ours, labels and staa",
    "stride": "ours, labels and staa, every 9th query",
}
STRIDED = "VideoMAE"
"""The family that reads a mean over all queries; elsewhere the last way is left out."""


def build(name: str, way: str, device: str, dtype: torch.dtype) -> Callable[[torch.Tensor], Any]:
    """Prepare one forward of one way."""
    torch.manual_seed(0)
    kind, facts = CONFIGS[name]
    auto: Any = AutoModelForVideoClassification
    eager = {"attn_implementation": "eager"} if way == "attentions" else {}
    model = auto.from_config(kind(**facts), dtype=dtype, **eager).eval().to(device)
    if way in {"plain", "attentions"}:

        @torch.inference_mode()
        def forward(pixels: torch.Tensor) -> Any:
            return model(**{model.main_input_name: pixels}, output_attentions=way == "attentions")

        return forward
    explainer = Explainer(
        model, Recipe.read({"image_processor_type": "VideoMAEImageProcessor", "crop_size": shape(name, 1)[-1]})
    )

    def explain(pixels: torch.Tensor) -> Any:
        rows = [] if way == "labels" else list(range(len(pixels)))
        made = explainer.forward(pixels, rows)
        return attribution.attribute(made, explainer.grid, ["staa"] * len(rows)) if rows else made

    return explain


def shape(name: str, batch: int) -> tuple[int, ...]:
    """Size of the pixels."""
    frames, size = name.rsplit(maxsplit=1)[-1].split("x")
    return batch, int(frames), 3, int(size), int(size)


def child(name: str, way: str, batch: int, device: str, dtype: torch.dtype) -> None:
    """Answer every line on standard input with one timed forward, and the end of it with the peak memory."""
    forward = build(name, way, device, dtype)
    pixels = torch.randn(shape(name, batch), generator=torch.Generator().manual_seed(1)).to(device, dtype)
    cuda = device == "cuda"
    before = torch.cuda.memory_allocated() if cuda else _resident()
    forward(pixels)
    print(json.dumps("ready"), flush=True)
    for _ in sys.stdin:
        if cuda:
            event: Any = torch.cuda.Event
            start, end = (event(enable_timing=True) for _ in range(2))
            start.record()
            forward(pixels)
            end.record()
            torch.cuda.synchronize()
            print(json.dumps(start.elapsed_time(end) / 1000), flush=True)
        else:
            began = time.perf_counter()
            forward(pixels)
            print(json.dumps(time.perf_counter() - began), flush=True)
    peak = torch.cuda.max_memory_allocated() if cuda else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps((peak - before) / 1e6), flush=True)


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def compare(name: str, batch: int, options: argparse.Namespace) -> list[tuple[str, float, float]]:
    """Let all ways take turns; (way, seconds of the fastest turn, extra peak MB)."""
    command = [sys.executable, __file__, "--threads", str(options.threads), "--device", options.device]
    command += ["--dtype", options.dtype, "--batch", str(batch), "--child"]
    children = {}
    ways = [way for way in WAYS if way != "stride" or STRIDED in name]
    for way in ways:
        children[way] = subprocess.Popen([*command, name, way], stdin=-1, stdout=-1, text=True)
        if json.loads(_line(children[way])) != "ready":
            raise RuntimeError(way)
    times: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(options.turns):
        for way, process in children.items():
            if process.stdin:
                process.stdin.write("\n")
                process.stdin.flush()
            times[way].append(float(json.loads(_line(process))))
    found = []
    for way, process in children.items():
        if process.stdin:
            process.stdin.close()
        found.append((way, min(times[way]), float(json.loads(_line(process)))))
        process.wait()
    return found


def _line(process: "subprocess.Popen[str]") -> str:
    line = process.stdout.readline() if process.stdout else ""
    if not line:
        msg = f"a child ended early with exit code {process.wait()}"
        raise RuntimeError(msg)
    return line


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--threads", type=int, default=0, help="of torch; 0 leaves its choice")
    parser.add_argument("--turns", type=int, default=8)
    parser.add_argument("--only", default="", help="part of a model's name")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    logging: Any = transformers.logging
    logging.set_verbosity_error()
    if options.child:
        child(options.child[0], options.child[1], options.batch[0], options.device, getattr(torch, options.dtype))
        return
    where = torch.cuda.get_device_name() if options.device == "cuda" else f"{platform.machine()} CPU"
    print(f"{where}, {torch.get_num_threads()} threads, {options.dtype}, torch {torch.__version__}, ", end="")
    print(f"transformers {transformers.__version__}, {time.strftime('%Y-%m-%d')}, fastest of {options.turns} turns\n")
    print("| model | batch | way | seconds | x plain | x ours, labels | extra peak MB |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name in (name for name in CONFIGS if options.only in name):
        for batch in options.batch:
            found = compare(name, batch, options)
            seconds = {way: time for way, time, _ in found}
            for way, time_, memory in found:
                ratios = f"{time_ / seconds['plain']:.3f} | {time_ / seconds['labels']:.3f}"
                print(f"| {name} | {batch} | {WAYS[way]} | {time_:.3f} | {ratios} | {memory:.0f} |", flush=True)


if __name__ == "__main__":
    main()
