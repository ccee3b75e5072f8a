"""What an explanation costs beside the prediction it comes with: `python -m benchmarks.capture`, one table.

Every way runs in a process of its own (for its peak memory), and all of them take turns, forward by forward, so that
what else the machine does falls on all alike; a ratio is the median of the ratios within a turn, in brackets the middle
half of them. Models have the configuration of their best-known checkpoint and random weights.
On a GPU: `--device cuda --dtype bfloat16 --batch 1 8 32 --peak 989` (the chip's dense bfloat16 TFLOP/s).
"""

import argparse
import json
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
import transformers
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoModelForVideoClassification
from transformers.models.timesformer import TimesformerConfig
from transformers.models.videomae import VideoMAEConfig
from transformers.models.vivit import VivitConfig
from transformers.models.vjepa2 import VJEPA2Config

from benchmarks.memory import peak
from staa import Explainer, Options, families
from staa.prepare import Recipe

CONFIGS: dict[str, tuple[Any, dict[str, Any]]] = {
    "TimeSformer-B 8x224": (TimesformerConfig, {"num_frames": 8, "num_labels": 400}),
    "ViViT-B 32x224": (VivitConfig, {"num_labels": 400}),
    "VideoMAE-B 16x224": (VideoMAEConfig, {"num_labels": 400, "use_mean_pooling": True}),
    "V-JEPA2-L 16x256": (VJEPA2Config, {"crop_size": 256, "frames_per_clip": 16, "num_labels": 174}),
    "TimeSformer-B HR 16x448": (TimesformerConfig, {"num_frames": 16, "image_size": 448, "num_labels": 400}),
}
"""facebook/timesformer-base-finetuned-k400, google/vivit-b-16x2-kinetics400, MCG-NJU/videomae-base-finetuned-kinetics,
facebook/vjepa2-vitl-fpc16-256-ssv2, facebook/timesformer-hr-finetuned-k400."""
PLAIN, ATTENTIONS = "transformers' default forward", "output_attentions=True"
LABELS, STAA, CLASS = "ours, labels", "ours, labels and staa", "ours, labels and staa_class"
EXACT, HALF, WITHOUT = "the same, every query", "the same, bfloat16", "labels, without: "


def ways(name: str, batch: int, options: argparse.Namespace) -> list[str]:
    """What is compared; what each saving is worth at batch 1 only."""
    found = [PLAIN, LABELS, STAA]
    if "VideoMAE" in name:
        found.append(EXACT)
    if batch == 1:
        found.insert(1, ATTENTIONS)
        config = CONFIGS[name][0]()
        pooled = getattr(config, "use_mean_pooling", False)
        found.append(CLASS)
        found += [WITHOUT + saving for saving in families.family(config.model_type).SAVINGS if not pooled]
        if options.dtype == "float32":
            found.append(HALF)
    return [way for way in found if way in (PLAIN, LABELS) or any(part in way for part in options.ways)]


def build(name: str, way: str, device: str, dtype: torch.dtype) -> Callable[[torch.Tensor], Any]:
    """Prepare one forward of one way."""
    torch.manual_seed(0)
    kind, facts = CONFIGS[name]
    auto: Any = AutoModelForVideoClassification
    eager = {"attn_implementation": "eager"} if way == ATTENTIONS else {}
    dtype = torch.bfloat16 if way == HALF else dtype
    model = auto.from_config(kind(**facts), dtype=dtype, **eager).eval().to(device)
    if way in {PLAIN, ATTENTIONS}:

        @torch.inference_mode()
        def forward(pixels: torch.Tensor) -> Any:
            return model(**{model.main_input_name: pixels}, output_attentions=way == ATTENTIONS)

        return forward
    if way.startswith(WITHOUT):
        known: Any = families.family(model.config.model_type)
        known.SAVINGS = {saving: apply for saving, apply in known.SAVINGS.items() if WITHOUT + saving != way}
    recipe = Recipe.read({"image_processor_type": "VideoMAEImageProcessor", "crop_size": shape(name, 1)[-1]})
    explainer = Explainer(model, recipe, stride=1) if way == EXACT else Explainer(model, recipe)

    def explain(pixels: torch.Tensor) -> Any:
        asked = Options(explain=way in {STAA, EXACT, HALF, CLASS}, method="staa_class" if way == CLASS else "staa")
        made = explainer.forward(pixels.to(dtype), dict.fromkeys(range(len(pixels) * asked.explain), asked.method))
        return explainer.attributions(made, [asked] * len(pixels)) if asked.explain else made

    return explain


def shape(name: str, batch: int) -> tuple[int, ...]:
    """Size of the pixels."""
    frames, size = name.rsplit(maxsplit=1)[-1].split("x")
    return batch, int(frames), 3, int(size), int(size)


def operations(name: str) -> int:
    """Floating point operations of the plain forward of one clip."""
    kind, facts = CONFIGS[name]
    auto: Any = AutoModelForVideoClassification
    with torch.device("meta"):
        model = auto.from_config(kind(**facts), attn_implementation="eager").eval()
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        model(**{model.main_input_name: torch.empty(shape(name, 1), device="meta")})
    return int(counter.get_total_flops())


def child(name: str, way: str, batch: int, device: str, dtype: torch.dtype) -> None:
    """Answer every line on standard input with one timed forward, and the end of it with the peak memory."""
    forward = build(name, way, device, dtype)
    pixels = torch.randn(shape(name, batch), generator=torch.Generator().manual_seed(1)).to(device, dtype)
    cuda = device == "cuda"
    forward(pixels)
    peaks = peak(lambda: forward(pixels), cuda=cuda)
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
    print(json.dumps(peaks), flush=True)


Times = dict[str, list[float]]
Peaks = dict[str, tuple[float, float]]


def compare(name: str, batch: int, options: argparse.Namespace) -> tuple[Times, Peaks]:
    """Let all ways take turns: seconds of every turn; peak and extra peak, bytes."""
    command = [sys.executable, "-m", "benchmarks.capture"]
    for key in ("threads", "device", "dtype"):
        command += [f"--{key}", str(getattr(options, key))]
    command += ["--batch", str(batch), "--child"]
    children = {}
    for way in ways(name, batch, options):
        children[way] = subprocess.Popen([*command, name, way], stdin=-1, stdout=-1, text=True)
        if json.loads(_line(children[way])) != "ready":
            raise RuntimeError(way)
    times: Times = {way: [] for way in children}
    for _ in range(options.turns):
        for way, process in children.items():
            if process.stdin:
                process.stdin.write("\n")
                process.stdin.flush()
            times[way].append(float(json.loads(_line(process))))
    peaks: Peaks = {}
    for way, process in children.items():
        if process.stdin:
            process.stdin.close()
        most, extra = json.loads(_line(process))
        peaks[way] = most, extra
        process.wait()
    return times, peaks


def _line(process: "subprocess.Popen[str]") -> str:
    line = process.stdout.readline() if process.stdout else ""
    if not line:
        msg = f"a child ended early with exit code {process.wait()}"
        raise RuntimeError(msg)
    return line


def _ratio(times: list[float], others: list[float]) -> str:
    """Median over turns, and between which values the middle half of them lies."""
    low, middle, high = statistics.quantiles([one / other for one, other in zip(times, others, strict=True)], n=4)
    return f"{middle:.3f} ({low:.2f}-{high:.2f})"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--threads", type=int, default=0, help="of torch; 0 leaves its choice")
    parser.add_argument("--turns", type=int, default=8)
    parser.add_argument("--only", default="", help="part of a model's name")
    parser.add_argument("--ways", nargs="+", default=[""], help="parts of the ways' names; plain and labels always run")
    parser.add_argument("--peak", type=float, help="TFLOP/s of the chip, to print the share of it")
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
    print(f"transformers {transformers.__version__}, {time.strftime('%Y-%m-%d')}, median of {options.turns} turns\n")
    share = " share of peak |" if options.peak else ""
    print(
        f"| model | batch | way | seconds | x plain | x labels | peak MB | peak x labels | extra MB | TFLOP/s |{share}"
    )
    print("|" + " --- |" * (10 + bool(share)))
    for name in (name for name in CONFIGS if options.only in name):
        wanted = operations(name)
        for batch in options.batch:
            times, peaks = compare(name, batch, options)
            for way, turns in times.items():
                seconds, (most, extra) = statistics.median(turns), peaks[way]
                speed = wanted * batch / seconds / 1e12
                cells = [name, batch, way, f"{seconds:.3f}"]
                cells += [_ratio(turns, times[PLAIN]), _ratio(turns, times[LABELS])]
                cells += [f"{most / 1e6:.0f}", f"{most / peaks[LABELS][0]:.3f}", f"{extra / 1e6:.0f}", f"{speed:.2f}"]
                cells += [f"{speed / options.peak:.3f}"] if options.peak else []
                print("| " + " | ".join(map(str, cells)) + " |", flush=True)


if __name__ == "__main__":
    main()
