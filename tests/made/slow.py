"""Every method from full attention matrices, the slow way: one big matrix over all tokens of a clip for each attention.

Written apart from the core: explicit lists of token numbers, loops and float64, on transformers' own eager model.
A clip's state has its tokens first, number t * P + p, and CLS (one, or one a frame) after them.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from tests.made.families import Doubles, Variant, logits, shape


@dataclass
class Attention:
    """Hold one attention of a pass."""

    where: list[list[int]]
    """For each sequence the numbers of its tokens."""
    matrix: Doubles
    """(sequences, heads, queries, keys)."""
    values: Doubles | None = None
    """(sequences, heads, keys, d), where it writes into the token that is read."""
    output: Doubles | None = None
    """(width, heads * d), the map after it."""
    query: bool = False
    """Whether its query is learned, and no token."""
    pool: bool = False
    """Whether it is self-attention of a pooler."""


VALUES = {
    "timesformer": r"\.attention\.attention\.qkv$",
    "vivit": r"\.v_proj$",
    "videomae": r"attention\.value$",
    "vjepa2": r"cross_attn\.v_proj$",
}
MATRICES = {
    "timesformer": r"(temporal_attention|\.attention)\.attention\.attn_drop$",
    "vivit": r"layers\.\d+\.attention$",
    "videomae": r"attention\.attention$",
    "vjepa2": r"(vjepa2\.encoder\.layer\.\d+\.attention|self_attn|cross_attn)$",
}
OUTPUTS = {"timesformer": ".output.dense", "vivit": ".o_proj", "videomae": ".output.dense"}


def attentions(variant: Variant, model: Any, clip: Tensor) -> tuple[list[Attention], Tensor]:
    """Return all attentions of one clip (T, 3, h, w) in the order of the pass, and the logits (K,)."""
    seen, values, answer = _watch(variant, model, clip)
    found = []
    for path, matrix in seen:
        name = path.removesuffix(".attn_drop")
        tokens = _tokens(variant, model, name)
        one = Attention(tokens, matrix, query="cross_attn" in name, pool="self_attn" in name)
        if name in values and "temporal" not in name:
            kept = values[name].reshape(*values[name].shape[:2], matrix.shape[1], -1)
            one.values = kept.transpose(0, 2, 1, 3)
            one.output = np.eye(kept.shape[2] * kept.shape[3])
            if variant.family in OUTPUTS:
                parent = name if variant.family == "vivit" else name.rpartition(".")[0]
                linear = model.get_submodule(parent + OUTPUTS[variant.family])
                one.output = linear.weight.detach().double().numpy()
        found.append(one)
    return found, answer


def _watch(variant: Variant, model: Any, clip: Tensor) -> tuple[list[tuple[str, Doubles]], dict[str, Doubles], Tensor]:
    """Return matrices in the order of the pass and values, each with the name of its module, and the logits."""
    family = variant.family
    seen: list[tuple[str, Doubles]] = []
    values: dict[str, Doubles] = {}

    def keep(name: str) -> Callable[..., None]:
        def hook(_module: nn.Module, _inputs: Any, output: Any) -> None:
            matrix = output[1] if isinstance(output, tuple) else output
            seen.append((name, matrix.double().numpy()))

        return hook

    def keep_values(name: str) -> Callable[..., None]:
        def hook(_module: nn.Module, _inputs: Any, output: Tensor) -> None:
            values[name] = output.double().numpy()[..., -model.config.hidden_size :]

        return hook

    hooks = []
    for path, module in model.named_modules():
        if re.search(MATRICES[family], path):
            hooks.append(module.register_forward_hook(keep(path)))
        if re.search(VALUES[family], path):
            hooks.append(module.register_forward_hook(keep_values(path.rpartition(".")[0])))
    answer = logits(model, clip[None])[0]
    for hook in hooks:
        hook.remove()
    return seen, values, answer


def _tokens(variant: Variant, model: Any, name: str) -> list[list[int]]:
    """Return the token numbers of the sequences of an attention."""
    steps, height, width = shape(model.config)
    patches = height * width
    cls = steps * patches
    step_major = [t * patches + p for t in range(steps) for p in range(patches)]
    if variant.family == "vivit":
        return [[cls, *step_major]]
    if variant.family in {"videomae", "vjepa2"}:
        return [step_major]
    kind = model.config.attention_type
    if "temporal" in name:
        return [[t * patches + p for t in range(steps)] for p in range(patches)]
    if kind == "joint_space_time":
        return [[cls, *(t * patches + p for p in range(patches) for t in range(steps))]]
    apart = kind == "space_only"
    return [[cls + t * apart, *(t * patches + p for p in range(patches))] for t in range(steps)]


def size(found: list[Attention]) -> int:
    """Return how many tokens the state has, CLS too."""
    return 1 + max(number for one in found for sequence in one.where for number in sequence)


def spread(one: Attention, total: int) -> Doubles:
    """Return the attention (total, total), mean over heads, of all tokens; one that takes no part stays as it is."""
    whole, times = np.zeros((total, total)), np.zeros(total)
    for sequence, matrix in zip(one.where, one.matrix.mean(1), strict=True):
        for i, row in zip(sequence, matrix, strict=True):
            times[i] += 1
            for j, weight in zip(sequence, row, strict=True):
                whole[i, j] += weight
    for i in range(total):
        whole[i] = whole[i] / times[i] if times[i] else np.eye(total)[i]
    return whole


def start(variant: Variant, model: Any, found: list[Attention], tokens: int) -> Doubles:
    """Return the token that the classifier reads, (total,)."""
    state = np.zeros(size(found))
    if variant.family == "videomae":
        if model.config.use_mean_pooling:
            state += 1 / len(state)
        else:
            state[0] = 1
    elif variant.family == "vjepa2":
        state += found[-1].matrix[0, :, 0].mean(0)
    else:
        state[tokens:] = 1 / (len(state) - tokens)
    return state


def rollout(variant: Variant, model: Any, clip: Tensor) -> Doubles:
    """Return the map (t, h, w), not normalised."""
    found, _ = attentions(variant, model, clip)
    grid = shape(model.config)
    state = start(variant, model, found, int(np.prod(grid)))
    for one in reversed(found):
        if not one.query:
            state = state @ (0.5 * np.eye(len(state)) + 0.5 * spread(one, len(state)))
    return state[: np.prod(grid)].reshape(grid)


def push(one: Attention, toward: Doubles, mean: bool, total: int) -> Doubles:
    """Return what each token writes along `toward` into the token that is read, (total,)."""
    found = np.zeros(total)
    assert one.values is not None
    assert one.output is not None
    sequences, heads, _, width = one.values.shape
    for s, sequence in enumerate(one.where):
        for h in range(heads):
            rows = one.matrix[s, h].mean(0) if mean else one.matrix[s, h, 0]
            for j, number in enumerate(sequence):
                written = one.output[:, h * width : (h + 1) * width] @ one.values[s, h, j]
                found[number] += rows[j] * (written @ toward) / sequences
    return found


def for_class(variant: Variant, model: Any, clip: Tensor, target: int, contrast: int | None) -> tuple[Doubles, Doubles]:
    """Return the map (t, h, w) for the class, and signed; neither is normalised."""
    found, _ = attentions(variant, model, clip)
    grid = shape(model.config)
    total, tokens = size(found), int(np.prod(grid))
    toward = direction(variant, model, target)
    if contrast is not None:
        toward = toward - direction(variant, model, contrast)
    mean = bool(getattr(model.config, "use_mean_pooling", False)) and variant.family == "videomae"
    divided = getattr(model.config, "attention_type", "") == "divided_space_time"
    signed = np.zeros(tokens)
    for one in reversed(found):
        if divided or one.pool:
            step = (0.5 * np.eye(total) + 0.5 * spread(one, total))[:tokens, :tokens]
            signed = signed @ step
        if one.values is not None:
            signed = signed + push(one, toward, mean, total)[:tokens]
    return np.maximum(signed, 0).reshape(grid), signed.reshape(grid)


def norm(variant: Variant, model: Any) -> nn.LayerNorm | None:
    """Return the layer norm before the classifier."""
    if variant.family == "videomae":
        found: nn.LayerNorm = model.fc_norm if model.config.use_mean_pooling else model.videomae.layernorm
        return found
    return None if variant.family == "vjepa2" else getattr(model, variant.family).layernorm


def direction(variant: Variant, model: Any, target: int) -> Doubles:
    """Return along what the logit grows (width,): classifier(norm(x)) differentiated at an x, times the deviation."""
    layer = norm(variant, model)
    x = torch.randn(model.config.hidden_size, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    row = model.classifier.weight[target].detach().double()
    if layer is None:
        return np.asarray(row)
    weight, deviation = layer.weight.detach().double(), x.std(unbiased=False)
    jacobian = torch.func.jacrev(lambda y: row @ (weight * (y - y.mean()) / y.std(unbiased=False)))(x)
    # the derivative at x lacks its part along x itself, where only the deviation changes
    centred = (x - x.mean()) / deviation
    along = row @ (weight * centred)
    return np.asarray(jacobian * deviation + along * centred / len(x))
