"""From what was kept of a forward pass to a distribution over tokens. Every method is a function in METHODS.

Equations: Z. Wang, Y. Liu, "STAA", arXiv 2411.00630; which blocks are read, and why, is stated in docs/explain.md.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from staa.capture import Heard, Wanted, carry
from staa.errors import OptionError
from staa.sites import READ, Layout, Site
from staa.types import Attribution, Floats, Forward, Grid


@dataclass(frozen=True, slots=True)
class Ask:
    """What one row wants to be explained."""

    method: str
    target: int | None = None
    """Class that a class map is for."""
    contrast: int | None = None
    """Class that it is against; None is no other."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a method reads: R rows, all by this method."""

    heard: Sequence[Heard]
    """The attentions in the order of the pass."""
    toward: Tensor
    """(R, width): direction of the class (or of its difference to the contrast) in the residual stream, else 0."""

    @property
    def read(self) -> list[Heard]:
        """Those that write into the token that the classifier reads."""
        return [one for one in self.heard if one.weights is not None]

    @property
    def grid(self) -> Grid:
        """The token grid."""
        return self.heard[0].site.layout.grid


Maps = tuple[Tensor, Tensor | None]
"""Weights (R, t, h*w) >= 0, not normalised; and the same with what speaks against the class, negative."""


def staa(reading: Reading) -> Maps:
    """Mean over blocks of the rows that are read, carried through the mean temporal attention, or through the pooler.

    With S, A the means over blocks: joint[t, p] = sum over q of S[q, p] * (0.5 * [q == t] + 0.5 * A[p, q, t]).
    """
    space = torch.stack([_tokens(one) for one in reading.read]).mean(0)
    matrices = [one.matrix for one in reading.heard if one.matrix is not None]
    if matrices:
        mixed = torch.stack(matrices).mean(0)  # (R, h*w, t, t)
        space = 0.5 * space + 0.5 * (space.transpose(1, 2).unsqueeze(2) @ mixed).squeeze(2).transpose(1, 2)
    for one in reversed(reading.heard):
        if one.site.role == "pool":
            space = back(one, None, space[:, None])[1][:, 0]
    return space, None


def staa_class(reading: Reading) -> Maps:
    """What every token wrote for the class into the token that is read, summed over blocks.

    d[p] = sum over heads of a[p] * <u, W_o v[p]>. Divided attention, and a pooler, carry the sum back to the input
    tokens, last block first: r <- 0.5 r + 0.5 r a, then r <- r + d. The signed map is r, the other its positive part.
    """
    grid, like = reading.grid, reading.toward
    signed = torch.zeros(len(like), 1, grid.t, grid.h * grid.w, device=like.device)
    for one in reversed(reading.heard):
        if one.site.carried:
            signed = back(one, None, signed)[1]
        if one.site.role in READ:
            signed = signed + one.site.layout.place(without_cls(one.site.layout, pushes(one, like)))[:, None]
    return signed[:, 0].clamp(min=0), signed[:, 0]


def rollout(reading: Reading) -> Maps:
    """Attention rollout: 0.5 I + 0.5 A of every attention, back from the token that is read (Abnar, Zuidema 2020)."""
    last, like, grid = reading.read[-1], reading.toward, reading.grid
    layout = last.site.layout
    cls = torch.zeros(len(like), 1, layout.sequences if layout.apart else 1, device=like.device)
    tokens = torch.zeros(len(like), 1, grid.t * grid.h * grid.w, device=like.device)
    match last.site.role:
        case "cls":
            cls += 1 / cls.shape[-1]
        case "first":
            tokens[..., 0] = 1
        case "all":
            tokens += 1 / tokens.shape[-1]
        case _:
            tokens = _tokens(last).flatten(1)[:, None]
    tokens = tokens.view(len(like), 1, grid.t, -1)
    for one in reversed(reading.heard):
        if one.site.role != "query":
            cls, tokens = back(one, cls, tokens)
    return tokens[:, 0], None


def paper(reading: Reading) -> Maps:
    """The public reference: the row that is read in the last block, and nothing else. For comparison."""
    return _tokens(reading.read[-1]), None


@dataclass(frozen=True, slots=True)
class Method:
    """A way to a map, and what it needs beside the rows that are read."""

    run: Callable[[Reading], Maps]
    classes: bool = False
    """Whether it is for a class: it needs the values, and queries and keys where attention is divided."""
    chain: bool = False
    """Whether it needs queries and keys of every attention."""
    version: str = "1"
    """Goes up with any change of its formula."""


METHODS: dict[str, Method] = {
    "staa": Method(staa),
    "staa_class": Method(staa_class, classes=True, version="2"),
    "rollout": Method(rollout, chain=True),
    "paper": Method(paper),
}


def check(method: str, target: object = None, contrast: object = None) -> None:
    """OptionError where there is no such method, or it takes no target."""
    if method not in METHODS:
        msg = f"method is {method!r}: expected one of {', '.join(METHODS)}"
        raise OptionError(msg)
    for name, value in (("target", target), ("contrast", contrast)):
        if value is not None and not METHODS[method].classes:
            takers = ", ".join(key for key, each in METHODS.items() if each.classes)
            msg = f"{name} is {value!r}, but method {method} is not for a class: leave it out, or ask for {takers}"
            raise OptionError(msg)


def wanted(sites: Sequence[Site], methods: dict[int, str]) -> Wanted:
    """What to keep for these rows (row -> method)."""
    rows = tuple(sorted(methods))
    carried = any(site.carried and site.role != "pool" for site in sites)  # what a pooler needs is kept anyway
    made = {row: METHODS[methods[row]] for row in rows}
    push = tuple(row for row in rows if made[row].classes)
    chain = tuple(row for row in rows if made[row].chain or (carried and made[row].classes))
    return Wanted(rows, push, chain)


def attribute(forward: Forward, asks: Sequence[Ask], directions: Tensor) -> list[Attribution]:
    """One attribution for each row that was read.

    Args:
        forward: what the pass kept.
        asks: one for each of `forward.rows`.
        directions: (K, width) direction of each class in the residual stream.
    """
    found: dict[int, Attribution] = {}
    pairs = list(zip(forward.rows, asks, strict=True))
    for method in dict.fromkeys(ask.method for ask in asks):
        own = [(row, ask) for row, ask in pairs if ask.method == method]
        rows = tuple(row for row, _ in own)
        toward = torch.stack([_toward(ask, directions) for _, ask in own])
        reading = Reading([one.only(rows) for one in forward.heard], toward)
        joint, signed = METHODS[method].run(reading)
        for index, (row, ask) in enumerate(own):
            found[row] = _attribution(joint[index], None if signed is None else signed[index], reading.grid, ask)
    return [found[row] for row in forward.rows]


def pushes(one: Heard, toward: Tensor) -> Tensor:
    """What every token wrote along a direction: (R, sequences, n), CLS too.

    Over all tokens and attentions, with the biases and what the MLPs write, it adds up to the token that is read.
    """
    if one.values is None or one.weights is None:
        raise ValueError("the values were not kept: name the method before the forward pass")
    heads, width = one.values.shape[-3], one.values.shape[-1]
    inward = toward if one.site.output is None else toward @ one.site.output.weight.float()
    each = torch.einsum("rshnd,rhd->rshn", one.values.float(), inward.view(-1, heads, width))
    # the token that is read is the mean over sequences of what is written
    return (one.weights * each).sum(2) / one.site.layout.sequences


def without_cls(layout: Layout, tokens: Tensor) -> Tensor:
    """(R, sequences, n) -> the same without the column of CLS."""
    return tokens[..., 1:] if layout.cls else tokens


def _toward(ask: Ask, directions: Tensor) -> Tensor:
    if ask.target is None:
        return torch.zeros_like(directions[0])
    return directions[ask.target] - (0 if ask.contrast is None else directions[ask.contrast])


def _tokens(one: Heard) -> Tensor:
    """(R, t, h*w): the row that is read, mean over heads."""
    if one.weights is None:
        raise ValueError("no attention was read: name the rows to read before the forward pass")
    return one.site.layout.place(without_cls(one.site.layout, one.weights.mean(2)))


def back(one: Heard, cls: Tensor | None, tokens: Tensor) -> tuple[Tensor, Tensor]:
    """One step of k rollouts, through 0.5 I + 0.5 A: of CLS (R, k, 1 or sequences), of the tokens (R, k, t, h*w)."""
    layout, many = one.site.layout, tokens.shape[:2]
    row = layout.cut(tokens.flatten(0, 1)).view(*many, layout.sequences, -1)
    first = row.new_zeros(*many, layout.sequences if layout.apart else 1) if cls is None else cls
    if layout.cls:
        each = first if layout.apart else first.expand(*many, layout.sequences) / layout.sequences
        row = torch.cat([each.unsqueeze(-1), row], -1)
    row = row.transpose(1, 2)
    if one.matrix is not None:
        passed = row @ one.matrix
    elif one.chain is not None:
        query, key, scale = one.chain
        passed = carry(row[..., : query.shape[-2]], query, key, scale).mean(2)
    else:
        raise ValueError("queries and keys were not kept: name the method before the forward pass")
    passed = passed.transpose(1, 2)
    if layout.cls:
        came = passed[..., 0] if layout.apart else passed[..., 0].sum(-1, keepdim=True)
        first = 0.5 * first + 0.5 * came
    placed = layout.place(without_cls(layout, passed.flatten(0, 1)))
    return first, 0.5 * tokens + 0.5 * placed.view_as(tokens)


def _attribution(joint: Tensor, signed: Tensor | None, grid: Grid, ask: Ask) -> Attribution:
    """Weights (t, h*w) >= 0, renormalised; all alike where there are none."""
    made = _shares(joint, grid)
    if not made.any():
        made = np.full(grid.shape, 1 / made.size, np.float32)
    parts = None if signed is None else _shares(signed, grid)
    return Attribution(made, grid, ask.method, parts, ask.target, ask.contrast)


def _shares(weights: Tensor, grid: Grid) -> Floats:
    """(t, h, w), sizes sum to 1 unless all are 0."""
    flat = weights.double().cpu().numpy()
    return (flat / (np.abs(flat).sum() or 1)).reshape(grid.shape).astype(np.float32)
