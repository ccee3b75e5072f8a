"""Train the default model, or its like of another family: `python -m training.train [--family vivit]`.

The recipe: clips never seen twice; small frames first, because they are cheap, larger ones later; a curriculum of three
stages; AdamW with a cosine over the clock; and an auxiliary classifier over the last block's tokens (pooled by
log-mean-exp) that fades out.
"""

import argparse
import json
import math
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from training.clips import CURRICULUM, LABELS
from training.model import KINDS, build, last_tokens, resize
from training.stream import MEAN, STD, Stream, augment, normalise

READY = (0.8, 0.7)
"""Training accuracy at which the next stage of the curriculum begins."""
FRAMES = 16
BLOCKS = {"vjepa2": 5}
"""The blocks of a family, where they are not 4; of V-JEPA 2's five, two are its pooler's."""
AGREED = 60
"""Batches over which that accuracy is taken."""


@dataclass(frozen=True)
class Phase:
    """A part of the training at one frame size."""

    size: int
    """Pixels."""
    minutes: float
    rate: float
    """Learning rate at the top of the cosine."""
    begin: float
    end: float
    """Where on the cosine it begins and ends, 0 to 1."""


PHASES = (
    Phase(size=48, minutes=36.0, rate=1.5e-3, begin=0.0, end=0.45),
    Phase(size=64, minutes=5.2, rate=1.5e-3, begin=0.45, end=0.515),
    Phase(size=96, minutes=42.0, rate=8e-4, begin=0.0, end=1.0),
)
"""The phases of the model that is shipped; its last one was started as a run of its own, see its card."""
SMALL = (Phase(size=48, minutes=40.0, rate=1.5e-3, begin=0.0, end=1.0),)
"""The phases of the other families, which are trained to be measured."""


def arguments() -> argparse.Namespace:
    """Read the command line; the defaults are the recipe of the model that is shipped."""
    parser = argparse.ArgumentParser(prog="python -m training.train", description="Train the default model.")
    parser.add_argument("--family", choices=KINDS, default="timesformer")
    parser.add_argument("--output", type=Path, default=Path("model_store/motions"))
    parser.add_argument("--minutes", type=float, help="time to train; the phases are scaled to it")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--threads", type=int, default=1, help="of torch")
    parser.add_argument("--workers", type=int, default=1, help="processes that make clips")
    parser.add_argument("--float32", action="store_true", help="no bfloat16 in matrix products")
    options = parser.parse_args()
    options.phases = PHASES if options.family == "timesformer" else SMALL
    total = sum(phase.minutes for phase in options.phases)
    options.minutes = options.minutes or total
    options.scale = options.minutes / total
    return options


class Trainer:
    """The state of a training: model, auxiliary head, optimiser, stage and step."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        torch.manual_seed(options.seed)
        self.step, self.stage = 0, 0
        self.recent: deque[float] = deque(maxlen=AGREED)
        self.last: Tensor = torch.empty(0)
        size = options.phases[0].size
        self.take(
            build(options.family, size, patch=8, frames=FRAMES, width=64, blocks=BLOCKS.get(options.family, 4), heads=4)
        )

    def take(self, model: Any) -> None:
        """Go on with this model, a fresh optimiser and a fresh auxiliary classifier."""
        self.model = model
        self.tokens = nn.Linear(model.config.hidden_size, len(LABELS)).to(self.device)
        nn.Module.to(model, self.device).train()
        last_tokens(model).register_forward_hook(self._keep)
        self.since = 0
        decayed: list[nn.Parameter] = []
        free = list(self.tokens.parameters())
        for name, parameter in self.model.named_parameters():
            matrix = parameter.ndim > 1 and "embed" not in name and "classifier" not in name
            (decayed if matrix else free).append(parameter)
        groups = [{"params": decayed, "weight_decay": 0.05}, {"params": free, "weight_decay": 0.0}]
        self.optimiser = torch.optim.AdamW(groups, betas=(0.9, 0.98))

    def _keep(self, _module: nn.Module, _inputs: tuple[Tensor, ...], output: Any) -> None:
        tokens: Tensor = output if torch.is_tensor(output) else output.last_hidden_state
        has_cls = self.options.family in {"timesformer", "vivit"}
        self.last = tokens[:, 1:] if has_cls else tokens

    def learn(self, clips: Tensor, labels: Tensor, top: float, progress: float) -> tuple[float, float]:
        """Take a step of a cosine from the rate `top`, at a progress of 0..1; return its loss and accuracy."""
        clips, labels = augment(clips.to(self.device), labels.to(self.device))
        warm = min(1.0, (self.since + 1) / 150)
        rate = top * warm * (0.98 * 0.5 * (1 + math.cos(math.pi * progress)) + 0.02)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        with torch.autocast(self.device.type, torch.bfloat16, enabled=not self.options.float32):
            logits = self.model(**{self.model.main_input_name: normalise(clips)}).logits.float()
            votes = self.tokens(F.layer_norm(self.last, self.last.shape[-1:])).float()
        pooled = votes.logsumexp(1) - math.log(votes.shape[1])
        loss = F.cross_entropy(logits, labels) + 0.5 * (1 - progress) * F.cross_entropy(pooled, labels)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimiser.step()
        self.step += 1
        self.since += 1
        return loss.item(), (logits.argmax(-1) == labels).float().mean().item()

    def run(self, phase: Phase, began: float) -> None:
        """Train for the time of one phase."""
        options = self.options
        stream = Stream(options.batch, FRAMES, phase.size, options.seed, self.step)
        stream.stage.value = self.stage
        start, shown = time.monotonic(), 0.0
        for clips, labels in stream.loader(options.workers):
            share = (time.monotonic() - start) / (phase.minutes * options.scale * 60)
            if share >= 1:
                return
            progress = phase.begin + share * (phase.end - phase.begin)
            loss, accuracy = self.learn(clips, labels, phase.rate, progress)
            used = time.monotonic() - began
            self.recent.append(accuracy)
            mean = sum(self.recent) / len(self.recent)
            if used - shown > 30:
                shown = used
                print(
                    f"{used / 60:5.1f} min  {phase.size} px  step {self.step}  stage {self.stage + 1}  "
                    f"loss {loss:.3f}  accuracy {mean:.3f}  {options.batch * self.step / used:.0f} clips/s",
                    flush=True,
                )
                export(self.model, options.output, phase.size)
            if self.stage < len(READY) and len(self.recent) == AGREED and mean > READY[self.stage]:
                self.stage += 1
                stream.stage.value = self.stage
                self.recent.clear()
                print(f"-> stage {self.stage + 1} of {len(CURRICULUM)} at step {self.step}", flush=True)


def export(model: Any, folder: Path, size: int) -> None:
    """Write config.json, model.safetensors and preprocessor_config.json."""
    model.save_pretrained(folder)
    processor: dict[str, Any] = {
        "image_processor_type": "VideoMAEImageProcessor",
        "do_resize": True,
        "size": {"shortest_edge": size},
        "resample": 2,
        "do_center_crop": True,
        "crop_size": {"height": size, "width": size},
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": [MEAN] * 3,
        "image_std": [STD] * 3,
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(processor, indent=2) + "\n")


def main() -> None:
    """Train, then write the model."""
    options = arguments()
    torch.set_num_threads(options.threads)
    trainer = Trainer(options)
    parameters = sum(parameter.numel() for parameter in trainer.model.parameters())
    print(f"{parameters:,} parameters on {trainer.device}, {options.minutes:g} minutes", flush=True)
    began = time.monotonic()
    for phase in options.phases:
        if phase is not options.phases[0]:
            trainer.take(resize(trainer.model.cpu(), phase.size))
        trainer.run(phase, began)
    export(trainer.model, options.output, options.phases[-1].size)
    print(f"{trainer.step} steps, {trainer.step * options.batch:,} clips -> {options.output}")
    print(f"measure it: python -m training.evaluate {options.output}")


if __name__ == "__main__":
    main()
