"""Ways to explain a video classifier beside ours, on the same model, clip and tokens: pixels in, a map (t, h, w) out.

Grad-CAM: Selvaraju et al. 2017, on the tokens that enter the last block. V-JEPA 2's last block is its whole pooler, as
every token that the encoder gives counts there. Relevance: Chefer, Gur, Wolf 2021. Integrated gradients, LIME and
KernelSHAP are those of captum. Methods that need gradients use transformers' eager attention, the others the core's
forward pass.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from captum._utils.models.linear_model import SkLearnRidge
from captum.attr import InputXGradient, IntegratedGradients, KernelShap, Lime
from torch import Tensor, nn
from transformers import AutoModelForVideoClassification

from benchmarks.faithfulness.metrics import Map, segments
from staa import Explainer
from staa.refine import mean_frame
from staa.sites import Layout
from staa.verify import blur, centre_map, spread_to_pixels
from training.evaluate import token_means

BLOCKS = {
    "timesformer": ("timesformer.encoder.layer",),
    "vivit": ("vivit.layers",),
    "videomae": ("videomae.encoder.layer",),
    "vjepa2": ("vjepa2.encoder.layer", "pooler"),
}
"""Family -> its blocks: a list of modules is one block each, another module is one block."""
SAMPLES, STEPS = (1000, 512), 32
"""The numbers of forward passes of LIME and of KernelSHAP, and of steps of integrated gradients."""
BATCH = 8
"""Clips in a forward pass: with 32 the activations do not fit the cache, and a clip takes up to 50% more time."""


class Subject:
    """Holds a trained model twice: in the core, and as plain transformers model for gradients. Counts its passes.

    Args:
        folder: Its checkpoint.
        samples: Forward passes of LIME and of KernelSHAP.
    """

    def __init__(self, folder: Path, samples: Sequence[int] = SAMPLES) -> None:
        self.lime_samples, self.shap_samples = samples
        self.explainer = Explainer.load(folder, device="cpu", dtype="float32", stride=1)
        self.grid = self.explainer.grid
        auto: Any = AutoModelForVideoClassification
        self.plain: Any = (
            auto.from_pretrained(folder, attn_implementation="eager").eval().requires_grad_(requires_grad=False)
        )
        self.input_name: str = self.plain.main_input_name
        self.forwards = self.backwards = 0
        for model in (self.explainer.model, self.plain):
            model.register_forward_pre_hook(self._count, with_kwargs=True)

    def _count(self, _module: nn.Module, _arguments: tuple[Any, ...], named: dict[str, Tensor]) -> None:
        self.forwards += len(named[self.input_name])

    def answer(self, pixels: Tensor) -> Tensor:
        """Return probabilities (B, K)."""
        return torch.cat([self.explainer.forward(clips, []).logits.softmax(-1) for clips in torch.split(pixels, BATCH)])

    def logits(self, pixels: Tensor) -> Tensor:
        """Return logits (B, K) that can be differentiated."""
        logits: Tensor = self.plain(**{self.input_name: pixels}).logits
        return logits

    def gradients(self, logit: Tensor, of: list[Tensor]) -> list[Tensor]:
        """Return the gradients of one logit; zeros for a tensor on which it does not depend."""
        self.backwards += 1
        return list(torch.autograd.grad(logit, of, allow_unused=True, materialize_grads=True))

    def tokens(self, pixels: Tensor) -> Map:
        """Return for each token the mean of its pixels' values (1, T, 3, H, W), summed over the channels."""
        return token_means(np.asarray(pixels[0].sum(1).double()), self.grid)


def blocks(family: str, model: nn.Module) -> list[nn.Module]:
    """Return the blocks of a model, from its input on."""
    parts = [model.get_submodule(path) for path in BLOCKS[family]]
    return [block for part in parts for block in (part.children() if isinstance(part, nn.ModuleList) else [part])]


Baseline = Callable[[Subject, Tensor, int], Map]


def random(subject: Subject, pixels: Tensor, _target: int) -> Map:
    """Return uniform random numbers, seeded by the clip."""
    return np.random.default_rng(int(pixels.double().abs().sum() * 1000)).random(subject.grid.shape)


def centre(subject: Subject, _pixels: Tensor, _target: int) -> Map:
    """Return a map with a bell over the middle of frame and clip."""
    return centre_map(subject.grid)


def difference(subject: Subject, pixels: Tensor, _target: int) -> Map:
    """Return how much each frame differs from the one before; this uses no model."""
    change = (pixels[:, 1:] - pixels[:, :-1]).abs()
    return subject.tokens(torch.cat([change[:, :1], change], 1))


def gradcam(subject: Subject, pixels: Tensor, target: int) -> Map:
    """Weight the tokens that enter the last block by their channels' mean gradient; return the positive part."""
    held: list[Tensor] = []

    def hold(_module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        held.append(inputs[0].detach().requires_grad_())
        return (held[0], *inputs[1:])

    family = subject.explainer.family
    hook = blocks(family, subject.plain)[-1].register_forward_pre_hook(hold)
    logit = subject.logits(pixels)[0, target]
    hook.remove()
    (gradient,) = subject.gradients(logit, held)
    layout = Layout(subject.grid, patch_major=family == "timesformer")
    begin = held[0].shape[1] - np.prod(subject.grid.shape)  # 1 with CLS, otherwise 0
    seen, pulled = held[0][:, begin:], gradient[:, begin:]
    heat = (seen * pulled.mean(1, keepdim=True)).sum(-1).clamp(min=0).detach()
    return np.asarray(layout.to_grid(heat[:, None]).view(subject.grid.shape).double())


def relevance(subject: Subject, pixels: Tensor, target: int) -> Map:
    """Carry r <- r + r mean(max(gradient x attention, 0)) back through every attention; return r minus its start.

    It starts at what the classifier reads: CLS, all tokens alike, or a pooler's query, which is no token.
    """
    sites = subject.explainer.sites
    names = {module: name for name, module in subject.explainer.model.named_modules()}
    held: list[Tensor] = []

    def hold(_module: nn.Module, _inputs: Any, output: Any) -> None:
        held.append(output[1] if isinstance(output, tuple) else output)

    drop = ".attn_drop" if subject.explainer.family == "timesformer" else ""
    hooks = [subject.plain.get_submodule(names[site.module] + drop).register_forward_hook(hold) for site in sites]
    logit = subject.logits(pixels.detach().requires_grad_())[0, target]
    for hook in hooks:
        hook.remove()
    gradients = subject.gradients(logit, held)
    tokens = torch.zeros(1, *subject.grid.shape).flatten(2)
    cls, start = torch.ones(1, 1), 0.0
    if sites[-1].role == "all":
        start = 1 / tokens.numel()
        tokens += start
    for site, matrix, gradient in reversed(list(zip(sites, held, gradients, strict=True))):
        layout = site.layout
        pulled = (matrix * gradient).clamp(min=0).mean(1).detach()  # (sequences, n, n)
        row = torch.ones(1, 1, 1) if site.role == "query" else layout.to_sequences(tokens)
        if layout.cls:
            row = torch.cat([(cls / layout.sequences).expand(-1, layout.sequences).unsqueeze(-1), row], -1)
        passed = torch.einsum("rsq,sqn->rsn", row, pulled)
        if layout.cls:
            cls = cls + passed[..., 0].sum(1, keepdim=True)
            passed = passed[..., 1:]
        tokens = tokens + layout.to_grid(passed)
    return np.asarray((tokens - start).view(subject.grid.shape).double())


def gradient_input(subject: Subject, pixels: Tensor, target: int) -> Map:
    """Sum gradient x input over each token; positive values speak for the class."""
    subject.backwards += 1
    values = InputXGradient(subject.logits).attribute(pixels.clone().requires_grad_(), target=target)
    return subject.tokens(values.detach())


def integrated(subject: Subject, pixels: Tensor, target: int) -> Map:
    """Sum integrated gradients, from the blurred clip, over each token; positive values speak for the class."""
    subject.backwards += STEPS
    way = IntegratedGradients(subject.logits)
    values = way.attribute(pixels, baselines=blur(pixels), target=target, n_steps=STEPS, internal_batch_size=BATCH)
    return subject.tokens(values.detach())


@torch.inference_mode()
def _segmented(way: Any, subject: Subject, pixels: Tensor, target: int, samples: int) -> Map:
    mask = spread_to_pixels(torch.from_numpy(segments(subject.grid)).flatten()[None], subject.grid, pixels)
    values = way.attribute(
        pixels,
        baselines=mean_frame(pixels),
        target=target,
        feature_mask=mask.expand_as(pixels),
        n_samples=samples,
        perturbations_per_eval=BATCH,
    )
    return subject.tokens(values)


def lime(subject: Subject, pixels: Tensor, target: int) -> Map:
    """Run LIME with ridge regression over space-time segments; a deleted segment shows the mean of the clip."""
    return _segmented(Lime(subject.answer, SkLearnRidge(alpha=1.0)), subject, pixels, target, subject.lime_samples)


def shap(subject: Subject, pixels: Tensor, target: int) -> Map:
    """Run KernelSHAP over the same segments, with the same fill."""
    return _segmented(KernelShap(subject.answer), subject, pixels, target, subject.shap_samples)


BASELINES: dict[str, Baseline] = {
    "random": random,
    "centre": centre,
    "frame difference": difference,
    "Grad-CAM, last block": gradcam,
    "gradient x input, signed": gradient_input,
    "integrated gradients, signed": integrated,
    "Chefer relevance": relevance,
}
BY_SIZE = {
    "gradient x input": "gradient x input, signed",
    "integrated gradients": "integrated gradients, signed",
}
"""Way -> the one whose map it shows by size, so that evidence against the class counts as evidence for it."""
SLOW_BASELINES: dict[str, Baseline] = {"LIME": lime, "KernelSHAP": shap}
"""Baselines that take minutes for a clip on a large model, and so get fewer clips."""
SIGNED = (
    "staa_class", "staa_class, refine=16", "staa_class, version 2",
    "gradient x input, signed", "integrated gradients, signed", "LIME", "KernelSHAP",
)  # fmt: skip
"""The ways whose maps also show, as negative values, what speaks against the class."""
