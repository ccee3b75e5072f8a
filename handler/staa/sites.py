"""Describes the attentions of a model: what the classifier reads of each, and how much tokens write through it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from staa.types import Grid

Role = Literal["cls", "first", "all", "query", "time", "pool", "deep"]
"""What the classifier has from an attention.

"cls", "first", "all", "query": what it writes into the token that is read (CLS, token 0, the mean of all, a learned
query). "time": the temporal half of divided attention. "pool": what mixes the tokens last before a learned query reads
them, self-attention of a pooler or temporal attention. "deep": others.
"""
READ_ROLES = ("cls", "first", "all", "query")
"""The roles of attentions that write into the token that is read."""
Rows = tuple[int, ...]
_NO_CHANNEL = 1e-6
"""A channel of an MLP that is smaller counts as 0, where gate(h) / h has the limit 0.5."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Say how an attention arranges the tokens of one clip in sequences."""

    grid: Grid
    sequences: int = 1
    """The number of sequences for one clip: 1, or one for each step, or one for each patch."""
    cls: bool = False
    """Whether every sequence begins with CLS."""
    cls_each: bool = False
    """Whether every sequence has its own CLS; if not, one CLS token is shared by all sequences."""
    patch_major: bool = False
    """Whether the tokens are in the order of patch, then step; if not, of step, then patch."""

    def split(self, tokens: Tensor, rows: Tensor | None) -> Tensor:
        """Select rows (R,) of a batch, None for all: (B*sequences, heads, n, d) -> (R, sequences, heads, n, d)."""
        clips = tokens.view(-1, self.sequences, *tokens.shape[1:])
        return clips if rows is None else clips.index_select(0, rows)

    def to_grid(self, tokens: Tensor) -> Tensor:
        """Arrange tokens without CLS by step and patch: (R, sequences, m, ...) -> (R, t, h*w, ...)."""
        steps, patches, rest = self.grid.t, self.grid.h * self.grid.w, tokens.shape[3:]
        if self.patch_major:
            return tokens.reshape(-1, patches, steps, *rest).transpose(1, 2)
        return tokens.reshape(-1, steps, patches, *rest)

    def without_cls(self, tokens: Tensor, rows: Tensor | None) -> Tensor:
        """Select rows (R,) of a batch, and arrange them by step and patch, without CLS.

        Tokens are (B*sequences, n, width), the result (R, t, h*w, width).
        """
        clips = self.split(tokens, rows)
        return self.to_grid(clips[:, :, 1:] if self.cls else clips)

    def to_sequences(self, tokens: Tensor) -> Tensor:
        """Arrange tokens in sequences, the inverse of `to_grid`: (R, t, h*w) -> (R, sequences, m)."""
        order = tokens.transpose(1, 2) if self.patch_major else tokens
        return order.reshape(len(tokens), self.sequences, -1)


@dataclass(frozen=True, slots=True)
class Mlp:
    """Hold the MLP that follows an attention: it adds last(gate(first(norm(token)))) to every token."""

    norm: nn.LayerNorm
    first: nn.Linear
    gate: Callable[[Tensor], Tensor]
    """The activation between the two linear layers."""
    last: nn.Linear


@dataclass(frozen=True, slots=True)
class Stream:
    """Name a module whose input is the residual stream, all tokens with what was added to them so far."""

    module: nn.Module
    layout: Layout
    """How the tokens of its input are arranged."""


@dataclass(frozen=True, slots=True)
class Site:
    """Hold one attention of a model, and what the classifier reads of it."""

    module: nn.Module
    layout: Layout
    role: Role
    first_query: int = 0
    """The first query whose attention is read."""
    query_step: int = 0
    """Read also every `query_step`-th query after the first, with equal weight; 0 reads the first only."""
    output: nn.Linear | None = None
    """The linear layer after the attention; None if there is none or it is not needed."""
    factors: Tensor | None = None
    """What `head_factors` returns for `output`; None if there is no such layer."""
    mlp: Mlp | None = None
    """The MLP that the token that is read goes through next; None if the attention does not write into that token."""
    before: Stream | None = None
    """The stream that the attention's output is added to; None if the share of it is not measured."""
    after: Stream | None = None
    """The stream with the attention's output added to it."""
    softcap: float | None = None
    """The soft cap of its attention logits; None caps nothing."""

    @property
    def carried(self) -> bool:
        """Return whether maps are carried back through this attention to the input tokens."""
        return self.before is not None or self.role == "pool"

    @property
    def queries(self) -> slice:
        """Return the queries whose attention is read."""
        first, step = self.first_query, self.query_step
        return slice(first, None, step) if step else slice(first, first + 1)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Say what each row (clip) of a batch needs of every attention; all rows ascend."""

    weights: Rows = ()
    """All rows that are explained: they need the attention weights of the query that is read."""
    sizes: Rows = ()
    """The rows that also need how much every token wrote, whatever the class."""
    classes: Rows = ()
    """The rows that are explained for a class: they also need the values, and the gains of each MLP."""
    carried: Rows = ()
    """The rows whose maps are carried back to the input: those of `sizes` and of `classes`."""
    queries: Rows = ()
    """The rows that need queries and keys of every attention, for a rollout."""


@torch.no_grad()
def head_factors(output: nn.Linear, heads: int) -> Tensor:
    """Return a matrix (heads, d, d) for each head: v @ matrix is as long as what the layer makes of the head's value v.

    Args:
        output: the linear layer after an attention, (heads * d) -> width.
        heads: the number of heads.
    """
    columns = output.weight.float().view(output.out_features, heads, -1).transpose(0, 1)  # (heads, width, d)
    factors: Tensor = torch.linalg.qr(columns, mode="r").R.transpose(1, 2)
    return factors


def written_sizes(site: Site, weights: Tensor, values: Tensor) -> Tensor:
    """Return how much every token wrote into the token that the classifier reads, in any direction.

    A head writes weight * W_o (value - mean value of all tokens but CLS); the lengths of what the heads wrote are added
    by squares.

    Args:
        site: the attention.
        weights: (R, sequences, heads, n), of the query that is read.
        values: (R, sequences, heads, n, d).

    Returns:
        (R, sequences, n), float32: for each of the attention's sequences its n tokens, CLS among them.
    """
    written, mean = values.float(), mean_value(values, site.layout).unsqueeze(-2)
    if site.factors is not None:
        written, mean = written @ site.factors, mean @ site.factors
    squares = (written - mean[:, None]).square_().sum(-1)
    return squares.mul_(weights.square()).sum(2).sqrt_() / site.layout.sequences


def mean_value(values: Tensor, layout: Layout) -> Tensor:
    """Return the mean of the values (R, sequences, heads, n, d) of all tokens but CLS: (R, heads, d), float32."""
    total, count = values.sum((1, 3), dtype=torch.float32), values.shape[1] * (values.shape[3] - layout.cls)
    if layout.cls:  # the sum of a part takes longer than that of all
        total = total - values[..., 0, :].sum(1, dtype=torch.float32)
    return total / count


def mlp_gains(mlp: Mlp, tokens: Tensor, channels: Tensor) -> Tensor:
    """Return the gain of each channel h of an MLP, gate(h) / h over the deviation of its norm, a mean over k tokens.

    Args:
        mlp: the MLP.
        tokens: (R, sequences, k, width), the input of its norm.
        channels: (R, sequences, k, channels), the output of its first layer.

    Returns:
        (R, sequences, channels), float32.
    """
    tokens, channels = tokens.float(), channels.float()
    deviation = (tokens.var(-1, correction=0, keepdim=True) + mlp.norm.eps).sqrt()
    gates = torch.where(channels.abs() > _NO_CHANNEL, mlp.gate(channels) / channels, 0.5)
    return (gates / deviation).mean(2)


def measured_share(before: Tensor, after: Tensor) -> Tensor:
    """Return how much of each token (..., width), along itself, was added to it: 0..1, (...)."""
    before, after = before.float(), after.float()
    kept: Tensor = torch.linalg.vecdot(before, after) / torch.linalg.vecdot(after, after).clamp(min=1e-12)
    return (1 - kept).clamp(0, 1)
