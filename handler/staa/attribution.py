"""Computes attributions (distributions over tokens) from a forward pass. Each method is a function in METHODS.

The equations are those of Z. Wang, Y. Liu, "STAA", arXiv 2411.00630. docs/explain.md says which blocks are read, and
why.

In shapes, R is the number of rows (clips of the batch) that are explained, "sequences" the number of token sequences
into which an attention cuts a clip (for example one for each frame), n the tokens of a sequence, and t, h, w the token
grid.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from staa.capture import Captured, row_times_attention
from staa.errors import OptionError
from staa.sites import READ_ROLES, Layout, Wanted, mean_value
from staa.types import Attribution, Floats, Forward, Grid


@dataclass(frozen=True, slots=True)
class MapRequest:
    """Say which map is wanted for one row, that is one clip of the batch."""

    method: str
    target: int | None = None
    """The number of the class that a class map explains; None for methods without a class."""
    contrast: int | None = None
    """The number of the class that it is compared to; None compares to no class."""


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """Hold what a method reads, for the R rows that it explains."""

    captured: Sequence[Captured]
    """What was kept of each attention, in the order of the forward pass."""
    direction: Tensor
    """(R, width) direction of the class in the residual stream, less that of the contrast; 0 if there is no class."""

    @property
    def writers(self) -> list[Captured]:
        """Return the attentions that write into the token that the classifier reads."""
        return [attention for attention in self.captured if attention.weights is not None]

    @property
    def grid(self) -> Grid:
        """Return the token grid."""
        return self.captured[0].site.layout.grid


Maps = tuple[Tensor, Tensor | None]
"""Two maps (R, t, h*w), not normalised: one >= 0, and for class methods a signed one, negative against the class."""


def staa(reading: Reading) -> Maps:
    """Sum over blocks how much every token wrote into the token that the classifier reads, whatever the class.

    In one block, token p writes the vectors a[p] W_o v[p], one for each head: a is its attention weight, v its value
    less the mean of all tokens' values, W_o the head's part of the linear layer after the attention. What it wrote is
    the root of the sum of the squares of their lengths (`sites.written_sizes`). With divided attention or a pooler,
    the sum is carried back to the input tokens (`step_back`).
    """
    sizes = [attention.sizes for attention in reading.writers]
    return _sum_carried_back(reading, [_kept(size, "sizes") for size in sizes]), None


def staa_class(reading: Reading) -> Maps:
    """Sum over blocks what every token wrote in favour of the class into the token that the classifier reads.

    In one block, token p writes d[p] = sum over heads of a[p] * <u, W_o v[p]>: a is its attention weight, v its value,
    less the mean of all tokens' values, u the direction of the class at the token that is read, carried back through
    the MLPs after this attention (`back_through_mlp`). With divided attention or a pooler, the sum is carried back to
    the input tokens (`step_back`). The signed map is that sum, the other one its positive part.
    """
    signed = class_map(reading)
    return signed.clamp(min=0), signed


def class_map(reading: Reading, *, through_mlps: bool = True, recentred: bool = False) -> Tensor:
    """Return the signed map (R, t, h*w) of `staa_class`, or one of its like.

    Args:
        reading: what is read.
        through_mlps: carry the direction back through the MLPs; otherwise it is the same after every attention.
        recentred: centre the values where `staa_class` does not, and do not where it does.
    """
    pushes: list[Tensor] = []
    direction = reading.direction[:, None]
    is_carried = any(attention.site.carried for attention in reading.captured)
    for attention in reversed(reading.writers):
        if through_mlps and attention.site.mlp is not None:
            direction = back_through_mlp(attention, direction)
        pushes.append(written_for(attention, direction, centred=is_carried == recentred))
    return _sum_carried_back(reading, pushes[::-1], classes=True)


def _sum_carried_back(reading: Reading, written: Sequence[Tensor], *, classes: bool = False) -> Tensor:
    """Sum what was written, (R, sequences, n) of each writer, over blocks, carried back: (R, t, h*w).

    `classes` also carries it back through spatial attention.
    """
    grid, rest = reading.grid, list(written)
    total = torch.zeros(len(reading.direction), grid.t, grid.h * grid.w, device=reading.direction.device)
    for attention in reversed(reading.captured):
        layout, role = attention.site.layout, attention.site.role
        if role in ("time", "pool") or (classes and attention.share is not None):
            total = step_back(attention, total)
        if role in READ_ROLES:
            total = total + layout.to_grid(without_cls(layout, rest.pop()))
    return total


def rollout(reading: Reading) -> Maps:
    """Compute attention rollout (Abnar, Zuidema 2020) for the token that is read.

    It is the product of 0.5 I + 0.5 A over all attentions, from the last one back to the input.
    """
    last, like, grid = reading.writers[-1], reading.direction, reading.grid
    layout = last.site.layout
    cls = torch.zeros(len(like), layout.sequences if layout.cls_each else 1, device=like.device)
    tokens = torch.zeros(len(like), grid.t * grid.h * grid.w, device=like.device)
    match last.site.role:
        case "cls":
            cls += 1 / cls.shape[-1]
        case "first":
            tokens[..., 0] = 1
        case "all":
            tokens += 1 / tokens.shape[-1]
        case _:
            tokens = _read_row(last).flatten(1)
    tokens = tokens.view(len(like), grid.t, -1)
    for attention in reversed(reading.captured):
        if attention.site.role != "query":
            came, moved = spread(attention, cls, tokens)
            tokens = 0.5 * tokens + 0.5 * moved
            cls = cls if came is None else 0.5 * cls + 0.5 * came
    return tokens, None


def paper(reading: Reading) -> Maps:
    """Return the last block's attention of the token that is read, as the paper's public code does, for comparison."""
    return _read_row(reading.writers[-1]), None


@dataclass(frozen=True, slots=True)
class Method:
    """Hold a method of attribution, and what it needs besides the attention of the token that is read."""

    run: Callable[[Reading], Maps]
    sizes: bool = False
    """Whether it needs how much every token wrote."""
    classes: bool = False
    """Whether it explains a class: it then needs the values, and the gains of each MLP."""
    queries: bool = False
    """Whether it needs the queries and keys of every attention."""
    version: str = "1"
    """The version of the formula; it goes up with any change."""


METHODS: dict[str, Method] = {
    "staa": Method(staa, sizes=True, version="2"),
    "staa_class": Method(staa_class, classes=True, version="3"),
    "rollout": Method(rollout, queries=True),
    "paper": Method(paper),
}


def check(method: str, target: object = None, contrast: object = None, refine: int | None = None) -> None:
    """Raise OptionError if the method is unknown, or is not for a class and a target, contrast or refine is given."""
    if method not in METHODS:
        raise OptionError(f"method is {method!r}: expected one of {', '.join(METHODS)}")
    for name, value in (("target", target), ("contrast", contrast), ("refine", refine or None)):
        if value is not None and not METHODS[method].classes:
            takers = ", ".join(key for key, known in METHODS.items() if known.classes)
            msg = f"{name} is {value!r}, but method {method} is not for a class: leave it out, or ask for {takers}"
            raise OptionError(msg)


def what_to_keep(methods: Mapping[int, str]) -> Wanted:
    """Return what must be kept of every attention; `methods` maps each row to explain to its method."""
    rows = tuple(sorted(methods))
    asked = {row: METHODS[methods[row]] for row in rows}
    sizes = tuple(row for row in rows if asked[row].sizes)
    classes = tuple(row for row in rows if asked[row].classes)
    queries = tuple(row for row in rows if asked[row].queries)
    return Wanted(rows, sizes, classes, tuple(sorted({*sizes, *classes})), queries)


def attribute(forward: Forward, requests: Sequence[MapRequest], directions: Tensor) -> list[Attribution]:
    """Compute one attribution for each row whose attention was read.

    Args:
        forward: what the forward pass kept.
        requests: one for each of `forward.rows`.
        directions: (K, width) the direction of each class in the residual stream.
    """
    maps: dict[int, Attribution] = {}
    pairs = list(zip(forward.rows, requests, strict=True))
    for method in dict.fromkeys(request.method for request in requests):
        alike = [(row, request) for row, request in pairs if request.method == method]
        rows = tuple(row for row, _ in alike)
        direction = torch.stack([direction_of(request, directions) for _, request in alike])
        reading = Reading([attention.only(rows) for attention in forward.captured], direction)
        joint, signed = METHODS[method].run(reading)
        shared = (
            [None] * len(alike)
            if signed is None
            else shared_evidence(reading, signed, [request for _, request in alike], directions)
        )
        for index, (row, request) in enumerate(alike):
            made = attribution_of(joint[index], None if signed is None else signed[index], reading.grid, request)
            maps[row] = replace(made, shared_evidence=shared[index])
    return [maps[row] for row in forward.rows]


def shared_evidence(
    reading: Reading, signed: Tensor, requests: Sequence[MapRequest], directions: Tensor, **formula: bool
) -> list[float | None]:
    """Return how much of the evidence for the target lies where that for the contrast lies, 0 to 1, for each row.

    Both classes are told from the mean of all classes, and the evidence for each of them, the positive part of its map,
    is normalised to sum 1. Then it is the sum over tokens of the smaller of the two: 1 where both lie on the same
    tokens. It is None for a row without a contrast.

    Args:
        reading: what is read of R rows.
        signed: (R, t, h*w) their maps for the target against the contrast. A class map is linear in the direction of
            its class, so that the target's own map is that one plus the contrast's.
        requests: (R) which maps are wanted.
        directions: (K, width) the direction of each class in the residual stream.
        formula: the options of `class_map` with which the maps were made.
    """
    if all(request.contrast is None for request in requests):
        return [None] * len(requests)
    others = [0 if request.contrast is None else request.contrast for request in requests]
    contrast = class_map(replace(reading, direction=directions[others] - directions.mean(0)), **formula)
    evidence = [map_.clamp(min=0).flatten(1) for map_ in (signed + contrast, contrast)]
    shares = [each / each.sum(-1, keepdim=True).clamp(min=torch.finfo(each.dtype).tiny) for each in evidence]
    overlap = torch.minimum(*shares).sum(-1).clamp(max=1).tolist()
    return [None if request.contrast is None else overlap[row] for row, request in enumerate(requests)]


def written_for(attention: Captured, direction: Tensor, *, centred: bool = False) -> Tensor:
    """Return how much every token wrote along a direction into the token that the classifier reads.

    Args:
        attention: what was kept of R rows, with their weights and values.
        direction: (R, 1 or sequences, width) in the residual stream after the attention.
        centred: take from each value the mean of all tokens' values. As the weights of a head sum to 1, that takes the
            same from the sum of every head, whatever it looked at.

    Returns:
        (R, sequences, n): for each of the attention's sequences its n tokens, CLS among them.
    """
    values, weights = _kept(attention.values, "values"), _kept(attention.weights, "weights")
    heads, width = values.shape[-3], values.shape[-1]
    output, layout = attention.site.output, attention.site.layout
    inward = direction if output is None else direction @ output.weight.float()
    inward = inward.expand(-1, layout.sequences, -1).reshape(*inward.shape[:1], layout.sequences, heads, width)
    along = torch.einsum("rshnd,rshd->rshn", values.float(), inward)
    if centred:
        along = along - torch.einsum("rhd,rshd->rsh", mean_value(values, layout), inward).unsqueeze(-1)
    # the token that is read is the mean over sequences of what is written
    return (weights * along).sum(2) / layout.sequences


def back_through_mlp(attention: Captured, direction: Tensor) -> Tensor:
    """Carry a direction back through the MLP that follows an attention, as the MLP worked in this pass.

    An MLP adds last(gate(first(norm(x)))) to a token x. With the gains of its channels as they were in the pass
    (`sites.mlp_gains`), it is linear: the token's component along `direction` after it is the component along the
    result before it, plus a constant.

    Args:
        attention: what was kept of R rows, with the gains.
        direction: (R, 1 or sequences, width) in the residual stream after the MLP.

    Returns:
        (R, 1 or sequences, width) in the residual stream between the attention and the MLP.
    """
    mlp, gains = attention.site.mlp, _kept(attention.gains, "gains of the MLP")
    if mlp is None:
        raise ValueError("this attention writes nothing into the token that is read")
    inward = (direction @ mlp.last.weight.float()) * gains
    added = (inward @ mlp.first.weight.float()) * mlp.norm.weight.float()
    return direction + added - added.mean(-1, keepdim=True)


def step_back(attention: Captured, tokens: Tensor) -> Tensor:
    """Carry a map (R, t, h*w) back through an attention: each token's share of it goes to where the token looked.

    The share s of a token is how much of it the attention wrote (`Captured.share`), in a pooler 1/2: r <- (1 - s) r +
    (s r) A. A is the attention matrix; in spatial attention the row of CLS, among the patches of a frame, stands for
    those of all patches.
    """
    if attention.site.role == "pool":
        return 0.5 * tokens + 0.5 * spread(attention, None, tokens)[1]
    leaves = _kept(attention.share, "shares") * tokens
    if attention.site.role == "time":
        return tokens - leaves + spread(attention, None, leaves)[1]
    row = _read_row(attention)
    return tokens - leaves + leaves.sum(-1, keepdim=True) * row / row.sum(-1, keepdim=True)


def _kept(tensor: Tensor | None, name: str) -> Tensor:
    if tensor is None:
        raise ValueError(f"the {name} were not kept: name the method before the forward pass")
    return tensor


def without_cls(layout: Layout, tokens: Tensor) -> Tensor:
    """Return (R, sequences, n) without the first column, where that is CLS."""
    return tokens[..., 1:] if layout.cls else tokens


def direction_of(request: MapRequest, directions: Tensor) -> Tensor:
    """Return the direction (width,) of the target less that of the contrast; 0 for a method without classes."""
    if request.target is None:
        return torch.zeros_like(directions[0])
    return directions[request.target] - (0 if request.contrast is None else directions[request.contrast])


def _read_row(attention: Captured) -> Tensor:
    """Return the attention of the token that is read, as a mean over heads: (R, t, h*w)."""
    layout = attention.site.layout
    return layout.to_grid(without_cls(layout, _kept(attention.weights, "weights").mean(2)))


def spread(attention: Captured, cls: Tensor | None, tokens: Tensor) -> tuple[Tensor | None, Tensor]:
    """Move the weights of all tokens to where they looked in one attention: weights @ A, a mean over heads.

    Args:
        attention: the attention A.
        cls: (R, 1 or sequences), the weight of CLS; None is zero.
        tokens: (R, t, h*w), the weights of the other tokens.

    Returns:
        The weights of CLS, None if it takes no part in this attention, and of the other tokens.
    """
    layout = attention.site.layout
    row = layout.to_sequences(tokens)
    if layout.cls:
        first = row.new_zeros(len(row), 1) if cls is None else cls
        shares = first if layout.cls_each else first.expand(-1, layout.sequences) / layout.sequences
        row = torch.cat([shares.unsqueeze(-1), row], -1)
    row = row.unsqueeze(2)
    if attention.matrix is not None:
        passed = row @ attention.matrix
    elif attention.queries_keys is not None:
        query, key, scale = attention.queries_keys
        softcap = attention.site.softcap
        passed = row_times_attention(row[..., : query.shape[-2]], query, key, scale, softcap).mean(2)
    else:
        raise ValueError("queries and keys were not kept: name the method before the forward pass")
    passed = passed.squeeze(2)
    came = None
    if layout.cls:
        came = passed[..., 0] if layout.cls_each else passed[..., 0].sum(-1, keepdim=True)
    return came, layout.to_grid(without_cls(layout, passed))


def attribution_of(joint: Tensor, signed: Tensor | None, grid: Grid, request: MapRequest) -> Attribution:
    """Normalise weights (t, h*w) >= 0 to sum 1; if all are 0, the map is uniform."""
    shares = _normalised(joint, grid)
    if not shares.any():
        shares = np.full(grid.shape, 1 / shares.size, np.float32)
    signed_shares = None if signed is None else _normalised(signed, grid)
    version = METHODS[request.method].version
    named = request.target, request.contrast
    return Attribution(shares, grid, request.method, signed_shares, *named, method_version=version)


def _normalised(weights: Tensor, grid: Grid) -> Floats:
    """Return weights as (t, h, w), divided by the sum of their absolute values; all 0 stays 0."""
    flat = weights.double().cpu().numpy()
    return (flat / (np.abs(flat).sum() or 1)).reshape(grid.shape).astype(np.float32)
