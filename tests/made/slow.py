"""Every method from full attention matrices, the slow way: one big matrix over all tokens of a clip for each attention.

Written apart from the core: explicit lists of token numbers, loops and float64, on transformers' own eager model.
A clip's state has its tokens first, number t * P + p, and CLS (one, or one a frame) after them.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
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
    tokens: int
    """How many tokens the clip has, without CLS."""
    values: Doubles | None = None
    """(sequences, heads, keys, d), where it writes into the token that is read."""
    output: Doubles | None = None
    """(width, heads * d), the map after it."""
    query: bool = False
    """Whether its query is learned, and no token."""
    between: str = ""
    """What maps are carried back through: "time", "space", "pool", or "" for an attention through which none is."""
    before: Doubles | None = None
    """(tokens, width): every token before the attention's output is added."""
    after: Doubles | None = None
    """(tokens, width): every token with it."""
    read: Tensor | None = None
    """(k, width): the tokens that are read, before the MLP that follows, one for each sequence or a sample of all."""
    mlp: tuple[Any, Any, Any, Any] | None = None
    """That MLP: its norm, its two linear layers, and the gate between them."""


VALUES = {
    "timesformer": r"\.attention\.attention\.qkv$",
    "vivit": r"\.v_proj$",
    "videomae": r"attention\.value$",
    "vjepa2": r"cross_attn\.v_proj$",
    "videoprism_vision_model": r"^head\.v_proj$",
}
MATRICES = {
    "timesformer": r"(temporal_attention|\.attention)\.attention\.attn_drop$",
    "vivit": r"layers\.\d+\.attention$",
    "videomae": r"attention\.attention$",
    "vjepa2": r"(vjepa2\.encoder\.layer\.\d+\.attention|self_attn|cross_attn)$",
    "videoprism_vision_model": r"(_layers\.\d+\.attention|^head)$",
}
OUTPUTS = {
    "timesformer": ".output.dense",
    "vivit": ".o_proj",
    "videomae": ".output.dense",
    "videoprism_vision_model": ".o_proj",
}


def attentions(variant: Variant, model: Any, clip: Tensor) -> tuple[list[Attention], Tensor]:
    """Return all attentions of one clip (T, 3, h, w) in the order of the pass, and the logits (K,)."""
    seen, values, streams, answer = _watch(variant, model, clip)
    found = []
    for path, matrix in seen:
        name = path.removesuffix(".attn_drop")
        numbers, tokens = _tokens(variant, model, name), int(np.prod(shape(model.config)))
        one = Attention(numbers, matrix, tokens, query=re.search("cross_attn$|^head$", name) is not None)
        block = name.removesuffix(".attention").removesuffix(".attention").removesuffix(".temporal_attention")
        block = block.removesuffix(".self_attn").removesuffix(".cross_attn")
        if name in values and "temporal" not in name:
            kept = values[name].reshape(*values[name].shape[:2], matrix.shape[1], -1)
            one.values = kept.transpose(0, 2, 1, 3)
            one.output = np.eye(kept.shape[2] * kept.shape[3])
            if variant.family in OUTPUTS:
                parent = name if OUTPUTS[variant.family] == ".o_proj" else name.rpartition(".")[0]
                linear = model.get_submodule(parent + OUTPUTS[variant.family])
                one.output = linear.weight.detach().double().numpy()
            if variant.family == "videoprism_vision_model":
                found.append(one)
                continue
            one.mlp = _mlp(variant, model.get_submodule(block))
            stream = streams[block + (".layer_norm2" if variant.family == "vjepa2" else ".layernorm_after")]
            one.read = stream[0, ::32] if reads_all(variant, model) else stream[:, 0]
        if getattr(model.config, "attention_type", "") == "divided_space_time":
            one.between = "time" if "temporal" in name else "space"
            begin, end = ("temporal_layernorm", "layernorm_before") if "temporal" in name else STREAMS
            one.before, one.after = (_by_number(model, f"{block}.{norm}", streams) for norm in (begin, end))
        if re.search("self_attn$|temporal_layers", name):
            one.between = "pool"
        found.append(one)
    return found, answer


STREAMS = ("layernorm_before", "layernorm_after")
NORMS = r"(temporal_layernorm|layernorm_before|layernorm_after|layer_norm1|layer_norm2)$"
"""The norms whose inputs are the tokens with what was added to them so far."""


def reads_all(variant: Variant, model: Any) -> bool:
    """Return whether the classifier reads the mean of all tokens."""
    return variant.family == "videomae" and bool(model.config.use_mean_pooling)


def _mlp(variant: Variant, block: Any) -> tuple[Any, Any, Any, Any]:
    if variant.family == "vjepa2":
        return block.layer_norm2, block.mlp.fc1, block.mlp.fc2, block.mlp.activation
    if variant.family == "vivit":
        return block.layernorm_after, block.mlp.fc1, block.mlp.fc2, block.mlp.activation_fn
    inner = block.intermediate
    return block.layernorm_after, inner.dense, block.output.dense, inner.intermediate_act_fn


def _by_number(model: Any, name: str, streams: dict[str, Tensor]) -> Doubles:
    """Return the tokens (t * P + p, width) of a stream of divided attention, without CLS."""
    steps, height, width = shape(model.config)
    patches = height * width
    found = np.zeros((steps * patches, streams[name].shape[-1]))
    for t, p in np.ndindex(steps, patches):
        if name.endswith("temporal_layernorm"):  # (patches, frames, width)
            found[t * patches + p] = streams[name][p, t]
        elif name.endswith("layernorm_before"):  # (frames, 1 + patches, width)
            found[t * patches + p] = streams[name][t, 1 + p]
        else:  # (1, 1 + patches * frames, width)
            found[t * patches + p] = streams[name][0, 1 + p * steps + t]
    return found


def _watch(
    variant: Variant, model: Any, clip: Tensor
) -> tuple[list[tuple[str, Doubles]], dict[str, Doubles], dict[str, Tensor], Tensor]:
    """Return matrices in the order of the pass, values and inputs of norms by the name of a module, and the logits."""
    seen: list[tuple[str, Doubles]] = []
    values: dict[str, Doubles] = {}
    streams: dict[str, Tensor] = {}

    def keep(name: str, _module: nn.Module, _inputs: Any, output: Any) -> None:
        matrix = output[1] if isinstance(output, tuple) else output
        seen.append((name, matrix.double().numpy()))

    def keep_values(name: str, _module: nn.Module, _inputs: Any, output: Tensor) -> None:
        values[name.rpartition(".")[0]] = output.double().numpy()[
            ..., -output.shape[-1] // (1 + 2 * name.endswith("qkv")) :
        ]

    def keep_stream(name: str, _module: nn.Module, inputs: Any, _output: Tensor) -> None:
        streams[name] = inputs[0].double()

    takers = {MATRICES[variant.family]: keep, VALUES[variant.family]: keep_values, NORMS: keep_stream}
    hooks = [
        module.register_forward_hook(partial(taker, path))
        for path, module in model.named_modules()
        for pattern, taker in takers.items()
        if re.search(pattern, path)
    ]
    answer = logits(model, clip[None])[0]
    for hook in hooks:
        hook.remove()
    return seen, values, streams, answer


def _tokens(variant: Variant, model: Any, name: str) -> list[list[int]]:
    """Return the token numbers of the sequences of an attention."""
    steps, height, width = shape(model.config)
    patches = height * width
    cls = steps * patches
    step_major = [t * patches + p for t in range(steps) for p in range(patches)]
    if variant.family == "vivit":
        return [[cls, *step_major]]
    if variant.family in {"videomae", "vjepa2"} or name == "head":
        return [step_major]
    kind = getattr(model.config, "attention_type", None)
    if "spatial_layers" in name:
        return [[t * patches + p for p in range(patches)] for t in range(steps)]
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
    elif found[-1].query:
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


def row(one: Attention, every: int = 0, first: int = 0) -> Doubles:
    """Return the attention of the token that is read, (sequences, heads, keys); of every nth query if all are read."""
    return np.asarray(one.matrix[:, :, first::every].mean(2) if every else one.matrix[:, :, 0])


def push(one: Attention, toward: Doubles, rows: Doubles, total: int, *, centred: bool) -> Doubles:
    """Return what each token writes along `toward` (sequences, width) into the token that is read, (total,)."""
    found = np.zeros(total)
    for s, h, j, written in _writes(one, centred=centred):
        found[one.where[s][j]] += rows[s, h, j] * (written @ toward[s]) / len(one.where)
    return found


def sizes(one: Attention, rows: Doubles, total: int) -> Doubles:
    """Return how much each token writes into the token that is read, (total,): over heads by squares."""
    squares = np.zeros((len(one.where), total))
    for s, h, j, written in _writes(one, centred=True):
        squares[s, one.where[s][j]] += (rows[s, h, j] * np.linalg.norm(written)) ** 2
    return np.asarray(np.sqrt(squares).sum(0) / len(one.where))


def _writes(one: Attention, *, centred: bool) -> Iterator[tuple[int, int, int, Doubles]]:
    """Yield sequence, head, key, and what the head makes of the key's value, (width,).

    Centred values are those less their mean over all tokens but CLS.
    """
    assert one.values is not None
    assert one.output is not None
    sequences, heads, _, width = one.values.shape
    has_cls = len(one.where[0]) * sequences > one.tokens
    for h in range(heads):
        mean = centred * np.mean(
            [one.values[s, h, j] for s in range(sequences) for j in _keys(one, s, has_cls)], axis=0
        )
        for s in range(sequences):
            for j in range(len(one.where[s])):
                yield s, h, j, one.output[:, h * width : (h + 1) * width] @ (one.values[s, h, j] - mean)


def _keys(one: Attention, sequence: int, has_cls: bool) -> range:
    return range(1 if has_cls else 0, len(one.where[sequence]))


def back(one: Attention, toward: Doubles) -> Doubles:
    """Carry directions (k, width) back through the MLP of the tokens that are read; k is 1 for a sample of all."""
    if one.mlp is None or one.read is None:
        return toward
    norm, first, last, gate = one.mlp
    weight, shift, into, bias, out = (
        part.detach().double() for part in (norm.weight, norm.bias, first.weight, first.bias, last.weight)
    )
    found = []
    for index, token in enumerate(one.read):
        u = torch.from_numpy(toward[index if len(toward) == len(one.read) else 0])
        deviation = (token.var(unbiased=False) + norm.eps).sqrt()
        channels = into @ ((token - token.mean()) / deviation * weight + shift) + bias
        gates = gate(channels) / channels

        def linear(x: Tensor, deviation: Tensor = deviation, gates: Tensor = gates) -> Tensor:
            made: Tensor = out @ (gates * (into @ ((x - x.mean()) / deviation * weight)))
            return made

        (pulled,) = torch.func.vjp(linear, token)[1](u)
        found.append((u + pulled).numpy())
    same = len(toward) == len(one.read) > 1
    return np.stack(found) if same else np.mean(found, axis=0, keepdims=True)


def carried(one: Attention, state: Doubles, rows: Doubles | None, total: int) -> Doubles:
    """Carry a map (tokens,) back through an attention, by the share that it wrote of each token; 1/2 in a pooler."""
    tokens = len(state)
    share = np.full(tokens, 0.5)
    if one.before is not None and one.after is not None:
        for number, (before, after) in enumerate(zip(one.before, one.after, strict=True)):
            share[number] = np.clip((after - before) @ after / (after @ after), 0, 1)
    moved = share * state
    if one.between != "space":
        return np.asarray(state - moved + moved @ spread(one, total)[:tokens, :tokens])
    assert rows is not None
    found = state - moved
    for s, sequence in enumerate(one.where):
        weights = rows[s].mean(0)[1:]
        for number, weight in zip(sequence[1:], weights, strict=True):
            found[number] += moved[sequence[1:]].sum() * weight / weights.sum()
    return np.asarray(found)


def _summed(variant: Variant, model: Any, clip: Tensor, stride: int, toward: Doubles | None) -> Doubles:
    """Return the map (t, h, w) of `staa`, or of `staa_class` with a direction."""
    found, _ = attentions(variant, model, clip)
    grid = shape(model.config)
    total, tokens = size(found), int(np.prod(grid))
    writers = [one for one in found if one.values is not None]
    rows = {
        id(one): row(one, stride if reads_all(variant, model) else 0, index % stride)
        for index, one in enumerate(writers)
    }
    state = np.zeros(tokens)
    centred = not any(one.between for one in found)
    u = None if toward is None else toward[None]
    for one in reversed(found):
        if one.between and (u is not None or one.between != "space"):
            state = carried(one, state, rows.get(id(one)), total)
        if one.values is not None:
            if u is None:
                state = state + sizes(one, rows[id(one)], total)[:tokens]
            else:
                apart = getattr(model.config, "attention_type", "") == "space_only"
                u = back(one, u if not apart or len(u) > 1 else u.repeat(len(one.where), 0))
                along = u if len(u) == len(one.where) else u.repeat(len(one.where), 0)
                state = state + push(one, along, rows[id(one)], total, centred=centred)[:tokens]
    return state.reshape(grid)


def staa(variant: Variant, model: Any, clip: Tensor, stride: int = 1) -> Doubles:
    """Return the map (t, h, w) of `staa`, not normalised; of every `stride`-th query where a mean of all is read."""
    return _summed(variant, model, clip, stride, None)


def joints(variant: Variant, model: Any, pixels: Tensor, stride: int = 1) -> Doubles:
    """Return the maps (B, t, h, w) of `staa`, each with sum 1."""
    maps = [staa(variant, model, clip, stride) for clip in pixels]
    return np.stack([one / one.sum() for one in maps])


def for_class(variant: Variant, model: Any, clip: Tensor, target: int, contrast: int | None) -> tuple[Doubles, Doubles]:
    """Return the map (t, h, w) for the class, and signed; neither is normalised."""
    toward = direction(variant, model, target)
    if contrast is not None:
        toward = toward - direction(variant, model, contrast)
    signed = _summed(variant, model, clip, 1, toward)
    return np.maximum(signed, 0), signed


def norm(variant: Variant, model: Any) -> nn.LayerNorm | None:
    """Return the layer norm before the classifier."""
    if variant.family == "videomae":
        found: nn.LayerNorm = model.fc_norm if model.config.use_mean_pooling else model.videomae.layernorm
        return found
    if variant.family == "videoprism_vision_model":
        head: nn.LayerNorm = model.head_layernorm
        return head
    return None if variant.family == "vjepa2" else getattr(model, variant.family).layernorm


def direction(variant: Variant, model: Any, target: int) -> Doubles:
    """Return along what the logit grows (width,): classifier(norm(x)) differentiated at an x, times the deviation."""
    layer = norm(variant, model)
    x = torch.randn(model.config.hidden_size, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    row = model.classifier.weight[target].detach().double()
    if layer is None:
        return np.asarray(row)
    weight, deviation = layer.weight.detach().double(), x.std(unbiased=False)
    weight = weight + (variant.family == "videoprism_vision_model")
    jacobian = torch.func.jacrev(lambda y: row @ (weight * (y - y.mean()) / y.std(unbiased=False)))(x)
    # the derivative at x lacks its part along x itself, where only the deviation changes
    centred = (x - x.mean()) / deviation
    along = row @ (weight * centred)
    return np.asarray(jacobian * deviation + along * centred / len(x))
