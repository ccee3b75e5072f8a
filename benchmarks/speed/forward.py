"""What an explanation costs beside the prediction it comes with: `python -m benchmarks.speed.forward`, one table.

Every way runs in a process of its own (for its peak memory), and all of them take turns, forward by forward, so that
what else the machine does falls on all alike; a ratio is the median of the ratios within a turn, in brackets the middle
half of them. Models have the configuration of their best-known checkpoint and random weights.
`--before FOLDER` measures the maps of another version beside these: FOLDER is the `handler` of another checkout.
On a GPU: `--device cuda --dtype bfloat16 --batch 1 8 32 --peak 989` (the chip's dense bfloat16 TFLOP/s).
"""

import argparse
import contextlib
import multiprocessing
import statistics
import sys
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from typing import Any

import torch
import transformers
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoModelForVideoClassification
from transformers.models.timesformer import TimesformerConfig
from transformers.models.videomae import VideoMAEConfig
from transformers.models.videoprism import VideoPrismVisionConfig
from transformers.models.vivit import VivitConfig
from transformers.models.vjepa2 import VJEPA2Config

from benchmarks.report import argument_parser, heads, machine, row, timed
from benchmarks.speed.peak_memory import peak
from staa import Explainer, Options, families
from staa.recipe import Recipe

CONFIGS: dict[str, tuple[Any, dict[str, Any]]] = {
    "TimeSformer-B 8x224": (TimesformerConfig, {"num_frames": 8, "num_labels": 400}),
    "ViViT-B 32x224": (VivitConfig, {"num_labels": 400}),
    "VideoMAE-B 16x224": (VideoMAEConfig, {"num_labels": 400, "use_mean_pooling": True}),
    "V-JEPA2-L 16x256": (VJEPA2Config, {"crop_size": 256, "frames_per_clip": 16, "num_labels": 174}),
    "VideoPrism-B 16x288": (VideoPrismVisionConfig, {"num_labels": 400}),
    "TimeSformer-B HR 16x448": (TimesformerConfig, {"num_frames": 16, "image_size": 448, "num_labels": 400}),
    "the default model 16x96": (
        TimesformerConfig,
        {"num_frames": 16, "image_size": 96, "patch_size": 8, "hidden_size": 64, "num_hidden_layers": 4}
        | {"num_attention_heads": 4, "intermediate_size": 128, "num_labels": 8},
    ),
}
"""facebook/timesformer-base-finetuned-k400, google/vivit-b-16x2-kinetics400, MCG-NJU/videomae-base-finetuned-kinetics,
facebook/vjepa2-vitl-fpc16-256-ssv2, google/videoprism-base-f16r288, facebook/timesformer-hr-finetuned-k400, and the
model of `model_store`."""
PLAIN, ATTENTIONS = "transformers' default forward", "output_attentions=True"
LABELS, STAA, CLASS = "ours, labels", "ours, labels and staa", "ours, labels and staa_class"
EXACT, HALF, WITHOUT = "the same, every query", "the same, bfloat16", "labels, without: "
BEFORE = "before, "


def ways(name: str, batch: int, options: argparse.Namespace) -> list[str]:
    """Return the ways to compare; each optimisation alone is compared only at batch 1."""
    config = CONFIGS[name][0]()
    exact = [EXACT] if "VideoMAE" in name else []
    compared = [PLAIN, LABELS, STAA, *exact]
    if batch == 1:
        pooled = getattr(config, "use_mean_pooling", False)
        savings = [] if pooled else [WITHOUT + saving for saving in families.family(config.model_type).OPTIMISATIONS]
        half = [HALF] if options.dtype == "float32" else []
        compared = [PLAIN, ATTENTIONS, LABELS, STAA, *exact, CLASS, *savings, *half]
    if options.before:
        compared += [BEFORE + LABELS, BEFORE + STAA, BEFORE + CLASS]
    return [way for way in compared if way in (PLAIN, LABELS) or any(words in way for words in options.ways)]


def plain_model(name: str, **options: Any) -> Any:
    """Return a model of transformers with random weights."""
    kind, facts = CONFIGS[name]
    auto: Any = AutoModelForVideoClassification
    return auto.from_config(kind(**facts), **options).eval()


def build(name: str, way: str, device: str, dtype: torch.dtype) -> Callable[[torch.Tensor], Any]:
    """Return a function that does one forward pass of one way."""
    way = way.removeprefix(BEFORE)
    torch.manual_seed(0)
    eager = {"attn_implementation": "eager"} if way == ATTENTIONS else {}
    dtype = torch.bfloat16 if way == HALF else dtype
    model = plain_model(name, dtype=dtype, **eager).to(device)
    if way in {PLAIN, ATTENTIONS}:

        @torch.inference_mode()
        def forward(pixels: torch.Tensor) -> Any:
            return model(**{model.main_input_name: pixels}, output_attentions=way == ATTENTIONS)

        return forward
    if way.startswith(WITHOUT):
        family: Any = families.family(model.config.model_type)
        savings = family.OPTIMISATIONS.items()
        family.OPTIMISATIONS = {saving: apply for saving, apply in savings if WITHOUT + saving != way}
    recipe = Recipe.read({"image_processor_type": "VideoMAEImageProcessor", "crop_size": shape(name, 1)[-1]})
    explainer = Explainer(model, recipe, stride=1 if way == EXACT else None)
    asked = Options(explain=way in {STAA, EXACT, HALF, CLASS}, method="staa_class" if way == CLASS else "staa")

    def explain(pixels: torch.Tensor) -> Any:
        passed = explainer.forward(pixels.to(dtype), dict.fromkeys(range(len(pixels) * asked.explain), asked.method))
        return explainer.attributions(passed, [asked] * len(pixels)) if asked.explain else passed

    return explain


def shape(name: str, batch: int) -> tuple[int, ...]:
    """Return the shape of the pixels."""
    frames, size = map(int, name.rsplit(maxsplit=1)[-1].split("x"))
    return batch, frames, 3, size, size


def operations(name: str) -> int:
    """Return the floating point operations of the plain forward of one clip."""
    with torch.device("meta"):
        model = plain_model(name, attn_implementation="eager").requires_grad_(requires_grad=False)
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        model(**{model.main_input_name: torch.empty(shape(name, 1), device="meta")})
    return int(counter.get_total_flops())


def take_turns(pipe: Connection, name: str, way: str, batch: int, options: argparse.Namespace) -> None:
    """Send the peak memory of one forward pass and what it added; then at each request the seconds of another one."""
    set_up(options)
    device, dtype = options.device, getattr(torch, options.dtype)
    forward = build(name, way, device, dtype)
    pixels = torch.randn(shape(name, batch), generator=torch.Generator().manual_seed(1)).to(device, dtype)
    cuda = device == "cuda"

    def run() -> None:
        forward(pixels)
        if cuda:
            torch.cuda.synchronize()

    run()
    pipe.send(peak(run, cuda=cuda))
    run()
    with contextlib.suppress(EOFError):
        while pipe.recv():
            pipe.send(timed(run)[1])


Times = dict[str, list[float]]
Peaks = dict[str, tuple[int, int]]


def compare(name: str, batch: int, options: argparse.Namespace) -> tuple[Times, Peaks]:
    """Let all ways take turns; return the seconds of every turn, and peak and added memory in bytes."""
    processes = multiprocessing.get_context("spawn")
    pipes: dict[str, Connection] = {}
    peaks: Peaks = {}
    for way in ways(name, batch, options):
        pipes[way], theirs = processes.Pipe()
        with _import_from([options.before] if way.startswith(BEFORE) else []):
            processes.Process(target=take_turns, args=(theirs, name, way, batch, options), daemon=True).start()
        theirs.close()  # so that the end of the process is the end of the pipe
        peaks[way] = pipes[way].recv()
    times: Times = {way: [] for way in pipes}
    for _ in range(options.turns):
        for way, pipe in pipes.items():
            pipe.send("a turn")
            times[way].append(pipe.recv())
    for pipe in pipes.values():
        pipe.close()
    return times, peaks


@contextlib.contextmanager
def _import_from(folders: list[str]) -> Iterator[None]:
    """Let a process that is started in the block import from these folders first."""
    sys.path[:0] = folders
    yield
    del sys.path[: len(folders)]


def _ratio(times: list[float], others: list[float]) -> str:
    """Return the median ratio of the turns, and the limits of their middle half."""
    low, middle, high = statistics.quantiles([time / other for time, other in zip(times, others, strict=True)], n=4)
    return f"{middle:.3f} ({low:.2f}-{high:.2f})"


def set_up(options: argparse.Namespace) -> None:
    """Set the options of torch for the whole process."""
    if options.threads:
        torch.set_num_threads(options.threads)
    logging: Any = transformers.logging
    logging.set_verbosity_error()


def main() -> None:
    """Print the table."""
    parser = argument_parser(__doc__)
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--threads", type=int, default=0, help="of torch; 0 leaves its choice")
    parser.add_argument("--turns", type=int, default=8)
    parser.add_argument("--only", default="", help="part of a model's name")
    parser.add_argument("--ways", nargs="+", default=[""], help="parts of the ways' names; plain and labels always run")
    parser.add_argument("--before", default="", help="the handler folder of another checkout, to compare with")
    parser.add_argument("--peak", type=float, help="TFLOP/s of the chip, to print the share of it")
    options = parser.parse_args()
    set_up(options)
    versions = f"{options.dtype}, transformers {transformers.__version__}"
    print(f"{machine(options.device)}, {versions}, median of {options.turns} turns\n")
    names = "model", "batch", "way", "seconds", "x plain", "x labels", "peak MB", "peak x labels", "extra MB", "TFLOP/s"
    print(heads(*names, *["share of peak"] * bool(options.peak)))
    for name in (name for name in CONFIGS if options.only in name):
        flops = operations(name)
        for batch in options.batch:
            times, peaks = compare(name, batch, options)
            for way, turns in times.items():
                seconds, (most, extra) = statistics.median(turns), peaks[way]
                speed = flops * batch / seconds / 1e12
                cells = [name, batch, way, f"{seconds:.3f}", _ratio(turns, times[PLAIN]), _ratio(turns, times[LABELS])]
                cells += [f"{most / 1e6:.0f}", f"{most / peaks[LABELS][0]:.3f}", f"{extra / 1e6:.0f}", f"{speed:.2f}"]
                print(row(*cells, *[f"{speed / options.peak:.3f}"] if options.peak else []), flush=True)


if __name__ == "__main__":
    main()
