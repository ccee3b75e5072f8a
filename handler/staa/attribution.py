"""Computes attributions (distributions over tokens) from a forward pass. Each method is a function in METHODS.

The equations are those of Z. Wang, Y. Liu, "STAA", arXiv 2411.00630. docs/explain.md says which blocks are read, and
why.

In shapes, R is the number of rows (clips of the batch) that are explained, "sequences" the number of token sequences
into which an attention cuts a clip (for example one for each frame), n the tokens of a sequence, and t, h, w the token
grid.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from staa.capture import Captured, Wanted, row_times_attention
from staa.errors import OptionError
from staa.sites import READ_ROLES, Layout, Site
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
    """Average over blocks the attention of the token that the classifier reads.

    With divided attention, it is mixed with the mean temporal attention; with a pooler, it is carried back through it.

    With S and A the means of spatial and temporal attention over blocks:
    joint[t, p] = sum over q of S[q, p] * (0.5 * [q == t] + 0.5 * A[p, q, t]).
    """
    space = torch.stack([_read_row(attention) for attention in reading.writers]).mean(0)
    matrices = [attention.matrix for attention in reading.captured if attention.matrix is not None]
    if matrices:
        mixed = torch.stack(matrices).mean(0)  # (R, h*w, t, t)
        space = 0.5 * space + 0.5 * (space.transpose(1, 2).unsqueeze(2) @ mixed).squeeze(2).transpose(1, 2)
    for attention in reversed(reading.captured):
        if attention.site.role == "pool":
            space = rollout_step(attention, None, space[:, None])[1][:, 0]
    return space, None


def staa_class(reading: Reading) -> Maps:
    """Sum over blocks what every token wrote in favour of the class into the token that the classifier reads.

    In one block, token p writes d[p] = sum over heads of a[p] * <u, W_o v[p]>: a is its attention weight, v its value,
    u the direction of the class. With divided attention or a pooler, the sum r is carried back to the input tokens,
    last block first: r <- 0.5 r + 0.5 r a, then r <- r + d. The signed map is r, the other one its positive part.
    """
    grid, like = reading.grid, reading.direction
    signed = torch.zeros(len(like), 1, grid.t, grid.h * grid.w, device=like.device)
    for attention in reversed(reading.captured):
        layout = attention.site.layout
        if attention.site.carried:
            signed = rollout_step(attention, None, signed)[1]
        if attention.site.role in READ_ROLES:
            signed = signed + layout.to_grid(without_cls(layout, written_for(attention, like)))[:, None]
    return signed[:, 0].clamp(min=0), signed[:, 0]


def rollout(reading: Reading) -> Maps:
    """Compute attention rollout (Abnar, Zuidema 2020) for the token that is read.

    It is the product of 0.5 I + 0.5 A over all attentions, from the last one back to the input.
    """
    last, like, grid = reading.writers[-1], reading.direction, reading.grid
    layout = last.site.layout
    cls = torch.zeros(len(like), 1, layout.sequences if layout.cls_each else 1, device=like.device)
    tokens = torch.zeros(len(like), 1, grid.t * grid.h * grid.w, device=like.device)
    match last.site.role:
        case "cls":
            cls += 1 / cls.shape[-1]
        case "first":
            tokens[..., 0] = 1
        case "all":
            tokens += 1 / tokens.shape[-1]
        case _:
            tokens = _read_row(last).flatten(1)[:, None]
    tokens = tokens.view(len(like), 1, grid.t, -1)
    for attention in reversed(reading.captured):
        if attention.site.role != "query":
            cls, tokens = rollout_step(attention, cls, tokens)
    return tokens[:, 0], None


def paper(reading: Reading) -> Maps:
    """Return the last block's attention of the token that is read, as the paper's public code does, for comparison."""
    return _read_row(reading.writers[-1]), None


@dataclass(frozen=True, slots=True)
class Method:
    """Hold a method of attribution, and what it needs besides the attention of the token that is read."""

    run: Callable[[Reading], Maps]
    classes: bool = False
    """Whether it explains a class: it then needs the values, and with divided attention also queries and keys."""
    queries: bool = False
    """Whether it needs the queries and keys of every attention."""
    version: str = "1"
    """The version of the formula; it goes up with any change."""


METHODS: dict[str, Method] = {
    "staa": Method(staa),
    "staa_class": Method(staa_class, classes=True, version="2"),
    "rollout": Method(rollout, queries=True),
    "paper": Method(paper),
}


def check(method: str, target: object = None, contrast: object = None) -> None:
    """Raise OptionError if the method is unknown, or a target or contrast is given that it does not take."""
    if method not in METHODS:
        raise OptionError(f"method is {method!r}: expected one of {', '.join(METHODS)}")
    for name, value in (("target", target), ("contrast", contrast)):
        if value is not None and not METHODS[method].classes:
            takers = ", ".join(key for key, known in METHODS.items() if known.classes)
            msg = f"{name} is {value!r}, but method {method} is not for a class: leave it out, or ask for {takers}"
            raise OptionError(msg)


def what_to_keep(sites: Sequence[Site], methods: dict[int, str]) -> Wanted:
    """Return what must be kept of every attention; `methods` maps each row to explain to its method."""
    rows = tuple(sorted(methods))
    carried = any(site.carried and site.role != "pool" for site in sites)  # what a pooler needs is kept anyway
    asked = {row: METHODS[methods[row]] for row in rows}
    values = tuple(row for row in rows if asked[row].classes)
    queries = tuple(row for row in rows if asked[row].queries or (carried and asked[row].classes))
    return Wanted(rows, values, queries)


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
        direction = torch.stack([_direction(request, directions) for _, request in alike])
        reading = Reading([attention.only(rows) for attention in forward.captured], direction)
        joint, signed = METHODS[method].run(reading)
        for index, (row, request) in enumerate(alike):
            maps[row] = _attribution(joint[index], None if signed is None else signed[index], reading.grid, request)
    return [maps[row] for row in forward.rows]


def written_for(attention: Captured, direction: Tensor) -> Tensor:
    """Return how much every token wrote along a direction into the token that the classifier reads.

    The sum over all tokens and attentions, plus what the biases and MLPs write, is the component of the token that is
    read along the direction.

    Args:
        attention: what was kept of R rows, with their weights and values.
        direction: (R, width) in the residual stream, one for each row.

    Returns:
        (R, sequences, n): for each of the attention's sequences its n tokens, CLS among them.
    """
    if attention.values is None or attention.weights is None:
        raise ValueError("the values were not kept: name the method before the forward pass")
    heads, width = attention.values.shape[-3], attention.values.shape[-1]
    output = attention.site.output
    inward = direction if output is None else direction @ output.weight.float()
    along = torch.einsum("rshnd,rhd->rshn", attention.values.float(), inward.view(-1, heads, width))
    # the token that is read is the mean over sequences of what is written
    return (attention.weights * along).sum(2) / attention.site.layout.sequences


def without_cls(layout: Layout, tokens: Tensor) -> Tensor:
    """Return (R, sequences, n) without the first column, where that is CLS."""
    return tokens[..., 1:] if layout.cls else tokens


def _direction(request: MapRequest, directions: Tensor) -> Tensor:
    if request.target is None:
        return torch.zeros_like(directions[0])
    return directions[request.target] - (0 if request.contrast is None else directions[request.contrast])


def _read_row(attention: Captured) -> Tensor:
    """Return the attention of the token that is read, as a mean over heads: (R, t, h*w)."""
    if attention.weights is None:
        raise ValueError("no attention was read: name the rows to read before the forward pass")
    layout = attention.site.layout
    return layout.to_grid(without_cls(layout, attention.weights.mean(2)))


def rollout_step(attention: Captured, cls: Tensor | None, tokens: Tensor) -> tuple[Tensor, Tensor]:
    """Multiply k rollouts by 0.5 I + 0.5 A of one attention.

    Args:
        attention: the attention A.
        cls: (R, k, 1 or sequences), the weight of CLS in each rollout; None is zero.
        tokens: (R, k, t, h*w), the weights of the other tokens.

    Returns:
        `cls` and `tokens` after the step.
    """
    layout, rollouts = attention.site.layout, tokens.shape[:2]
    row = layout.to_sequences(tokens.flatten(0, 1)).view(*rollouts, layout.sequences, -1)
    first = row.new_zeros(*rollouts, layout.sequences if layout.cls_each else 1) if cls is None else cls
    if layout.cls:
        shares = first if layout.cls_each else first.expand(*rollouts, layout.sequences) / layout.sequences
        row = torch.cat([shares.unsqueeze(-1), row], -1)
    row = row.transpose(1, 2)
    if attention.matrix is not None:
        passed = row @ attention.matrix
    elif attention.queries_keys is not None:
        query, key, scale = attention.queries_keys
        passed = row_times_attention(row[..., : query.shape[-2]], query, key, scale).mean(2)
    else:
        raise ValueError("queries and keys were not kept: name the method before the forward pass")
    passed = passed.transpose(1, 2)
    if layout.cls:
        came = passed[..., 0] if layout.cls_each else passed[..., 0].sum(-1, keepdim=True)
        first = 0.5 * first + 0.5 * came
    on_grid = layout.to_grid(without_cls(layout, passed.flatten(0, 1)))
    return first, 0.5 * tokens + 0.5 * on_grid.view_as(tokens)


def _attribution(joint: Tensor, signed: Tensor | None, grid: Grid, request: MapRequest) -> Attribution:
    """Normalise weights (t, h*w) >= 0 to sum 1; if all are 0, the map is uniform."""
    shares = _normalised(joint, grid)
    if not shares.any():
        shares = np.full(grid.shape, 1 / shares.size, np.float32)
    signed_shares = None if signed is None else _normalised(signed, grid)
    return Attribution(shares, grid, request.method, signed_shares, request.target, request.contrast)


def _normalised(weights: Tensor, grid: Grid) -> Floats:
    """Return weights as (t, h, w), divided by the sum of their absolute values; all 0 stays 0."""
    flat = weights.double().cpu().numpy()
    return (flat / (np.abs(flat).sum() or 1)).reshape(grid.shape).astype(np.float32)
