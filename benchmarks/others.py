"""Ways to explain a video classifier beside ours, on the same model, clip and tokens: pixels in, a map (t, h, w) out.

Grad-CAM: Selvaraju et al. 2017, on the tokens that enter the last block. Relevance: Chefer, Gur, Wolf 2021. Integrated
gradients, LIME and KernelSHAP are captum's. What needs gradients runs through transformers' eager attention, the rest
through the core's forward pass.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from captum._utils.models.linear_model import SkLearnRidge
from captum.attr import InputXGradient, IntegratedGradients, KernelShap, Lime
from torch import Tensor, nn
from transformers import AutoModelForVideoClassification

from benchmarks.metrics import Map, averaged, segments
from staa import Explainer
from staa.sites import Layout
from staa.verify import blurred, cells
from staa.verify import centre as middle

BLOCKS = {"timesformer": "timesformer.encoder.layer", "vivit": "vivit.layers", "videomae": "videomae.encoder.layer"}
LIME_SAMPLES, SHAP_SAMPLES, STEPS = 1000, 512, 32
"""Forward passes of LIME and KernelSHAP, and steps of integrated gradients."""
BATCH = 8
"""Clips that are answered at once: of 32 the activations leave the cache, and each takes up to half as long again."""


class Subject:
    """A trained model: behind the core, and as transformers has it, for gradients. Counts its passes."""

    def __init__(self, folder: Path) -> None:
        self.explainer = Explainer.load(folder, device="cpu", dtype="float32", stride=1)
        self.grid = self.explainer.grid
        auto: Any = AutoModelForVideoClassification
        self.plain: Any = (
            auto.from_pretrained(folder, attn_implementation="eager").eval().requires_grad_(requires_grad=False)
        )
        self.forwards = self.backwards = 0

    def answer(self, pixels: Tensor) -> Tensor:
        """Probabilities (B, K)."""
        self.forwards += len(pixels)
        parts = (pixels[first : first + BATCH] for first in range(0, len(pixels), BATCH))
        return torch.cat([self.explainer.forward(part, []).logits.softmax(-1) for part in parts])

    def logits(self, pixels: Tensor) -> Tensor:
        """(B, K), to be differentiated."""
        self.forwards += len(pixels)
        found: Tensor = self.plain(pixel_values=pixels).logits
        return found

    def gradients(self, logit: Tensor, of: list[Tensor]) -> list[Tensor]:
        """Of one logit."""
        self.backwards += 1
        found = torch.autograd.grad(logit, of, allow_unused=True)
        return [torch.zeros_like(one) if made is None else made for made, one in zip(found, of, strict=True)]

    def tokens(self, pixels: Tensor) -> Map:
        """Values of pixels (1, T, 3, H, W) added up in each token."""
        t, h, w = self.grid.shape
        high, wide = pixels.shape[-2] // h, pixels.shape[-1] // w
        parts = pixels[0].sum(1).reshape(t, self.grid.tubelet, h, high, w, wide).sum((1, 3, 5))
        return np.asarray(parts.double())


Other = Callable[[Subject, Tensor, int], Map]


def random(subject: Subject, pixels: Tensor, _target: int) -> Map:
    """Uniform numbers, given by the clip."""
    return np.random.default_rng(int(pixels.double().abs().sum() * 1000)).random(subject.grid.shape)


def centre(subject: Subject, _pixels: Tensor, _target: int) -> Map:
    """A bell over the middle of frame and clip."""
    return middle(subject.grid)


def difference(subject: Subject, pixels: Tensor, _target: int) -> Map:
    """How much each frame differs from the one before; no model at all."""
    change = (pixels[:, 1:] - pixels[:, :-1]).abs()
    return subject.tokens(torch.cat([change[:, :1], change], 1))


def gradcam(subject: Subject, pixels: Tensor, target: int) -> Map:
    """Tokens that enter the last block, weighted by their channels' mean gradient, positive part."""
    held: list[Tensor] = []

    def hold(_module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        held.append(inputs[0].detach().requires_grad_())
        return (held[0], *inputs[1:])

    family = subject.explainer.family
    last = list(subject.plain.get_submodule(BLOCKS[family]).children())[-1]
    hook = last.register_forward_pre_hook(hold)
    logit = subject.logits(pixels)[0, target]
    hook.remove()
    (gradient,) = subject.gradients(logit, held)
    layout = Layout(subject.grid, patch_major=family == "timesformer")
    begin = 0 if family == "videomae" else 1
    seen, pulled = held[0][:, begin:], gradient[:, begin:]
    heat = (seen * pulled.mean(1, keepdim=True)).sum(-1).clamp(min=0).detach()
    return np.asarray(layout.place(heat[:, None]).view(subject.grid.shape).double())


def relevance(subject: Subject, pixels: Tensor, target: int) -> Map:
    """Chefer relevance: r <- r + r mean(max(gradient x attention, 0)) back through every attention, less its start."""
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
        row = layout.cut(tokens)
        if layout.cls:
            row = torch.cat([(cls / layout.sequences).expand(-1, layout.sequences).unsqueeze(-1), row], -1)
        passed = torch.einsum("rsq,sqn->rsn", row, pulled)
        if layout.cls:
            cls = cls + passed[..., 0].sum(1, keepdim=True)
            passed = passed[..., 1:]
        tokens = tokens + layout.place(passed)
    return np.asarray((tokens - start).view(subject.grid.shape).double())


def gradient_input(subject: Subject, pixels: Tensor, target: int) -> Map:
    """Gradient x input, added up in each token: positive speaks for the class."""
    subject.backwards += 1
    found = InputXGradient(subject.logits).attribute(pixels.clone().requires_grad_(), target=target)
    return subject.tokens(found.detach())


def integrated(subject: Subject, pixels: Tensor, target: int) -> Map:
    """Integrated gradients from the blurred clip, added up in each token: positive speaks for the class."""
    subject.backwards += STEPS
    way = IntegratedGradients(subject.logits)
    found = way.attribute(pixels, baselines=blurred(pixels), target=target, n_steps=STEPS, internal_batch_size=BATCH)
    return subject.tokens(found.detach())


def sizes(way: Other) -> Other:
    """The same without signs: what speaks against the class counts as what speaks for it."""
    return lambda subject, pixels, target: np.abs(way(subject, pixels, target))


def _segmented(way: Any, subject: Subject, pixels: Tensor, target: int, samples: int) -> Map:
    mask = cells(torch.from_numpy(segments(subject.grid)).flatten()[None], subject.grid, pixels)
    found = way.attribute(
        pixels,
        baselines=averaged(pixels),
        target=target,
        feature_mask=mask.expand_as(pixels),
        n_samples=samples,
        perturbations_per_eval=BATCH,
    )
    # every pixel of a segment holds the segment's value: the mean over a token's pixels
    cell = pixels.numel() / np.prod(subject.grid.shape)
    return subject.tokens(found.detach()) / cell


def lime(subject: Subject, pixels: Tensor, target: int) -> Map:
    """LIME over space-time segments, ridge regression; a segment that is taken away becomes the clip's mean."""
    with torch.inference_mode():
        return _segmented(Lime(subject.answer, SkLearnRidge(alpha=1.0)), subject, pixels, target, LIME_SAMPLES)


def shap(subject: Subject, pixels: Tensor, target: int) -> Map:
    """KernelSHAP over the same segments, with the same fill."""
    with torch.inference_mode():
        return _segmented(KernelShap(subject.answer), subject, pixels, target, SHAP_SAMPLES)


OTHERS: dict[str, Other] = {
    "random": random,
    "centre": centre,
    "frame difference": difference,
    "Grad-CAM, last block": gradcam,
    "gradient x input": sizes(gradient_input),
    "gradient x input, signed": gradient_input,
    "integrated gradients": sizes(integrated),
    "integrated gradients, signed": integrated,
    "Chefer relevance": relevance,
}
SLOW: dict[str, Other] = {"LIME": lime, "KernelSHAP": shap}
"""These take minutes a clip on a large model: fewer clips."""
SIGNED = ("gradient x input, signed", "integrated gradients, signed", "LIME", "KernelSHAP")
"""Their maps say what speaks against the class, too."""
